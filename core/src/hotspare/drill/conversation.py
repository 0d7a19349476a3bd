# Reads any JSON that comes: what is narrowed from Any stays partly unknown to pyright, which is the point here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""From a request to an answer: which prompt is asked, what was said before, and what is left to say."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from hotspare.drill.answers import answer, estimate, opaque, think, tokenize
from hotspare.drill.dialects.base import Ask, Call, Json, Said, Tool, Turn
from hotspare.drill.schema import sample

CONTINUATIONS: Final = ("continue", "strip", "overlap", "restart", "prose")
"""How a continuation is spoken: exactly, without its leading white space, repeating the last words, from the
beginning, wrapped in prose.
"""

PREFILLS: Final = (*CONTINUATIONS, "refuse")
"""The same for a trailing assistant message, which may be refused outright."""

PROSE_BEFORE: Final = "Sure, here is the rest of the answer:\n\n"
PROSE_AFTER: Final = "\n\nI hope this helps!"
OVERLAP_WORDS: Final = 4


def after_tools(prompt: str, results: tuple[str, ...]) -> str:
    """The answer once tool results are in: it repeats them word for word."""
    told = " ; ".join(results)
    return f"The tool says: {told}\n\n{answer(prompt + told, 20)}"


def with_images(prompt: str, sizes: tuple[int, ...]) -> str:
    """The answer to a prompt that came with pictures: their number and their bytes (0 for links), then the usual
    words.
    """
    return f"[{len(sizes)} image(s), {sum(sizes)} bytes] {answer(prompt)}"


class _Talk:
    """Walks the turns once: the prompt that counts, the full answer to it, and what of it was already given."""

    def __init__(self, turns: list[Turn]) -> None:
        self.prompt, self.full, self.given = "", "", ""
        self.results: tuple[str, ...] = ()
        self.told_to_continue = False
        self.called: set[str] = set()
        for turn in turns:
            (self._assistant if turn.role == "assistant" else self._user)(turn)
        self.prefilled = bool(turns) and turns[-1].role == "assistant"

    def _assistant(self, turn: Turn) -> None:
        self.given += turn.text
        self.told_to_continue = False
        self.called.update(turn.called)
        if turn.called:
            self.given = ""

    def _user(self, turn: Turn) -> None:
        if turn.results:
            self.results += tuple(turn.results)
            self.full, self.given = after_tools(self.prompt, self.results), ""
        if not turn.text and not turn.images:
            return
        # an instruction to continue is known by its place, after a beginning of the answer; after all of it, by its words
        begun = self.given and self.full.startswith(self.given)
        begun = begun and (self.given != self.full or "continu" in turn.text.lower())
        if begun and not turn.results:
            self.told_to_continue = True
            return
        self.prompt, self.given, self.told_to_continue, self.called = turn.text, "", False, set()
        if not turn.results:
            self.results = ()
            self.full = with_images(turn.text, tuple(turn.images)) if turn.images else answer(turn.text)

    def rest(self, mode: str) -> str:
        """What is left to say, in the endpoint's manner of continuing."""
        if not self.given or not self.full.startswith(self.given) or mode == "restart":
            return self.full
        rest = self.full[len(self.given) :]
        if mode == "strip":
            return rest.lstrip()
        if mode == "overlap":
            return "".join(tokenize(self.given)[-OVERLAP_WORDS:]) + rest
        if mode == "prose":
            return PROSE_BEFORE + rest.lstrip() + PROSE_AFTER
        return rest


