"""LangChain's standard suites, for each kind of pool in each state."""

import itertools
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from hotspare import Pool, Target
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_hotspare import ChatHotspare, target_of
from langchain_openai import ChatOpenAI
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import SecretStr

from tests.adapters.langchain.pools import KINDS, STATES
from tests.adapters.langchain.suites import Standard


class TestUnit(ChatModelUnitTests):
    """The unit suite, which makes no call, for a pool of hotspare's own targets."""

    targets: ClassVar[list[Target]] = [Target("openai/gpt-4.1", api_key="test")]

    @pytest.fixture(scope="class", autouse=True)
    def _pool(self, request: pytest.FixtureRequest) -> Iterator[None]:
        with Pool(self.targets) as pool:
            request.cls.pool = pool
            yield

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatHotspare

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"pool": self.pool}  # type: ignore[attr-defined]

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def init_from_env_params(self) -> Any:
        return {"OPENAI_API_KEY": "test"}, {"models": ["openai/gpt-4.1"]}, {}


class TestUnitLangChainModels(TestUnit):
    """The same for a pool of LangChain models."""

    targets: ClassVar[list[Target]] = [
        target_of(ChatOpenAI(model="gpt-4.1", api_key=SecretStr("test"))),
        target_of(ChatAnthropic(model_name="claude-sonnet-4-5", api_key=SecretStr("test"))),
    ]

    @property
    def init_from_env_params(self) -> Any:
        return {"OPENAI_API_KEY": "test"}, {"models": ["openai:gpt-4.1"]}, {}


for _kind, _state, _method in itertools.product(KINDS, STATES, ("function_calling", "json_schema")):
    _name = f"{_kind} {_state} {'schema' if _method == 'json_schema' else ''}".title().replace(" ", "")
    globals()[f"Test{_name}"] = type(
        f"Test{_name}", (Standard,), {"kind": _kind, "state": _state, "method": _method, "__module__": __name__}
    )
