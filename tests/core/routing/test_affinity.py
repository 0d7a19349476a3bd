"""Conversations stay where their prompt cache is, as long as that target is well."""

from typing import Any

from hotspare import ChatReply, Kind, Outcome, Pool, Usage
from hotspare._health.pace import Pace
from hotspare._routing.affinity import Sessions, prompt_session
from hotspare.messages import ChatRequest
from hotspare.testing import ScriptedTarget, StepLike, VirtualClock, scripted_pool

from tests.support.engine import Engine, state_of

DOWN = Outcome(Kind.SERVER, "down", 500)


class Caching:
    """A target with a prompt cache: it counts the messages that it has seen before as cached tokens. `fails`: numbers of the
    requests that fail."""

    def __init__(self, name: str, fails: Any = (), **fields: Any) -> None:
        self.fails = fails
        self.seen: set[str] = set()
        self.scripted = ScriptedTarget(name, self.step, **fields)

    def step(self, request: ChatRequest) -> StepLike:
        if self.scripted.calls - 1 in self.fails:
            return DOWN
        texts = [str(message) for message in request.messages]
        cached = sum(text in self.seen for text in texts)
        self.seen.update(texts)
        return ChatReply(text="ok", usage=Usage(len(texts), 1, cached_tokens=cached))


def talk(pool: Pool, turns: int, **options: Any) -> tuple[str, int, int]:
    """A conversation: the targets of its turns, its tokens, and those of them that were cached."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    targets, tokens, cached = "", 0, 0
    for turn in range(turns):
        messages.append({"role": "user", "content": f"question {turn}"})
        reply = pool.chat(messages, **options)
        messages.append(reply.message)
        targets += reply.target
        tokens, cached = tokens + reply.usage.input_tokens, cached + reply.usage.cached_tokens
    return targets, tokens, cached


def limping(**policy: Any) -> Pool:
    """A primary that fails every second request, and a backup."""
    a, b = Caching("a", range(1, 100, 2)), Caching("b", tier=1)
    return scripted_pool(a.scripted, b.scripted, retry_same_target="never", **policy)


def test_a_conversation_stays_where_it_went() -> None:
    """Without a session it swings between the targets with every failure, so that both read it all; with one it stays where it
    went, and 40 % fewer tokens are read anew."""
    targets, tokens, cached = talk(limping(), 10)
    assert targets == "ababababab"
    stayed, same_tokens, more = talk(limping(), 10, session="c1")
    assert stayed == "abbbbbbbbb"
    assert tokens == same_tokens
    assert tokens - more <= 0.6 * (tokens - cached)
    assert talk(limping(affinity="prompt"), 10) == (stayed, tokens, more)


def test_conversations_are_told_apart() -> None:
    """Each has its own target, and a call without a session is in none."""
    a, b = Caching("a", (0,)), Caching("b", tier=1)
    pool = scripted_pool(a.scripted, b.scripted, retry_same_target="never")
    assert [pool.chat("q", session=name).target for name in ("x", "y", "x", "y")] == ["b", "a", "b", "a"]
    assert pool.chat("q").target == "a"


def test_only_while_its_target_is_well() -> None:
    """Not at one that is open, or not allowed, and of a named model only at one that serves it."""
    clock = VirtualClock(0)
    pool = scripted_pool(
        ScriptedTarget("a", [DOWN, "a"], id="p/m", region="us"),
        ScriptedTarget("b", id="q/n", tier=1, region="eu"),
        clock=clock, retry_same_target="never",
    )  # fmt: skip
    assert [pool.chat("q", session="x").target for _ in range(2)] == ["b", "b"]
    assert pool.chat("q", session="x", regions={"us"}).target == "a"
    assert pool.chat("q", session="y", model="n").target == "b"
    assert pool.chat("q", session="y", model="m").target == "a"
    assert pool.chat("q", session="y").target == "a"
    pool._states[0].breaker.open(clock(), pool._scheduler._shared.rng, at_least=60)
    assert pool.chat("q", session="y").target == "b"
    clock.advance(301)
    pool._states[0].breaker.recover(clock() - 100)
    assert pool.chat("q", session="y").target == "a"


def test_not_while_its_target_recovers_or_is_slow() -> None:
    """A conversation leaves it during its slow start, and while it is far slower than usual."""
    engine = Engine("ab", sticky_seconds=1000.0)
    engine.shared.sessions.record("s", engine["b"], 0.0)
    engine.recover("b", now=1.0)
    tried = [engine.attempt(engine.call(session="s"), now).state.name for now in (2.0, 60.0)]
    pace = engine["b"].paces[False, False] = Pace(None)
    pace.slow = True
    tried.append(engine.attempt(engine.call(session="s"), 61.0).state.name)
    assert tried == ["a", "b", "a"]


def test_what_is_remembered() -> None:
    """The latest ten thousand, for a while; and of a prompt a digest of its beginning."""
    sessions, a = Sessions(), state_of()
    for n in range(10_001):
        sessions.record(str(n), a, 0.0)
    sessions.record("5", a, 100.0)
    assert sessions.target_of("0", 0.0, 300) is None
    assert sessions.target_of("1", 299.0, 300) is a
    assert sessions.target_of("1", 300.0, 300) is None
    assert sessions.target_of("5", 300.0, 300) is a
    first = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    longer = [*first, {"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]
    assert prompt_session(ChatRequest(messages=first)) == prompt_session(ChatRequest(messages=longer))
    assert prompt_session(ChatRequest(messages=first)) != prompt_session(ChatRequest(messages=first[:1]))
    assert prompt_session(ChatRequest(messages=first)) != prompt_session(
        ChatRequest(messages=first, tools=({"type": "function"},))
    )
