"""Broken streams: the caller gets the exact text once, or the exact beginning of it and an error."""

from typing import Any

import pytest
from hotspare import Pool, StreamInterrupted, StreamSummary, Timeouts
from hotspare._engine.continuation import SpliceError, Splicer
from hotspare.drill.answers import answer, tokenize
from hotspare.drill.provider import Provider
from hotspare.messages import ChatRequest
from hotspare.testing import ScriptedTarget, VirtualClock, break_after, hang, scripted_pool
from hotspare.testing import answer as reply
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.calls import EACH_FACE, Ask, chat, run_calls, stream
from tests.support.methods import EACH_STREAM, WIRES, ask, run, target, targets

TEXT = answer("a long one", 60)
PIECES = tokenize(TEXT)
FAULTS = ("cut", "eof", "error_event")
EXAMPLES = settings(max_examples=60)


def spliced(emitted: str, continuation: str, size: int, *, restart: bool = False) -> str:
    """`emitted`, and what the splicer lets through of a continuation that comes in pieces of `size` characters."""
    splicer = Splicer(emitted, restart=restart)
    pieces = [continuation[i : i + size] for i in range(0, len(continuation), size)]
    return emitted + "".join(map(splicer.feed, pieces)) + splicer.finish()


@EXAMPLES
@given(cut=st.integers(1, len(TEXT) - 1), size=st.integers(1, 9))
def test_an_exact_continuation_is_joined_anywhere(cut: int, size: int) -> None:
    """Inside words, fences, emoji and Korean: the rest of the text, after a target was sent the part without closing blanks."""
    emitted = TEXT[:cut]
    assert spliced(emitted, TEXT[len(emitted.rstrip()) :], size) == TEXT


@EXAMPLES
@given(cut=st.integers(16, len(TEXT) - 1), size=st.integers(1, 9))
def test_a_restart_is_skipped(cut: int, size: int) -> None:
    """A target that starts again from the beginning repeats nothing to the caller."""
    assert spliced(TEXT[:cut], TEXT, size) == TEXT
    assert spliced(TEXT[:cut], TEXT, size, restart=True) == TEXT


@EXAMPLES
@given(cut=st.integers(80, len(TEXT) - 1), back=st.integers(24, 60), size=st.integers(1, 9))
def test_an_overlap_is_removed(cut: int, back: int, size: int) -> None:
    """A target that repeats the last words does not double them."""
    emitted = TEXT[:cut]
    assert spliced(emitted, TEXT[max(0, len(emitted.rstrip()) - back) :], size) == TEXT


def test_what_cannot_be_joined_is_an_error() -> None:
    """A restart in other words, and words about the continuation, are detected."""
    with pytest.raises(SpliceError):
        spliced("The quick brown fox jumps over", "The quick brown cat sleeps", 4)
    with pytest.raises(SpliceError):
        spliced("The quick brown fox", "Sure, here is the rest of the answer:\n\njumps", 4)
    with pytest.raises(SpliceError):
        spliced("abc", "something else", 4, restart=True)


# --- over real HTTP ----------------------------------------------------------------------------------------------


@EACH_STREAM
def test_the_next_target_continues(method: str, provider: Provider) -> None:
    """From every wire format to every other: one whole text; the summary has the targets and the positions where they were joined."""
    first = [
        target(provider, "a", wire, model=f"-{fault}-", name=f"{wire} {fault}", region=f"{wire} {fault}")
        for wire in WIRES
        for fault in FAULTS
    ]
    second = [target(provider, "b", wire, name=wire, region=wire) for wire in WIRES]
    routes = {f"{one.name} {other.name}": [[one.name], [other.name]] for one in first for other in second}
    for fault in FAULTS:
        provider.fault("a", fault, at=20, model=f"-{fault}-")

    async def each_route(pool: Pool, name: str) -> None:
        for route, ((one,), (other,)) in routes.items():
            text, summary = await ask(pool, name, "a long one", model=route)
            assert isinstance(summary, StreamSummary)
            assert (text, summary.targets) == (TEXT, (one, other)), route
            assert summary.splice_points[0] <= len("".join(PIECES[:21]))

    run(method, Pool([*first, *second], routes=routes), each_route)


