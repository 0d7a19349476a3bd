# Reads any JSON that comes: what is narrowed from Any stays partly unknown to pyright, which is the point here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""OpenAI's chat completions, as OpenAI, Azure and compatible providers serve it."""

from typing import Any, Final

from hotspare.drill.answers import opaque
from hotspare.drill.conversation import count_prompt
from hotspare.drill.dialects.base import Ask, Frame, Headers, Json, Rate, Reject, Said, Tool, Turn, data_size, dumps
from hotspare.drill.dialects.openai_errors import (
    error_body,
    invalid,
    quota,
    rate_headers,
    throttled,
    unknown_model,
)
from hotspare.drill.dialects.openai_validation import check, hides_thinking

CREATED: Final = 1_760_000_000
_FINISH: Final = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tools": "tool_calls",
    "refused": "content_filter",
}


class OpenAIWire:
    """`POST /v1/chat/completions` and its Azure paths."""

    name = "openai"
    malformed = (
        b'data: {"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"cont\n\n'
    )
    keepalive = b": keep-alive\n\n"

    def read(self, path: str, headers: Headers, body: Any) -> Ask:
        """See `Wire.read`."""
        azure = "/openai/" in path
        key = (
            headers.get("api-key")
            if azure and "api-key" in headers
            else headers.get("authorization", "").removeprefix("Bearer ")
        )
        if not (key or "").startswith("test-"):
            raise Reject(401, self.error(401))
        if not isinstance(body, dict):
            raise invalid("We could not parse the JSON body of your request.")
        model = (
            path.split("/deployments/")[1].split("/", maxsplit=1)[0] if "/deployments/" in path else body.get("model")
        )
        if not isinstance(model, str) or not model:
            raise invalid("you must provide a model parameter")
        if model.startswith("gone"):
            raise unknown_model(model, azure="/deployments/" in path)
        check(model, body)
        ask = _ask(model, body)
        ask.azure = azure
        return ask

    def whole(self, ask: Ask, said: Said) -> Json:
        """See `Wire.whole`."""
        message: Json = {"role": "assistant", "content": "".join(said.text) or None, "refusal": None, "annotations": []}
        if said.thinking and not hides_thinking(ask.model):
            message["reasoning_content"] = "".join(said.thinking)
        if said.calls:
            message["tool_calls"] = [
                {
                    "id": call_id(ask, c.seed),
                    "type": "function",
                    "function": {"name": c.name, "arguments": "".join(c.pieces)},
                }
                for c in said.calls
            ]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[said.finish]}
        return {**_head(ask, said, "chat.completion"), "choices": [choice], "usage": _usage(said)}

    def frames(self, ask: Ask, said: Said, *, usage: bool = True) -> list[Frame]:
        """See `Wire.frames`."""
        head = dumps(_head(ask, said, "chat.completion.chunk"))[:-1]
        tail = b',"usage":null}\n\n' if ask.usage_wanted else b"}\n\n"

        def chunk(delta: Json, finish: str | None = None, *, token: bool = False) -> Frame:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return Frame(b"data: " + head + b',"choices":[' + dumps(choice) + b"]" + tail, token)

        out = [chunk({"role": "assistant", "content": "", "refusal": None})]
        if not hides_thinking(ask.model):
            out += [chunk({"reasoning_content": t}, token=True) for t in said.thinking]
        out += [chunk({"content": t}, token=True) for t in said.text]
        for index, call in enumerate(said.calls):
            function = {"name": call.name, "arguments": ""}
            first = {"index": index, "id": call_id(ask, call.seed), "type": "function", "function": function}
            out.append(chunk({"tool_calls": [first]}, token=True))
            out += [
                chunk({"tool_calls": [{"index": index, "function": {"arguments": p}}]}, token=True) for p in call.pieces
            ]
        out.append(chunk({}, _FINISH[said.finish]))
        if ask.usage_wanted and usage:
            out.append(Frame(b"data: " + head + b',"choices":[],"usage":' + dumps(_usage(said)) + b"}\n\n"))
        out.append(Frame(b"data: [DONE]\n\n"))
        return out

    def hollow(self, ask: Ask, said: Said) -> Json:
        """See `Wire.hollow`."""
        return {**_head(ask, said, "chat.completion"), "choices": [], "usage": _usage(said)}

    def error(self, status: int, message: str | None = None) -> Json:
        """See `Wire.error`."""
        return error_body(status, message)

    def error_event(self, status: int, message: str | None = None) -> bytes:
        """See `Wire.error_event`."""
        return b"data: " + dumps(error_body(status, message)) + b"\n\n"

    def too_long(self, ask: Ask, window: int) -> Reject:
        """See `Wire.too_long`."""
        words = (
            f"This model's maximum context length is {window} tokens. However, your messages resulted in "
            f"{max(ask.prompt_tokens, window + 1)} tokens. Please reduce the length of the messages."
        )
        return invalid(words, "messages", "context_length_exceeded")

    def refuse_prefill(self, ask: Ask) -> Reject:
        """See `Wire.refuse_prefill`."""
        return invalid(
            "Invalid value: the last message must have role 'user' or 'tool'.", f"messages[{len(ask.turns) - 1}].role"
        )

    def throttled(self, form: str, seconds: float) -> Reject:
        """See `Wire.throttled`."""
        return throttled(form, seconds)

    def quota(self, form: str) -> Reject:
        """See `Wire.quota`."""
        return quota(form)

    def rate_headers(self, rate: Rate) -> Headers:
        """See `Wire.rate_headers`."""
        return rate_headers(rate)


