"""LangChain's standard integration suite for `ChatHotspare`, parametrized by kind of pool and state."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import vcr
from hotspare import Pool
from hotspare.drill.provider import Provider
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_hotspare import ChatHotspare
from langchain_tests.integration_tests import ChatModelIntegrationTests

from tests.adapters.langchain.pools import State, TargetKind, pool_in

REPLIES = {
    "magic_function(3)": {"call": {"magic_function": {"input": 3}}},
    "What is the weather": {"call": {"get_weather": {"location": "San Francisco, CA"}}},
    "你好啊集团": {"call": {"unicode_customer": {"customer_name": "你好啊集团", "description": "technology"}}},
    "こんにちは株式会社": {
        "call": {"unicode_customer": {"customer_name": "こんにちは株式会社", "description": "会社"}}
    },
    "Return the result as a JSON": {"json": {"setup": "Why do cats purr?", "punchline": "They idle."}},
}
"""The embedded provider's replies where the suites expect a model to understand the prompt."""


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:OpenAI may require a filename")  # ChatOpenAI warns about the suite's own PDF
class Standard(ChatModelIntegrationTests):
    """The whole standard suite with every flag on; subclasses set the pool's state."""

    state: ClassVar[State] = "healthy"
    kind: ClassVar[TargetKind] = "hotspare"
    method: ClassVar[str] = "function_calling"
    pool: ClassVar[Pool]

    @pytest.fixture(scope="class", autouse=True)
    def _pool(self, request: pytest.FixtureRequest, embedded_provider_session: Provider) -> Iterator[None]:
        embedded_provider_session.reset()
        embedded_provider_session.configure(None, replies=REPLIES)
        transport = {"transport": "httpx"} if self.kind == "hotspare" else {}  # which vcrpy can record
        with pool_in(self.state, self.kind, embedded_provider_session, **transport) as pool:
            request.cls.pool = pool
            yield

    @pytest.fixture
    def vcr(self, request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Any]:
        """A cassette that is recorded here by a first call and replayed to the test's own call."""
        if request.node.get_closest_marker("vcr") is None:
            yield None
            return
        recorder = vcr.VCR(match_on=["method", "path", "body"])
        path = str(tmp_path / "stream.yaml")
        with recorder.use_cassette(path, record_mode="once"):
            list(ChatHotspare(pool=self.pool).stream("Write a story about a cat."))
        with recorder.use_cassette(path, record_mode="none") as cassette:
            yield cassette
            assert cassette.play_count, "the test's own call was not replayed"  # not each: a probe is not made twice

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatHotspare

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"pool": self.pool}

    @property
    def model_override_value(self) -> str:
        return self.pool.targets[-1].model  # the one that is up in every state

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": self.method}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return self.kind == "hotspare"

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def enable_vcr_tests(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> Any:
        details = ["cache_read_input"]
        if self.kind == "hotspare" or self.state != "only last up":  # Gemini and OpenAI report reasoning tokens
            details.append("reasoning_output")
        if self.kind == "langchain" or self.state != "only last up":  # Anthropic reports cache writes
            details.append("cache_creation_input")
        return {"invoke": details, "stream": details}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        reasoner = {"hotspare": "gemini-2.5-flash", "langchain": "gpt-5"}[self.kind]
        message = self._ask("think", stream, reasoning_effort="low", model=reasoner)
        assert message.usage_metadata is not None
        assert message.usage_metadata["output_token_details"]["reasoning"] > 0
        return message

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        message = self._ask("a prompt that was sent before cached=5", stream)
        assert message.usage_metadata is not None
        assert message.usage_metadata["input_token_details"]["cache_read"] == 5
        return message

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        message = self._ask("a prompt to be kept written=4", stream, model="claude-sonnet-4-5")
        assert message.usage_metadata is not None
        assert message.usage_metadata["input_token_details"]["cache_creation"] == 4
        return message

    def _ask(self, prompt: str, stream: bool, **settings: Any) -> AIMessage:
        model = ChatHotspare(pool=self.pool, **settings)
        if not stream:
            return model.invoke(prompt)
        chunks = list(model.stream(prompt))
        return sum(chunks[1:], chunks[0])
