"""The admission window by itself: its size by time and by results, the places of a process of a fleet, and when the next one is free."""

import pytest
from hotspare._health.admission import AdmissionWindow, Part


def test_the_first_size() -> None:
    """One attempt, or what is given; it doubles every half second, up to a million times."""
    window = AdmissionWindow(10.0)
    assert [window.limit(now) for now in (9.0, 10.0, 10.5, 11.0, 1e9)] == [1.0, 1.0, 2.0, 4.0, 2.0**20]
    assert AdmissionWindow(10.0, places=3.0).limit(10.0) == 3.0
    linear = AdmissionWindow(10.0, halved_to=3.0)
    assert (linear.limit(10.0), linear.limit(60.0)) == (3.0, 3.0)


def test_growth_by_success_and_loss_by_failure() -> None:
    """One more with each success; after a failure half as many, and then one more with each round of successes."""
    window = AdmissionWindow(0.0, places=4.0, fastest=0.1)
    window.record_success(0.9, 1.0)
    assert window.limit(1.0) == 5.0
    assert window.record_failure(0.9, 2.0) is False and window.limit(9.0) == 2.5
    assert window.record_failure(1.9, 2.1) is False and window.limit(9.0) == 2.5, "of the same round"
    window.record_success(2.9, 3.0)
    assert window.limit(9.0) == 2.9
    assert window.record_failure(2.0, 4.0) is False and window.limit(9.0) == 1.45, (
        "a later round begins with the failure"
    )
    assert window.record_failure(4.0, 5.0) is True and window.limit(9.0) == 0.725
    window.record_success(6.0, 6.5)
    assert window.limit(9.0) == 1.725, "below one attempt, by one"
    exact = AdmissionWindow(0.0, places=2.0, fastest=0.1)
    assert exact.record_failure(0.0, 1.0) is False, "one attempt is still admitted"


@pytest.mark.parametrize(
    ("places", "processes", "is_unbound"), [(999.9, 1, False), (1000.0, 1, True), (1999.9, 2, False), (2000.0, 2, True)]
)
def test_when_it_limits_nothing(places: float, processes: int, is_unbound: bool) -> None:
    """From a thousand attempts of each process on."""
    assert AdmissionWindow(5.0, places=places, part=Part(processes)).is_unbound(5.0) is is_unbound


@pytest.mark.parametrize(
    ("part", "active", "free"),
    [
        (Part(), 0, 10), (Part(), 4, 6), (Part(), 12, 0),
        (Part(4, 0.0), 0, 3), (Part(4, 2.5), 0, 2), (Part(4, 2.5), 1, 1), (Part(4, 2.5), 3, 0), (Part(40, 11.0), 0, 0),
    ],
)  # fmt: skip
def test_the_places_of_a_process(part: Part, active: int, free: int) -> None:
    """Of ten places, its own and each n-th after it; never fewer than none."""
    assert AdmissionWindow(5.0, places=10.0, part=part).free(active, 5.0) == free


def test_the_places_behind_the_first() -> None:
    """The first place belongs to the process whose probe succeeded; the others share the rest evenly."""
    assert Part(4, 2.0).behind_first() == Part(4, 2.5)
    assert Part(1, 0.0).behind_first() == Part(1, 1.0)


@pytest.mark.parametrize(
    ("part", "active", "seconds"),
    [(Part(), 9, 0.0), (Part(), 10, 0.0), (Part(), 20, 0.5), (Part(4, 2.5), 2, 0.0352), (Part(4, 2.5), 4, 0.4438)],
)
def test_when_the_next_place_is_free(part: Part, active: int, seconds: float) -> None:
    """At once, or when the window has grown to it: then it is free."""
    window = AdmissionWindow(5.0, places=10.0, part=part)
    at = window.free_at(active, 5.0)
    assert at - 5.0 == pytest.approx(seconds, abs=1e-4)
    assert window.free(active, at) == 1
    if at > 5.0 and not part.place:
        assert window.free(active, at - 1e-5) == 0


def test_a_full_window_that_does_not_grow_by_time() -> None:
    """It is looked at again after a second."""
    window = AdmissionWindow(5.0, halved_to=2.0)
    assert window.free_at(1, 7.0) == 7.0 and window.free_at(2, 7.0) == 8.0
