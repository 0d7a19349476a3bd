"""What people write first, from the habits of other libraries: it works, or the error says what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hotspare import ConfigError, HotspareError, Policy, Pool, RequestError, SecretStr, Target
from hotspare.messages import ChatReply, ChatRequest
from hotspare.outcome import Kind, Outcome
from hotspare.testing import ScriptedTarget, scripted_pool

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
TEXT = {"type": "text", "text": "what is this?"}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for OpenAI only."""
    for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "DEEPSEEK_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key-1")


def error_of(call: Callable[[], object]) -> str:
    """The text of the error that a call raises."""
    with pytest.raises(HotspareError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Pool("openai/gpt-4.1"),
        lambda: Pool(Target("openai/gpt-4.1")),
        lambda: Pool(["openai/gpt-4.1"]),
        lambda: Pool(("openai/gpt-4.1",)),
        lambda: Pool(name for name in ["openai/gpt-4.1"]),
        lambda: Pool.from_config({"targets": ["openai/gpt-4.1"]}),
        lambda: Pool.from_config({"targets": "openai/gpt-4.1"}),
    ],
)
def test_one_target_in_every_form(build: Callable[[], Pool]) -> None:
    """An id, a Target, a list of either, any other iterable; in a configuration too."""
    assert [target.id for target in build().targets] == ["openai/gpt-4.1"]


def test_several_targets_without_a_list() -> None:
    """In their order."""
    pool = Pool("openai/gpt-4.1", Target("openai/gpt-5"), "ollama/llama3", deadline=3)
    assert [target.model for target in pool.targets] == ["gpt-4.1", "gpt-5", "llama3"]


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (["hotspare.toml"], "is the name of a file: Pool.from_config('hotspare.toml')"),
        ([None], "must be Targets or ids"),
        ([{"openai/gpt-4.1": {}}], "Pool.from_config"),
        ([["openai/gpt-4.1", 3]], "targets[1]: 3 must be a Target"),
        ([["openai/gpt-4.1", "gpt-5"]], "targets[1].id: 'gpt-5' must be 'provider/model', e.g. 'openai/gpt-4.1'; did you mean 'openai/gpt-5'?"),
        ([["openai/gpt-4.1"], Policy()], "a policy is a keyword: policy=…"),
    ],
)  # fmt: skip
def test_what_is_no_target(targets: list[Any], words: str) -> None:
    """The error says what it is, and where it belongs."""
    assert words in error_of(lambda: Pool(*targets))


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("claude/claude-sonnet-4", "did you mean 'anthropic/claude-sonnet-4'?"),
        ("google/gemini-2.5-flash", "did you mean 'gemini/gemini-2.5-flash'?"),
        ("google_genai/gemini-2.5-flash", "did you mean 'gemini/gemini-2.5-flash'?"),
        ("vertex/gemini-2.5-pro", "set the environment variable GOOGLE_CLOUD_PROJECT"),
        ("vertex_ai/gemini-2.5-pro", "write 'vertex/gemini-2.5-pro' with region"),
        ("bedrock/anthropic.claude-v2", "set the environment variable AWS_REGION"),
        (
            "bedrock/us.amazon.nova-pro-v1:0",
            "pip install litellm-hotspare and write 'litellm/bedrock/us.amazon.nova-pro-v1:0'",
        ),
        ("aws/nova", "pip install litellm-hotspare and write 'litellm/aws/nova'"),
        ("cohere/command-r", "'litellm/cohere/command-r'"),
        ("OpenAI/gpt-4.1", "did you mean 'openai/gpt-4.1'?"),
        ("azure_openai/gpt-4.1", "did you mean 'azure/gpt-4.1'?"),
        ("grok/grok-4", "did you mean 'xai/grok-4'?"),
        ("lmstudio/qwen", "did you mean 'openai-compatible/qwen'?"),
        ("meta-llama/Llama-3", "'openrouter/meta-llama/Llama-3'"),
        ("openai:gpt-4.1", "did you mean 'openai/gpt-4.1'?"),
        ("google_genai:gemini-2.5-pro", "did you mean 'gemini/gemini-2.5-pro'?"),
        ("claude-sonnet-4-5", "did you mean 'anthropic/claude-sonnet-4-5'?"),
        ("llama3:8b", "did you mean 'ollama/llama3:8b'?"),
        ("mistral:7b", "did you mean 'mistral/mistral:7b'?"),
        (" openai/gpt-4.1", "must not have spaces around it"),
        ("azure/..", "must not have '.' or '..' as a part"),
        ("", "must be 'provider/model'"),
    ],
)
def test_ids_as_others_write_them(id: str, words: str) -> None:
    """The error has the id that was probably meant; in a configuration it has the same words."""
    assert words in error_of(lambda: Pool(id))
    assert words in error_of(lambda: Pool.from_config({"targets": [{"id": id}]}))


