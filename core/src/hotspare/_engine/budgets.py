"""Budgets of extra attempts: what keeps a sick provider from being hit twice as hard by its own clients."""

from __future__ import annotations

from math import exp, inf

from hotspare.policy import Hedge, RetryBudget


class RetryTokens:
    """A bucket of return visits: filled by calls and slowly by time, emptied by visits that are not free."""

    def __init__(self, knobs: RetryBudget) -> None:
        self._knobs = knobs
        self._tokens = min(knobs.tokens_per_minute, knobs.max_tokens)
        self._at: float | None = None
        self.exhausted = False

    def deposit(self, now: float) -> None:
        """A call came in."""
        self._refill(now)
        self._tokens = min(self._knobs.max_tokens, self._tokens + self._knobs.tokens_per_call)

    def withdraw(self, now: float) -> bool:
        """Draw one return visit, if there is one."""
        self._refill(now)
        self.exhausted = self._tokens < 1
        if self.exhausted:
            return False
        self._tokens -= 1
        return True

    @property
    def tokens(self) -> float:
        """What is left."""
        return self._tokens

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self._tokens = min(
                self._knobs.max_tokens, self._tokens + (now - self._at) * self._knobs.tokens_per_minute / 60
            )
        self._at = now if self._at is None else max(self._at, now)


class HedgeTokens:
    """A bucket of hedges that only calls fill: at no moment have there been more than `share` hedges a call."""

    def __init__(self, knobs: Hedge | None) -> None:
        self._share, self._saved = (knobs.max_extra_calls, knobs.max_saved) if knobs is not None else (0.0, 0.0)
        self._tokens = 0.0

    def deposit(self) -> None:
        """A call came in."""
        self._tokens = min(self._saved, self._tokens + self._share)

    def withdraw(self) -> bool:
        """Draw one hedge, if there is one. A sum of shares may miss a whole one by a rounding error."""
        if self._tokens < 1 - 1e-9:
            return False
        self._tokens -= 1
        return True


class ClientThrottle:
    """How likely a call should be turned away when nobody is admissible: SRE book, "Handling Overload", client-side
    throttling, `max(0, (requests - 2 x accepts) / (requests + 1))`, counts fading over two minutes."""

    def __init__(self, cap: float, seconds: float = 120.0) -> None:
        self._cap = cap
        self._seconds = seconds
        self._requests = 0.0
        self._accepts = 0.0
        self._at = -inf

    def record(self, now: float, *, accepted: bool) -> None:
        """An attempt ended: by an answer or not."""
        self._decay(now)
        self._requests += 1
        self._accepts += accepted

    def rejection_probability(self, now: float) -> float:
        """Probability of turning the next one away."""
        self._decay(now)
        return min(self._cap, max(0.0, (self._requests - 2 * self._accepts) / (self._requests + 1)))

    def _decay(self, now: float) -> None:
        if now > self._at > -inf:
            keep = exp((self._at - now) / self._seconds)
            self._requests *= keep
            self._accepts *= keep
        self._at = max(self._at, now)
