"""Deadlines against real sockets: the small form of `benchmarks/deadlines.py`."""

import pytest

from benchmarks.deadlines import DEADLINE, FACES, LATE, Face, run, server


@pytest.mark.parametrize("face", FACES)
def test_no_call_outlasts_its_deadline(face: Face) -> None:
    """Forty calls at once, at a server that breaks answers at random: each ends in time, whatever it meets. It takes as long as the
    calls' deadline."""
    with server(seed=1) as url:
        ended = run(url, face, 40)
    assert len(ended) == 40
    assert max(seconds for seconds, _ in ended) < DEADLINE + 5 * LATE  # the machine that runs the suite is busy
    assert any(how == "answered" for _, how in ended)
