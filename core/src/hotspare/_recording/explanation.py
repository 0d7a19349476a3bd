"""One recorded call as text: each decision, its rule, the chosen target, the skipped ones with the reason, and the outcome."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from hotspare._engine.reasons import RULES
from hotspare._recording.file import RecordingFile
from hotspare._recording.lines import JsonLine, text_of
from hotspare._recording.replay import EVERY, Progress
from hotspare._recording.replayer import Replayer
from hotspare.errors import RecordingError

_INDENT = " " * 12
_NUMBER = re.compile(r"\d+")


def describe_decision(decision: JsonLine) -> str:
    """A decision as one line of text."""
    rule = decision.get("rule")
    begin = "" if rule is None else f"rule {rule} ({RULES.get(rule, 'unknown')}): "
    if "takes" in decision:
        return begin + _attempt(decision)
    if "waits" in decision:
        return begin + _wait(decision)
    if "free" in decision:
        return f"the stream is slow: {'another target is free' if decision['free'] else 'no other target is free'}"
    after = decision.get("retry_after")
    return f"{begin}{decision.get('gives_up')}" + (f"; retry after {after:.1f} s" if after is not None else "")


def _attempt(decision: JsonLine) -> str:
    what = "a whole answer" if decision["unary"] else "the first content"
    bound = decision.get("race_after", decision["timeout"])
    more = [
        f"at most {bound:.1f} s to {what}"
        if "race_after" not in decision
        else f"another one starts after {bound:.1f} s"
    ]
    if not decision["unary"]:
        more.append(f"then {decision['stall']:.1f} s of silence")
    if decision.get("probe"):
        more.append("it is the probe of a half-open breaker")
    if decision.get("continues"):
        more.append("it continues a broken answer")
    reason = str(decision["reason"]).replace("_", " ")
    return f"takes {decision['takes']} (attempt {decision['attempt']}, {reason}), {', '.join(more)}"


def _wait(decision: JsonLine) -> str:
    seconds = "" if decision["waits"] is None else f" at most {decision['waits']:.3f} s"
    if decision.get("queued"):
        return f"waits{seconds} in the queue, until it is woken"
    return (
        f"waits{seconds} for the running attempts"
        if decision.get("rule") == 0 or not seconds
        else f"waits{seconds.removeprefix(' at most')}"
    )


def explain_call(path: Path, wanted: str, progress: Progress | None = None) -> list[str]:
    """The lines of text about one call: `wanted` is its id (``call-17``) or its number.

    The recording is replayed up to the end of the call, so that a call outside of the sample has its decisions too.
    Raises RecordingError for a file that cannot be read or replayed, or that does not hold the call.
    """
    file = RecordingFile(path)
    name = f"call-{wanted}" if _NUMBER.fullmatch(wanted) else wanted
    replayer = Replayer(file.header, sampled=lambda line: line["sampled"] or line["call"] == name)
    lines: list[str] = []
    takes: dict[int, str] = {}
    seen, begin, unreported = 0, 0.0, 0
    for number, size, line, text in file.lines():
        replayer.replay(line, number)
        written = replayer.written.pop()
        seen += line["do"] == "call"
        unreported += size
        if progress is not None and not number % EVERY:
            progress(unreported)
            unreported = 0
        if line.get("call") != name:
            lines += _woken_by(written, name, begin)
        elif line["do"] == "call":
            begin = line["at"]
            lines += _call_start(file.header, line, replayer)
        else:
            if "takes" in written:
                takes[written["attempt"]] = written["takes"]
            lines += _described(written, begin, takes)
            if text_of(written) != text and "rule" in line:
                lines.append(f"{_INDENT}line {number} of the recording differs; see `hotspare replay`")
        if line.get("call") == name and line["do"] == "end":
            return lines
    if not lines:
        hint = f'contains {seen} calls, but none with the id {name!r}: ids are in events, and in its lines as "call"'
        raise RecordingError(f"{path}: {hint}")
    return [*lines, "the recording ends here, before the call does"]


def _call_start(header: JsonLine, line: JsonLine, replayer: Replayer) -> Iterator[str]:
    at = datetime.fromisoformat(header["began"]) + timedelta(seconds=line["at"] - header["at"])
    kind = "a stream" if line["stream"] else "a whole answer"
    yield (
        f"{line['call']}: {kind}, deadline {line['seconds']:g} s, at most {line['max_attempts']} attempts; "
        f"began {at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} UTC, at {line['at']:.3f} s of the pool's clock"
    )
    tiers = replayer.calls[line["call"]].tiers
    yield "targets: " + ", then ".join(", ".join(state.name for state in tier) for tier in tiers)
    if line["features"]:
        yield f"the request uses: {', '.join(line['features'])}"
    for target, why in line.get("excluded", {}).items():
        yield f"not used: {target} ({why.replace('_', ' ')})"


def _described(line: JsonLine, begin: float, takes: Mapping[int, str]) -> Iterator[str]:
    do, at = line["do"], f"{line['at'] - begin:+9.3f} s " if "at" in line else _INDENT[:-1]
    if do == "next" and line.get("waits", 0) is None:
        return  # no decision: the call waits until a running attempt ends
    if do in ("next", "alternative"):
        yield f"{at} {describe_decision(line)}"
        yield from _skipped(line)
    elif do == "settle":
        yield f"{at} attempt {line['attempt']} at {takes[line['attempt']]} {_ended(line)}"
    elif do == "stream_break":
        yield f"{at} the stream of attempt {line['attempt']} breaks: {_outcome(line['outcome'])}"
    elif do == "stream_end":
        yield f"{at} the stream of attempt {line['attempt']} is complete"
    elif do == "end":
        by = f" by {line['answered_by']}" if line["result"] == "answered" else ""
        yield f"{at} the call is over: {line['result']}{by}, {line['attempts']} attempts"
    for target, names in line.get("unsupported", {}).items():
        yield f"{_INDENT}{target} does not support {', '.join(names)}"
    for event in line.get("events", ()):
        yield from _event(event)
    if line.get("wakes"):
        yield f"{_INDENT}wakes {', '.join(line['wakes'])}"


def _skipped(line: JsonLine) -> Iterator[str]:
    passed = line.get("passed", {})
    for target, why in passed.items():
        if why:
            yield f"{_INDENT}skipped {target}: {why}"
    if "passed_more" in line:
        yield f"{_INDENT}and {line['passed_more']} more"
    later = [target for target, why in passed.items() if not why]
    if later and "takes" in line:
        yield f"{_INDENT}also available: {', '.join(later)}"


def _ended(line: JsonLine) -> str:
    if line["outcome"]["kind"] == "ok":
        return "has its first content" if line.get("answer") == "stream" else "is answered"
    return f"ends: {_outcome(line['outcome'])}"


def _outcome(outcome: JsonLine) -> str:
    status = f" {outcome['status']}" if "status" in outcome else ""
    after = f", retry after {outcome['retry_after']:g} s" if "retry_after" in outcome else ""
    return f"{outcome['kind']}{status}{after}"


def _event(event: JsonLine) -> Iterator[str]:
    match event["event"]:
        case "StateChanged":
            why = f" ({event['reason']})" if event["reason"] else ""
            yield f"{_INDENT}circuit breaker of {event['subject']}: {event['before']} -> {event['after']}{why}"
        case "RateLimited":
            yield f"{_INDENT}{event['target']} is avoided for {event['seconds']:.1f} s: rate limited"
        case "SpeedChanged":
            yield f"{_INDENT}{event['target']} is {'far slower than usual' if event['slow'] else 'at its usual speed again'}"
        case "BudgetExhausted":
            yield f"{_INDENT}the retry budget is exhausted"
        case "RequestAtFault":
            yield f"{_INDENT}the failures of {', '.join(event['targets'])} no longer count: the request was at fault"
        case _:  # the line of the outcome says the same
            return


def _woken_by(line: JsonLine, name: str, begin: float) -> Iterator[str]:
    """The line by which another call, or the pool, woke this one."""
    if name in line.get("wakes", ()):
        at = f"{line['at'] - begin:+9.3f} s " if "at" in line else _INDENT[:-1]
        yield f"{at} woken by {line.get('call', 'the pool')}: {'an attempt ended' if line['do'] == 'settle' else 'it left the queue'}"