def test_a_rejected_prefill_is_retried_with_an_instruction(provider: Provider) -> None:
    """A 400 to a prefill is remembered: the same target gets the instruction to continue."""
    provider.configure("b", prefill="refuse")
    provider.fault("a", "cut", at=20)
    with Pool(targets(provider, "openai", "anthropic")) as pool:
        chunks = list(pool.stream("a long one"))
        assert "".join(chunk.text for chunk in chunks) == TEXT
        assert [a.target for a in chunks[-1].summary.attempts] == ["a", "b", "b"]  # type: ignore[union-attr]


def test_words_around_the_continuation_are_not_passed_on(provider: Provider) -> None:
    """They are detected: the caller gets the exact beginning, and an error."""
    provider.configure("b", prefill="prose", continuation="prose")
    provider.fault("a", "cut", at=20)
    with Pool(targets(provider, "openai", "gemini")) as pool, pytest.raises(StreamInterrupted) as caught:
        list(pool.stream("a long one"))
    assert TEXT.startswith(caught.value.text)


def test_a_broken_continuation_is_continued(provider: Provider) -> None:
    """The second target's stream breaks too, and the third one ends the text."""
    provider.fault("a", "cut", at=10)
    provider.fault("b", "cut", at=10)
    with Pool(targets(provider, "openai", "anthropic", "gemini")) as pool:
        chunks = list(pool.stream("a long one"))
        assert "".join(chunk.text for chunk in chunks) == TEXT
        assert chunks[-1].summary.targets == ("a", "b", "c")  # type: ignore[union-attr]


@pytest.mark.parametrize("more", [{"on_break": "raise"}, {"response_format": {"type": "json_object"}}])
def test_a_break_is_raised_where_nothing_may_be_joined(more: dict[str, Any], provider: Provider) -> None:
    """By policy, and in JSON mode, the error carries the text so far."""
    provider.fault("a", "cut", at=6)
    policy = {k: v for k, v in more.items() if k == "on_break"}
    request = {k: v for k, v in more.items() if k != "on_break"}
    with Pool(targets(provider, "openai", "openai"), **policy) as pool, pytest.raises(StreamInterrupted) as caught:
        list(pool.stream("a long one, in json", **request))
    assert caught.value.text


def test_a_tool_call_is_never_continued(provider: Provider) -> None:
    """A second target must not write the rest of the arguments that another one began."""
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    provider.fault("a", "cut", at=2)
    with Pool(targets(provider, "openai", "anthropic")) as pool, pytest.raises(StreamInterrupted):
        list(pool.stream("call weather", tools=[tool]))  # type: ignore[list-item]


@pytest.mark.parametrize("method", ["chat", "asyncio achat", "trio achat"])
def test_a_whole_answer_may_be_streamed_underneath(method: str, provider: Provider) -> None:
    """`completion="stream"` gives the same reply; a break, or a target that refuses to stream, does not show."""
    provider.fault("a", "cut", at=20)
    provider.configure("b", streaming=False)

    async def use(pool: Pool, name: str) -> None:
        text, reply = await ask(pool, name, "a long one")
        assert text == TEXT
        assert reply.usage.output_tokens  # type: ignore[union-attr]
        assert not pool._states[1].streaming

    run(method, Pool(targets(provider, "openai", "openai", "anthropic"), completion="stream"), use)


@pytest.mark.parametrize("second", WIRES)
def test_an_empty_continuation_ends_the_answer(second: str, provider: Provider) -> None:
    """All of the text came, but not the proof of its end: that the next target has nothing to add is the proof."""
    provider.fault("a", "eof", at=60)
    with Pool(targets(provider, "openai", second)) as pool:
        chunks = list(pool.stream("a long one"))
        assert "".join(chunk.text for chunk in chunks) == TEXT
        assert chunks[-1].summary.targets == ("a", "b")  # type: ignore[union-attr]
        assert [a.kind for a in chunks[-1].summary.attempts] == ["ok", "ok"]  # type: ignore[union-attr]


# --- in virtual time ---------------------------------------------------------------------------------------------


def writer(name: str, **fields: Any) -> ScriptedTarget:
    """A target that answers TEXT, and continues a part of it from where it stops, talking about it first."""

    def script(request: ChatRequest) -> Any:
        emitted = [m.get("content") for m in request.messages if m.get("role") == "assistant"]
        return f"Sure, here is the rest:\n\n{TEXT[len(str(emitted[0])) :]}" if emitted else [*PIECES]

    return ScriptedTarget(name, script, **fields)


