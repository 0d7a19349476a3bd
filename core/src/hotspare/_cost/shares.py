"""Budgets that several processes share: each process spends from a block of USD that it has reserved. The scheduler holds the lock.

No I/O: `claims_before`, `claims_after` and `claims_now` return the requests to a store, `granted` applies its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from hotspare._cost.budgets import MAX_COUNTS, Budgets, period_of, seconds_left
from hotspare.budget import Budget

HOLD = 2.0
"""A block covers this many seconds of the process's spending. The rest of a killed process's block counts as spent."""
REPORT = 1.0
"""Longest time in seconds until spending is reported."""
PROCESSES_A_SECOND = 1000.0
"""Maximum reports per second about one budget. With more processes, each of them reports less often."""
IDLE = 5.0
"""Seconds without a call after which a block is released."""
DENIED = 1.0
"""Seconds for which calls are rejected without another query after the other processes have reserved the rest of the budget."""
FIRST_BLOCK = 1e-4
"""Fraction of the budget that is reserved while the cost of a call is unknown."""
_DAY = 86400.0


class Claim(NamedTuple):
    """A process's request to a store about one count.

    key, period: the count. seconds: for which the store keeps it. now: this process's time in seconds since 1970.
    mine: USD that this process has spent in the period. acked, known: USD of this process and of all processes that the store had counted at
        its last answer; a store that has lost its data is restored from these.
    limit: of the budget. want: USD to reserve, replacing the previous block. least: the cost of one call.
    """

    key: str
    period: str
    seconds: float
    now: float
    mine: float
    acked: float
    known: float
    limit: float
    want: float
    least: float


class Portion(NamedTuple):
    """The store's answer. spent: USD of all processes. block: USD reserved for this process. processes: number with recent spending."""

    spent: float
    block: float
    processes: int


@dataclass(slots=True)
class _Share:
    """One count, as known to this process. `is_pending`: a claim was sent and not answered yet. `spent_at`: time of the last spending.
    `granted_at`, `spent_before`: when its block was granted, and its spending until then."""

    budget: Budget
    period: str
    spent: float = 0.0
    calls: int = 0
    acked: float = 0.0
    known: float = 0.0
    block: float = 0.0
    granted: float = 0.0
    processes: int = 1
    is_pending: bool = False
    requested_at: float = -1e9
    denied_until: float = -1e9
    denied_limit: float = 0.0
    spent_at: float = 0.0
    granted_at: float = 0.0
    spent_before: float = 0.0

    @property
    def unreported(self) -> float:
        return self.spent - self.acked

    @property
    def pause(self) -> float:
        return max(REPORT, self.processes / PROCESSES_A_SECOND)


