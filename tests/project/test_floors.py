"""The floors with which `benchmarks/floors` compares the adapters."""

import litellm
import pytest

from benchmarks.core import CHUNKS
from benchmarks.floors import with_litellm, with_llama_index
from benchmarks.floors.answers import COST, TEXT


def test_both_answer_alike_in_litellm(monkeypatch: pytest.MonkeyPatch) -> None:
    """hotspare and the floor give the same text at the same cost: the difference of their times is the adapter's."""
    for name in ("custom_provider_map", "model_cost", "models_by_provider"):
        monkeypatch.setattr(litellm, name, getattr(litellm, name).copy())
    monkeypatch.setattr(litellm, "suppress_debug_info", True)
    for calls in with_litellm.contenders().values():
        whole = calls["LiteLLM, a call, sync"]()
        assert (whole.choices[0].message.content, whole._hidden_params["response_cost"]) == (TEXT, COST)
        chunks = calls[f"LiteLLM, a stream of {CHUNKS} chunks, sync"]()
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT


def test_both_answer_alike_in_llama_index() -> None:
    """The same text."""
    for calls in with_llama_index.contenders().values():
        assert calls["LlamaIndex, a call, sync"]().message.content == TEXT
        assert calls[f"LlamaIndex, a stream of {CHUNKS} chunks, sync"]()[-1].message.content == TEXT
