"""The lines of a recording: policies, targets, calls, outcomes and decisions as JSON, and back.

A recording holds no text of a prompt or an answer, and no key. A provider's message may quote a prompt: of a message, only the names of
request features that it contains are kept, because decisions use nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, cast

from hotspare import events
from hotspare._engine.call import Attempt, Call
from hotspare._engine.commands import Wait
from hotspare._engine.decide import Step
from hotspare._engine.reasons import Trace
from hotspare._routing.capabilities import named_features
from hotspare.messages import Usage
from hotspare.outcome import Kind, Outcome, RateLimit, Scope
from hotspare.policy import Policy
from hotspare.target import Domain, Limits, Target

VERSION = 1
"""Version of the file format. A file with another version is rejected."""
_CODE = re.compile(r"[\w.:-]{1,64}")
_KINDS = "|".join(Kind)
_MESSAGE = re.compile(rf"\(({_KINDS}): .*\)|^({_KINDS}): .*", re.S)
_CODE_ONLY = ("wait", "stop")
"""Settings that are objects of tenacity: their results are recorded as inputs of each decision."""
LEFT_OUT = ("continue_instruction", "budgets", "spend_file", "cache", "accept", "reduce")
"""Settings that are not written, because no decision needs them: a text; budgets, whose effect is in each call's line; the cache,
whose answers need no decision; `accept`, whose verdicts are in the outcomes; `reduce`, whose result is the prompt length of each call."""
_MAX_SKIPPED = 16
"""Skipped targets that a line lists with their reason; a pool may have a thousand targets."""
EVENTS = (
    events.StateChanged, events.RateLimited, events.SpeedChanged, events.NeedsAttention, events.BudgetExhausted,
    events.RequestAtFault, events.LimitReached, events.LimitReleased, events.LimitLearnt,
)  # fmt: skip
"""The events that are written: those of the pool's health. Events of a call are not, because its lines hold the same."""
JsonLine = dict[str, Any]
"""One line of the file, a JSON object."""