class SharedBudgets(Budgets):
    """`Budgets` shared with other processes. `processes`: their number, used until the store's first answer.

    Without a block and without the store, a process may spend an equal share of the rest of the budget at the store's last answer.
    """

    def __init__(self, budgets: Collection[Budget], wall: Callable[[], float], processes: int = 1) -> None:
        self.offset = 0.0  # seconds by which the store's clock is ahead of this process's
        super().__init__(budgets, lambda: wall() + self.offset)
        self._shares: dict[str, _Share] = {}
        self._ended: list[tuple[str, _Share]] = []
        self._processes = processes
        self._acting: dict[str, list[float]] = {}
        for one in self._budgets:
            if one.action != "warn":
                self._acting.setdefault(one.name, []).append(one.usd)

    # --- for the calls -------------------------------------------------------------------------------------------

    def _is_used_up(self, budget: Budget, key: str, usd: float, now: datetime) -> bool:
        if usd >= budget.usd:
            return True
        share = self._share(budget, key, now)
        if budget.action == "warn" or share.block > 0:
            return False
        if self._wall() < share.denied_until:
            return share.denied_limit == budget.usd
        return share.known + share.unreported * share.processes >= budget.usd

    def _will_count(self, budget: Budget, key: str, usd: float, now: datetime) -> None:
        share = self._share(budget, key, now)
        share.spent += usd
        share.block -= usd
        share.calls += 1
        share.spent_at = self._wall()

    def _share(self, budget: Budget, key: str, now: datetime) -> _Share:
        period, share = period_of(budget, now), self._shares.get(key)
        if share is None or share.period != period:
            if share is not None and share.unreported > 0:
                self._ended.append((key, share))
            if len(self._shares) >= MAX_COUNTS:
                self._shares = {name: one for name, one in self._shares.items() if one.block > 0 or one.unreported > 0}
            count = self._counts.get(key)  # from the file that stores spending
            known = count.usd if count is not None and count.period == period else 0.0
            share = self._shares[key] = _Share(budget, period, known=known, processes=self._processes)
        return share

    # --- for the store -------------------------------------------------------------------------------------------

    def claims_before(self, route: str, labels: Mapping[str, str]) -> tuple[list[str], list[Claim]]:
        """The counts for which a call needs a block before it may start, and the claims to send for those without a pending claim."""
        keys, claims, now = list[str](), list[Claim](), datetime.fromtimestamp(self._wall(), UTC)
        for budget, key in self._accounts(route, labels):
            if budget.action == "warn" or key in keys:
                continue
            share = self._share(budget, key, now)
            if share.block > 0 or self._wall() < share.denied_until or self._limit(key, share) is None:
                continue
            keys.append(key)
            if not share.is_pending:
                claims.append(self._claim(key, share))
        return keys, claims

    def claims_after(self, route: str, labels: Mapping[str, str]) -> list[Claim]:
        """The claims to send in the background after a call: for counts of whose block less than half is left, or whose last report is too old."""
        now = datetime.fromtimestamp(self._wall(), UTC)
        shares = {key: self._share(budget, key, now) for budget, key in self._accounts(route, labels)}
        return [self._claim(key, share) for key, share in shares.items() if self._is_due(key, share)]

    def claims_now(self, *, leaving: bool = False) -> list[Claim]:
        """The claims to send independently of calls: reports, and blocks to release. `leaving`: report and release all counts, because the process ends."""
        ended, self._ended = self._ended, []
        claims = [self._claim(key, share, want=False) for key, share in ended]
        for key, share in self._shares.items():
            idle = leaving or self._wall() - share.spent_at > IDLE
            if share.is_pending and not leaving:
                continue
            if idle and (share.block > 0 or share.unreported > 0):
                claims.append(self._claim(key, share, want=False))
            elif self._is_due(key, share):
                claims.append(self._claim(key, share))
        return claims

    def _is_due(self, key: str, share: _Share) -> bool:
        if share.is_pending or share.unreported <= 0:
            return False
        age = self._wall() - share.requested_at
        low = share.block < share.granted / 2 and self._limit(key, share) is not None
        return age >= share.pause or (low and self._wall() >= share.denied_until)

    def _limit(self, key: str, share: _Share) -> float | None:
        """The next amount at which a budget of this count takes its action; None: all are exhausted."""
        spent = share.known + share.unreported
        return min((usd for usd in self._acting.get(share.budget.name, ()) if usd > spent), default=None)

    def _claim(self, key: str, share: _Share, *, want: bool = True) -> Claim:
        now, limit = self._wall(), self._limit(key, share)
        least = share.spent / share.calls if share.calls else (limit or 0.0) * FIRST_BLOCK
        pace = (share.spent - share.spent_before) / max(now - share.granted_at, 0.5)
        wanted = max(least, pace * HOLD * share.pause) if want and limit is not None else 0.0
        share.is_pending, share.requested_at = True, now
        seconds = seconds_left(share.budget, datetime.fromtimestamp(now, UTC)) + _DAY
        return Claim(
            key, share.period, seconds, now, share.spent, share.acked, share.known, limit or 0.0, wanted, least
        )

    def granted(self, claim: Claim, portion: Portion) -> None:
        """Apply the store's answer to a claim."""
        share = self._shares.get(claim.key)
        if share is None or share.period != claim.period:
            return  # the last report of a past period
        now = self._wall()
        share.is_pending, share.acked, share.known = False, claim.mine, portion.spent
        share.granted, share.processes = portion.block, max(1, portion.processes)
        share.block = portion.block - share.unreported
        share.granted_at, share.spent_before = now, claim.mine
        if claim.want > 0 and portion.block <= 0:
            share.denied_until, share.denied_limit = now + DENIED, claim.limit
        self._set(claim.key, claim.period, portion.spent + share.unreported)

    def shifted(self, claim: Claim, seconds: float) -> Claim:
        """The claim for the store's current period, if the store's clock is `seconds` ahead of the claim's."""
        self.offset += seconds
        share = self._shares.get(claim.key)
        if share is None:
            return claim._replace(now=self._wall())
        share = self._share(share.budget, claim.key, datetime.fromtimestamp(self._wall(), UTC))
        return self._claim(claim.key, share, want=claim.want > 0)

    def after_fork(self) -> None:
        """In a child process: drop the shares, because it has spent and reserved nothing yet."""
        self._shares.clear()
        self._ended.clear()

    def failed(self, key: str) -> None:
        """Handle a claim without an answer: its spending is reported later."""
        share = self._shares.get(key)
        if share is not None:
            share.is_pending = False
