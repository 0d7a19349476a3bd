"""`HotspareEmbeddings`: LangChain embeddings over a pool of targets that serve one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hotspare import ConfigError, EmbedOptions, Policy, Pool, Problem, Target
from langchain_core.embeddings import Embeddings
from typing_extensions import override

from langchain_hotspare.errors import translate_errors


class HotspareEmbeddings(Embeddings):
    """Embeddings that fail over between targets that serve the same model.

    ::

        HotspareEmbeddings(targets=[
            Target("openai/text-embedding-3-small"),
            Target("azure/text-embedding-3-small", base_url="https://example.openai.azure.com"),
        ])

    Args:
        pool: the pool. Exactly one of `pool`, `targets` and `config` must be given.
        targets: targets from which a pool is built, with `policy`.
        config: a configuration, as for `Pool.from_config`.
        policy: of a pool built from `targets`. Default: the default policy.
        model: a route of the pool, a model or a target's name; needed if the pool has targets of several models.
        dimensions: the length of the vectors, for models that can shorten them.
        batch_size: texts in one request. Default: 100.
        deadline: seconds of one request, failover included. None: the policy's.

    Raises:
        ConfigError: naming the mistake; nothing was sent.

    Calls raise the classes of `langchain_hotspare.errors`.
    """

    def __init__(
        self,
        pool: Pool | None = None,
        *,
        targets: Sequence[Target | str] | None = None,
        config: str | Path | Mapping[str, Any] | None = None,
        policy: Policy | None = None,
        model: str | None = None,
        dimensions: int | None = None,
        batch_size: int = 100,
        deadline: float | None = None,
    ) -> None:
        given = [
            name for name, value in (("pool", pool), ("targets", targets), ("config", config)) if value is not None
        ]
        if len(given) != 1:
            raise ConfigError(Problem.at("HotspareEmbeddings", given, "must be exactly one of pool, targets, config"))
        if policy is not None and targets is None:
            raise ConfigError(Problem(f"policy: cannot be combined with {given[0]}, which has its own: set it there"))
        if pool is None:
            pool = Pool.from_config(config) if config is not None else Pool(targets or (), policy=policy)
        self.pool = pool
        self._options: EmbedOptions = {
            "model": model, "dimensions": dimensions, "batch_size": batch_size, "deadline": deadline,
        }  # fmt: skip

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector for each text."""
        if not texts:
            return []
        with translate_errors():
            return [list(vector) for vector in self.pool.embed(texts, **self._options).vectors]

    @override
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents`, for async callers."""
        if not texts:
            return []
        with translate_errors():
            return [list(vector) for vector in (await self.pool.aembed(texts, **self._options)).vectors]

    @override
    def embed_query(self, text: str) -> list[float]:
        """The vector of a query."""
        return self.embed_documents([text])[0]

    @override
    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query`, for async callers."""
        return (await self.aembed_documents([text]))[0]
