"""The arguments of LiteLLM's `embedding` -> the texts and options of `Pool.embed`, and its answer -> an EmbeddingResponse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from hotspare import EmbedOptions, EmbedReply, Pool, Problem, RequestError

from litellm_hotspare.litellm_api import as_mapping, types
from litellm_hotspare.request import deadline_of, reject_unsupported

_FIELDS = frozenset({"dimensions", "user"})
_OPTIONS = frozenset(EmbedOptions.__annotations__) - {"model", "deadline", "extra"}
_HANDLED = frozenset({"encoding_format", "max_retries", "extra_body"})


def embedding_arguments(call: Mapping[str, Any], pool: Pool) -> tuple[list[str], EmbedOptions]:
    """The texts and the options. Raises litellm.UnsupportedParamsError for parameters that are not sent, and RequestError for
    texts as token ids, which are valid for one model only."""
    texts: list[Any] = [call["input"]] if isinstance(call["input"], str) else list(call["input"])
    if not all(isinstance(text, str) for text in texts):
        raise RequestError(Problem("input: must be a text or a list of texts, not of tokens"))
    given = {name: value for name, value in call["optional_params"].items() if value is not None}
    encoding = given.get("encoding_format", "float")
    wrong = [] if encoding == "float" else ["encoding_format"]
    reject_unsupported(call, [*wrong, *(given.keys() - _FIELDS - _OPTIONS - _HANDLED)])
    options = {name: given[name] for name in _FIELDS | _OPTIONS if name in given}
    options |= {"model": call["model"], "deadline": deadline_of(call.get("timeout"), pool.policy.deadline)}
    extra = dict(as_mapping(given.get("extra_body")))
    if "dimensions" in extra:  # LiteLLM rejects the parameter itself for custom providers
        options["dimensions"] = extra.pop("dimensions")
    if extra:
        options["extra"] = {"openai": extra}
    return texts, cast("EmbedOptions", options)


def embedding_response(reply: EmbedReply, call: Mapping[str, Any]) -> Any:
    """The vectors in the EmbeddingResponse that LiteLLM passes, else in a new one."""
    given = call.get("model_response")
    response: Any = types.EmbeddingResponse() if given is None else given
    response.model, response.object = reply.model, "list"
    response.data = [
        types.Embedding(object="embedding", index=place, embedding=list(vector))
        for place, vector in enumerate(reply.vectors)
    ]
    tokens = reply.usage.input_tokens
    response.usage = types.Usage(prompt_tokens=tokens, completion_tokens=0, total_tokens=tokens)
    response._hidden_params["hotspare"] = {"targets": list(reply.targets), "cost": reply.cost}
    return response
