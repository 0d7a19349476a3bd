"""Scripted targets: which step comes when, what they keep of their calls, and pools of them."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hotspare import ConfigError, Kind, Outcome, Pool
from hotspare._http.abort import AbortHandle
from hotspare.errors import AllTargetsFailed, AttemptTimeout
from hotspare.messages import ChatChunk
from hotspare.testing import ReceivedRequest, ScriptedTarget, VirtualClock, answer, fail, hang, scripted_pool

from tests.core.testing.faces import FACES, REQUEST, send, stream


@FACES
def test_one_step_a_call_and_the_last_repeats(face: str) -> None:
    """Streamed or not, the calls take the same steps."""
    scripted = ScriptedTarget("a", ["one", "two", "three"])
    assert send(scripted, face).text == "one"
    assert "".join(chunk.text for chunk, _ in stream(scripted, face)) == "two"  # type: ignore[union-attr]
    assert [send(scripted, face).text for _ in range(3)] == ["three"] * 3


@FACES
def test_a_script_can_be_used_up(face: str) -> None:
    """Then a call fails with INVALID, which names the target: no failover hides it."""
    scripted = ScriptedTarget("a", ["one", "two"], repeat=False)
    assert [send(scripted, face).text for _ in range(2)] == ["one", "two"]
    outcome = scripted.classify(send(scripted, face))
    assert outcome.kind is Kind.INVALID
    assert outcome.message == "the script of a has 2 steps, and this is one more call"
    with pytest.raises(AssertionError, match="a: 3 calls were made, but its script has 2 steps"):
        scripted.assert_used_up()


def test_a_used_up_script_ends_the_call() -> None:
    """Although another target could answer: the test is to fail."""
    pool = scripted_pool(ScriptedTarget("a", ["one"], repeat=False), "b")
    assert pool.chat("q").text == "one"
    with pytest.raises(AllTargetsFailed, match="the script of a has 1 steps, and this is one more call"):
        pool.chat("q")


def test_unused_steps_can_be_asserted() -> None:
    """With their number; a repeated last step is used."""
    scripted = ScriptedTarget("a", ["one", fail(503), "three"])
    send(scripted, "sync")
    assert [step.error is not None for step in scripted.unused] == [True, False]
    with pytest.raises(AssertionError, match="a: 2 of 3 steps were not used"):
        scripted.assert_used_up()
    for _ in range(5):
        send(scripted, "sync")
    scripted.assert_used_up()
    assert scripted.unused == ()


@FACES
def test_requests_are_kept(face: str) -> None:
    """As they came, with the time and whether a stream was asked for; failed ones too."""
    scripted = ScriptedTarget("a", [answer("one", delay=5), fail(503)], clock=VirtualClock(0))
    send(scripted, face)
    stream(scripted, face)
    assert scripted.received == [ReceivedRequest(REQUEST, False, 0.0), ReceivedRequest(REQUEST, True, 5.0)]
    assert scripted.requests == [REQUEST, REQUEST]
    assert scripted.calls == 2


def test_a_function_decides_by_the_request() -> None:
    """It may return any shorthand; it has no steps to be left over."""
    scripted = ScriptedTarget("a", lambda request: "yes" if request.temperature is None else Kind.SERVER)
    pool = scripted_pool(scripted, "b")
    assert pool.chat("q").target == "a"
    assert pool.chat("q", temperature=0).target == "b"
    scripted.assert_used_up()


def test_one_step_needs_no_list() -> None:
    """And a list inside the list is one answer in pieces."""
    assert [len(ScriptedTarget("a", script).unused) for script in ("x", fail(503), hang(), KeyError("k"))] == [1] * 4
    assert len(ScriptedTarget("a", [["x", "y"], "z"]).unused) == 2
    assert len(ScriptedTarget("a", (step for step in ("x", "y"))).unused) == 2
    nonsense: list[Any] = [[], (), 7]
    for script in nonsense:
        with pytest.raises(ConfigError, match=r"a\.script: .* must be a step, or a list with at least one"):
            ScriptedTarget("a", script)


def test_threads_take_each_step_once() -> None:
    """Fifty calls at the same time use fifty different steps."""
    scripted = ScriptedTarget("a", [str(number) for number in range(50)], repeat=False)
    with ThreadPoolExecutor(16) as executor:
        texts = [done.result().text for done in [executor.submit(send, scripted, "sync") for _ in range(50)]]
    assert sorted(texts, key=int) == [str(number) for number in range(50)]
    scripted.assert_used_up()


def test_a_step_that_takes_time_needs_a_clock() -> None:
    """Which is said, instead of sleeping for real."""
    scripted = ScriptedTarget("a", answer("x", delay=1))
    for face in ("sync", "asyncio", "trio"):
        problem = send(scripted, face)
        assert isinstance(problem, ConfigError)
        assert "a.clock: None must be the pool's VirtualClock: a step of the script takes time" in str(problem)


def test_an_aborted_attempt_ends() -> None:
    """A pool that gives a sync attempt up does not wait for its delay, or its silence, to pass."""
    handle, clock = AbortHandle(VirtualClock(0)), VirtualClock(0)
    scripted = ScriptedTarget("a", hang(), clock=clock)
    handle.abort()
    with handle.bind():
        assert isinstance(send(scripted, "sync"), ConnectionAbortedError)
    assert clock() == 0


def test_a_pool_s_own_bound_goes_before_the_target_s() -> None:
    """In sync code the running attempt's time is the pool's to say, and may change while it runs."""
    clock = VirtualClock(0)
    handle, scripted = AbortHandle(clock), ScriptedTarget("a", answer("x y", delay=3, gap=3), clock=clock)
    handle.limit(5)
    with handle.bind():
        (chunk, first), (error, at) = stream(scripted, "sync")
    assert (chunk, first, type(error), at) == (ChatChunk(text="x "), 3, AttemptTimeout, 5)


def test_what_it_can_is_an_option() -> None:
    """As a pool reads it; further fields go to the target."""
    scripted = ScriptedTarget("a", prefill=True, streaming=False, id="openai/gpt-4.1", region="us", tier=2)
    assert (scripted.prefill, scripted.streaming) == (True, False)
    assert (scripted.target.id, scripted.target.region, scripted.target.tier) == ("openai/gpt-4.1", "us", 2)
    assert scripted.target.name == "a"
    assert scripted.unsupported(REQUEST) == ()
    with pytest.raises(ConfigError, match="wieght"):
        ScriptedTarget("a", wieght=2)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


def test_a_target_that_cannot_stream_is_waited_for() -> None:
    """The pool reads `streaming`: where whole answers are streamed underneath, this one's are not."""
    able, unable = ScriptedTarget("a"), ScriptedTarget("a", streaming=False)
    for scripted in (able, unable):
        scripted_pool(scripted, completion="stream").chat("q")
    assert [one.received[0].streamed for one in (able, unable)] == [True, False]


