"""Fixtures of the LangChain adapter's tests."""

import base64
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hotspare import Pool, Target
from hotspare.drill.provider import Provider
from langchain_anthropic import _client_utils as anthropic_clients
from langchain_hotspare import ChatHotspare
from langchain_openai.chat_models import _client_utils as openai_clients

from tests.adapters.langchain.pools import hotspare_targets

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="
)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
WAV = b"RIFF$\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00@\x1f\x00\x00@\x1f\x00\x00\x01\x00\x08\x00data\x00\x00\x00\x00"
_FILES = {".png": PNG, ".pdf": PDF, ".wav": WAV}


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """LangChain's async code runs on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
async def _one_loop(anyio_backend: str) -> AsyncIterator[None]:
    """One event loop per module: LangChain's models cache their HTTP clients, which belong to the loop that they first ran
    on. The loop ends with the module and the clients are dropped, because anyio runs every async test on the running
    loop, those meant for trio too."""
    yield
    openai_clients._cached_async_httpx_client.cache_clear()
    anthropic_clients._get_default_async_httpx_client.cache_clear()
    for client in gc.get_objects():  # the SDKs close a client when it is collected, in whichever loop runs then
        if type(client).__name__.endswith("AsyncHttpxClientWrapper") and not client.is_closed:
            with suppress(RuntimeError):  # a client of another module, whose loop is closed
                await client.aclose()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The suites with method `json_schema` run only the tests of structured output: the others do not depend on it."""
    items[:] = [item for item in items if "Schema::" not in item.nodeid or "structured_output" in item.nodeid]


@pytest.fixture
def benchmark() -> Callable[[Callable[[], Any]], Any]:
    """Call the measured function once: the standard suites' benchmarks are not measured here."""
    return lambda measured: measured()


@pytest.fixture(autouse=True)
def _files_without_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve the files that the standard suites download: the same media types, a few bytes each."""
    real = httpx.get

    def get(url: str, **options: Any) -> httpx.Response:
        content = next((content for suffix, content in _FILES.items() if url.endswith(suffix)), None)
        return real(url, **options) if content is None else httpx.Response(200, content=content)

    monkeypatch.setattr(httpx, "get", get)
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "hotspare")


@pytest.fixture
def pools() -> Iterator[Callable[..., Pool]]:
    """Creates pools that are closed after the test."""
    made: list[Pool] = []

    def make(*targets: Target, **policy: Any) -> Pool:
        made.append(Pool(targets, **policy))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


@pytest.fixture
def llm(provider: Provider) -> Iterator[ChatHotspare]:
    """A model over three hotspare targets."""
    with Pool(hotspare_targets(provider)) as pool:
        yield ChatHotspare(pool=pool)
