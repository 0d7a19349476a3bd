"""A store in Redis or Valkey, through redis-py (extra `redis`).

Keys begin with `<prefix>:<schema>:` and all expire: `facts` (a hash), `members` (a sorted set), `limit:<digest>` (a number),
`day:<digest>`, `budget:<digest>` (hashes). Each written fact is published on the channel `news`. The store never holds a prompt,
an answer or an API key.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, cast

from hotspare._config.scalars import is_list, is_table
from hotspare._cost.shares import Claim, Portion
from hotspare._health.facts import Fact, checked
from hotspare._shared import money, scripts
from hotspare._shared.connecting import connected, failures
from hotspare._shared.store import MEMBER_SECONDS, Bucket, Counted, Grant, Lease, Listener, Picture, StoreError

if TYPE_CHECKING:
    from redis import Redis

SCHEMA = "v1"
"""Version of the keys' format: a release with another format uses other keys, and does not touch these."""
_LISTEN = 1.0
"""Seconds between two checks whether a listener was closed, and between two attempts to connect it."""

_WAYS_OUT = {
    "movederror": "this is a node of a cluster: its address is redis+cluster://host:port",
    "unknown command": "this server runs no scripts. The address of a Sentinel is redis+sentinel://host:26379/name",
    "cluster mode is not enabled": "this is not a cluster: its address is redis://host:port",
}
"""Parts of error messages, and the way to fix each."""


