"""Every setting, its default, and the reason for the default. Times are in seconds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from hotspare.brownout import Brownout
from hotspare.budget import Budget
from hotspare.cache import Cache
from hotspare.errors import ConfigError, Problem
from hotspare.outcome import Kind

if TYPE_CHECKING:
    from tenacity.stop import stop_base
    from tenacity.wait import wait_base

    from hotspare._routing.acceptance import AcceptFunction, Rule
    from hotspare._routing.strategies import StrategyFunction
    from hotspare.reduce import Reducer


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When a target's circuit breaker opens, and for how long.

    consecutive_failures: failures in a row that open it. 5, as in the outlier detection of Envoy and gRPC.
    failure_span: seconds that those failures must span, so that a burst of concurrent calls is one observation. 0.2. Refused
        connections and DNS failures need no span: they cannot be a burst of load.
    failure_ratio: fraction of failures in the recent window that opens it. 0.5: a target that fails every second call
        costs more latency than it saves.
    outlier_ratio: fraction of failures in the last `window_calls` outcomes that opens a target while another one of its tier
        with the same model is available and has failed at most half as often. 0.3: a target that fails one call in twenty
        reaches it in less than one window in a thousand. In a slow start the outcomes since the probe count, and two failures
        are enough, because the target has just been down.
    minimum_throughput: outcomes that the window must hold before the ratio counts. 10: a ratio of fewer outcomes is not
        reliable (Polly has the same setting).
    window_calls, window_seconds: the window is the last 20 outcomes or the last 10 s, whichever holds more.
    window_max: outcomes older than this are forgotten. 120.
    stalled_calls: calls that have waited too long (`Timeouts.stalled_factor`), while no later call was answered, that open it
        before any of them has failed. 3: a single slow answer is not evidence of a stall.
    break_duration: how long it stays open the first time; doubles with each trip. 5, jittered to 2.5-5 so that many
        processes do not probe at the same moment.
    fast_break_duration: used instead where a probe costs its caller little: the failures were fast, and another target
        is available, or the function of `api_key` gave no key. 1, jittered to 0.5-1: a recovery is noticed within a second.
    max_break_duration: upper bound of the doubled durations. 20: a recovery is noticed within this time.
    max_probe_share: durations are doubled only until the probes of all targets are at most this share of the pool's calls. 0.06: under load a
        recovery is noticed immediately, and a pool with little traffic does not spend every second call on a dead target.
    max_retry_after: longest Retry-After that is honoured. 3600.
    auth_break_duration: how long it stays open after a 401 or 403, or after a used-up quota whose reset is unknown. 300:
        a human has to act.
    not_found_break_duration, max_not_found_break_duration: how long it stays open after NOT_FOUND. 60, doubling to 3600: a
        deployment that is being rolled out answers 404 for a minute; a model that no longer exists costs one attempt an hour.
    rate_limit_backoff, max_rate_limit_backoff: how long a target is avoided after a 429 without Retry-After. 1, doubling
        to 30.
    backoff_reset: seconds in the closed state after which one doubling of `break_duration` is undone. 60.
    probe_lease: seconds after which a probe without an outcome expires, and another one is admitted. 60.
    slow_start: seconds over which the traffic of a recovered target grows back to its full share. 30.
    slow_start_min_share: share of its traffic at the beginning of a slow start. 0.1: enough to see whether it has recovered.
    """

    consecutive_failures: int = 5
    failure_span: float = 0.2
    failure_ratio: float = 0.5
    outlier_ratio: float = 0.3
    minimum_throughput: int = 10
    window_calls: int = 20
    window_seconds: float = 10.0
    window_max: float = 120.0
    stalled_calls: int = 3
    break_duration: float = 5.0
    fast_break_duration: float = 1.0
    max_break_duration: float = 20.0
    max_probe_share: float = 0.06
    max_retry_after: float = 3600.0
    auth_break_duration: float = 300.0
    not_found_break_duration: float = 60.0
    max_not_found_break_duration: float = 3600.0
    rate_limit_backoff: float = 1.0
    max_rate_limit_backoff: float = 30.0
    backoff_reset: float = 60.0
    probe_lease: float = 60.0
    slow_start: float = 30.0
    slow_start_min_share: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long one attempt may take while other targets are left; the last one gets the rest of the deadline.

    factor: an attempt's timeout is this many times the target's own p95. 4: with heavy-tailed latencies (log-normal, sigma 0.7)
        it cuts off less than 0.1 % of the attempts; 3 would cut off 0.12 %.
    first_token_min, first_token_max: bounds of the timeout to the first token of a stream. 5 and 30; but a target always
        gets three times its own p95.
    first_token: timeout to the first token, while the target has no record yet. 10.
    first_token_reasoning: used instead of `first_token` if the model or the request reasons before it answers. 45.
    completion_min: lower bound of the timeout for a whole answer. 15.
    min_factor, min_margin: that lower bound is at most `min_factor` times the p95 plus `min_margin` seconds. 20 and 1: a
        call does not wait 15 s for a target that usually answers in 50 ms.
    completion: timeout for a whole answer, while the target has no record yet. 60.
    stalled_factor, stalled_min: a call that waits longer than `stalled_factor` times the target's own p95, and than `stalled_min`
        seconds, is evidence of a stall. For a target without a record, twice the pool's usual p95 is used instead, and new calls
        try other targets first after 0.3 of that time. 5 and 0.5: this ends no call, but new calls use other targets.
    stall, stall_factor, stall_min: longest silence inside a stream once it has begun. 30 s until the target's own gaps
        are known; then `stall_factor` (5) times the p95 of the longest gaps of its streams, between `stall_min` (5) and
        `stall`.
    after_finish: how long a stream is read after its finish reason, for usage and a regular end. 2: the answer is complete
        by then, and neither silence nor an error that follows is a break.
    min_throughput, throughput_window: a plain-text stream that delivers fewer than `min_throughput` bytes a second over
        `throughput_window` seconds is moved to another target, if one is available. 8 and 15: a token a second is below reading
        speed. A window of 0 switches this off.
    min_throughput_ratio: a stream below this fraction of the target's own median rate is moved in the same way. 0.1: ten
        times slower than usual is a fault.
    max_deadline_fraction: an attempt never gets more than this fraction of the remaining deadline. 0.5, so that another
        target can still be tried.
    start_min: no attempt starts with less time left than this, or than the target's p50. 1.
    min_samples: answers that a target must have given before its percentiles are used. 8.
    """

    factor: float = 4.0
    min_factor: float = 20.0
    min_margin: float = 1.0
    first_token_min: float = 5.0
    first_token_max: float = 30.0
    first_token: float = 10.0
    first_token_reasoning: float = 45.0
    completion_min: float = 15.0
    completion: float = 60.0
    stalled_factor: float = 5.0
    stalled_min: float = 0.5
    stall: float = 30.0
    stall_factor: float = 5.0
    stall_min: float = 5.0
    after_finish: float = 2.0
    min_throughput: float = 8.0
    throughput_window: float = 15.0
    min_throughput_ratio: float = 0.1
    max_deadline_fraction: float = 0.5
    start_min: float = 1.0
    min_samples: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """How many retries a pool may make. The first attempt of a call on each target is free: a budget on failover would
    refuse it in the middle of an outage.

    tokens_per_call: tokens that each call adds. 0.2: at most 20 % extra load (the SRE book's retry budget is 10 %).
    tokens_per_minute: tokens that are added without calls. 10: a pool with little traffic may still retry.
    max_tokens: most tokens kept. 20.
    free_attempts_per_domain: attempts of one call inside one failure domain that need no token. 3.
    """

    tokens_per_call: float = 0.2
    tokens_per_minute: float = 10.0
    max_tokens: float = 20.0
    free_attempts_per_domain: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """A second attempt, started before the first has failed. Off unless given: both are billed.

    At most one a call, to another failure domain, to a target whose breaker is closed, and only before the first content
    (of a whole answer: before it is complete). The loser's connection is closed immediately; its prompt counts towards the cost.

    min_delay: seconds after which a hedge may start at the earliest. 0.5: users hardly notice a shorter wait.
    p95_factor: a hedge also waits this many times the first target's own p95. 1.25: at the p95 itself one call in twenty
        would be hedged in normal operation. Nothing is hedged before the target has a record (`Timeouts.min_samples`).
    max_extra_calls: hedges per call, at most. 0.05 (Dean and Barroso, "The Tail at Scale", 2013: 5 % extra load).
    max_saved: most hedges that may be saved up while none is needed. 10.
    max_price_ratio: a hedge never goes to a target whose known prices are over this many times the first one's. 2.
    """

    min_delay: float = 0.5
    p95_factor: float = 1.25
    max_extra_calls: float = 0.05
    max_saved: float = 10.0
    max_price_ratio: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a call may do. Every field can be given to `Pool(...)` as a keyword; some of them to a single call too.

    deadline: seconds to the first content of a stream, or to a whole answer. 120: the longest wait of common gateways.
    total_deadline: seconds to the end of a stream. None: no limit, as long as the stream makes progress.
    max_attempts: attempts of one call in all. 6. Attempts that test whether an outage of all targets is over do not count.
    strategy: which target of a tier is tried first. `ordered`: as written; `weighted`: at random, by weight; `latency`: of two
        drawn at random, the one expected to answer first; `cost`: the one with the lowest price (three input tokens to one
        output token; unknown prices last). Or a function, which is called with the `Candidate`s of a tier and returns them
        in the order to try; targets that it leaves out are not tried.
    regions: the only regions whose targets may be used, also by failover, hedges, probes and the last resort. A target
        without a region is in none of them. None: all.
    prefer_regions: regions whose targets come first, inside each tier.
    max_price: USD per million tokens (three of input to one of output) above which a target is not used; neither is one without a known
        price. None: no limit.
    substitute: whether a call for one model may be answered by another model after all targets with the requested one have failed.
    sticky_seconds: seconds after its last answer for which a conversation (`session` of a call) goes to the same target first, while
        it is healthy. 300: that long providers keep a prompt cache.
    affinity: which calls are one conversation: `session`: those with the same `session`; `prompt`: also those without a
        `session` that have the same messages up to the user's first one.
    retry_same_target: when a call retries a target that failed; it does so once. `always`: before any other target is
        tried; `never`: only after all other targets; `auto`: before any other target if the failure was fast, of kind
        SERVER or a reset, the target mostly answers, no other target of its tier with the same model is available, and no
        other target at all if the call before failed there too; otherwise after all others.
    fast_failure: a failure within this many seconds is fast. 1: a retry after a slow failure would double a long wait.
    doubt_invalid_after: INVALID outcomes in a row after which the target may be at fault, and another one is tried. 3: two bad
        requests in a row are common during development.
    max_alike_failures: a call ends once this many targets have answered it with the same server error: the request may be at
        fault. None: it continues. Either way, such failures do not count against a target that answers other calls meanwhile.
    refusal_memory: seconds for which it is remembered that a target does not support a feature of a request (tools with
        reasoning, images, a parameter); such requests go to the other targets first. 3600: servers may be upgraded meanwhile.
    max_retry_after_wait: longest Retry-After of a 429 that a call waits out on the same target, where no other target of its
        tier with the same model is available. 2: a pause of 2 s is preferred to an answer of another model.
    learn_limits: whether limits stated in providers' responses are applied (configured `Limits` always are). True: most 429s
        are avoided.
    wait: the pause before a retry, any of tenacity's `wait_*`. None: 50-250 ms at random.
    stop: when to stop trying, any of tenacity's `stop_*`, checked before each attempt after the first. None: no further
        bound.
    when_all_down: `wait` for the earliest recovery, at most until the deadline, or `fail` immediately.
    max_waiters: calls that may wait in a pool; further ones fail immediately, with a `retry_after`. 1000.
    early_probe_interval: while calls wait, one of them tries an open target this often, without using up its own attempts.
        In the first four seconds of an outage it is done five times as often, as long as these attempts fail within
        `fast_failure`. 1: a recovery is noticed within a second (within 0.2 s in those first seconds), at the cost of one
        request a second for the whole pool (or five, each of which fails fast).
    check_jitter: a background check (`Target.check`) is made at a random time up to this many seconds after the target's break is over.
        1: the processes that share a provider do not all check it at the same time.
    accept: accepts or rejects each complete answer: a function of the ChatReply that returns True, or False, or the reason for the rejection; or built-in
        rules, any of `schema` (extra `schema`), `tool_arguments`, `refusal`. A rejected answer has the outcome REJECTED,
        and the next target is called. A stream is judged before its first content if it came in one piece, else at its end,
        where it can only fail. None: every answer is accepted.
    failover_on: kinds that fail over although the request itself is at fault (CONTENT_FILTER, INVALID). By default none.
    completion: how `chat` gets its answer. `wait`: it waits for the whole answer; `stream`: it reads the answer from a
        stream, so that a dead or stalled target is noticed within the timeouts of streams (10 s for the first token of a
        target without a record, where a whole answer may take 60); `auto`: it streams as long as a target has no record of
        whole answers, or has failed since its last success, and waits otherwise; it waits too where the request has `extra`
        fields, and for frameworks' models. `wait` is the default because an answer read from a stream has no `raw`. If a target
        refuses to stream, this is remembered, and its whole answers are waited for. `Target.completion` and the `completion`
        of a call take precedence.
    on_slow: what happens when an attempt's timeout is over while other targets are left. `abandon`: it is cancelled;
        `race`: it continues beside the next one, and the first answer wins. Sync callers race in threads.
    brownout: a `Brownout`: when a target that has become slow is avoided. None: never.
    hedge: a `Hedge`, to start a second attempt before the first has failed. None: never.
    on_break: what happens when a stream breaks after its first content. `resume`: the next target continues plain text,
        without a repeated or lost word; `restart`: it answers from the beginning, and the text already delivered is
        skipped; `raise`: StreamInterrupted with the text so far. Only plain text is continued.
    continue_instruction: the message that asks a target without prefill to continue. None: a neutral default.
    max_rejection: highest probability with which a call is rejected when no target is available. 0.8 (SRE book,
        "Handling Overload", client-side throttling; capped so that a recovery is always noticed).
    prices: whether prices and context windows that targets do not state are looked up in the data set of genai-prices (extra
        `prices`), once, when the pool is built. Default False: loading it takes half a second, and a price from the data set
        may differ from your contract's.
    budgets: how much may be spent (`Budget`). Default: no bound.
    spend_file: an SQLite file that keeps what was spent, so that budgets survive a restart and apply to all processes that use
        the file. None: they count in memory.
    cache: a `Cache`, to keep answers for identical requests. None: nothing is kept.
    max_prompt_tokens: the oldest turns of a history with more tokens are removed (`trim_history`). None: it is sent as it is.
    reduce: a function that makes requests shorter, e.g. `compact_prompt`. None: they are sent as they are.
    """

    deadline: float = 120.0
    total_deadline: float | None = None
    max_attempts: int = 6
    strategy: Literal["ordered", "weighted", "latency", "cost"] | StrategyFunction = "ordered"
    regions: Collection[str] | None = None
    prefer_regions: Collection[str] = frozenset()
    max_price: float | None = None
    substitute: bool = True
    sticky_seconds: float = 300.0
    affinity: Literal["session", "prompt"] = "session"
    retry_same_target: Literal["auto", "always", "never"] = "auto"
    fast_failure: float = 1.0
    doubt_invalid_after: int = 3
    max_alike_failures: int | None = None
    refusal_memory: float = 3600.0
    max_retry_after_wait: float = 2.0
    learn_limits: bool = True
    wait: wait_base | None = None
    stop: stop_base | None = None
    when_all_down: Literal["wait", "fail"] = "wait"
    max_waiters: int = 1000
    early_probe_interval: float = 1.0
    check_jitter: float = 1.0
    accept: AcceptFunction | Collection[Rule] | None = None
    failover_on: Collection[Kind] = frozenset()
    completion: Literal["auto", "wait", "stream"] = "wait"
    on_slow: Literal["abandon", "race"] = "abandon"
    brownout: Brownout | None = field(default_factory=Brownout)
    hedge: Hedge | None = None
    on_break: Literal["resume", "restart", "raise"] = "resume"
    continue_instruction: str | None = None
    max_rejection: float = 0.8
    prices: bool = False
    budgets: Collection[Budget] = frozenset()
    spend_file: str | None = None
    cache: Cache | None = None
    max_prompt_tokens: int | None = None
    reduce: Reducer | None = None
    breaker: Breaker = field(default_factory=Breaker)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry_budget: RetryBudget = field(default_factory=RetryBudget)

    @property
    def strategy_name(self) -> str:
        """The name of the strategy, or `function`."""
        return self.strategy if isinstance(self.strategy, str) else "function"

    def __post_init__(self) -> None:
        from hotspare._config.coercion import coerce
        from hotspare._config.ranges import out_of_range

        for name, value in coerce("policy", self).items():
            object.__setattr__(self, name, value)
        problems = out_of_range("policy", self)
        for group in ("breaker", "timeouts", "retry_budget", "hedge", "brownout"):
            if getattr(self, group) is not None:
                problems += out_of_range(f"policy.{group}", getattr(self, group))
        if problems:
            raise ConfigError(problems)


class PolicyFields(TypedDict, total=False):
    """The fields of Policy as keywords, so that type checkers see those of `Pool(...)` and `Selector(...)`."""

    deadline: float
    total_deadline: float | None
    max_attempts: int
    strategy: Literal["ordered", "weighted", "latency", "cost"] | StrategyFunction
    regions: Collection[str] | None
    prefer_regions: Collection[str]
    max_price: float | None
    substitute: bool
    sticky_seconds: float
    affinity: Literal["session", "prompt"]
    retry_same_target: Literal["auto", "always", "never"]
    fast_failure: float
    doubt_invalid_after: int
    max_alike_failures: int | None
    refusal_memory: float
    max_retry_after_wait: float
    learn_limits: bool
    wait: wait_base | None
    stop: stop_base | None
    when_all_down: Literal["wait", "fail"]
    max_waiters: int
    early_probe_interval: float
    check_jitter: float
    accept: AcceptFunction | Collection[Rule] | None
    failover_on: Collection[Kind]
    completion: Literal["auto", "wait", "stream"]
    on_slow: Literal["abandon", "race"]
    brownout: Brownout | None
    hedge: Hedge | None
    on_break: Literal["resume", "restart", "raise"]
    continue_instruction: str | None
    max_rejection: float
    prices: bool
    budgets: Collection[Budget]
    spend_file: str | None
    cache: Cache | None
    max_prompt_tokens: int | None
    reduce: Reducer | None
    breaker: Breaker
    timeouts: Timeouts
    retry_budget: RetryBudget


def policy_of(policy: Policy | None, given: Mapping[str, Any]) -> Policy:
    """`policy` (default: the defaults) with the fields in `given`. Raises ConfigError for a field that does not exist."""
    names = [knob.name for knob in fields(Policy)]
    unknown = sorted(set(given).difference(names))
    if unknown:
        from hotspare._config.hints import POOL_HINTS, hint_for, unknown_field

        hints = {name: hint_for(name, POOL_HINTS, sorted(names)) for name in unknown}
        raise ConfigError([unknown_field(name, given[name], "Policy", hints[name]) for name in unknown])
    if policy is None:
        return Policy(**given)
    if not isinstance(policy, Policy):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        raise ConfigError(Problem.at("policy", policy, "must be a Policy, e.g. Policy(deadline=30)"))
    return replace(policy, **given) if given else policy
