"""When a target that is slow or fails intermittently is avoided: the settings of the brownout rule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Brownout:
    """When a target that still answers, but far slower than usual, is avoided. Under the strategies `ordered`, `weighted`
    and `cost`; `latency` needs no such rule.

    A target is slow when the median of its last answers is over `factor` times its own usual median (of the last ten minutes).
    It then comes after the other targets of the route, as long as one of them is faster or of unknown speed. Streams
    are judged by the time to their first token, whole answers by their time for each 25 tokens, and calls with reasoning
    separately.

    factor: the target is slow above this many times its usual median. 3: answers of one target often differ by a factor of 2.
    min_margin: a target is not slow if its times exceed the usual ones by less than this many seconds. 0.25: hardly noticed.
    samples: answers in the window before it is judged. 8: three slow ones do not move the median.
    window, window_max: the window is the last `samples` answers or the last 10 s, whichever holds more, none older than 60 s.
    share: share of its calls that a slow target still gets, so that its recovery is noticed. 0.02: too few to affect the p95.
    interval: a slow target gets at least one call in this many seconds. 60: `share` alone would take hours in a pool with little
        traffic. After three fast answers it returns, over `Breaker.slow_start` seconds.
    """

    factor: float = 3.0
    min_margin: float = 0.25
    samples: int = 8
    window: float = 10.0
    window_max: float = 60.0
    share: float = 0.02
    interval: float = 60.0
