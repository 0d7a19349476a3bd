"""Background checks of a fleet, on one virtual time: they are probes, and one process at a time has the lease of a probe."""

from hotspare.testing import fail

from tests.support.shared_pools import SharedPools


def check(fleet: SharedPools) -> int:
    """Every process makes its check of the first target, as its thread does: only while the target is unavailable there. How many reached it."""
    before = fleet.calls
    for member in fleet.members:
        if member.state() in ("open", "half-open"):
            member.pool._check(member.pool._states[0])
    return fleet.calls - before


def test_one_process_checks_for_all() -> None:
    """Eight processes would check a target that is open. One check at a time reaches it, each break has a few at most; and when one succeeds, all know
    that the target recovers, without a call of their own."""
    fleet = SharedPools(8)
    fleet.breaks(fail(503))
    made = 0
    for _ in range(60):
        found = check(fleet)
        assert found <= 1
        made += found
        fleet.pass_time(0.1)
    assert 1 <= made <= 5, "of 480"
    fleet.step = "ok"
    for _ in range(120):
        if check(fleet):
            break
        fleet.pass_time(0.1)
    fleet.pass_time(0.1)
    assert {member.state() for member in fleet.members} <= {"recovering", "closed"}
    assert sum(member.first.calls > 0 for member in fleet.members[1:]) <= made + 1


def test_a_process_that_is_gone_with_the_lease_delays_the_checks_by_it() -> None:
    """The one that has the lease and has not begun is killed: another one checks 2 s later, when the lease is over."""
    fleet = SharedPools(3)
    fleet.breaks(fail(503))
    fleet.pass_time(1.5)
    gone = fleet.members[2]
    assert not check(SharedPoolsOf(fleet, 2)), "it has no lease yet, and asks for it"
    fleet.members.remove(gone)
    waited = 0.0
    while not check(fleet):
        fleet.pass_time(0.1)
        waited += 0.1
        assert waited < 5
    assert 1.5 < waited < 4


class SharedPoolsOf(SharedPools):
    """One process of a fleet, as a fleet of its own."""

    def __init__(self, fleet: SharedPools, place: int) -> None:
        self.members = [fleet.members[place]]
