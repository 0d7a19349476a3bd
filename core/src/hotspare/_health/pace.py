"""How fast a target answers now and usually, and whether it is so much slower than usual that it should get less traffic. Pure.

There are two figures from the same samples. The *estimate* is a peak EWMA (Finagle's load balancer): it rises with a slow answer
immediately, and falls within `TAU` seconds after fast answers, and also without answers, so that a slow target is tried again. The *brownout* rule compares the median of the last seconds with the target's usual median.
"""

from __future__ import annotations

from collections import deque
from math import exp, inf

from hotspare._health.percentiles import Percentiles
from hotspare.brownout import Brownout

TAU = 30.0
"""Seconds in which the estimate falls to a third (1/e): a target that was ten times slower than others is tried again after
about a minute."""
TOKENS = 25
"""The time of a whole answer is divided by 1 + its tokens / 25, because a long answer does not mean a slow target. At 20 to
100 tokens a second, answers of 10 and of 1,000 tokens then differ by less than a factor of 2."""
_MAX_SAMPLES = 64
_USUAL_EVERY = 10.0
"""Seconds between two samples of the usual time: 64 of them are ten minutes, so that one slow minute does not change the median."""
_USUAL_EVERY_SLOW = 60.0
"""The same while the target is slow: after half an hour most samples are slow ones, and this speed counts as usual."""
_MIN_USUAL = 8
_MIN_NORMAL = 3
"""Samples after which a slow target may count as normal again."""


class Pace:
    """The times of one kind of answers of one target. Changed under the scheduler's lock only.

    `slow`: whether it is far slower than usual. `slow_seconds`: the median when it became slow. `back_since`: when it last
    returned to its usual speed.
    """

    __slots__ = ("_at", "_config", "_peak", "_recent", "_usual", "_usual_at", "back_since", "slow", "slow_seconds")

    def __init__(self, config: Brownout | None) -> None:
        self._config = config
        self._peak, self._at = 0.0, -inf
        self._usual = Percentiles(_MAX_SAMPLES)
        self._usual_at = -inf
        self._recent: deque[tuple[float, float]] = deque()
        self.slow = False
        self.slow_seconds = 0.0
        self.back_since = -inf

    # --- getters; they change nothing ----------------------------------------------------------------------------

    def estimate(self, now: float) -> float | None:
        """Seconds that an answer would take now; None without a record."""
        return None if self._at == -inf else self._peak * exp(min(0.0, self._at - now) / TAU)

    @property
    def usual(self) -> float | None:
        """The median over the last minutes, in seconds; None before `_MIN_USUAL` samples."""
        return self._usual.quantile(0.5, min_samples=_MIN_USUAL)

    @property
    def lately(self) -> float | None:
        """The median of the last seconds; None without a sample in them."""
        times = sorted(seconds for _, seconds in self._recent)
        return times[len(times) // 2] if times else None

    # --- samples -------------------------------------------------------------------------------------------------

    def record(self, seconds: float, now: float) -> bool:
        """An answer took `seconds`. Returns whether `slow` has changed."""
        keep = exp((self._at - now) / TAU) if now > self._at else 1.0
        self._peak = max(seconds, self._peak * keep + seconds * (1 - keep))
        if now > self._at:
            self._at = now
        config = self._config
        if config is None or not self._keep_recent(seconds, now, config):
            return False
        changed = self._judge(config, now)
        every = _USUAL_EVERY_SLOW if self.slow else _USUAL_EVERY
        if len(self._usual) < _MIN_USUAL or now >= self._usual_at + every:
            self._usual.add(seconds)
            self._usual_at = now
        return changed

    def record_at_least(self, seconds: float, now: float) -> None:
        """An attempt ended without an answer after `seconds`: an answer would have taken longer."""
        if seconds > (self.estimate(now) or inf):
            self._peak, self._at = seconds, now

    def _keep_recent(self, seconds: float, now: float, config: Brownout) -> bool:
        """Keep the sample, unless there are many: at most 64, spread over the window."""
        recent = self._recent
        is_enough = len(recent) > config.samples
        while recent and (recent[0][0] < now - config.window_max or (is_enough and recent[0][0] < now - config.window)):
            recent.popleft()
            is_enough = len(recent) > config.samples
        if is_enough and now - recent[-1][0] < config.window / _MAX_SAMPLES:
            return False
        recent.append((now, seconds))
        return True

    def _judge(self, config: Brownout, now: float) -> bool:
        usual, lately, count = self.usual, self.lately, len(self._recent)
        if usual is None or lately is None:
            return False
        if self.slow:
            # Hysteresis: between the two thresholds `slow` does not change.
            if count < _MIN_NORMAL or lately > usual * (1 + config.factor) / 2:
                return False
            self.back_since = now
        elif count < config.samples or lately <= max(usual * config.factor, usual + config.min_margin):
            return False
        self.slow, self.slow_seconds = not self.slow, lately
        self._recent.clear()  # older samples say nothing about the new state
        return True
