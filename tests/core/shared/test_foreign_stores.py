"""What stands at the store's address is no Redis, refuses the channel, or belongs to a newer hotspare: calls continue, and one event reports it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hotspare import Pool, Shared, events
from hotspare._shared.redis_store import RedisStore
from hotspare.testing import ScriptedTarget

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

GARBAGE = {
    "a web server": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "random bytes": bytes(range(256)) * 3,
    "a number": b":7\r\n",
    "nil": b"$-1\r\n",
    "a status": b"+OK\r\n",
    "nested lists": b"*2\r\n*1\r\n$1\r\nx\r\n*-1\r\n",
    "a length that is no number": b"$abc\r\n",
    "half an answer": b"*3\r\n$5\r\nab",
    "a map": b"%1\r\n+version\r\n*0\r\n",
    "a message that was not subscribed to": b">3\r\n+message\r\n+x\r\n:1\r\n",
    "a failing cluster": b"-CLUSTERDOWN The cluster is down\r\n",
    "a server that loads": b"-LOADING Redis is loading the dataset in memory\r\n",
    "nothing, and closes": b"",
}


@contextmanager
def answering(answer: bytes, port: int = 0) -> Iterator[int]:
    """A server that gives this answer to whatever it receives. Its port."""

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while connection.recv(65536) and answer:
                    connection.sendall(answer)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", port)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def sharing(url: str) -> Iterator[tuple[Pool, list[events.Event]]]:
    """A pool that shares this store, and its store events. A thread of it that ends with an error fails the test: pytest says so."""
    seen: list[events.Event] = []

    def note(event: events.Event) -> None:
        if isinstance(event, events.StoreLost | events.StoreBack):
            seen.append(event)

    target, shared = ScriptedTarget("a", lambda _: "ok").target, Shared(url, refresh=0.05, timeout=0.1)
    with Pool(target, shared=shared, listeners=[note]) as pool:  # the loss may come before a later `subscribe`
        yield pool, seen


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_answers_no_call_fails(answer: bytes) -> None:
    """Calls are answered, and there is one StoreLost, however often the store is tried."""
    with answering(answer) as port, sharing(f"redis://127.0.0.1:{port}") as (pool, seen):
        eventually(lambda: len(seen) == 1)
        assert [pool.chat("q").text for _ in range(3)] == ["ok"] * 3
        agent = pool._fleet  # pyright: ignore[reportPrivateUsage]
        assert agent is not None
        agent._next_sync = 0.0  # pyright: ignore[reportPrivateUsage] - it is tried again
        agent.poke()
        eventually(lambda: agent._next_sync > 0.0)  # pyright: ignore[reportPrivateUsage]
        assert [type(event) for event in seen] == [events.StoreLost]


def test_a_refused_channel_is_said_and_the_picture_is_read(own_redis: RedisServer) -> None:
    """A user who may not subscribe: one StoreLost names the reason, what others find still arrives by the refresh, and StoreBack comes once the
    channel is allowed."""
    admin = own_redis.client()
    admin.execute_command("ACL", "SETUSER", "half", "on", ">secret-1", "~*", "resetchannels", "+@all")
    url = own_redis.url.replace("redis://", "redis://half:secret-1@")
    with sharing(url) as (pool, seen):
        eventually(lambda: len(seen) == 1, lambda: seen)
        assert isinstance(seen[0], events.StoreLost) and "no change notifications: NoPermission" in seen[0].reason
        admin.execute_command("ACL", "SETUSER", "half", "allchannels")
        eventually(lambda: len(seen) == 2)
        pool.disable("a", "by hand")
        eventually(lambda: admin.hlen("hotspare:v1:facts") > 2)
        assert [type(event) for event in seen] == [events.StoreLost, events.StoreBack]


def test_a_newer_schema_is_left_alone(shared_redis: RedisServer) -> None:
    """A version that finds the keys of a newer one reports it once, decides alone, writes nothing into them, and shares again when they are removed."""
    client = shared_redis.client()
    client.hset("hotspare:v1:facts", mapping={"schema": "2", "version": "9", "x": "y"})
    with sharing(shared_redis.url) as (pool, seen):
        eventually(lambda: len(seen) == 1)
        assert isinstance(seen[0], events.StoreLost) and "newer version" in seen[0].reason
        pool.disable("a", "here only")
        pool.enable("a")
        assert pool.chat("q").text == "ok"
        assert client.hgetall("hotspare:v1:facts") == {"schema": "2", "version": "9", "x": "y"}
        client.delete("hotspare:v1:facts")
        eventually(lambda: [type(event) for event in seen] == [events.StoreLost, events.StoreBack], lambda: seen)


def test_news_are_read_anew_where_another_connection_was_lost(shared_redis: RedisServer) -> None:
    """A host that disappears closes no connection: the one for notifications would wait forever. A loss on any other one has it opened anew, and
    the listener is called, since facts may have been missed."""
    news: list[object] = []
    store = RedisStore(shared_redis.url, timeout=0.2)
    stop = store.listen(news.append)
    eventually(lambda: news == [None])
    store.losses += 1
    eventually(lambda: news == [None, None])
    stop()
    store.close()
