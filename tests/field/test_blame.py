"""Whose fault a failure is, and for how long a target is left alone: through the pool, in virtual time."""

from typing import Any

import pytest
from hotspare import AllTargetsFailed, Kind, Outcome, Pool, Scope, Target, classify, events
from hotspare.errors import StatusError
from hotspare.testing import Script, ScriptedTarget, VirtualClock, scripted_pool

from tests.support.raw_server import RawRequest, raw_server, response


def answered(status: int, message: str, **headers: str) -> Outcome:
    """The outcome of an error response."""
    body = f'{{"error": {{"message": "{message}"}}}}'.encode()
    return classify(StatusError("x", status=status, headers=headers, body=body), now=0.0)


class World:
    """Targets `a` and `b` with these scripts, in virtual time."""

    def __init__(self, a: Script, b: Script = "b", **settings: Any) -> None:
        self.clock = VirtualClock(0)
        self.a, self.b = ScriptedTarget("a", a), ScriptedTarget("b", b)
        self.events: list[events.Event] = []
        self.pool: Pool = scripted_pool(self.a, self.b, clock=self.clock, listeners=[self.events.append], **settings)

    def ask(self, **options: Any) -> str:
        """The text of an answer, or the kind of the failure."""
        try:
            return self.pool.chat("q", **options).text
        except AllTargetsFailed as error:
            return str(error.attempts[-1].kind) if error.attempts else "none"


# --- a model that is not found ------------------------------------------------------------------------------------


def test_a_model_that_is_not_found_is_tried_again() -> None:
    """A deployment that is being rolled out: after a minute one call finds it back, without a restart."""
    world = World([answered(404, "Model m not found"), "a"])
    assert [world.ask(), world.ask()] == ["b", "b"]
    assert any(isinstance(one, events.NeedsAttention) and one.kind is Kind.NOT_FOUND for one in world.events)
    world.clock.sleep(61)
    assert world.ask() == "a"


def test_a_model_that_is_gone_costs_little() -> None:
    """In a day it is tried about once an hour."""
    world = World(answered(404, "Model m not found"))
    for _ in range(24 * 60):
        assert world.ask() == "b"
        world.clock.sleep(60)
    assert world.a.calls < 35


def test_a_lone_target_whose_model_was_not_found_is_still_tried() -> None:
    """There is no other: a call does not wait for it, and the one that finds it back is answered."""
    clock, found = VirtualClock(0), ScriptedTarget("a", [answered(404, "page not found"), "a"])
    pool = scripted_pool(found, clock=clock)
    with pytest.raises(AllTargetsFailed, match="page not found"):
        pool.chat("q")
    assert clock() < 1
    assert pool.chat("q").text == "a"


def test_a_404_about_one_request_opens_nothing() -> None:
    """The next caller, whose request does find an endpoint, is answered there."""
    world = World([answered(404, "No endpoints found that support tool use"), "a"])
    assert [world.ask(), world.ask()] == ["b", "a"]
    assert world.pool.health()["a"].failures == 0


# --- what one target cannot take ----------------------------------------------------------------------------------

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


def test_what_a_target_cannot_take_is_learnt() -> None:
    """From then on, requests with tools and reasoning go to other targets first; all others are still served, and a plain
    success changes nothing."""
    refusal = answered(400, "Function tools with reasoning_effort are not supported for this model")

    def a(request: Any) -> Any:
        return refusal if request.tools and request.reasoning_effort else "a"

    world = World(a)
    both: dict[str, Any] = {"tools": TOOLS, "reasoning_effort": "high"}
    assert [world.ask(**both), world.ask(), world.ask(tools=TOOLS)] == ["b", "a", "a"]
    before = world.a.calls
    assert [world.ask(**both) for _ in range(5)] == ["b"] * 5
    assert world.a.calls == before
    assert world.pool.health()["a"].failures == 0


def test_a_refusal_in_unknown_words_is_learnt_when_another_target_contradicts_it() -> None:
    """Three callers with a seed meet an INVALID of unknown words; a fourth is answered elsewhere, and from then on such
    requests go there first. Plain requests in between neither wipe that out nor go elsewhere."""
    world = World(lambda request: Outcome(Kind.INVALID, "nope", 400) if request.seed else "a")
    seen = [world.ask(seed=1) if turn % 2 else world.ask() for turn in range(12)]
    assert seen[::2] == ["a"] * 6
    assert seen[1::2] == ["invalid", "invalid", "b", "b", "b", "b"]
    before = world.a.calls
    assert world.ask(seed=2) == "b"
    assert world.a.calls == before


