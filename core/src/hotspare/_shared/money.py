"""One count of a budget in a store: the USD spent, and the USD that each process has reserved. In Lua, and the same in Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hotspare._cost.shares import Claim, Portion
from hotspare._shared.store import StoreError

LEASE = 30.0
"""Seconds without a report after which a process's block counts as spent: the process may have been killed, and its real spending is
unknown."""
SWEEP = 10.0
"""Seconds between two searches for such processes, each of which goes through all processes of the count."""
SKEW = 5.0
"""Seconds by which a process's clock may differ from the store's. Beyond that, they may be in different periods."""
KEEP = 3600.0
"""Seconds for which such a process is remembered: if it was only disconnected, its next report corrects the count of its block."""
DIVIDE = 4.0
"""A block is at most an equal share of the remaining amount divided by this, so that one process does not reserve the last dollar."""

SPEND = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local key, me = KEYS[1], 'm:' .. ARGV[1]
local mine, acked, known = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local limit, want, least = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local clock, seconds, name = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
local lease, sweep, divide = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local skew, keep = tonumber(ARGV[14]), tonumber(ARGV[15])
if math.abs(now - clock) > skew then return {'clock', string.format('%.6f', now)} end
local function get(field) return tonumber(redis.call('HGET', key, field)) or 0 end
local function parse(raw)
  local a, b, c = string.match(raw or '', '^(%S+) (%S+) (%S+)$')
  return tonumber(a), tonumber(b), tonumber(c)
end
local spent, leased, processes = get('spent'), get('leased'), get('processes')
if now >= get('sweep') then
  leased, processes = 0, 0
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'm:' then
      local reported, held, ends = parse(all[i + 1])
      if held and ends > now then
        leased, processes = leased + held, processes + 1
      elseif held and ends + keep > now then
        spent = spent + held
        redis.call('HSET', key, all[i], string.format('%.9f 0 %.3f', reported + held, ends))
      else
        redis.call('HDEL', key, all[i])
      end
    end
  end
  redis.call('HSET', key, 'sweep', string.format('%.3f', now + sweep))
end
local old, held = parse(redis.call('HGET', key, me))
if not old then
  old, held, processes, spent = acked, 0, processes + 1, math.max(spent, known)
end
spent = spent + mine - old
leased = math.max(0, leased - held)
local free, block = limit - spent - leased, 0
if want > 0 and free > 0 then
  block = math.min(want, free, math.max(free / (divide * math.max(1, processes)), least))
end
redis.call('HSET', key, me, string.format('%.9f %.9f %.3f', mine, block, now + lease), 'spent', string.format('%.9f', spent),
  'leased', string.format('%.9f', leased + block), 'processes', processes, 'name', name, 'limit', ARGV[5])
redis.call('EXPIRE', key, math.ceil(seconds))
return {string.format('%.9f', spent), string.format('%.9f', block), processes}
"""
"""One count: report this process's spending, release its block, reserve a new one. Idempotent: a repeated report is counted once."""


def arguments(member: str, claim: Claim) -> tuple[str | float, ...]:
    """The arguments of `SPEND`."""
    return (
        *(member, claim.mine, claim.acked, claim.known, claim.limit, claim.want, claim.least, claim.now),
        *(claim.seconds, f"{claim.key} {claim.period}", LEASE, SWEEP, DIVIDE, SKEW, KEEP),
    )


class ClockDiffers(Exception):
    """The process's clock is `seconds` behind the store's: from now on the process determines the period by the store's time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(seconds)


def portion(answer: Any, claim: Claim) -> Portion:
    """The result of `SPEND`. Raises ClockDiffers, StoreError."""
    try:
        if answer[0] == "clock":
            raise ClockDiffers(float(answer[1]) - claim.now)
        return Portion(float(answer[0]), float(answer[1]), int(answer[2]))
    except (TypeError, ValueError, LookupError):
        raise StoreError("unexpected answer of the store: not a count") from None


@dataclass(slots=True)
class Count:
    """`SPEND` in Python, for the stores in memory and in a file. `members`: per process, the USD reported, the USD reserved, and the end of
    the reservation."""

    spent: float = 0.0
    leased: float = 0.0
    sweep: float = 0.0
    processes: int = 0
    members: dict[str, tuple[float, float, float]] = field(default_factory=dict[str, tuple[float, float, float]])

    def take(self, member: str, claim: Claim, now: float) -> Portion:
        """As `SPEND`. `now`: the store's time."""
        if now >= self.sweep:
            self._sweep(now)
        if member not in self.members:
            self.processes, self.spent = self.processes + 1, max(self.spent, claim.known)
        old, held, _ = self.members.get(member, (claim.acked, 0.0, 0.0))
        self.spent += claim.mine - old
        self.leased = max(0.0, self.leased - held)
        free, block = claim.limit - self.spent - self.leased, 0.0
        if claim.want > 0 and free > 0:
            block = min(claim.want, free, max(free / (DIVIDE * max(1, self.processes)), claim.least))
        self.leased += block
        self.members[member] = (claim.mine, block, now + LEASE)
        return Portion(self.spent, block, self.processes)

    def _sweep(self, now: float) -> None:
        self.leased, self.processes = 0.0, 0
        for name, (reported, held, ends) in list(self.members.items()):
            if ends > now:
                self.leased, self.processes = self.leased + held, self.processes + 1
            elif ends + KEEP > now:
                self.spent += held
                self.members[name] = (reported + held, 0.0, ends)
            else:
                del self.members[name]
        self.sweep = now + SWEEP
