"""LangChain's own standard suites, in every state that a pool of each kind can be in."""

from collections.abc import Iterator
from typing import Any

import pytest
from hotspare import Pool, Target
from langchain_core.language_models import BaseChatModel
from langchain_hotspare import ChatHotspare
from langchain_tests.unit_tests import ChatModelUnitTests

from tests.adapters.langchain.suites import Standard


class TestUnit(ChatModelUnitTests):
    """The unit suite, which calls nobody."""

    @pytest.fixture(scope="class", autouse=True)
    def _pool(self, request: pytest.FixtureRequest) -> Iterator[None]:
        with Pool([Target("openai/gpt-4.1", api_key="test")]) as pool:
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


class TestWire(Standard):
    """Wire targets, all well."""


class TestWirePrimaryDead(Standard):
    """Wire targets, the first one unreachable."""

    state = "primary dead"


class TestWireLastAlive(Standard):
    """Wire targets, only the last one alive."""

    state = "last alive"


class TestNative(Standard):
    """Native members, all well."""

    kind = "native"


class TestNativePrimaryDead(Standard):
    """Native members, the first one unreachable."""

    kind, state = "native", "primary dead"


class TestNativeLastAlive(Standard):
    """Native members, only the last one alive."""

    kind, state = "native", "last alive"


class TestWireSchema(TestWire):
    """The same by the provider's own structured output."""

    method = "json_schema"


class TestWirePrimaryDeadSchema(TestWirePrimaryDead):
    """The same by the provider's own structured output."""

    method = "json_schema"


class TestWireLastAliveSchema(TestWireLastAlive):
    """The same by the provider's own structured output."""

    method = "json_schema"


class TestNativeSchema(TestNative):
    """The same by the provider's own structured output."""

    method = "json_schema"


class TestNativePrimaryDeadSchema(TestNativePrimaryDead):
    """The same by the provider's own structured output."""

    method = "json_schema"


class TestNativeLastAliveSchema(TestNativeLastAlive):
    """The same by the provider's own structured output."""

    method = "json_schema"
