"""When alerts fire, cool down, resolve and are grouped: against an oracle that has the whole history."""

from itertools import groupby
from typing import NamedTuple

from hotspare.events import AlertFired, AlertResolved
from hotspare.monitor.alerts import Alerts
from hotspare.monitor.rules import RANK, Rule, Severity
from hypothesis import given, settings
from hypothesis import strategies as st


def rule(name: str, severity: Severity = "critical", *, hold: float = 0.0, cooldown: float = 0.0) -> Rule:
    """A rule that fires for values above 0."""
    return Rule(name=name, metric="error_rate", threshold=0, severity=severity, hold=hold, cooldown=cooldown)


class Firing(NamedTuple):
    """One firing: the places in time at which it began and ended (None: not yet)."""

    begin: int
    end: int | None
    rule: Rule


def firings(one: Rule, times: list[float], holds: list[bool]) -> list[Firing]:
    """The firings of one rule, from the runs of time in which its condition holds."""
    found: list[Firing] = []
    for is_true, run in groupby(range(len(times)), key=lambda place: holds[place]):
        places = list(run)
        allowed = times[found[-1].begin] + one.cooldown if found else float("-inf")
        due = [at for at in places if times[at] - times[places[0]] >= one.hold and times[at] >= allowed]
        if is_true and due:
            found.append(Firing(due[0], places[-1] + 1 if places[-1] + 1 < len(times) else None, one))
    return found


def incidents(all_firings: list[Firing]) -> list[list[Firing]]:
    """Firings that overlap, or touch, together."""
    groups: list[list[Firing]] = []
    for firing in sorted(all_firings, key=lambda each: (each.begin, -RANK[each.rule.severity])):
        ends = [each.end for each in groups[-1]] if groups else []
        if groups and (None in ends or max(end for end in ends if end is not None) >= firing.begin):
            groups[-1].append(firing)
        else:
            groups.append([firing])
    return groups


def expected_notices(
    rules: list[Rule], times: list[float], holds: list[list[bool]], silenced: frozenset[str]
) -> list[str]:
    """What is sent: the first alert of an incident, any of a higher severity, and the end of the last one."""
    all_firings = [one for each, truth in zip(rules, holds, strict=True) for one in firings(each, times, truth)]
    sent: list[tuple[int, str]] = []
    for group in incidents(all_firings):
        highest = -1
        for firing in group:
            if firing.rule.name not in silenced and RANK[firing.rule.severity] > highest:
                highest = RANK[firing.rule.severity]
                sent.append((firing.begin, f"fired {firing.rule.severity}"))
        ends = [firing.end for firing in group]
        if highest >= 0 and None not in ends:
            sent.append((max(end for end in ends if end is not None), "resolved"))
    return [f"{place} {what}" for place, what in sorted(sent, key=lambda each: each[0])]


STEP = st.floats(0.1, 30.0)
SEVERITY = st.sampled_from(["critical", "warning", "info"])
RULES = st.lists(
    st.tuples(SEVERITY, st.sampled_from([0.0, 5.0, 20.0]), st.sampled_from([0.0, 10.0, 100.0])), min_size=1, max_size=3
)


@settings(max_examples=120, deadline=None)
@given(st.data(), RULES, st.lists(STEP, min_size=1, max_size=25), st.booleans())
def test_alerts_are_what_an_independent_oracle_says(
    data: st.DataObject, drawn: list[tuple[Severity, float, float]], steps: list[float], silence_first: bool
) -> None:
    """Whatever holds when: which notices are sent, at which moment, for every rule, hold, cooldown, severity and silence."""
    rules = [rule(f"r{place}", one[0], hold=one[1], cooldown=one[2]) for place, one in enumerate(drawn)]
    times = [sum(steps[:place]) for place in range(len(steps))]
    holds = [data.draw(st.lists(st.booleans(), min_size=len(times), max_size=len(times))) for _ in rules]
    silenced = frozenset(["r0"] if silence_first else [])
    alerts, sent, fired = Alerts(), list[str](), dict[str, int]()
    for place, now in enumerate(times):
        values = [(one, 1.0 if holds[index][place] else 0.0, 100) for index, one in enumerate(rules)]
        for event in alerts.evaluate(values, silenced, now):
            fired[event.rule] = fired.get(event.rule, 0) + isinstance(event, AlertFired)
            if event.delivery == "sent":
                sent.append(f"{place} fired {event.severity}" if isinstance(event, AlertFired) else f"{place} resolved")
    assert sent == expected_notices(rules, times, holds, silenced)
    counts = {one.name: len(firings(one, times, truth)) for one, truth in zip(rules, holds, strict=True)}
    assert {name: count for name, count in counts.items() if count} == fired


def test_an_outage_is_one_alert() -> None:
    """Rules that fire together are grouped under the most severe one; the end is reported once."""
    alerts = Alerts()
    rules = [rule("slow", "warning"), rule("down"), rule("errors")]
    first = alerts.evaluate([(one, 1.0, 9) for one in rules], frozenset(), 0.0)
    assert [(event.rule, event.delivery) for event in first] == [
        ("down", "sent"),
        ("errors", "grouped"),
        ("slow", "grouped"),
    ]
    later = alerts.evaluate([(one, 0.0, 9) for one in rules[:2]], frozenset(), 9.0)
    assert [event.delivery for event in later] == ["grouped", "grouped"] and alerts.firing == {"errors"}
    assert alerts.evaluate([(rules[2], None, 0)], frozenset(), 12.0) == [
        AlertResolved("errors", "critical", 12.0, "sent")
    ]


def test_a_rate_of_few_calls_fires_nothing() -> None:
    """Below `min_calls` a rule waits; a value that is exactly the threshold is not above it."""
    few = Rule(name="r", metric="error_rate", threshold=0.5, min_calls=10)
    assert not few.holds(1.0, 9)
    assert few.holds(1.0, 10)
    assert not few.holds(0.5, 10)
    assert not few.holds(None, 10)
