"""Budgets of extra attempts: they keep clients from doubling the load of a provider that is failing."""

from __future__ import annotations

from math import exp, inf

from hotspare.policy import Hedge, RetryBudget


class RetryTokens:
    """A token bucket for retries: each call adds a fraction of a token, time adds a few per minute, each retry takes one."""

    def __init__(self, config: RetryBudget) -> None:
        self._config = config
        self._tokens = min(config.tokens_per_minute, config.max_tokens)
        self._at: float | None = None
        self.exhausted = False

    def deposit(self, now: float) -> None:
        """A call has started. A full bucket returns immediately without reading the time: it is nearly always full."""
        if self._tokens < self._config.max_tokens:
            self._refill(now)
            self._tokens = min(self._config.max_tokens, self._tokens + self._config.tokens_per_call)

    def withdraw(self, now: float) -> bool:
        """Take one token. Returns False, and marks the budget as exhausted, if there is none."""
        self._refill(now)
        self.exhausted = self._tokens < 1
        if self.exhausted:
            return False
        self._tokens -= 1
        return True

    @property
    def tokens(self) -> float:
        """Tokens left after the last deposit or withdrawal."""
        return self._tokens

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            gained = (now - self._at) * self._config.tokens_per_minute / 60
            self._tokens = min(self._config.max_tokens, self._tokens + gained)
        self._at = now if self._at is None else max(self._at, now)


class HedgeTokens:
    """A token bucket for hedges, filled by calls only: at most `Hedge.max_extra_calls` hedges per call on average."""

    def __init__(self, config: Hedge | None) -> None:
        self._per_call, self._max = (config.max_extra_calls, config.max_saved) if config is not None else (0.0, 0.0)
        self._tokens = 0.0

    def deposit(self) -> None:
        """A call has started."""
        if self._tokens < self._max:
            self._tokens = min(self._max, self._tokens + self._per_call)

    def withdraw(self) -> bool:
        """Take one token, if there is one. Allows for rounding errors: twenty deposits of 0.05 may add up to slightly less than 1."""
        if self._tokens < 1 - 1e-9:
            return False
        self._tokens -= 1
        return True


class ClientThrottle:
    """The probability that a call is rejected when no target is available: SRE book, "Handling Overload", client-side throttling,
    `max(0, (requests - 2 x accepts) / (requests + 1))`, with counts that decay over two minutes (as there)."""

    def __init__(self, max_rejection: float, seconds: float = 120.0) -> None:
        self._max_rejection = max_rejection
        self._seconds = seconds
        self._requests = 0.0
        self._accepts = 0.0
        self._at = -inf

    def record(self, now: float, *, accepted: bool) -> None:
        """An attempt ended, with an answer or without."""
        self._decay(now)
        self._requests += 1
        self._accepts += accepted

    def rejection_probability(self, now: float) -> float:
        """Probability of rejecting the next attempt of last resort."""
        self._decay(now)
        probability = (self._requests - 2 * self._accepts) / (self._requests + 1)
        return min(self._max_rejection, max(0.0, probability))

    def _decay(self, now: float) -> None:
        if now > self._at:
            keep = exp((self._at - now) / self._seconds)  # 0 at first
            self._requests *= keep
            self._accepts *= keep
            self._at = now