def text_of(line: JsonLine) -> str:
    """The text of a line, without the newline."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def shown(value: float | None) -> float | None:
    """A computed number of seconds, rounded to the microsecond: the last digits of a logarithm differ between machines."""
    return None if value is None else round(value, 6)


# --- the head of a file ----------------------------------------------------------------------------------------------


def policy_line(policy: Any) -> JsonLine:
    """The fields of a policy, nested as in a configuration file."""
    found: JsonLine = {}
    for one in fields(policy):
        value = getattr(policy, one.name)
        if one.name in _CODE_ONLY:
            found[one.name] = value is not None
        elif one.name not in LEFT_OUT:
            found[one.name] = policy_line(value) if is_dataclass(value) else _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset | set | list | tuple):
        return sorted(str(one) for one in cast("Collection[object]", value))
    # a strategy in code is recorded as `ordered`: the tiers of each call are in the order that it returned
    return "ordered" if callable(value) else value


def policy_from(line: JsonLine) -> Policy:
    """The policy of a recording, without `wait` and `stop`. Raises ConfigError for a field or a value that is unknown here."""
    from hotspare._config.coercion import Coercer
    from hotspare.errors import ConfigError

    coercer = Coercer()
    known = {name: value for name, value in line.items() if name not in _CODE_ONLY}
    policy = coercer.build("policy", Policy, known, prefix="policy")
    if policy is None or coercer.problems:
        raise ConfigError(coercer.problems)
    return policy


def target_line(target: Target, domains: tuple[Domain, ...], *, prefill: bool, streaming: bool) -> JsonLine:
    """The fields of a target that decisions use."""
    return {
        "name": target.name, "id": target.id, "domains": [list(domain) for domain in domains], "weight": target.weight,
        "tier": target.tier, "context_window": target.context_window, "price": target.price,
        "completion": target.completion, "reasoning": target.reasoning, "prefill": prefill, "streaming": streaming,
        "limits": sorted((asdict(one) for one in cast("Iterable[Limits]", target.limits)), key=str),
    }  # fmt: skip


def anonymous_domains(targets: list[tuple[Target, tuple[Domain, ...]]]) -> dict[Domain, Domain]:
    """The domains whose names are a digest of a key, each with the domain that is written instead."""
    found: dict[Domain, Domain] = {}
    for target, domains in targets:
        for domain in domains:
            if domain.level == "account" and target.account is None and target.api_key is not None:
                found.setdefault(domain, Domain("account", domain.provider, f"account-{len(found) + 1}"))
    return found


# --- inputs ----------------------------------------------------------------------------------------------------------


def call_line(call: Call, *, sampled: bool) -> JsonLine:
    """The start of a call. Of its request, only what decides which targets may serve it, and their timeouts."""
    line: JsonLine = {
        "do": "call", "call": call.id, "at": call.started, "sampled": sampled, "stream": call.streaming,
        "deadline": call.deadline, "seconds": call.time_budget, "total_deadline": call.total_deadline,
        "max_attempts": call.max_attempts, "features": sorted(call.features), "prompt_tokens": call.need.prompt,
    }  # fmt: skip
    if call.reasons:
        line["reasoning"] = True
    if call.request.max_tokens is not None:
        line["max_tokens"] = call.request.max_tokens
    if call.own_tiers:
        line["own_tiers"] = call.own_tiers
    if call.completion is not None:
        line["completion"] = call.completion
    if call.is_check:
        line["check"] = True
    return line


def usage_line(usage: Usage | None) -> list[int] | None:
    """Input and output tokens; None if they are not known."""
    return None if usage is None else [usage.input_tokens, usage.output_tokens]


def usage_from(line: list[int] | None) -> Usage | None:
    """The opposite of `usage_line`."""
    return None if line is None else Usage(input_tokens=line[0], output_tokens=line[1])


def changed_fields(policy: JsonLine, base: JsonLine) -> JsonLine:
    """The fields of `policy` that differ from `base`; of a group, only the differing fields."""
    found: JsonLine = {}
    for name, value in policy.items():
        if isinstance(value, dict) and isinstance(base[name], dict):
            group = changed_fields(cast("JsonLine", value), base[name])
            if group:
                found[name] = group
        elif value != base[name]:
            found[name] = value
    return found


def merged(base: JsonLine, changes: JsonLine) -> JsonLine:
    """The opposite of `changed_fields`."""
    nested = {name: isinstance(value, dict) and isinstance(base.get(name), dict) for name, value in changes.items()}
    return base | {name: merged(base[name], value) if nested[name] else value for name, value in changes.items()}


def outcome_line(outcome: Outcome, call: Call) -> JsonLine:
    """An outcome without its message; `words`: the features of the request that the message names."""
    line: JsonLine = {"kind": str(outcome.kind)}
    if outcome.status is not None:
        line["status"] = outcome.status
    if outcome.code is not None and _CODE.fullmatch(outcome.code):
        line["code"] = outcome.code
    if outcome.retry_after is not None:
        line["retry_after"] = outcome.retry_after
    if outcome.scope is not None:
        line["scope"] = str(outcome.scope)
    if outcome.before_connect:
        line["before_connect"] = True
    if outcome.should_retry is not None:
        line["should_retry"] = outcome.should_retry
    if outcome.limits:
        line["limits"] = [list(one) for one in outcome.limits]
    words = set(named_features(call.features, outcome))
    if not call.streaming and "stream" in outcome.message.lower():
        words.add("stream")
    if words:
        line["words"] = sorted(words)
    return line


def outcome_from(line: JsonLine) -> Outcome:
    """The outcome, with a message that names the same features of a request."""
    words = ["parallel" if word == "parallel_tool_calls" else word for word in line.get("words", ())]
    scope = line.get("scope")
    return Outcome(
        Kind(line["kind"]), " ".join(words), line.get("status"), line.get("code"), line.get("retry_after"),
        None if scope is None else Scope(scope), line.get("before_connect", False), line.get("should_retry"),
        limits=tuple(RateLimit(*one) for one in line.get("limits", ())),
    )  # fmt: skip


# --- outputs ---------------------------------------------------------------------------------------------------------


def step_line(step: Step, call: Call, trace: Trace) -> JsonLine:
    """A decision: its rule, the target it takes, and for each other target that was considered, or had failed this call, why
    it was skipped ("": it was available, but not needed)."""
    line: JsonLine = {"rule": trace.rule}
    passed = {
        state.name: f"failed this call: {attempt.outcome.kind}"
        for state, attempt in call.results.items()
        if attempt.outcome is not None
    }
    passed |= {name: why for name, why in trace.obstacles.items() if why or name not in passed}
    if isinstance(step, Attempt):
        passed.pop(step.state.name, None)
        line |= {
            "takes": step.state.name, "attempt": step.number, "reason": str(step.reason), "timeout": shown(step.timeout),
            "stall": shown(step.stall), "unary": step.unary,
        }  # fmt: skip
        if step.permit.probe:
            line["probe"] = True
        if step.is_continuation:
            line["continues"] = True
        if step.race_after is not None:
            line["race_after"] = shown(step.race_after)
    elif isinstance(step, Wait):
        line |= {"waits": shown(step.seconds)} | ({"queued": True} if step.waiter is not None else {})
    else:
        line |= {"gives_up": step.reason, "retry_after": shown(step.retry_after)}
    if passed:
        line["passed"] = {name: without_message(why) for name, why in list(passed.items())[:_MAX_SKIPPED]}
    return line | ({"passed_more": len(passed) - _MAX_SKIPPED} if len(passed) > _MAX_SKIPPED else {})


def without_message(text: str) -> str:
    """The reason why a breaker is open, without the provider's message."""
    return _MESSAGE.sub(lambda found: f"({found[1]})" if found[1] else found[2], text)


def event_line(event: events.Event) -> JsonLine:
    """An event, without the provider's message."""
    line: JsonLine = {"event": type(event).__name__}
    for one in fields(event):
        value = getattr(event, one.name)
        if one.name == "reason":
            line["reason"] = without_message(value)
        elif isinstance(value, float):
            line[one.name] = shown(value)
        elif isinstance(value, tuple):
            line[one.name] = [str(name) for name in cast("tuple[object, ...]", value)]
        elif one.name != "message":
            line[one.name] = value if value is None or isinstance(value, bool) else str(value)
    return line


def replaced(value: Any, names: Mapping[str, str]) -> Any:
    """A JSON value in which these names are replaced in every string."""
    if isinstance(value, str):
        for old, new in names.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, dict):
        return {key: replaced(one, names) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [replaced(one, names) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value
