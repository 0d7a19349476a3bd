"""For users' own tests: a clock that jumps, targets that follow a script, and pytest fixtures for both.

No network, no sleeping, and the default policy as in production::

    clock = VirtualClock()
    primary = ScriptedTarget("primary", [fail(503), hang(), "Hello"], clock=clock)
    backup = ScriptedTarget("backup", answer("Hello from here", delay=0.4), clock=clock)
    pool = Pool([primary.target, backup.target], clock=clock)

The fixtures come with `pip install hotspare`: `virtual_clock`, `scripted_pool`, `embedded_provider`. See
`docs/testing.md`.
"""

from hotspare.testing.clock import VirtualClock as VirtualClock
from hotspare.testing.pools import scripted_pool as scripted_pool
from hotspare.testing.scripted import ReceivedRequest as ReceivedRequest
from hotspare.testing.scripted import Script as Script
from hotspare.testing.scripted import ScriptedTarget as ScriptedTarget
from hotspare.testing.steps import ScriptedError as ScriptedError
from hotspare.testing.steps import Step as Step
from hotspare.testing.steps import StepLike as StepLike
from hotspare.testing.steps import answer as answer
from hotspare.testing.steps import break_after as break_after
from hotspare.testing.steps import fail as fail
from hotspare.testing.steps import hang as hang
from hotspare.testing.steps import tool_call as tool_call
