"""The floors with which `benchmarks/floors.py` compares the adapters."""

import litellm
import pytest

from benchmarks.floors import CHUNKS, COST, TEXT, contenders


def test_both_answer_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """hotspare and the floor give the same text at the same cost: the difference of their times is the adapter's."""
    for name in ("custom_provider_map", "model_cost", "models_by_provider"):
        monkeypatch.setattr(litellm, name, getattr(litellm, name).copy())
    monkeypatch.setattr(litellm, "suppress_debug_info", True)
    for calls in contenders().values():
        whole = calls["LiteLLM, a call, sync"]()
        assert (whole.choices[0].message.content, whole._hidden_params["response_cost"]) == (TEXT, COST)
        chunks = calls[f"LiteLLM, a stream of {CHUNKS} chunks, sync"]()
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
        assert calls["LlamaIndex, a call, sync"]().message.content == TEXT
        assert calls[f"LlamaIndex, a stream of {CHUNKS} chunks, sync"]()[-1].message.content == TEXT
