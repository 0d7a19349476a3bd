"""A pool's embeddings: each request is an ordinary call to targets of one model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

from hotspare._requests.options import take_options
from hotspare._routing.constraints import RouteTable
from hotspare.embeddings import EmbedOptions, EmbedReply, SameLength, common_model, joined, requests_of, texts_of
from hotspare.errors import Problem, RequestError
from hotspare.messages import CallOptions, ChatReply, ChatRequest, Prompt


class Embedding:
    """The methods of a pool for embeddings."""

    _table: RouteTable

    if TYPE_CHECKING:  # the pool has them

        def chat(self, request: Prompt | None = None, **options: Unpack[CallOptions]) -> ChatReply: ...

        async def achat(self, request: Prompt | None = None, **options: Unpack[CallOptions]) -> ChatReply: ...

    def embed(self, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> EmbedReply:
        """The vectors of these texts, with failover among targets that serve the same model.

        Args:
            texts: one text or several. More than `batch_size` texts are sent in successive requests; each request is a call with
                its own deadline and failover.
            options: `model`, `dimensions`, `batch_size` (100), and the options of a call (`hotspare.embeddings.EmbedOptions`).

        Raises:
            RequestError: the targets serve different models, or none of them supports embeddings; nothing was sent.
            AllTargetsFailed: no target answered one of the requests; every attempt is inside.
        """
        requests, calling, model = self._embedding(texts, dict(options))
        return joined([self.chat(request, **calling) for request in requests], model)

    async def aembed(self, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> EmbedReply:
        """`embed`, for asyncio and trio."""
        requests, calling, model = self._embedding(texts, dict(options))
        return joined([await self.achat(request, **calling) for request in requests], model)

    def _embedding(self, texts: object, options: dict[str, Any]) -> tuple[list[ChatRequest], CallOptions, str]:
        """The requests, the options for their calls, and the one model that all their targets serve."""
        dimensions = options.get("dimensions")
        requests = list(requests_of(texts_of(texts), options))
        model = options.pop("model", None) or "default"
        choosing = {**take_options(dict(options)), "substitute": False}
        selected = self._table.selection(model, choosing)
        allowed = [state for tier in selected.tiers for state in tier if state not in selected.excluded]
        states = [state for state in allowed if getattr(state.backend, "embeds", False)]
        if not states:
            names = ", ".join(state.name for state in allowed)
            raise RequestError(Problem(f"model: none of these targets supports embeddings: {names}. Add one that does"))
        common = common_model([state.target for state in states])
        calling: CallOptions = {  # a call's own option of the same name is among `choosing`
            **options,  # type: ignore[typeddict-item]
            "model": model, "substitute": False, "only": frozenset(state.name for state in states), "completion": "wait",
            "cache": "off", "accept": self._lengths[common, dimensions],
        }  # fmt: skip
        return requests, calling, common

    @cached_property
    def _lengths(self) -> defaultdict[tuple[str, int | None], SameLength]:
        """The length of the vectors, by the model that the targets serve and `dimensions` of the request."""
        return defaultdict(SameLength)
