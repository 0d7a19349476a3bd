"""Traffic described by a file: the calls per second and the behaviour of each target, phase by phase."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from random import Random
from typing import Any

from hotspare._config.coercion import Coercer
from hotspare._simulation.traffic import Answer, Arrival, Traffic
from hotspare.errors import ConfigError, Problem
from hotspare.outcome import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a target answers. `seconds`: median duration of a whole answer (default 1); the first token of a stream takes a third of it.
    `spread`: sigma of the log-normal distribution (default 0.3: the p95 is 1.6 times the median). `failures`: share of attempts that
    fail with `status` (default 0, 503) after a tenth of the duration."""

    seconds: float = 1.0
    spread: float = 0.3
    failures: float = 0.0
    status: int = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """From `start` to `end` (seconds since the first call) these targets take `slow` times as long (default 1); `failures`: the share of
    their attempts that fails, if it is above their own."""

    start: float
    end: float
    targets: Collection[str]
    slow: float = 1.0
    failures: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Calls with random arrivals: `rate` a second (default 5) for `seconds` (default 300). `streaming`: share of streamed calls (default
    0.5). `input_tokens`, `output_tokens`: of each call (default 500, 100). `model`: as in ChatRequest. Default: the default route."""

    seconds: float = 300.0
    rate: float = 5.0
    streaming: float = 0.5
    input_tokens: int = 500
    output_tokens: int = 100
    model: str | None = None


@dataclass(frozen=True, slots=True)
class DescribedUpstreams:
    """How the described targets answer; other targets have the defaults of `Behaviour`."""

    targets: Mapping[str, Behaviour] = field(default_factory=dict[str, Behaviour])
    phases: tuple[Phase, ...] = ()

    def answer(self, target: str, at: float, rng: Random, *, streaming: bool) -> Answer:
        """A result drawn from the target's distribution."""
        usual = self.targets.get(target, Behaviour())
        now = [phase for phase in self.phases if phase.start <= at < phase.end and target in phase.targets]
        seconds = rng.lognormvariate(log(usual.seconds), usual.spread) * max((phase.slow for phase in now), default=1.0)
        if rng.random() < max([usual.failures, *(phase.failures for phase in now)]):
            return Answer(seconds / 10, Kind.SERVER, usual.status)
        return Answer(seconds / 3 if streaming else seconds)


def read_load(path: Path, seed: int) -> Traffic:
    """The traffic that a TOML file describes. Raises ConfigError, which lists every mistake."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(Problem.at("--load", str(path), f"cannot be read: {error.strerror}")) from None
    except ValueError as error:  # no UTF-8, no TOML, an integer of over 4,300 digits
        raise ConfigError(Problem.at("--load", str(path), f"is not TOML: {error}")) from None
    coercer = Coercer()
    targets, phases = raw.pop("targets", {}), raw.pop("phases", [])
    load = coercer.build("load", Load, raw)
    behaviours: dict[str, Behaviour | None] = {
        name: coercer.build(f"targets.{name}", Behaviour, one)
        for name, one in coercer.table("targets", targets).items()
    }
    listed: list[Any] = phases if isinstance(phases, list) else [phases]  # pyright: ignore[reportUnknownVariableType]
    found = [coercer.build(f"phases[{place}]", Phase, one) for place, one in enumerate(listed)]
    problems = [*coercer.problems, *_impossible(load, behaviours)]
    if problems or load is None:
        raise ConfigError(problems)
    upstreams = DescribedUpstreams(
        {name: one for name, one in behaviours.items() if one is not None},
        tuple(one for one in found if one is not None),
    )
    return Traffic(_arrivals(load, Random(seed)), upstreams)


def _impossible(load: Load | None, behaviours: Mapping[str, Behaviour | None]) -> list[Problem]:
    found = [
        Problem.at(f"targets.{name}.seconds", one.seconds, "must be above 0")
        for name, one in behaviours.items()
        if one is not None and not one.seconds > 0
    ]
    if load is not None:
        found += [
            Problem.at(f"load.{name}", value, "must be above 0")
            for name, value in (("rate", load.rate), ("seconds", load.seconds))
            if not value > 0
        ]
    return found


def _arrivals(load: Load, rng: Random) -> list[Arrival]:
    found: list[Arrival] = []
    at = 0.0
    while (at := at + rng.expovariate(load.rate)) < load.seconds:
        found.append(
            Arrival(
                at,
                load.model,
                rng.random() < load.streaming,
                load.input_tokens,
                load.output_tokens,
                after_first_token=0.5,
            )
        )
    return found