POOL_FIELDS = [
    ("timeout", "'deadline'"), ("request_timeout", "'deadline'"), ("max_retries", "'max_attempts'"), ("num_retries", "'max_attempts'"),
    ("fallbacks", "the targets are the fallbacks"), ("temperature", "pool.chat(…, temperature=…)"), ("api_key", "Target('openai/gpt-4.1', api_key=…)"),
    ("model", "belongs to a target"), ("models", "'targets'"), ("dedline", "did you mean 'deadline'?"),
]  # fmt: skip
CALL_FIELDS = [
    ("timeout", "'deadline'"), ("max_retries", "'max_attempts'"), ("max_completion_tokens", "'max_tokens'"), ("stream", "pool.stream(…)"),
    ("system", "'role': 'system'"), ("prompt", "is the first argument"), ("api_key", "no target of this call accepts a key"), ("n", "extra={'openai'"), ("temprature", "did you mean 'temperature'?"),
]  # fmt: skip
TARGET_FIELDS = [
    ("timeout", "'deadline'"), ("max_retries", "'max_attempts'"), ("model", "'id'"), ("provider", "'id'"), ("api_base", "'base_url'"),
    ("url", "'base_url'"), ("key", "'api_key'"), ("default_headers", "'headers'"), ("api_version", "?api-version="), ("regin", "did you mean 'region'?"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "words"), POOL_FIELDS)
def test_keywords_of_a_pool(name: str, words: str) -> None:
    """In code and at the top of a file: what it is called here, or where it belongs."""
    given: dict[str, Any] = {name: "sk-value-4711"}
    in_code = error_of(lambda: Pool("openai/x", **given))
    in_a_file = error_of(lambda: Pool.from_config({"targets": ["openai/x"], **given}))
    for text in (in_code, in_a_file):
        assert words in text
        assert text.startswith(f"{name}: ")
        assert "sk-value" not in text or name != "api_key"


@pytest.mark.parametrize(("name", "words"), CALL_FIELDS)
def test_keywords_of_a_call(name: str, words: str) -> None:
    """A RequestError before anything is sent; a key is not repeated."""
    scripted = ScriptedTarget("a")
    given: dict[str, Any] = {name: "sk-value-4711"}
    text = error_of(lambda: scripted_pool(scripted).chat("hi", **given))
    assert words in text
    assert scripted.calls == 0
    assert "sk-value" not in text or name != "api_key"


@pytest.mark.parametrize(("name", "words"), TARGET_FIELDS)
def test_keywords_of_a_target(name: str, words: str) -> None:
    """A ConfigError, not Python's TypeError; in a file with the place."""
    given: dict[str, Any] = {name: "v"}
    with pytest.raises(ConfigError) as caught:
        Target("openai/x", **given)
    assert words in str(caught.value)
    text = error_of(lambda: Pool.from_config({"targets": [{"id": "openai/x", **given}]}))
    assert words in text or "instead of provider and model" in text
    assert "targets[0]." in text


def test_messages_as_a_keyword() -> None:
    """As OpenAI's SDK has it; both together are an error, and so is none."""
    pool = scripted_pool("a")
    assert pool.chat(messages=[{"role": "user", "content": "hi"}]).text == "ok"
    assert "".join(chunk.text for chunk in pool.stream(messages=[{"role": "user", "content": "hi"}])) == "ok"
    assert "keep one of them" in error_of(lambda: pool.chat("hi", messages=[{"role": "user", "content": "hi"}]))
    assert "request: None must be a string" in error_of(lambda: pool.chat())


