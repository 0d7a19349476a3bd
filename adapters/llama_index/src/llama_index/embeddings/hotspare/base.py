# LlamaIndex names the methods that an embedding model must implement with an underscore, although they are part of its API.
# pyright: reportPrivateUsage=false
"""`HotspareEmbedding`: a LlamaIndex embedding model over a pool of targets that serve one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.llms.hotspare.building import Config, build_pool

from hotspare import EmbedOptions, Policy, Pool, Target


class HotspareEmbedding(BaseEmbedding):
    """An embedding model that fails over between targets that serve the same model.

    Exactly one of `pool`, `targets` and `config` must be given.

    Args:
        pool: a `hotspare.Pool`, which other code may share.
        targets: `hotspare.Target`s, from which a pool is built.
        config: the path of a configuration file, or a mapping, for `Pool.from_config`.
        policy: of a pool that is built from `targets`.
        model_name: a route of the pool, a model or the name of a target; needed if the pool has targets of several models.
        dimensions: the length of the vectors, for models that can shorten them.
        deadline: seconds of one request, failover included. Default: the policy's.
        kwargs: arguments of every LlamaIndex embedding model: `embed_batch_size`, `callback_manager`, `num_workers`…

    Raises:
        ConfigError: naming the mistake; nothing was sent.
    """

    model_name: str = Field(default="default", description="A route of the pool, a model or a target's name.")
    dimensions: int | None = Field(default=None, gt=0, description="The length of the vectors.")
    deadline: float | None = Field(default=None, gt=0, description="Seconds of one request, failover included.")

    _pool: Pool = PrivateAttr()

    def __init__(
        self,
        pool: Pool | None = None,
        *,
        targets: Sequence[Target] | None = None,
        config: Config | None = None,
        policy: Policy | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._pool = build_pool(pool, targets, config, None, policy)

    @classmethod
    def class_name(cls) -> str:
        """The name of this class in stored configurations."""
        return "hotspare_embedding"

    @property
    def pool(self) -> Pool:
        """The pool: its health, its events, and `close`."""
        return self._pool

    @property
    def _options(self) -> EmbedOptions:
        return {"model": self.model_name, "dimensions": self.dimensions, "deadline": self.deadline}

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [list(vector) for vector in self._pool.embed(texts, **self._options).vectors]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [list(vector) for vector in (await self._pool.aembed(texts, **self._options)).vectors]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await self._aget_text_embedding(query)
