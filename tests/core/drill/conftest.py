"""The embedded provider for its own tests."""

from tests.support.fixtures import provider, provider_process

__all__ = ["provider", "provider_process"]
