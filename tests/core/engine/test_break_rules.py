"""Every kind of break after every piece of an answer, under each rule for breaks and in every face, in virtual time."""

from typing import Any

import pytest
from hotspare import Breaker, Kind, Outcome
from hotspare.drill.answers import answer, tokenize
from hotspare.errors import IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatRequest
from hotspare.testing import ScriptedTarget, VirtualClock, break_after, fail, hang, scripted_pool, tool_call
from hotspare.testing import answer as reply
from hotspare.testing.steps import Step

from tests.support.calls import EACH_FACE, Ask, run_calls

TEXT = answer("a long one", 16)
PIECES = tokenize(TEXT)
CALLS = reply(tool_calls=[tool_call("weather", id=f"call_{city}", city=city) for city in ("Seoul", "Busan")])
BREAKS: dict[str, Any] = {
    "reset": Outcome(Kind.TRANSPORT, "the connection was reset"),
    "error event": Outcome(Kind.SERVER, "overloaded", 529),
    "end without proof": IncompleteAnswer("the stream ended without its last chunk"),
    "malformed": MalformedAnswer("not the provider's format"),
    "stall": None,
}
RULES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "resume": ({}, {}),
    "restart": ({"on_break": "restart"}, {}),
    "raise": ({"on_break": "raise"}, {}),
    "json": ({}, {"response_format": {"type": "json_object"}}),
    "tools": ({}, {}),
}
"""Policy and request of each rule."""


def broken(kind: str, pieces: int, whole: Step) -> Step:
    """The answer, broken after a number of pieces."""
    return hang(pieces, whole) if BREAKS[kind] is None else break_after(pieces, whole, BREAKS[kind])


def sound(request: ChatRequest) -> Any:
    """The whole answer, or the rest of a broken one."""
    emitted = [str(m.get("content")) for m in request.messages if m.get("role") == "assistant"]
    return [TEXT[len(emitted[0]) :]] if emitted else PIECES


@EACH_FACE
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", BREAKS)
def test_the_text_is_whole_or_the_error_has_its_beginning(kind: str, rule: str, face: str) -> None:
    """Before the first content a break is a failover. After it the answer is continued, or raised with the exact text so far:
    by policy, in JSON mode, and once a part of a tool call was handed out."""
    clock, (policy, request) = VirtualClock(0), RULES[rule]
    whole = CALLS if rule == "tools" else reply(PIECES)
    positions = range(len(whole.chunks) + 1)
    targets = [ScriptedTarget(f"at-{at}", broken(kind, at, whole), prefill=at % 2 == 0) for at in positions]
    second = ScriptedTarget("sound", CALLS if rule == "tools" else sound)
    routes = {f"at-{at}": [[f"at-{at}"], ["sound"]] for at in positions}
    pool = scripted_pool(*targets, second, clock=clock, routes=routes, retry_same_target="never", **policy)
    seen = run_calls(face, pool, clock, [Ask(options={"model": f"at-{at}", **request}) for at in positions])
    for at, one in zip(positions, seen, strict=True):
        if at == 0 or rule in ("resume", "restart"):
            assert (one.text, one.error) == ("" if rule == "tools" else TEXT, ""), at
            assert [record.target for record in one.records] == [f"at-{at}", "sound"]
        else:
            assert one.text == ("" if rule == "tools" else "".join(PIECES[:at]))
            assert one.error.startswith(f"StreamInterrupted: the stream of at-{at} broke after its first content: ")
    waits = len(positions) * 30 if kind == "stall" else 0  # `Timeouts.stall`; at 0 the bound of a first token
    assert clock() <= waits


@EACH_FACE
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("rule", ["resume", "restart"])
def test_streams_that_always_break_end_the_call(rule: str, streaming: bool, face: str) -> None:
    """A stream that broke is paid for: it counts as an attempt, also where it was to show that an outage is over."""
    clock = VirtualClock(0)
    targets = [ScriptedTarget(name, [break_after(2, "One two three four.")] * 99, region=name) for name in "ab"]
    policy: dict[str, Any] = {"breaker": Breaker(consecutive_failures=2, failure_span=0.0), "deadline": 40.0}
    pool = scripted_pool(*targets, clock=clock, on_break=rule, completion="stream", **policy)
    (seen,) = run_calls(face, pool, clock, [Ask(streaming=streaming)])
    assert seen.error and len(seen.attempts) == sum(target.calls for target in targets) <= pool.policy.max_attempts


@EACH_FACE
def test_answers_that_are_never_taken_use_up_attempts(face: str) -> None:
    """So is a whole answer that `accept` does not take: one target stays down, the other answers after two seconds, in vain."""
    clock = VirtualClock(0)
    down = fail(BREAKS["error event"])
    back = ScriptedTarget("b", lambda _: down if clock() < 2 else reply("One two.", delay=0.125), region="b")
    breaker = Breaker(consecutive_failures=1, failure_span=0.0, fast_break_duration=300.0, max_break_duration=300.0)
    pool = scripted_pool(
        ScriptedTarget("a", lambda _: down, region="a"), back,
        clock=clock, deadline=60.0, accept=lambda _: False, breaker=breaker,
    )  # fmt: skip
    (seen,) = run_calls(face, pool, clock, [Ask(streaming=False)])
    rejected = sum(one.endswith("rejected") for one in seen.attempts)
    assert seen.error and 0 < rejected <= pool.policy.max_attempts
