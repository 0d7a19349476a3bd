"""Which targets the policy and the caller allow for a call. Pure.

A target that is not allowed is not in the call's tiers: failover, hedges, probes and attempts of last resort cannot use it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

from hotspare._health.target_state import TargetState
from hotspare._routing.candidates import Tier, Tiers, blended_price, tiers_for
from hotspare._routing.explain import Exclusion, SkipReason
from hotspare.errors import ConfigError, Problem, RequestError, did_you_mean
from hotspare.policy import Policy
from hotspare.target import Target


class Constraints(NamedTuple):
    """Constraints on the targets of a call.

    `model`: as in ChatRequest. `regions`, `only`: None allows all. `max_price`: USD per million tokens at three input tokens per
    output token. `require`: capabilities. `only`, `avoid`: names, ids, models, aliases or providers. `prefer_regions`: tried first,
    inside each tier. `substitute`: whether a model other than the named one may answer.
    """

    model: str | None = None
    regions: frozenset[str] | None = None
    prefer_regions: frozenset[str] = frozenset()
    max_price: float | None = None
    require: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    avoid: frozenset[str] = frozenset()
    substitute: bool = True

    def objection(self, target: Target) -> str:
        """Why the target may not be used; "" if it may."""
        if self.regions is not None and target.region not in self.regions:
            return f"its region {target.region or '(none)'} is not allowed"
        if self.max_price is not None and (price := blended_price(target)) > self.max_price:
            return "its price is unknown" if price == inf else f"its price {price:g} is above {self.max_price:g}"
        if lacking := sorted(self.require.intersection(target.missing)):
            return f"it does not support {', '.join(lacking)}"
        if self.only is not None and not _is_one_of(target, self.only):
            return "it is not listed in `only`"
        return "it is listed in `avoid`" if self.avoid and _is_one_of(target, self.avoid) else ""


@dataclass(frozen=True, slots=True)
class Selection:
    """The targets of a call.

    `own_tiers`: how many of its tiers serve the named model; they come first (0: a route was named). `excluded`: targets of the route
    that must not be used, and why.
    """

    route: str
    tiers: Tiers
    policy: Policy
    own_tiers: int = 0
    excluded: Mapping[TargetState, Exclusion] = field(default_factory=dict[TargetState, Exclusion])


CONSTRAINING = frozenset({"regions", "prefer_regions", "max_price", "require", "only", "avoid", "substitute"})
"""The options of a call that constrain its targets. A call without them has the constraints of its route."""


class RouteTable:
    """The routes of a pool, and a cache of the selections that were made from them.

    `policies`: those of the routes that have their own. Raises ConfigError for a route without an allowed target.
    """

    _MAX_CACHED = 256
    """Size of the cache: an application uses a few combinations of options."""

    def __init__(
        self, routes: Mapping[str, Tiers], states: Iterable[TargetState], policy: Policy, policies: Mapping[str, Policy]
    ) -> None:
        self.routes = routes
        self._states = tuple(states)
        self._policy, self._policies = policy, policies
        self._cache: dict[Constraints, Selection] = {}
        self._unconstrained: dict[str | None, Selection] = {}  # by model: most calls need no more
        self._check()

    def _check(self) -> None:
        problems: list[Problem] = []
        for name in self.routes:
            try:
                self.selection(name, {})
            except RequestError as error:
                problems += [Problem(f"routes.{name}: {one}") for one in error.problems]
        if problems:
            raise ConfigError(problems)

    def policy_of(self, model: str | None) -> Policy:
        """The policy of a route, or the pool's."""
        return self._policies.get(model or "default", self._policy)

    def selection(self, model: str | None, options: Mapping[str, Any]) -> Selection:
        """The targets for a call with these options. Raises RequestError for an unknown name, and if no target is allowed."""
        if options and not CONSTRAINING.isdisjoint(options):
            return self._selected(constraints_of(model, self.policy_of(model), options))
        found = self._unconstrained.get(model)
        if found is None:
            found = self._unconstrained[model] = self._selected(constraints_of(model, self.policy_of(model), {}))
        return found

    def _selected(self, constraints: Constraints) -> Selection:
        found = self._cache.get(constraints)
        if found is None:
            found = self._select(constraints)
            if len(self._cache) >= self._MAX_CACHED:
                self._cache.clear()
            self._cache[constraints] = found
        return found

    def _select(self, constraints: Constraints) -> Selection:
        self._check_names(constraints)
        route, tiers = tiers_for(constraints.model, self.routes, self._states)
        own_tiers = 0
        if constraints.model is not None and constraints.model not in self.routes:
            own_tiers = sum(tier[0].target.serves(constraints.model) for tier in tiers)
            tiers = tiers if constraints.substitute else tiers[:own_tiers]
        states = [state for tier in tiers for state in tier]
        excluded = {
            state: Exclusion(SkipReason.EXCLUDED, objection)
            for state in states
            if (objection := constraints.objection(state.target))
        }
        kept, kept_own = list[Tier](), 0
        for level, tier in enumerate(tiers):
            kept += _by_preference([state for state in tier if state not in excluded], constraints.prefer_regions)
            kept_own = len(kept) if level < own_tiers else kept_own
        if not kept:
            why = "; ".join(f"{state.name}: {exclusion.reason}" for state, exclusion in excluded.items())
            raise RequestError(Problem(f"no target may be used for this call: {why}"))
        return Selection(route, tuple(kept), self.policy_of(constraints.model), kept_own, excluded)

    def _check_names(self, constraints: Constraints) -> None:
        """Raise RequestError for a name in `only` or `avoid` that no target has."""
        problems: list[Problem] = []
        for option, names in (("only", constraints.only or ()), ("avoid", constraints.avoid)):
            for name in names:
                if not any(_is_one_of(state.target, (name,)) for state in self._states):
                    known = sorted({word for state in self._states for word in (state.name, state.target.provider)})
                    hint = f"is not a target, model, alias or provider of this pool; {did_you_mean(name, known, ', '.join(known))}"
                    problems.append(Problem.at(option, name, hint))
        if problems:
            raise RequestError(problems)


def constraints_of(model: str | None, policy: Policy, options: Mapping[str, Any]) -> Constraints:
    """The constraints of a call, from its route's policy and its own options.

    A call can narrow the policy's regions and lower its price; it cannot widen the regions or raise the price.
    """
    regions, max_price = options.get("regions"), options.get("max_price")
    only, substitute = options.get("only"), options.get("substitute")
    if regions is None or policy.regions is None:
        allowed = policy.regions if regions is None else regions
    else:
        allowed = frozenset(regions).intersection(policy.regions)
    return Constraints(
        model,
        None if allowed is None else frozenset(allowed),
        frozenset(options.get("prefer_regions") or policy.prefer_regions),
        min((price for price in (policy.max_price, max_price) if price is not None), default=None),
        frozenset(options.get("require") or ()),
        None if only is None else frozenset(only),
        frozenset(options.get("avoid") or ()),
        policy.substitute if substitute is None else substitute,
    )


def _is_one_of(target: Target, names: Collection[str]) -> bool:
    return target.provider in names or any(map(target.serves, names))


def _by_preference(states: Sequence[TargetState], regions: Set[str]) -> list[Tier]:
    """The targets of a tier as one or two tiers: those in the preferred regions first."""
    groups = [
        [state for state in states if (state.target.region in regions) is preferred] for preferred in (True, False)
    ]
    return [Tier(group) for group in groups if group]
