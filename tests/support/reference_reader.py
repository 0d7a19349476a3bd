"""What a recorded answer says, read from its JSON or its event stream without any code of hotspare's.

`read_recording` reads a recording, `as_read` puts hotspare's own reading of it into the same form.
"""

import json
from typing import Any, NamedTuple

from hotspare.messages import ChatReply

Body = dict[str, Any]


class Tokens(NamedTuple):
    """Tokens in hotspare's order: input (cached ones included), output (reasoning included), and what of them is special."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0


class Call(NamedTuple):
    """A tool call. `arguments` parsed; the text itself where it is no JSON."""

    id: str
    name: str
    arguments: Any


class ReadAnswer(NamedTuple):
    """An answer. `signatures`: of reasoning and of calls, sorted."""

    text: str
    reasoning: str
    calls: list[Call]
    finish: str
    tokens: Tokens
    refusal: str
    id: str
    model: str
    signatures: list[str]


def read_recording(dialect: str, text: str, *, stream: bool) -> ReadAnswer:
    """The answer that a recorded body or event stream holds. `dialect`: openai, responses, anthropic or gemini."""
    bodies = [json.loads(line[5:]) for line in data_lines(text)] if stream else [json.loads(text)]
    return _READERS[dialect, stream](bodies)


_SIGNATURES = ("signature", "encrypted_content")


def data_lines(text: str) -> list[str]:
    """The `data:` lines of an event stream that hold JSON."""
    return [line for line in text.splitlines() if line.startswith("data:") and line[5:].strip() != "[DONE]"]


def as_read(reply: ChatReply, recorded: ReadAnswer) -> ReadAnswer:
    """hotspare's reading, to be compared with what was recorded: without the ids it makes up for calls that have none."""
    nameless = {index for index, call in enumerate(recorded.calls) if not call.id}
    signatures = [block[name] for block in reply.thinking for name in _SIGNATURES if block.get(name)]
    usage = reply.usage
    return ReadAnswer(
        reply.text,
        reply.reasoning,
        [
            Call("" if index in nameless else call.id, call.name, _json(call.arguments))
            for index, call in enumerate(reply.tool_calls)
        ],
        reply.finish_reason,
        Tokens(
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
        ),
        reply.refusal or "",
        reply.id,
        reply.model,
        sorted(signatures + [call.signature for call in reply.tool_calls if call.signature]),
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def _texts(bodies: list[Body], *names: str) -> str:
    return "".join(next((body[name] for name in names if body.get(name)), "") for body in bodies)


# --- OpenAI's chat completions -----------------------------------------------------------------------------------


def _openai_tokens(raw: Body | None) -> Tokens:
    if raw is None:
        return Tokens()
    paid, made = raw.get("prompt_tokens_details") or {}, raw.get("completion_tokens_details") or {}
    cached = paid.get("cached_tokens") or raw.get("cached_tokens") or raw.get("num_cached_tokens") or 0
    written = paid.get("cache_write_tokens") or 0
    thought = made.get("reasoning_tokens") or 0
    beside = raw["total_tokens"] - raw["prompt_tokens"] - raw["completion_tokens"]
    assert beside >= 0  # Gemini's compatible endpoint counts thoughts in the total only
    return Tokens(raw["prompt_tokens"], raw["completion_tokens"] + beside, cached, written, thought)


def _openai_message(message: Body) -> tuple[str, str]:
    """Text and reasoning of a message or delta: a string, or Mistral's list; the reasoning under any of its names."""
    details = [d.get("text") or d.get("summary") or "" for d in message.get("reasoning_details") or []]
    reasoning = message.get("reasoning_content") or message.get("reasoning") or "".join(details)
    content = message.get("content") or ""
    if isinstance(content, str):
        return content, reasoning
    thoughts = [inner["text"] for part in content if part["type"] == "thinking" for inner in part["thinking"]]
    return _texts([part for part in content if part["type"] == "text"], "text"), reasoning or "".join(thoughts)


def _openai_finish(reason: str | None, calls: list[Call]) -> str:
    """A finish reason; some providers say `stop`, or nothing, behind tool calls."""
    return "tool_calls" if calls and reason in ("", None, "stop") else reason or "stop"


def _openai_signatures(messages: list[Body]) -> list[str]:
    """OpenRouter's signed reasoning, and Gemini's signatures on calls."""
    details = [detail for message in messages for detail in message.get("reasoning_details") or []]
    calls = [call for message in messages for call in message.get("tool_calls") or []]
    google = [(call.get("extra_content") or {}).get("google", {}).get("thought_signature") for call in calls]
    return sorted(s for s in [*(detail.get("signature") for detail in details), *google] if s)


def _openai_plain(bodies: list[Body]) -> ReadAnswer:
    (body,) = bodies
    message = body["choices"][0]["message"]
    text, reasoning = _openai_message(message)
    calls = [
        Call(c["id"], c["function"]["name"], _json(c["function"].get("arguments", "")))
        for c in message.get("tool_calls") or []
    ]
    return ReadAnswer(
        text,
        reasoning,
        calls,
        _openai_finish(body["choices"][0]["finish_reason"], calls),
        _openai_tokens(body["usage"]),
        message.get("refusal") or "",
        body["id"],
        body["model"],
        _openai_signatures([message]),
    )


def _openai_stream(bodies: list[Body]) -> ReadAnswer:
    choices = [choice for body in bodies for choice in body["choices"]]
    deltas = [choice["delta"] for choice in choices]
    pieces: dict[int, list[Body]] = {}
    for piece in (piece for delta in deltas for piece in delta.get("tool_calls") or []):
        pieces.setdefault(piece["index"], []).append({"id": piece.get("id"), **piece["function"]})
    calls = [
        Call(
            next(p["id"] for p in call if p["id"]),
            next(p["name"] for p in call if p.get("name")),
            _json(_texts(call, "arguments")),
        )
        for call in pieces.values()
    ]
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    counted = [body.get("usage") or (body.get("x_groq") or {}).get("usage") for body in bodies]
    read = [_openai_message(delta) for delta in deltas]
    return ReadAnswer(
        "".join(text for text, _ in read),
        "".join(reasoning for _, reasoning in read),
        calls,
        _openai_finish(reasons[-1] if reasons else None, calls),
        _openai_tokens(next((usage for usage in reversed(counted) if usage), None)),
        _texts(deltas, "refusal"),
        bodies[0]["id"],
        bodies[-1]["model"],
        _openai_signatures(deltas),
    )


# --- OpenAI's responses ------------------------------------------------------------------------------------------


def _response(body: Body, events: list[Body] | None) -> ReadAnswer:
    """A whole response. In a stream the deltas say the text and the reasoning, and the last event repeats the response, with
    the reasoning encrypted anew."""
    of = {kind: [i for i in body["output"] if i["type"] == kind] for kind in ("message", "reasoning", "function_call")}
    text = "".join(part["text"] for item in of["message"] for part in item["content"])
    thoughts = [*(i.get("summary") or [] for i in of["reasoning"]), *(i.get("content") or [] for i in of["reasoning"])]
    reasoning = "".join(part["text"] for parts in thoughts for part in parts)
    signed = of["reasoning"]
    if events is not None:
        assert text == _texts([e for e in events if e["type"] == "response.output_text.delta"], "delta")
        assert reasoning == _texts([e for e in events if e["type"] == "response.reasoning_text.delta"], "delta")
        signed = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    calls = [Call(c["call_id"], c["name"], _json(c["arguments"])) for c in of["function_call"]]
    used, paid = body["usage"], body["usage"]["input_tokens_details"]
    thought = used["output_tokens_details"]["reasoning_tokens"]
    return ReadAnswer(
        text,
        reasoning,
        calls,
        "tool_calls" if calls else {"completed": "stop", "complete": "stop"}[body["status"]],
        Tokens(used["input_tokens"], used["output_tokens"], paid["cached_tokens"], paid.get("cache_write_tokens") or 0, thought),
        "",
        body["id"],
        body["model"],
        sorted(item["encrypted_content"] for item in signed if item.get("encrypted_content")),
    )  # fmt: skip


def _responses_plain(bodies: list[Body]) -> ReadAnswer:
    return _response(bodies[0], None)


def _responses_stream(bodies: list[Body]) -> ReadAnswer:
    return _response(bodies[-1]["response"], bodies)


# --- Anthropic's messages ----------------------------------------------------------------------------------------

_ANTHROPIC_FINISH = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length", "stop_sequence": "stop"}


def _anthropic_answer(blocks: list[Body], reason: str, raw: Body, message: Body) -> ReadAnswer:
    of = {kind: [b for b in blocks if b["type"] == kind] for kind in ("text", "thinking", "tool_use")}
    cached, written = raw.get("cache_read_input_tokens") or 0, raw.get("cache_creation_input_tokens") or 0
    thought = (raw.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return ReadAnswer(
        _texts(of["text"], "text"),
        _texts(of["thinking"], "thinking"),
        [Call(b["id"], b["name"], b["input"]) for b in of["tool_use"]],
        _ANTHROPIC_FINISH[reason],
        Tokens(raw["input_tokens"] + cached + written, raw["output_tokens"], cached, written, thought),
        "",
        message["id"],
        message["model"],
        sorted(b["signature"] for b in of["thinking"]),
    )


def _anthropic_plain(bodies: list[Body]) -> ReadAnswer:
    (body,) = bodies
    return _anthropic_answer(body["content"], body["stop_reason"], body["usage"], body)


def _anthropic_stream(bodies: list[Body]) -> ReadAnswer:
    begun = next(e["message"] for e in bodies if e["type"] == "message_start")
    last = next(e for e in bodies if e["type"] == "message_delta")
    blocks: list[Body] = []
    for index, block in ((e["index"], e["content_block"]) for e in bodies if e["type"] == "content_block_start"):
        deltas = [e["delta"] for e in bodies if e["type"] == "content_block_delta" and e["index"] == index]
        grown = {name: (block.get(name) or "") + _texts(deltas, name) for name in ("text", "thinking", "signature")}
        blocks.append({**block, **grown, "input": _json(_texts(deltas, "partial_json"))})
    usage = {**begun["usage"], **last["usage"]}
    return _anthropic_answer(blocks, last["delta"]["stop_reason"], usage, begun)


# --- Gemini's generateContent ------------------------------------------------------------------------------------


def _gemini(bodies: list[Body]) -> ReadAnswer:
    """One body, or a stream's bodies: they are alike."""
    parts = [part for body in bodies for part in body["candidates"][0].get("content", {}).get("parts", [])]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    reason = next(b["candidates"][0]["finishReason"] for b in bodies if "finishReason" in b["candidates"][0])
    counted: Body = {}
    for body in bodies:
        counted |= body.get("usageMetadata", {})
    thought = counted.get("thoughtsTokenCount", 0)
    paid = counted.get("promptTokenCount", 0) + counted.get("toolUsePromptTokenCount", 0)
    made = counted.get("candidatesTokenCount", 0) + thought
    if "candidatesTokenCount" in bodies[-1].get("usageMetadata", {}):
        assert paid + made == counted["totalTokenCount"]
    return ReadAnswer(
        _texts([part for part in parts if not part.get("thought")], "text"),
        _texts([part for part in parts if part.get("thought")], "text"),
        [Call(call.get("id", ""), call["name"], call.get("args", {})) for call in calls],
        "tool_calls" if calls else {"STOP": "stop", "MAX_TOKENS": "length"}[reason],
        Tokens(paid, made, counted.get("cachedContentTokenCount", 0), 0, thought),
        "",
        next((body["responseId"] for body in bodies if "responseId" in body), ""),
        next((body["modelVersion"] for body in bodies if "modelVersion" in body), ""),
        sorted(
            p["thoughtSignature"] for p in parts if "thoughtSignature" in p and ("text" in p or "functionCall" in p)
        ),
    )


_READERS = {
    ("openai", False): _openai_plain,
    ("openai", True): _openai_stream,
    ("responses", False): _responses_plain,
    ("responses", True): _responses_stream,
    ("anthropic", False): _anthropic_plain,
    ("anthropic", True): _anthropic_stream,
    ("gemini", False): _gemini,
    ("gemini", True): _gemini,
}