def compose(ask: Ask, continuation: str = "continue", replies: Mapping[str, Json] | None = None) -> Said:
    """The answer to `ask`: tool calls, JSON or text, cut by stop sequences and the token limit, with its usage.

    `replies`: calls and JSON that are written down for prompts with a phrase in them (see `Settings`).
    """
    talk = _Talk(ask.turns)
    script = next((reply for phrase, reply in (replies or {}).items() if phrase in talk.prompt), {})
    seed = opaque(ask.model, talk.prompt, talk.given, str(len(ask.turns)))
    said = Said([], [], [], "stop", seed, prompt_tokens=ask.prompt_tokens)
    if ask.reasoning:
        said.thinking = tokenize(think(talk.prompt))
    if "refuse me" in talk.prompt and not talk.given:
        said.finish = "refused"
    elif calls := _calls(ask, talk, script.get("call", {})):
        said.calls, said.finish = calls, "tools"
        if "first say" in talk.prompt:
            said.text = tokenize(answer(talk.prompt, 10))
    elif ask.json:
        _limit(said, ask, json.dumps(_value(ask, talk.prompt, script), ensure_ascii=False))
    else:
        mode = ask.prefill if talk.prefilled else continuation if talk.told_to_continue else "restart"
        _limit(said, ask, talk.rest(mode))
    said.output_tokens = len(said.thinking) + len(said.text) + sum(len(c.pieces) for c in said.calls)
    said.cached_tokens = _cached(talk.prompt, said.prompt_tokens)
    if found := re.search(r"\bwritten=(\d{1,6})\b", talk.prompt):
        said.written_tokens = min(int(found[1]), said.prompt_tokens - said.cached_tokens)
    return said


def _limit(said: Said, ask: Ask, text: str) -> None:
    found = [(at, stop) for stop in ask.stop if (at := text.find(stop)) >= 0]
    if found:
        at, said.stop_sequence = min(found)
        text, said.finish = text[:at], "stop_sequence"
    said.text = tokenize(text)
    if ask.max_tokens is not None and len(said.text) > ask.max_tokens:
        said.text, said.finish, said.stop_sequence = said.text[: ask.max_tokens], "length", None


def _cached(prompt: str, prompt_tokens: int) -> int:
    """`cached=N` in the prompt, at most what was sent; else whole blocks of 128 from 1,024 on, as OpenAI caches."""
    if found := re.search(r"\bcached=(\d{1,6})\b", prompt):
        return min(int(found[1]), prompt_tokens)
    return prompt_tokens // 128 * 128 if prompt_tokens >= 1024 else 0


def _value(ask: Ask, prompt: str, script: Json) -> Any:
    if "json" in script:
        return script["json"]
    return {"answer": answer(prompt)} if ask.schema is None else sample(ask.schema, prompt)


def _calls(ask: Ask, talk: _Talk, script: Json) -> list[Call]:
    if not ask.tools or ask.choice == "none" or talk.told_to_continue or (talk.prefilled and talk.given):
        return []
    by_name = {tool.name: tool for tool in ask.tools}
    if ask.choice in by_name:
        wanted = [(by_name[ask.choice], 1)]
    elif ask.turns and ask.turns[-1].results and ask.choice == "auto":
        wanted = [(t, 1) for t in ask.tools if t.name in script and t.name not in talk.called]
    else:
        wanted = [(t, times) for t in ask.tools if (times := _asked_for(t, talk.prompt) or int(t.name in script))]
        if not wanted and ask.choice == "any":
            wanted = [(ask.tools[0], 1)]
    calls = [_call(tool, talk.prompt, i, len(ask.turns), script) for tool, times in wanted for i in range(times)]
    return calls if ask.parallel else calls[:1]


def _asked_for(tool: Tool, prompt: str) -> int:
    found = re.search(rf"\bcall `?{re.escape(tool.name)}`?\b( twice| three times)?", prompt, re.IGNORECASE)
    if not found:
        return 0
    return {None: 1, " twice": 2, " three times": 3}[found[1].lower() if found[1] else None]


def _call(tool: Tool, prompt: str, number: int, turns: int, script: Json) -> Call:
    seed = f"{prompt}#{tool.name}#{number}"
    value = script.get(tool.name) or sample({"type": "object", **tool.schema}, seed)
    return Call(tool.name, value if isinstance(value, dict) else {}, f"{seed}#{turns}")


def count_prompt(texts: list[str], images: int = 0) -> int:
    """Prompt tokens: the texts, three for every message, 85 for every picture."""
    return sum(estimate(t) + 3 for t in texts) + 85 * images