def test_what_no_target_can_take_is_an_error_that_names_each() -> None:
    """Each is tried once, and none of them suffers."""
    world = World(answered(400, "images are not supported"), answered(400, "this model does not support images"))
    with pytest.raises(AllTargetsFailed) as caught:
        world.pool.chat("q")
    assert [(one.target, one.kind) for one in caught.value.attempts] == [("a", Kind.INVALID), ("b", Kind.INVALID)]
    assert [world.pool.health()[name].failures for name in "ab"] == [0, 0]


# --- the box in the middle ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [101, 405, 409, 410, 418, 421, 424, 425, 451, 499, 600, 999])
def test_trouble_in_the_middle_fails_over(status: int) -> None:
    """It counts against the target, and the caller is answered elsewhere."""
    world = World(answered(status, "?"))
    assert world.ask() == "b"
    assert world.pool.health()["a"].failures > 0


def test_a_firewall_s_page_is_about_one_request() -> None:
    """The same request is not repeated there, and the next caller is served."""
    page = classify(StatusError("x", status=403, body=b"<html><title>Blocked</title></html>"))
    world = World([page, "a"])
    assert [world.ask(), world.ask()] == ["b", "a"]
    assert world.a.calls == 2


# --- accounts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "EMPTY"])
@pytest.mark.parametrize("status", [401, 402, 403])
def test_servers_that_share_a_dummy_key_share_no_account(key: str | None, status: int) -> None:
    """One of them rejects it: the others are still called; two models of the one that rejects it are not."""

    def rejects(request: RawRequest) -> bytes:
        return response(status, {"error": {"message": "invalid api key"}})

    def accepts(request: RawRequest) -> bytes:
        answer = {"message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}
        return response(200, {"id": "x", "model": "m", "choices": [{"index": 0, **answer}]})

    with raw_server(rejects) as one, raw_server(accepts) as two:
        targets = [
            Target(f"openai-compatible/{model}", base_url=f"{server.url}/v1", api_key=key, name=name)
            for name, model, server in (("a", "m", one), ("a2", "n", one), ("b", "m", two))
        ]
        with Pool(targets) as pool:
            reply = pool.chat("q")
            assert (reply.target, len(one.requests)) == ("b", 1)
            assert pool.chat("q").target == "b"
            assert len(one.requests) == 1


# --- breaks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["0", "-5", "0.001", "nan", "1e308", "Thu, 01 Jan 1970 00:00:00 GMT", "soon"])
def test_a_retry_after_that_names_no_time_makes_no_hot_loop(named: str) -> None:
    """Ten calls a second for a minute: the limited target is left alone as after a 429 without a time."""
    world = World(answered(429, "slow down", **{"retry-after": named}))
    for _ in range(600):
        assert world.ask() == "b"
        world.clock.sleep(0.1)
    assert world.a.calls < 15


@pytest.mark.parametrize("status", [500, 503, 529])
def test_a_retry_after_of_a_server_error_is_honoured(status: int) -> None:
    """One request within the time that it names."""
    world = World([answered(status, "maintenance", **{"retry-after": "30"}), "a"])
    for _ in range(5):
        assert world.ask() == "b"
        world.clock.sleep(5)
    assert world.a.calls == 1
    world.clock.sleep(6)
    assert world.ask() == "a"


def test_a_limit_on_one_request_does_not_limit_the_target() -> None:
    """A long prompt is limited; a short one is served."""
    limited = answered(429, "Extra usage is required for long context requests.")
    assert limited.fault_scope is Scope.REQUEST
    world = World([limited, "a"])
    assert [world.ask(), world.ask()] == ["b", "a"]


# --- what is shown ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outcome",
    [answered(500, "down"), answered(401, "bad key"), answered(402, "no credit"), answered(404, "no such model")],
    ids=["server", "auth", "quota", "not found"],
)
def test_a_target_that_has_just_tripped_shows_why(outcome: Outcome) -> None:
    """Its calls and failures are not zero, and its reason is the provider's."""
    world = World(outcome)
    for _ in range(12):
        world.ask()
        world.clock.sleep(0.5)
    health = world.pool.health()["a"]
    assert health.state == "open"
    assert health.failures >= 1
    assert health.calls >= health.failures
    assert health.reason


def test_an_operator_s_word_stands_above_health() -> None:
    """A disabled target is not called, not even as a last resort; enabled again, it is."""
    world = World("a", answered(500, "down"))
    world.pool.disable("a", "maintenance")
    assert world.ask() == "server"
    assert world.pool.health()["a"].disabled == "maintenance"
    assert "disabled: maintenance" in str(world.pool.explain("q"))
    world.pool.enable("a")
    assert world.ask() == "a"
    with pytest.raises(KeyError):
        world.pool.disable("no such target")