class RedisStore:
    """See `Store`. `source`: a URL, or a client of redis-py. `prefix`: of all keys and of the channel. `timeout`: seconds for an answer."""

    def __init__(self, source: str | Redis, prefix: str = "hotspare", timeout: float = 1.0) -> None:
        self._source, self._prefix, self._timeout = source, f"{prefix}:{SCHEMA}:", timeout
        self._listening: list[_Subscription] = []
        self._connection: Redis | None = None
        self._scripts: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.losses = 0
        """Number of lost connections."""

    def key(self, name: str) -> str:
        """The key of this name, in this store."""
        return self._prefix + name

    @property
    def client(self) -> Redis:
        """The client of redis-py, whose methods raise its own errors."""
        with self._lock:
            if self._connection is None:
                self._connection = connected(self._source, self._timeout)
            return self._connection

    def run(self, script: str, key: str, *arguments: str | float) -> Any:
        """Run a Lua script on one key of this store. Strings are returned as str. Raises StoreError."""
        try:
            client = self.client
            known = self._scripts.get(script)
            if known is None:
                known = self._scripts[script] = client.register_script(script)
            return _text(known(keys=[self.key(key)], args=arguments, client=client))
        except Exception as error:  # the server at that address may not be a Redis
            self.losses += _is_loss(error)
            raise _store_error(error) from None

    # --- facts ---------------------------------------------------------------------------------------------------

    def sync(self, member: str, since: str = "") -> Picture:
        """As in `Store`."""
        members = _number(self.run(scripts.ALIVE, "members", member, round(MEMBER_SECONDS * 1000)))
        answer = self.run(scripts.SYNC, "facts", since)
        if not is_list(answer) or len(answer) < 2:
            raise StoreError("unexpected answer of the store: not a state")
        version, now, *rest = answer
        if not rest:
            return Picture(str(version), int(members), None)
        fields = rest[0]
        pairs = zip(fields[::2], fields[1::2], strict=False)
        found = [_stored(str(place), raw, _number(now)) for place, raw in pairs]
        return Picture(str(version), int(members), tuple(fact for fact in found if fact is not None))

    def write(self, facts: Sequence[Fact]) -> None:
        """As in `Store`."""
        if facts:
            self.run(scripts.WRITE, "facts", self.key("news"), json.dumps([_wire(fact) for fact in facts]))

    def lease(self, subject: str, holder: str, seconds: float, name: str = "") -> Lease:
        """As in `Store`."""
        place, channel = f"probe/{subject}", self.key("news")
        answer = self.run(scripts.LEASE, "facts", channel, place, holder, round(seconds * 1000), name)
        found, remaining = _pair(answer)
        return Lease(str(found), _number(remaining) / 1000)

    def release(self, subject: str, holder: str) -> None:
        """As in `Store`."""
        self.run(scripts.RELEASE, "facts", self.key("news"), f"probe/{subject}", holder)

    # --- limits --------------------------------------------------------------------------------------------------

    def take(self, bucket: Bucket, want: float, least: float, used: float, horizon: float) -> Grant:
        """As in `Store`."""
        if bucket.is_daily:
            answer = self.run(scripts.TAKE_DAILY, f"day:{bucket.name}", bucket.limit, want, least, used)
        else:
            name, first = f"limit:{bucket.name}", (bucket.interval, bucket.burst)
            answer = self.run(scripts.TAKE, name, *first, want, least, used, horizon)
        units, wait = _pair(answer)
        return Grant(_number(units), _number(wait))

    # --- budgets -------------------------------------------------------------------------------------------------

    def spend(self, member: str, claim: Claim) -> Portion:
        """As in `Store`. The key is a digest; the readable name, with the values of labels, is a field."""
        digest = blake2b(f"{claim.key} {claim.period}".encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        return money.portion(self.run(money.SPEND, f"budget:{digest}", *money.arguments(member, claim)), claim)

    def counts(self, most: int) -> list[Counted]:
        """The stored counts of budgets, at most `most` of them. Raises StoreError."""
        found: list[Counted] = []
        try:
            client: Any = self.client  # redis-py's types are incomplete
            for key in client.scan_iter(match=self.key("budget:*"), count=1000):
                values = cast("list[bytes | None]", client.hmget(key, ["name", "spent", "leased", "limit"]))
                if values[0] is not None:
                    spent, reserved, limit = (float(value or 0) for value in values[1:])
                    found.append(Counted(values[0].decode("utf-8", "replace"), spent, reserved, limit))
                if len(found) >= most:
                    break
        except Exception as error:  # the server at that address may not be a Redis
            raise _store_error(error) from None
        return found

    # --- news ----------------------------------------------------------------------------------------------------

    def listen(self, listener: Listener) -> Callable[[], None]:
        """As in `Store`."""
        subscription = _Subscription(self, listener)
        subscription.start()
        self._listening.append(subscription)
        return subscription.stop

    def leave(self, member: str) -> None:
        """As in `Store`."""
        try:
            self.client.zrem(self.key("members"), member)
        except Exception as error:
            raise _store_error(error) from None

    def close(self) -> None:
        """As in `Store`."""
        for subscription in self._listening:
            subscription.stop()
        self._listening.clear()
        with self._lock:
            client, self._connection = self._connection, None
            self._scripts.clear()
        if client is not None and isinstance(self._source, str):
            client.close()

    def after_fork(self) -> None:
        """As in `Store`. A socket must not be shared with the parent."""
        self._lock = threading.Lock()
        self._connection, self._scripts = None, {}
        self._listening = []


class _Subscription:
    """A thread that passes published facts to a listener, and reconnects when the connection is lost. The listener gets
    an error only from the second consecutive failure on: a server may close a single connection at any time."""

    def __init__(self, store: RedisStore, listener: Listener) -> None:
        self._store, self._listener = store, listener
        self._ended = threading.Event()
        self._news: Any = None  # redis-py gives no type
        self._losses = self._failures = 0

    def start(self) -> None:
        threading.Thread(target=self._run, name="hotspare-news", daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        expected = failures()
        while not self._ended.is_set():
            try:
                message = self._next()
            except expected as error:
                self._failed(error)
            else:
                if message is not None:
                    self._hand_on(message)
        self._disconnect()

    def _next(self) -> Mapping[str, Any] | None:
        """The next message, if one arrives within a second. If another connection to the store was lost, this one may be dead without an error:
        reconnect."""
        if self._losses != self._store.losses:
            self._disconnect()
        if self._news is None:
            self._losses = self._store.losses
            client: Any = self._store.client
            self._news = client.pubsub()
            self._news.subscribe(self._store.key("news"))
        return cast("Mapping[str, Any] | None", self._news.get_message(timeout=_LISTEN))

    def _failed(self, error: Exception) -> None:
        self._disconnect()
        self._failures += 1
        if self._failures > 1:
            self._listener(_store_error(error))
            self._ended.wait(_LISTEN)

    def _disconnect(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            with suppress(*failures()):  # the connection is dropped anyway
                news.close()

    def _hand_on(self, message: Mapping[str, Any]) -> None:
        if message.get("type") == "subscribe":
            self._failures = 0
            self._listener(None)
            return
        fact = None
        with suppress(ValueError, TypeError):  # not JSON: written by another program
            fact = _published(json.loads(cast("str | bytes", message.get("data"))))
        if fact is not None:
            self._listener(fact)


# --- the wire format ---------------------------------------------------------------------------------------------


def _wire(fact: Fact) -> dict[str, str | float]:
    return {
        "p": f"{fact.slot}/{fact.subject}", "k": fact.kind, "r": round(fact.remaining * 1000), "a": round(fact.age * 1000),
        "n": fact.name, "c": fact.cause, "l": fact.level,
    }  # fmt: skip


def _published(raw: object) -> Fact | None:
    """A fact from its published form, with durations in milliseconds."""
    return _fact(raw.get("p"), raw, raw.get("r"), raw.get("a")) if is_table(raw) else None


def _stored(place: str, raw: object, now: float) -> Fact | None:
    """A fact from its stored form, with the server's times."""
    try:
        values = json.loads(cast("str", raw))
        fact = _fact(place, values, values["u"] - now, now - values["a"])
    except (KeyError, TypeError, ValueError):  # `schema`, `version`, or written by another program
        return None
    return fact if fact is not None and fact.remaining > 0 else None


def _fact(place: Any, values: Mapping[str, Any], remaining: Any, age: Any) -> Fact | None:
    slot, _, subject = str(place).partition("/")
    try:
        fields = {"remaining": remaining / 1000, "age": age / 1000, "level": values.get("l", 0.0)}
    except TypeError:
        return None
    words = {"name": values.get("n", ""), "cause": values.get("c", "")}
    return checked({"subject": subject, "slot": slot, "kind": values.get("k"), **fields, **words})


def _text(answer: Any) -> Any:
    if isinstance(answer, bytes):
        return answer.decode("utf-8", "replace")
    return [_text(item) for item in answer] if is_list(answer) else answer


def _pair(answer: Any) -> tuple[Any, Any]:
    if not is_list(answer) or len(answer) != 2:
        raise StoreError("unexpected answer of the store")
    return answer[0], answer[1]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise StoreError("unexpected answer of the store: not a number") from None


def _is_loss(error: Exception) -> bool:
    """Whether the error means a lost connection or a timeout."""
    from redis import exceptions

    lost = (
        exceptions.ConnectionError,
        exceptions.TimeoutError,
        exceptions.ClusterError,
        exceptions.RedisClusterException,
    )
    return isinstance(error, lost)


def _store_error(error: Exception) -> StoreError:
    """A StoreError without the URL, which may contain a password; redis-py's own messages contain only host and port."""
    if isinstance(error, StoreError):
        return error
    text = str(error)
    if text.startswith("SCHEMA"):
        return StoreError("a newer version of hotspare uses these keys: set another prefix, or upgrade hotspare")
    for sign, way_out in _WAYS_OUT.items():
        if sign in f"{type(error).__name__}: {text}".lower():
            return StoreError(f"{way_out} ({type(error).__name__}: {text[:100]})")
    return StoreError(f"{type(error).__name__}: {text[:200]}")
