"""Pools of scripted targets."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Unpack

from hotspare import events
from hotspare.messages import ChatRequest
from hotspare.policy import Policy, PolicyFields
from hotspare.route import Routes
from hotspare.testing.clock import VirtualClock
from hotspare.testing.scripted import ScriptedTarget

if TYPE_CHECKING:
    from hotspare.pool import Pool
    from hotspare.recorder import Recorder


class PoolFields(PolicyFields, total=False):
    """The parameters of `hotspare.Pool` that a scripted pool can have."""

    policy: Policy | None
    routes: Routes | None
    choose: Callable[[ChatRequest], str | None] | None
    listeners: Iterable[events.Listener]
    rng: random.Random | None
    calendar: Callable[[], float]
    record: str | os.PathLike[str] | Recorder | None


def scripted_pool(
    *targets: str | ScriptedTarget, clock: VirtualClock | None = None, **options: Unpack[PoolFields]
) -> Pool:
    """A pool of scripted targets on one virtual clock, with a seeded random generator, so that it decides the same each time.

    Args:
        targets: scripted targets, or names of targets that always answer "ok". Those without a clock get the pool's.
        clock: default: the first clock that a target has, or a new one.
        options: what `Pool` takes, e.g. ``deadline=30``. Listeners are called in the thread of the call (`inline`), at its
            virtual time.
    """
    from hotspare.pool import Pool

    scripted = [ScriptedTarget(one) if isinstance(one, str) else one for one in targets]
    shared = clock or next((one.clock for one in scripted if one.clock is not None), None) or VirtualClock()
    for one in scripted:
        one.clock = one.clock or shared
    given: dict[str, Any] = {"rng": random.Random(1), "calendar": shared, **options}
    listeners = given.pop("listeners", ())
    pool = Pool([one.target for one in scripted], clock=shared, **given)
    for listener in listeners:
        pool.subscribe(listener, inline=True)
    return pool
