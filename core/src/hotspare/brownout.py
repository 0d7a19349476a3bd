"""When a target that is slow or fails now and then is passed over: the settings of the brownout rule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Brownout:
    """When a target that still answers, but far slower than usual, is passed over. Under the strategies `ordered`, `weighted`
    and `cost`; `latency` needs no such rule.

    A target is slow when the median of its last answers is over `factor` times its own usual median (of the last ten minutes).
    It then comes after the other targets of the route, as long as one of them is faster, or its speed is not known. Streams
    are judged by their first token, whole answers by their time for each 25 tokens, and calls that reason apart from others.

    factor: 3: answers of one target often differ by a factor of 2.
    min_margin: a target is not slow below so many seconds more than usual. 0.25: hardly noticed.
    samples: answers in the window before it is judged. 8: their median is not moved by three slow ones.
    window, window_max: the window is the last `samples` answers or the last 10 s, whichever holds more, none older than 60 s.
    share: share of its calls that a slow target still gets, so that its return is noticed. 0.02: they do not reach the p95.
    interval: a slow target gets a call at least so often, in seconds. 60: `share` alone would take hours in a pool with little
        traffic. Three fast answers bring it back, over `Breaker.slow_start` seconds.
    """

    factor: float = 3.0
    min_margin: float = 0.25
    samples: int = 8
    window: float = 10.0
    window_max: float = 60.0
    share: float = 0.02
    interval: float = 60.0
