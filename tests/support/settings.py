"""How tests show that a setting has an effect: what is seen with two values of it, all else being equal."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from hotspare import Brownout, Pool, Timeouts
from hotspare.testing import Script, ScriptedTarget, VirtualClock, answer, hang, scripted_pool

from tests.support.calls import Ask, Seen, run_calls
from tests.support.drawn import FixedRandom

Probe = Callable[[Any], object]


class Effects:
    """What each setting of a class changes: for each, a probe and what it finds with each of some values."""

    def __init__(self, config: type) -> None:
        self.config = config
        self._probes: dict[str, tuple[Probe, dict[Any, object]]] = {}

    def of(self, name: str, expected: dict[Any, object]) -> Callable[[Probe], Probe]:
        """Register the probe of a setting, and what it finds with each value."""

        def register(probe: Probe) -> Probe:
            self._probes[name] = (probe, expected)
            return probe

        return register

    @property
    def names(self) -> list[str]:
        """Every setting of the class."""
        return [one.name for one in fields(self.config)]

    def probe(self, name: str) -> tuple[Probe, dict[Any, object]]:
        """The probe of a setting, and what it finds with each value."""
        assert name in self._probes, f"{self.config.__name__}.{name} has no probe"
        return self._probes[name]

    def check(self, name: str) -> None:
        """The setting has a probe, which finds with each value what is expected; a setting that is ignored makes no difference
        and fails here."""
        probe, expected = self.probe(name)
        assert len({str(one) for one in expected.values()}) > 1, "the expected effects do not differ"
        found = {value: probe(value) for value in expected}
        assert found == expected, f"{name}: {found}, not {expected}"


class Two:
    """A pool of a target `a`, that does what its script says, and `b`, that answers at once; in virtual time, and with jitter
    at its lower end."""

    def __init__(self, a: Script = "a", b: Script | None = "b", **settings: Any) -> None:
        self.clock = VirtualClock(0)
        self.a = ScriptedTarget("a", a, id="p/a", region="r")
        self.b = ScriptedTarget("b", b, id="q/b", region="s", tier=1) if b is not None else None
        targets = [one for one in (self.a, self.b) if one is not None]
        self.pool: Pool = scripted_pool(
            *targets, clock=self.clock, **{"rng": FixedRandom(0.0), "retry_same_target": "never", **settings}
        )

    def calls(self, count: int, *, pause: float = 0.0, streaming: bool = True, **options: Any) -> list[Seen]:
        """A number of calls, each after a pause."""
        return run_calls("sync", self.pool, self.clock, [Ask(streaming, pause, options=options)] * count)

    def call(self, *, streaming: bool = True, **options: Any) -> Seen:
        """One call; its times are in seconds since it was made."""
        start = self.clock()
        (seen,) = self.calls(1, streaming=streaming, **options)
        seen.ended -= start
        return seen

    def until_open(self, *, pause: float = 0.0, most: int = 30) -> int | None:
        """The number of the call after which the breaker of `a` is open; None if it does not open."""
        for number in range(1, most + 1):
            self.calls(1, pause=pause if number > 1 else 0.0)
            if self.pool.health()["a"].state == "open":
                return number
        return None

    def targets_of(self, seen: Seen) -> str:
        """The targets of its attempts, in order."""
        return "".join(one.target for one in seen.records)


def timeout_of(
    record: float | None = None,
    *,
    streaming: bool = True,
    deadline: float = 1000.0,
    options: Any = None,
    **timeouts: Any,
) -> float:
    """The bound of an attempt at a target that never answers, while another one is left. `record`: seconds that three earlier
    answers took."""
    samples = {} if record is None else {"min_samples": 3}
    script = [hang()] if record is None else [*[answer("ok", delay=record)] * 3, hang()]
    two = Two(script, deadline=deadline, timeouts=Timeouts(**{**samples, **timeouts}))
    two.calls(len(script) - 1, streaming=streaming)
    return two.call(streaming=streaming, **(options or {})).records[0].seconds


def limping(
    config: Brownout | None, *, usual: float = 0.5, slow: float = 2.0, calls: int = 20, pause: float = 0.0
) -> str:
    """The targets of so many calls: `a` takes ten times its usual seconds, and after that its slow ones. `b` is always fast."""
    two = Two(
        [*[answer("ok", delay=usual)] * 10, answer("ok", delay=slow)],
        answer("ok", delay=0.01),
        brownout=config,
        rng=FixedRandom(0.5),
    )
    return "".join(seen.records[0].target for seen in two.calls(calls, pause=pause))
