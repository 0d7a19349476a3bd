"""Answers that are kept: when they are served, to which calls, and when not."""

import threading
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from hotspare import (
    AllTargetsFailed,
    Cache,
    CacheEntry,
    ChatReply,
    ConfigError,
    Kind,
    Outcome,
    Pool,
    Price,
    RequestError,
    ToolCall,
    Usage,
)
from hotspare.events import CacheServed, Event
from hotspare.testing import ScriptedTarget, StepLike, VirtualClock, answer, fail, scripted_pool

DOWN = Outcome(Kind.SERVER, "down", 500)
USAGE = Usage(100, 50)


@pytest.fixture(params=["memory", "sqlite"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Where answers are kept."""
    return {"path": str(tmp_path / "cache.db")} if request.param == "sqlite" else {}


def test_an_identical_request_is_answered_from_the_cache(cache: dict[str, Any]) -> None:
    """Text, usage and target are those of the first answer; nothing is paid, no attempt is made, and it is marked."""
    seen: list[Event] = []
    target = ScriptedTarget("a", answer("안녕 ok", usage=USAGE), price=Price(1, 2))
    pool = scripted_pool(target, cache=Cache(**cache), listeners=[seen.append])
    first, second = pool.chat("q", labels={"team": "x"}), pool.chat("q", labels={"team": "x"})
    assert (first.cached, first.cost) == (None, pytest.approx(0.0002))
    assert (second.cached, second.cost, second.attempts) == ("hit", 0.0, ())
    assert (second.text, second.usage, second.target, second.finish_reason) == ("안녕 ok", USAGE, "a", "stop")
    assert target.calls == 1
    (served,) = [event for event in seen if isinstance(event, CacheServed)]
    assert (served.source, served.target, served.labels) == ("hit", "a", {"team": "x"})
    assert served.saved == pytest.approx(0.0002)


def test_what_makes_requests_different() -> None:
    """Messages, tools, every parameter and the route do; the order of a message's fields does not."""
    target = ScriptedTarget("a")
    pool = scripted_pool(target, cache=Cache(), routes={"other": ["a"]})
    message = {"role": "user", "content": "q"}
    pool.chat([message])
    assert pool.chat([{"content": "q", "role": "user"}]).cached == "hit"
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    different: list[dict[str, Any]] = [
        {"temperature": 0}, {"max_tokens": 5}, {"seed": 1}, {"tools": [tool]}, {"model": "other"}, {"stop": "x"},
        {"extra": {"openai": {"a": 1}}}, {"response_format": {"type": "json_object"}}, {"user": "u"},
    ]  # fmt: skip
    for options in different:
        assert pool.chat([message], **options).cached is None, options
        assert pool.chat([message], **options).cached == "hit", options
    assert pool.chat("q ").cached is None


def test_streams_are_kept_and_replayed(cache: dict[str, Any]) -> None:
    """A stream is kept once it is complete; it serves whole answers and streams, with the summary in the last chunk."""
    target = ScriptedTarget("a", answer(["one ", "two"], usage=USAGE))
    pool = scripted_pool(target, cache=Cache(**cache))
    left = pool.stream("q")
    next(left)
    left.close()
    assert "".join(chunk.text for chunk in pool.stream("q")) == "one two"
    replayed = list(pool.stream("q"))
    assert "".join(chunk.text for chunk in replayed) == "one two"
    last = replayed[-1]
    assert last.summary is not None
    assert (last.finish_reason, last.usage, last.summary.cached, last.summary.cost) == ("stop", USAGE, "hit", 0.0)
    assert pool.chat("q").cached == "hit"
    assert target.calls == 2


@pytest.mark.parametrize(
    "reply",
    [
        ChatReply(text="x", tool_calls=(ToolCall("1", "f", "{}"),), finish_reason="tool_calls"),
        ChatReply(text="cut", finish_reason="length"),
        ChatReply(refusal="no", text=""),
        ChatReply(text="a picture", media=({"type": "image_url"},)),
    ],
)
def test_what_is_not_kept(reply: ChatReply) -> None:
    """Tool calls, answers that were cut, refusals and media are requested again."""
    target = ScriptedTarget("a", reply)
    pool = scripted_pool(target, cache=Cache())
    assert [pool.chat("q").cached, pool.chat("q").cached] == [None, None]
    assert target.calls == 2


def test_ttl(cache: dict[str, Any]) -> None:
    """An answer is served for `ttl` seconds."""
    clock, target = VirtualClock(), ScriptedTarget("a")
    pool = scripted_pool(target, clock=clock, cache=Cache(ttl=10, **cache))
    pool.chat("q")
    clock.advance(10)
    assert pool.chat("q").cached == "hit"
    clock.advance(1)
    assert pool.chat("q").cached is None
    assert pool.chat("q").cached == "hit"


def test_a_call_may_go_past_it() -> None:
    """`off` neither reads nor keeps; `refresh` asks and keeps."""
    target = ScriptedTarget("a", [answer("1"), answer("2"), answer("3")])
    pool = scripted_pool(target, cache=Cache())
    assert [pool.chat("q", cache="off").text, pool.chat("q").text, pool.chat("q", cache="read").text] == ["1", "2", "2"]
    assert [pool.chat("q", cache="refresh").text, pool.chat("q").text] == ["3", "3"]
    with pytest.raises(RequestError, match="cache: 'on' must be off, read or refresh"):
        pool.chat("q", cache="on")  # type: ignore[arg-type]
    assert scripted_pool("b").chat("q", cache="read").cached is None


def test_an_answer_that_a_call_does_not_accept_is_no_hit() -> None:
    """A call with a rule of its own (`accept`) is not served what it would refuse."""
    target = ScriptedTarget("a", [answer("short"), answer("long enough")])
    pool = scripted_pool(target, cache=Cache())
    pool.chat("q")
    reply = pool.chat("q", accept=lambda one: len(one.text) > 6)
    assert (reply.text, reply.cached) == ("long enough", None)
    assert pool.chat("q", accept=lambda one: len(one.text) > 6).cached == "hit"


@pytest.mark.parametrize("bound", [{"max_entries": 3}, {"max_bytes": 4 * 510}])
def test_bounds(bound: dict[str, int], cache: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest answers are removed first."""
    monkeypatch.setattr("hotspare._cache.stores.PRUNED_EVERY", 1)
    clock = VirtualClock()
    pool = scripted_pool(ScriptedTarget("a", "0123456789"), clock=clock, cache=Cache(**bound, **cache))
    for number in range(6):
        pool.chat(f"q{number}")
        clock.advance(1)
    assert pool.chat("q5").cached == "hit"
    assert pool.chat("q0").cached is None


def test_identical_calls_in_threads_make_one_request() -> None:
    """The others wait for the first one's answer, and are marked as sharing it."""

    def slow(_: Any) -> StepLike:
        time.sleep(0.1)
        return answer("ok")

    target = ScriptedTarget("a", slow)
    pool = Pool([target.target], cache=Cache())
    replies: list[ChatReply] = []
    threads = [threading.Thread(target=lambda: replies.append(pool.chat("q"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.calls == 1
    assert [reply.text for reply in replies] == ["ok"] * 20
    assert [reply.cached for reply in replies].count(None) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_hundred_identical_calls_in_a_loop_make_one_request(backend: str) -> None:
    """Whole answers and streams alike."""
    clock = VirtualClock()
    target = ScriptedTarget("a", answer(["o", "k"], delay=1), clock=clock)
    pool = scripted_pool(target, clock=clock, cache=Cache())
    texts: list[str] = []

    async def whole() -> None:
        texts.append((await pool.achat("q")).text)

    async def stream() -> None:
        texts.append("".join([chunk.text async for chunk in pool.astream("q")]))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(stream if number % 2 else whole)

    anyio.run(main, backend=backend)
    assert target.calls == 1
    assert texts == ["ok"] * 100


def test_a_failure_of_the_leading_call_fails_no_other() -> None:
    """The next one leads: of calls that wait for one that fails, one makes the next request, and all others have its answer."""
    clock = VirtualClock()
    target = ScriptedTarget("a", [fail(DOWN, delay=1), answer("ok", delay=1)], clock=clock)
    pool = scripted_pool(target, clock=clock, cache=Cache(), max_attempts=1)
    results: list[str] = []

    def call() -> None:
        try:
            results.append(pool.chat("q").cached or "asked")
        except AllTargetsFailed:
            results.append("failed")

    clock.run_in_threads(*[call] * 5)
    assert sorted(results) == ["asked", "failed", "shared", "shared", "shared"]
    assert target.calls == 2


def test_an_answer_that_is_not_kept_is_not_shared() -> None:
    """Each of the waiting calls makes a request of its own, all at one time."""
    clock = VirtualClock()
    target = ScriptedTarget("a", answer("cut", delay=1, finish_reason="length"), clock=clock)
    pool = scripted_pool(target, clock=clock, cache=Cache())
    clock.run_in_threads(*[lambda: pool.chat("q")] * 5)
    assert target.calls == 5
    assert clock() == pytest.approx(VirtualClock()() + 2)  # the first, and then all others side by side


def test_a_call_does_not_wait_for_another_for_ever() -> None:
    """After half of its time it makes a request of its own."""
    clock = VirtualClock()
    target = ScriptedTarget("a", [answer("late", delay=50), answer("ok")], clock=clock)
    pool = scripted_pool(target, clock=clock, cache=Cache(), deadline=60)
    results = clock.run_in_threads(
        lambda: pool.chat("q"), lambda: [clock.sleep(1), pool.chat("q", deadline=20)][-1]
    )  # fmt: skip
    assert isinstance(results[1], ChatReply)
    assert (results[1].text, results[1].cached) == ("ok", None)


@pytest.mark.parametrize("streaming", [False, True])
def test_stale_answers_only_where_they_are_allowed(cache: dict[str, Any], streaming: bool) -> None:
    """Served immediately and marked while no target answers; after `ttl + stale`, or with `stale` 0, the call fails."""
    clock = VirtualClock()
    target = ScriptedTarget("a", [answer("old"), answer("old"), fail(DOWN)])

    def ask(pool: Pool) -> tuple[str, str | None]:
        if not streaming:
            reply = pool.chat("q")
            return reply.text, reply.cached
        chunks = list(pool.stream("q"))
        assert chunks[-1].summary is not None
        return "".join(chunk.text for chunk in chunks), chunks[-1].summary.cached

    allowed = scripted_pool(target, clock=clock, cache=Cache(ttl=10, stale=100, **cache), deadline=5)
    strict = scripted_pool(target, clock=clock, cache=Cache(ttl=10), deadline=5)
    assert [ask(allowed), ask(strict)] == [("old", None)] * 2
    clock.advance(50)
    before = clock()
    assert ask(allowed) == ("old", "stale")
    assert clock() - before < 1
    with pytest.raises(AllTargetsFailed):
        ask(strict)
    clock.advance(100)
    with pytest.raises(AllTargetsFailed):
        ask(allowed)


class Broken:
    """A store that is down."""

    def get(self, key: str) -> CacheEntry | None:
        raise OSError("down")

    def put(self, key: str, entry: CacheEntry, keep: float) -> None:
        raise OSError("down")


def test_a_store_that_is_down_fails_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """Calls are made as without a cache."""
    pool = scripted_pool("a", cache=Cache(store=Broken()))
    assert pool.chat("q").text == "ok"
    assert "the cache does not answer: OSError: down; calls continue without it" in caplog.text


def test_processes_share_a_file(tmp_path: Path) -> None:
    """Another pool, as in another process, finds the answer; the file holds no prompt. The end of a pool waits for what it writes."""
    path = tmp_path / "cache.db"
    with scripted_pool("a", cache=Cache(path=str(path))) as pool:
        pool.chat("a very secret prompt")
    other = scripted_pool(ScriptedTarget("a", fail(DOWN)), cache=Cache(path=str(path)))
    assert other.chat("a very secret prompt").cached == "hit"
    assert all(b"secret" not in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize(("where", "most"), [("memory", 300e-6), ("file", 1500e-6)])
def test_a_hit_is_quick(where: str, most: float, tmp_path: Path) -> None:
    """The quickest hits of a hundred keys, in CPU time, take at most three times the time measured on an idle machine. `make cost` measures 10,000."""
    cache = Cache(path=str(tmp_path / "cache.db") if where == "file" else None)
    with Pool([ScriptedTarget("a", "x" * 2000).target], cache=cache) as pool:
        spent = dict[int, float]()
        for _ in range(8):
            for key in range(100):
                start = time.process_time()
                pool.chat(f"question {key}: {'what does this say? ' * 20}")
                spent[key] = min(spent.get(key, 1.0), time.process_time() - start)
    assert sorted(spent.values())[50] < most


def test_settings() -> None:
    """Wrong ones are named; a file has a table `[cache]`."""
    for wrong in ({"ttl": 0}, {"max_entries": 0}, {"max_bytes": -1}, {"stale": -1}, {"path": "x", "store": Broken()}):
        with pytest.raises(ConfigError, match="cache"):
            Cache(**wrong)  # type: ignore[arg-type]
    config = {"targets": [{"id": "openai/m", "api_key": "k"}], "cache": {"ttl": 5, "stale": 7}}
    assert Pool.from_config(config).policy.cache == Cache(ttl=5, stale=7)
