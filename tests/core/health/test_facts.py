"""The facts that processes share: which of two is valid, and which are invalid data; and which process may probe."""

from math import inf
from typing import Any

import pytest
from hotspare._health.facts import Fact, checked, merged, supersedes
from hotspare._health.probe_lease import ProbeLease


def fact(kind: str = "open", remaining: float = 10.0, age: float = 5.0, **fields: Any) -> Fact:
    slots = {"open": "health", "recovering": "health", "limited": "limit", "disabled": "command", "enabled": "command"}
    return Fact("s", slots.get(kind, "probe"), kind, remaining, age, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("new", "old", "wins"),
    [
        (fact("open", 10.2, 9.0), fact("open", 10.0, 5.0), True),
        (fact("open", 10.1, 1.0), fact("open", 10.0, 5.0), False),  # not more than the slack
        (fact("limited", 10.2, 9.0), fact("limited", 10.0, 5.0), True),
        (fact("limited", 9.0, 1.0), fact("limited", 10.0, 5.0), False),
        (fact("recovering", 9.0, 4.0), fact("recovering", 10.0, 5.0), True),  # of recoveries, the newer one
        (fact("recovering", 20.0, 5.0), fact("recovering", 10.0, 5.0), False),
        (fact("open", 1.0, 4.0), fact("recovering", 10.0, 5.0), True),
        (fact("open", 20.0, 6.0), fact("recovering", 10.0, 5.0), False),
        (fact("disabled", 1.0, 4.0), fact("disabled", 10.0, 5.0), True),
        (fact("disabled", 20.0, 6.0), fact("disabled", 10.0, 5.0), False),
        (fact("lease", 20.0, 6.0), fact("lease", 10.0, 5.0), False),
    ],
)
def test_which_of_two_is_valid(new: Fact, old: Fact, wins: bool) -> None:
    """Of two breaks or two times to wait, the longer one; of all others, the newer one."""
    assert supersedes(new, old) is wins


@pytest.mark.parametrize(
    ("new", "old", "valid"),
    [
        (fact("open", 9.0, 5.0), fact("recovering", 9.0, 1.0), fact("open", 9.0, 5.0)),
        (fact("open", 9.0, 5.0, level=1), fact("open", 8.0, 5.0, level=4), fact("open", 9.0, 5.0, level=1)),
        (
            fact("open", 9.0, 5.0, name="n", cause="c", level=1),
            fact("open", 8.0, 4.9, name="o", cause="d", level=4),
            fact("open", 9.0, 4.9, name="n", cause="c", level=4),
        ),
        (fact("open", 9.0, 5.0, level=3), fact("open", 8.0, 1.0, level=2), fact("open", 9.0, 1.0, level=3)),
    ],
    ids=["another kind", "the newer one", "longer, but older", "the higher level"],
)
def test_merged(new: Fact, old: Fact, valid: Fact) -> None:
    """Of two facts of one kind, the longer one with the age of the newer one, and the higher level."""
    assert merged(new, old) == valid


STORED = {
    "subject": "s", "slot": "health", "kind": "open", "remaining": "7.5", "age": 2, "name": "n", "cause": "server", "level": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, Fact("s", "health", "open", 7.5, 2.0, "n", "server", 3.0)),
        ({"remaining": 0, "age": -0.5, "level": 0}, Fact("s", "health", "open", 0.0, 0.0, "n", "server", 0.0)),
        ({"remaining": 40 * 86400.0, "level": 999_999}, Fact("s", "health", "open", 3456000.0, 2.0, "n", "server", 999_999.0)),
        ({"name": "n" * 201}, Fact("s", "health", "open", 7.5, 2.0, "n" * 200, "server", 3.0)),
        ({"slot": "limit", "kind": "limited"}, Fact("s", "limit", "limited", 7.5, 2.0, "n", "server", 3.0)),
        ({"slot": "probe", "kind": "lease"}, Fact("s", "probe", "lease", 7.5, 2.0, "n", "server", 3.0)),
        ({"slot": "command", "kind": "enabled"}, Fact("s", "command", "enabled", 7.5, 2.0, "n", "server", 3.0)),
        ({"slot": "command"}, None),
        ({"slot": "other"}, None),
        ({"remaining": "soon"}, None),
        ({"remaining": None}, None),
        ({"remaining": -0.1}, None),
        ({"remaining": 40 * 86400.0 + 1}, None),
        ({"remaining": "nan"}, None),
        ({"age": -1}, None),
        ({"level": -0.5}, None),
        ({"level": 1e6}, None),
        ({"subject": 5}, None),
        ({"name": None}, None),
        ({"cause": 5}, None),
        ({"slot": ["health"]}, None),
        ({"remaining": 10**400}, None),
    ],
)  # fmt: skip
def test_what_a_store_may_hold(changed: dict[str, Any], found: Fact | None) -> None:
    """A fact with kinds, lengths and durations that are possible; everything else is ignored."""
    assert checked(STORED | changed) == found


@pytest.mark.parametrize("missing", ["subject", "slot", "kind", "remaining", "age"])
def test_a_field_is_missing(missing: str) -> None:
    """Without one of the required fields it is no fact."""
    assert checked({name: value for name, value in STORED.items() if name != missing}) is None


def test_fields_with_defaults() -> None:
    """Name, cause and level may be missing."""
    values = {name: STORED[name] for name in ("subject", "slot", "kind", "remaining", "age")}
    assert checked(values) == Fact("s", "health", "open", 7.5, 2.0, "", "", 0.0)


# --- the lease of a probe ----------------------------------------------------------------------------------------


def test_a_lease_of_ones_own() -> None:
    """The process that has it probes when the break is over; without it, a second after the break, or after the other one's lease."""
    lease = ProbeLease(3.0)
    assert (lease.wanted, lease.in_use, lease.own_until, lease.other_until) == (False, False, -inf, 3.0)
    assert lease.ready_at(10.0, 5.0) == 11.0
    assert lease.ready_at(1.0, 5.0) == 4.0, "the other one's lease ends later than the break"
    lease.settle(20.0, 5.0, own=True)
    assert (lease.own_until, lease.other_until) == (20.0, 3.0)
    assert lease.ready_at(10.0, 5.0) == 10.0
    assert lease.ready_at(10.0, 20.0) == 11.0, "it is over"
    lease.settle(30.0, 21.0, own=False)
    assert (lease.own_until, lease.other_until) == (-inf, 30.0)
    lease.settle(30.0, 31.0, own=False)
    assert lease.other_until == 31.0, "a lease that has expired is free from now on"


def test_a_lease_is_requested_once() -> None:
    """The first call that misses it requests it, and none while this process or another one has it."""
    lease = ProbeLease(3.0)
    assert not lease.want(2.0) and not lease.wanted, "another process has it until 3"
    assert lease.want(3.0) and lease.wanted
    assert not lease.want(4.0), "it has been requested"
    lease.settle(8.0, 4.0, own=True)
    assert not lease.wanted and not lease.want(7.0)
    assert lease.want(8.0)