@pytest.mark.anyio
async def test_messages_as_a_keyword_in_async_code() -> None:
    """The same for `achat` and `astream`."""
    pool = scripted_pool("a")
    assert (await pool.achat(messages=[{"role": "user", "content": "hi"}])).text == "ok"
    assert "".join([chunk.text async for chunk in pool.astream(messages=[{"role": "user", "content": "hi"}])]) == "ok"


def test_a_misspelt_model_gets_the_nearest_alias() -> None:
    """Routes, names, models and aliases are all known; the nearest comes first."""
    pool = scripted_pool(ScriptedTarget("a", aliases={"smart"}), routes={"cheap": ["a"]})
    for wrong, hint in (
        ("smrt", "did you mean 'smart'?"),
        ("chep", "did you mean 'cheap'?"),
        ("zzz", "known: a, cheap, default, smart"),
    ):
        assert hint in error_of(lambda wrong=wrong: pool.chat("hi", model=wrong))  # type: ignore[misc]


@pytest.mark.parametrize(
    "key",
    ["$OPENAI_API_KEY", "${OPENAI_API_KEY}", "OPENAI_API_KEY", "%OPENAI_API_KEY%", "$env:OPENAI_API_KEY", "os.environ/OPENAI_API_KEY", "os.environ['KEY']",
     "env:MY_TOKEN", "{{ secrets.KEY }}", "${KEY:-x}"],
)  # fmt: skip
def test_the_name_of_a_variable_is_no_key(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a literal key, as a secret, and as the value of the provider's own variable."""
    words = "is the name of a variable, not a key"
    assert words in error_of(lambda: Pool(Target("openai/x", api_key=key)))
    assert words in error_of(lambda: Pool(Target("vllm/x", api_key=SecretStr(key))))
    monkeypatch.setenv("OPENAI_API_KEY", key)
    text = error_of(lambda: Pool("openai/x"))
    assert f"the environment variable OPENAI_API_KEY {words}" in text


@pytest.mark.parametrize(
    ("key", "words"),
    [("Bearer sk-4711", "without the scheme"), ('"sk-4711"', "quotation marks"), ("'sk-4711'", "quotation marks")],
)
def test_a_key_with_something_around_it(key: str, words: str) -> None:
    """As it is copied from a header or a `.env` file; the key is not shown."""
    text = error_of(lambda: Pool(Target("openai/x", api_key=key)))
    assert words in text
    assert "4711" not in text


@pytest.mark.parametrize(
    "key", ["sk-test-4711", "AKIAIOSFODNN7EXAMPLE", "abc_DEF-123", "my own passphrase", "SK_LIVE_4711", "x"]
)
def test_keys_stay_keys(key: str) -> None:
    """What merely resembles a variable's name is accepted."""
    assert Pool(Target("openai/x", api_key=key)).targets[0].api_key == SecretStr(key)


def test_a_missing_key_is_not_asked_into_a_file() -> None:
    """The advice is a variable, in code as in a file; a default for a key would be a secret in a file."""
    text = error_of(lambda: Pool("anthropic/m"))
    assert "set the environment variable ANTHROPIC_API_KEY" in text
    assert "SecretStr(" not in text
    text = error_of(lambda: Pool.from_config({"targets": [{"id": "openai/m", "api_key": "${NO_SUCH_KEY}"}]}))
    assert text == "targets[0].api_key: the environment variable NO_SUCH_KEY is not set; set it"
    text = error_of(
        lambda: Pool.from_config({"targets": [{"id": "openai/m", "headers": {"x-api-key": "${NO_SUCH_KEY}"}}]})
    )
    assert ":-default" not in text
    text = error_of(lambda: Pool.from_config({"targets": [{"id": "openai/m", "region": "${NO_SUCH_REGION}"}]}))
    assert "or write ${NO_SUCH_REGION:-default}" in text


@pytest.mark.parametrize(
    ("table", "id"),
    [
        ({"provider": "openai", "model": "gpt-4.1"}, "openai/gpt-4.1"),
        ({"model": "claude-sonnet-4"}, "anthropic/claude-sonnet-4"),
        ({"model": "gemini/gemini-2.5-flash"}, "gemini/gemini-2.5-flash"),
    ],
)
def test_provider_and_model_in_a_file(table: dict[str, Any], id: str) -> None:
    """One problem, with the line to write."""
    assert error_of(lambda: Pool.from_config({"targets": [table]})) == (
        f'targets[0].id: is missing; write id = "{id}" instead of provider and model'
    )


def test_every_config_error_names_the_file(tmp_path: Path) -> None:
    """Mistakes of syntax, of fields, of variables, and those that only the pool finds."""
    texts = {
        "syntax.toml": "deadline = \n",
        "field.toml": 'dedline = 3\n[[targets]]\nid = "openai/x"\n',
        "variable.toml": '[[targets]]\nid = "openai/x"\nregion = "${NOPE}"\n',
        "key.toml": '[[targets]]\nid = "anthropic/x"\n',
        "bundle.toml": 'verify = "/no/such.pem"\n[[targets]]\nid = "openai/x"\n',
        "empty.toml": "",
        "table.json": "[]",
        "format.ini": "",
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        lines = error_of(lambda path=path: Pool.from_config(path)).splitlines()  # type: ignore[misc]
        assert lines
        assert all(str(path) in line for line in lines)
        assert all(line.count(name) == 1 for line in lines)
    assert "none.toml" in error_of(lambda: Pool.from_config(tmp_path / "none.toml"))


def unsendable(pool: Pool, *parts: Any, **options: Any) -> str:
    """The RequestError of a message with these parts."""
    with pytest.raises(RequestError) as caught:
        pool.chat([{"role": "user", "content": "hi"}, {"role": "user", "content": [TEXT, *parts]}], **options)
    return str(caught.value)


def test_a_part_that_no_target_can_be_sent() -> None:
    """Which part of which message, which targets cannot, and which target or provider could."""
    deepseek = Target("deepseek/deepseek-chat", api_key="k", name="ds")
    text = unsendable(Pool(deepseek), AUDIO)
    assert (
        "messages[1].content[1]: a part of type 'input_audio' is not supported by ds; supported by these providers: openai, azure, gemini"
        in text
    )
    assert "content[0]" not in text
    gemini = Target("gemini/gemini-2.5-flash", api_key="k", name="gem")
    pool = Pool(deepseek, gemini, routes={"cheap": ["ds"]})
    assert "supported by gem: model='gem'" in unsendable(pool, AUDIO, model="cheap")
    assert "a part of type 'hologram' is not supported" in unsendable(
        Pool(Target("anthropic/m", api_key="k")), {"type": "hologram"}
    )


def test_a_part_that_the_model_is_said_not_to_have() -> None:
    """The setting is named, for any backend."""
    blind = ScriptedTarget("blind", missing={"vision"})
    assert (
        "messages[1].content[1]: a part of type 'image_url' is not supported by blind (missing: vision)"
        in unsendable(scripted_pool(blind), IMAGE)
    )
    many = unsendable(scripted_pool(blind), *[IMAGE] * 9)
    assert many.count("a part of type 'image_url'") == 5
    assert "4 more parts" in many


def test_a_framework_model_as_a_target() -> None:
    """It belongs to the adapter's class."""
    model = type("ChatOpenAI", (), {"__module__": "langchain_openai.chat_models"})()
    assert "ChatHotspare(models=[…])" in error_of(lambda: Pool([model]))
    llm = type("OpenAI", (), {"__module__": "llama_index.llms.openai"})()
    assert "Hotspare(llms=[…])" in error_of(lambda: Pool([llm]))


class Minimal:
    """A backend that only answers whole calls in sync code, without what the protocol has defaults for."""

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        return ()

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        return ChatReply(text="fine")

    def classify(self, error: Exception) -> Outcome:
        return Outcome(Kind.SERVER)


def test_a_backend_that_is_none() -> None:
    """A backend needs no more than it is used for; an object that is none is a ConfigError naming what is missing."""
    assert Pool(Target("own/m", backend=Minimal())).chat("hi").text == "fine"  # type: ignore[arg-type]
    text = error_of(lambda: Pool(Target("own/m", backend=object())))  # type: ignore[arg-type]
    assert text.startswith("targets[0].backend: object has no unsupported, classify, send")
