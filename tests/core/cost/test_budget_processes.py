"""A hard budget over threads, event loops and processes, counted at the embedded provider and priced independently."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hotspare.drill.provider import Provider

from tests.support import budget_worker

CALLERS = int(os.environ.get("HOTSPARE_CALLERS", "40"))
"""Callers at one time, over two processes: half of them threads, half tasks. HOTSPARE_CALLERS=200 is the full form."""
TURNS = 3


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_budget_is_passed_by_what_is_under_way_only(provider: Provider, tmp_path: Path, method: str) -> None:
    """What the provider has answered costs at least the amount, and at most the amount and a call of each caller; the callers
    would have called for more. The same for processes of their own, and for those that were forked from a used pool."""
    usd = 5.0 * CALLERS
    words = [sys.executable, budget_worker.__file__, method, provider.base_url("a"), str(tmp_path / "spent.db")]
    words += [str(usd), str(CALLERS), str(TURNS)]
    before = provider.stats("a").requests
    ran = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    tokens = json.loads(ran.stdout)
    spent, dearest = sum(tokens) * budget_worker.PRICE / 1e6, max(tokens) * budget_worker.PRICE / 1e6
    assert provider.stats("a").requests - before == len(tokens)
    assert usd <= spent <= usd + CALLERS * dearest
    assert len(tokens) < CALLERS * TURNS
    assert "in memory only" not in ran.stderr
