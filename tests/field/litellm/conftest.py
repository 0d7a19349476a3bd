"""A pool inside LiteLLM, over the embedded provider, with LiteLLM's global settings restored after each test."""

from tests.adapters.litellm.conftest import (
    _own_settings,  # noqa: F401  # pyright: ignore[reportPrivateUsage]
    anyio_backend,  # noqa: F401
    pool,  # noqa: F401
)
