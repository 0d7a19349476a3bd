# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (this module reads JSON of any shape)
"""Composes the answer to a request: finds the prompt to answer, and how much of the answer was given before."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from hotspare.drill.answers import after_tools, answer, opaque_id, reasoning, tokenize, with_images
from hotspare.drill.messages import Answer, Json, Request, Tool, ToolCall, Turn
from hotspare.drill.schema import sample

CONTINUATION_MODES: Final = ("continue", "strip", "overlap", "restart", "prose")
"""How a cut answer is continued: exactly, without leading white space, with the last four tokens repeated, from the
beginning, or between two sentences of prose."""
PREFILL_MODES: Final = (*CONTINUATION_MODES, "echo", "refuse")
"""The same after a trailing assistant message; also `echo` (that message again, then the rest) and `refuse` (a 400)."""
PROSE_BEFORE: Final = "Sure, here is the rest of the answer:\n\n"
PROSE_AFTER: Final = "\n\nI hope this helps!"
OVERLAP_TOKENS: Final = 4


class Conversation:
    """The state of a conversation, from the turns of a request.

    prompt: the user message to answer. full_answer: the whole answer to it. answered: the part of it that was given before.
    continue_requested: the last message is an instruction to continue. prefilled: the last message is the assistant's.
    """

    def __init__(self, turns: list[Turn]) -> None:
        self.prompt, self.full_answer, self.answered = "", "", ""
        self.continue_requested = False
        self.tools_called: set[str] = set()
        self._results: tuple[str, ...] = ()
        for turn in turns:
            (self._add_assistant if turn.role == "assistant" else self._add_user)(turn)
        self.prefilled = bool(turns) and turns[-1].role == "assistant"

    def _add_assistant(self, turn: Turn) -> None:
        self.answered = "" if turn.tools_called else self.answered + turn.text
        self.continue_requested = False
        self.tools_called.update(turn.tools_called)

    def _add_user(self, turn: Turn) -> None:
        if turn.results:
            self._results += tuple(turn.results)
            self.full_answer, self.answered = after_tools(self.prompt, self._results), ""
        if not turn.text and not turn.images:
            return
        # after a part of the answer any message requests the rest; after the whole answer only one that contains "continu"
        started = bool(self.answered) and self.full_answer.startswith(self.answered)
        unfinished = self.answered != self.full_answer or "continu" in turn.text.lower()
        if started and unfinished and not turn.results:
            self.continue_requested = True
            return
        self.prompt, self.answered, self.continue_requested, self.tools_called = turn.text, "", False, set()
        if not turn.results:
            self._results = ()
            self.full_answer = with_images(turn.text, tuple(turn.images)) if turn.images else answer(turn.text)

    def rest(self, mode: str) -> str:
        """The text that is still to be given, in one of `CONTINUATION_MODES`."""
        if not self.answered or not self.full_answer.startswith(self.answered) or mode == "restart":
            return self.full_answer
        rest = self.full_answer[len(self.answered) :]
        if mode == "echo":
            return self.answered + rest
        if mode == "strip":
            return rest.lstrip()
        if mode == "overlap":
            return "".join(tokenize(self.answered)[-OVERLAP_TOKENS:]) + rest
        if mode == "prose":
            return PROSE_BEFORE + rest.lstrip() + PROSE_AFTER
        return rest


def compose(request: Request, continuation: str = "continue", replies: Mapping[str, Json] | None = None) -> Answer:
    """The answer to `request`: tool calls, JSON or text, limited by stop sequences and `max_tokens`, with its usage.

    `continuation` is one of `CONTINUATION_MODES`; `replies` are prepared answers, see `Settings`.
    """
    talk = Conversation(request.turns)
    prepared = next((reply for phrase, reply in (replies or {}).items() if phrase in talk.prompt), {})
    seed = opaque_id(request.model, talk.prompt, talk.answered, str(len(request.turns)))
    out = Answer(seed, prompt_tokens=request.prompt_tokens)
    if request.reasoning:
        out.reasoning = tokenize(reasoning(talk.prompt))
    if "refuse me" in talk.prompt and not talk.answered:
        out.finish_reason = "refusal"
    elif calls := _tool_calls(request, talk, prepared.get("call", {})):
        out.tool_calls, out.finish_reason = calls, "tool_calls"
        if "first say" in talk.prompt:
            out.text = tokenize(answer(talk.prompt, 10))
    elif request.json_mode:
        _set_text(out, request, json.dumps(_json_value(request, talk.prompt, prepared), ensure_ascii=False))
    else:
        mode = request.prefill if talk.prefilled else continuation if talk.continue_requested else "restart"
        _set_text(out, request, talk.rest(mode))
    out.cached_tokens = _cached_tokens(talk.prompt, out.prompt_tokens)
    if found := re.search(r"\bwritten=(\d{1,6})\b", talk.prompt):
        out.cache_write_tokens = min(int(found[1]), out.prompt_tokens - out.cached_tokens)
    return out


def _set_text(out: Answer, request: Request, text: str) -> None:
    """Set the text up to the first stop sequence and the token limit, and the finish reason that follows."""
    found = [(at, stop) for stop in request.stop if (at := text.find(stop)) >= 0]
    if found:
        at, out.stop_sequence = min(found)
        text, out.finish_reason = text[:at], "stop_sequence"
    out.text = tokenize(text)
    if request.max_tokens is not None and len(out.text) > request.max_tokens:
        out.text, out.finish_reason, out.stop_sequence = out.text[: request.max_tokens], "length", None


def _cached_tokens(prompt: str, prompt_tokens: int) -> int:
    """`cached=N` of the prompt, at most all of it; else whole blocks of 128 from 1,024 tokens on, as OpenAI caches."""
    if found := re.search(r"\bcached=(\d{1,6})\b", prompt):
        return min(int(found[1]), prompt_tokens)
    return prompt_tokens // 128 * 128 if prompt_tokens >= 1024 else 0


def _json_value(request: Request, prompt: str, prepared: Json) -> Any:
    if "json" in prepared:
        return prepared["json"]
    return {"answer": answer(prompt)} if request.json_schema is None else sample(request.json_schema, prompt)


def _tool_calls(request: Request, talk: Conversation, prepared: Json) -> list[ToolCall]:
    """The calls that the prompt, the tool choice or the prepared arguments request."""
    continued = talk.continue_requested or (talk.prefilled and talk.answered)
    if not request.tools or request.tool_choice == "none" or continued:
        return []
    by_name = {tool.name: tool for tool in request.tools}
    if request.tool_choice in by_name:
        wanted = [(by_name[request.tool_choice], 1)]
    elif request.turns and request.turns[-1].results and request.tool_choice == "auto":
        wanted = [(t, 1) for t in request.tools if t.name in prepared and t.name not in talk.tools_called]
    else:
        counts = [(tool, _calls_in(talk.prompt, tool.name) or int(tool.name in prepared)) for tool in request.tools]
        wanted = [(tool, count) for tool, count in counts if count]
        if not wanted and request.tool_choice == "any":
            wanted = [(request.tools[0], 1)]
    turns = len(request.turns)
    calls = [_tool_call(tool, talk.prompt, i, turns, prepared) for tool, count in wanted for i in range(count)]
    return calls if request.parallel_tool_calls else calls[:1]


def _calls_in(prompt: str, tool: str) -> int:
    """How many calls of this tool the prompt requests."""
    found = re.search(rf"\bcall `?{re.escape(tool)}`?\b( twice| three times)?", prompt, re.IGNORECASE)
    if not found:
        return 0
    return {None: 1, " twice": 2, " three times": 3}[found[1].lower() if found[1] else None]


def _tool_call(tool: Tool, prompt: str, number: int, turns: int, prepared: Json) -> ToolCall:
    seed = f"{prompt}#{tool.name}#{number}"
    value = prepared.get(tool.name) or sample({"type": "object", **tool.schema}, seed)
    return ToolCall(tool.name, value if isinstance(value, dict) else {}, f"{seed}#{turns}")