def call_id(ask: Ask, seed: str) -> str:
    """Nine letters and digits where the model is Mistral's, else `call_` and 24 of them."""
    return opaque(seed, length=9) if "mistral" in ask.model.lower() else "call_" + opaque(seed)


def _head(ask: Ask, said: Said, kind: str) -> Json:
    return {
        "id": "chatcmpl-" + said.seed,
        "object": kind,
        "created": CREATED,
        "model": ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_hotspare",
    }


def _usage(said: Said) -> Json:
    return {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": said.output_tokens,
        "total_tokens": said.prompt_tokens + said.output_tokens,
        "prompt_tokens_details": {"cached_tokens": said.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": said.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _ask(model: str, body: Json) -> Ask:
    turns: list[Turn] = []
    system: list[str] = []
    for message in body["messages"]:
        if message["role"] in ("system", "developer"):
            system.append(_text(message.get("content")))
        elif message["role"] == "tool":
            _result(turns, _text(message.get("content")))
        else:
            turns.append(_turn(message))
    texts = [*system, *(t.text or " ".join(t.results) for t in turns)]
    form: Json = body.get("response_format") or {"type": "text"}
    last = turns[-1] if turns else None
    stop = body.get("stop") or ()
    return Ask(
        model=model,
        turns=turns,
        system="\n".join(system),
        stream=bool(body.get("stream")),
        tools=[Tool(t["function"]["name"], t["function"].get("parameters") or {}) for t in body.get("tools") or ()],
        choice=_choice(body.get("tool_choice")),
        parallel=body.get("parallel_tool_calls") is not False,
        json=form["type"] in ("json_object", "json_schema"),
        schema=form["json_schema"].get("schema") or {} if form["type"] == "json_schema" else None,
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        reasoning=_reasons(body),
        usage_wanted=bool((body.get("stream_options") or {}).get("include_usage")),
        # OpenAI begins a new message after a trailing assistant one; Mistral and DeepSeek continue it where it says so
        prefill="continue" if last is not None and last.prefix else "restart",
        prompt_tokens=count_prompt(texts, sum(len(t.images) for t in turns)),
    )


def _reasons(body: Json) -> bool:
    thinking = body.get("thinking") or {}
    return body.get("reasoning_effort") not in (None, "none", "minimal") or thinking.get("type") == "enabled"


def _choice(choice: Any) -> str:
    if isinstance(choice, dict):
        return str(choice.get("function", {}).get("name", "auto"))
    return {"required": "any", "any": "any", "none": "none"}.get(choice, "auto")


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(p.get("text") or "" for p in content if p.get("type") in ("text", "refusal"))
    return content or ""


def _turn(message: Json) -> Turn:
    content = message.get("content")
    images = [_image(p) for p in content if p.get("type") == "image_url"] if isinstance(content, list) else []
    called = tuple(call["function"]["name"] for call in message.get("tool_calls") or ())
    return Turn(message["role"], _text(content), images, called=called, prefix=message.get("prefix") is True)


def _image(part: Json) -> int:
    url = part["image_url"] if isinstance(part["image_url"], str) else part["image_url"]["url"]
    return data_size(url.split(",", 1)[1]) if url.startswith("data:") else 0


def _result(turns: list[Turn], text: str) -> None:
    """Tool messages in a row are one turn, so that every wire sees parallel results alike."""
    if turns and turns[-1].role == "tool":
        turns[-1].results.append(text)
    else:
        turns.append(Turn("tool", results=[text]))