def test_what_a_model_lacks_is_the_pool_s_to_judge() -> None:
    """A target that cannot call tools is not sent any."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    without = ScriptedTarget("a", missing={"tools"})
    assert scripted_pool(without, "b").chat("q", tools=tools).target == "b"
    assert without.calls == 0


def test_scripted_targets_fail_apart() -> None:
    """Each is a provider of its own, with a model of its own, unless it is said otherwise."""
    a, b = ScriptedTarget("a").target, ScriptedTarget("b").target
    assert (a.provider, a.model, b.provider, b.model) == ("a", "a", "b", "b")


def test_a_pool_of_scripted_targets_shares_one_clock() -> None:
    """The one that is given, or the first that a target has, or a new one."""
    clock = VirtualClock(0)
    a, b = ScriptedTarget("a", answer("x", delay=2)), ScriptedTarget("b")
    pool = scripted_pool(a, b, "c", clock=clock, deadline=30)
    assert a.clock is b.clock is clock
    assert [target.name for target in pool.targets] == ["a", "b", "c"]
    assert pool.policy.deadline == 30
    assert pool.chat("q").text == "x" and clock() == 2
    own = ScriptedTarget("d", clock=clock)
    scripted_pool("e", own, other := ScriptedTarget("f"))
    assert other.clock is clock
    scripted_pool(new := ScriptedTarget("g"))
    assert isinstance(new.clock, VirtualClock)


def test_a_scripted_pool_decides_the_same_each_time() -> None:
    """Its random numbers are seeded, unless others are given."""

    def run() -> list[float]:
        clock = VirtualClock(0)
        pool = scripted_pool(ScriptedTarget("a", [fail(503), "x"]), clock=clock)
        pool.chat("q")
        return [clock()]

    assert run() == run()
    assert run() != [0.0]


def test_pools_take_scripted_targets_by_hand() -> None:
    """Without the helper: `.target` into a Pool, with the same clock."""
    clock = VirtualClock()
    scripted = ScriptedTarget("a", [Outcome(Kind.TIMEOUT, "slow"), "x"], clock=clock, delay=0.25)
    with Pool([scripted.target], clock=clock) as pool:
        assert pool.chat("q").text == "x"
    assert clock() > 1000.5


def test_public_names() -> None:
    """Locked: a change here is a change of the public face."""
    import hotspare.testing

    assert {name for name, value in vars(hotspare.testing).items() if not name.startswith("_") and callable(value)} == {
        "ReceivedRequest", "ScriptedError", "ScriptedTarget", "Step", "VirtualClock", "answer", "break_after", "fail", "hang",
        "scripted_pool", "tool_call",
    }  # fmt: skip


def test_received_requests_can_be_sent_between_processes() -> None:
    """As pytest-xdist does with what it reports."""
    received = ReceivedRequest(REQUEST, True, 1.0)
    assert pickle.loads(pickle.dumps(received)) == received