@EACH_FACE
@pytest.mark.parametrize("more", [{}, {"on_break": "raise"}, {"response_format": {"type": "json_object"}}])
def test_a_broken_whole_answer_starts_again(face: str, more: dict[str, Any]) -> None:
    """The caller has seen nothing of it: whatever the policy and the format are, a break is a failed attempt."""
    clock = VirtualClock()
    policy = {k: v for k, v in more.items() if k == "on_break"}
    request = {k: v for k, v in more.items() if k != "on_break"}
    a, b = ScriptedTarget("a", break_after(6, [*PIECES])), writer("b")
    pool = scripted_pool(a, b, clock=clock, completion="stream", **policy)
    seen = chat(face, pool, clock, **request)
    assert seen.text == TEXT
    assert [(one.target, one.kind) for one in seen.records] == [("a", "transport"), ("b", "ok")]


@EACH_FACE
def test_a_whole_answer_keeps_its_deadline(face: str) -> None:
    """Some words, then silence underneath: the call ends with its own deadline, as the failure that it is."""
    clock = VirtualClock(0)
    pool = scripted_pool(ScriptedTarget("a", hang(5, [*PIECES], gap=0.125)), clock=clock, completion="stream")
    seen = chat(face, pool, clock, deadline=2)
    assert [(one.target, one.kind) for one in seen.records] == [("a", "timeout")]
    assert seen.error.startswith("AllTargetsFailed")
    assert seen.ended == 2


def test_whether_an_answer_is_streamed_underneath_depends_on_the_call_the_target_and_the_policy() -> None:
    """The option of the call takes precedence over the target's, and that over the policy's."""

    def streamed(pool: Pool, **options: Any) -> list[bool]:
        for name in "ab":
            pool.chat("q", model=name, **options)
        return [target.received[-1].streamed for target in (a, b)]

    a, b = ScriptedTarget("a", completion="stream"), ScriptedTarget("b")
    pool = scripted_pool(a, b)
    assert streamed(pool) == [True, False]
    assert streamed(pool, completion="wait") == [False, False]
    assert streamed(pool, completion="stream") == [True, True]
    assert streamed(scripted_pool(a, b, completion="stream")) == [True, True]
    a, b = ScriptedTarget("a", completion="wait"), ScriptedTarget("b")
    assert streamed(scripted_pool(a, b, completion="stream")) == [False, True]


@EACH_FACE
def test_a_slow_stream_is_continued_by_a_faster_target(face: str) -> None:
    """Text that comes too slowly is continued by a target that is free; without one it is read to its end."""
    clock, times = VirtualClock(0), Timeouts(throughput_window=3, min_throughput=20)
    slow = ScriptedTarget("a", reply([*PIECES], gap=1))
    pool = scripted_pool(slow, rest_of(), clock=clock, timeouts=times)
    seen = stream(face, pool, clock)
    assert seen.text == TEXT
    assert [one.target for one in seen.records] == ["a", "b"]
    assert seen.ended == 3, "after the first window"
    alone = scripted_pool(slow, clock=clock, timeouts=times)
    assert stream(face, alone, clock).attempts == ["a first ok"]


def rest_of() -> ScriptedTarget:
    """A target that continues TEXT exactly."""

    def script(request: ChatRequest) -> Any:
        emitted = [str(m.get("content")) for m in request.messages if m.get("role") == "assistant"]
        return [TEXT[len(emitted[0]) :]] if emitted else [*PIECES]

    return ScriptedTarget("b", script)


@EACH_FACE
def test_a_slow_stream_is_known_by_the_targets_own_throughput(face: str) -> None:
    """A tenth of its usual throughput is too slow, although it is above the fixed bound."""
    fast, slow = reply([*PIECES], gap=0.015625), reply([*PIECES], gap=1)
    for usual, expected in ((fast, ["a", "b"]), (slow, ["a"])):
        clock = VirtualClock(0)
        a = ScriptedTarget("a", [usual] * 8 + [slow])
        pool = scripted_pool(a, rest_of(), clock=clock, timeouts=Timeouts(throughput_window=3, min_throughput=0.5))
        seen = run_calls(face, pool, clock, [Ask()] * 9)
        assert {one.text for one in seen} == {TEXT}
        assert [[one.target for one in each.records] for each in seen] == [["a"]] * 8 + [expected]
