# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (this module reads JSON of any shape)
"""OpenAI's chat completions, as OpenAI, Azure and compatible providers serve them."""

from typing import Any, Final

from hotspare.drill.answers import opaque_id
from hotspare.drill.dialects import openai_errors as errors
from hotspare.drill.dialects.base import (
    KEY_PREFIX,
    MODELS,
    UNKNOWN_MODEL_PREFIX,
    Dialect,
    Headers,
    RateLimit,
    Rejection,
    StreamEvent,
    data_size,
    dumps,
)
from hotspare.drill.dialects.openai_validation import hides_reasoning, validate
from hotspare.drill.messages import Answer, Json, Request, Tool, ToolCall, Turn

CREATED: Final = 1_760_000_000
_FINISH: Final = {
    "stop": "stop", "stop_sequence": "stop", "length": "length", "tool_calls": "tool_calls", "refusal": "content_filter",
    "null": "null", "malformed": "malformed_function_call",
}  # fmt: skip


class OpenAIDialect(Dialect):
    """`POST /v1/chat/completions` and the paths of Azure."""

    name = "openai"
    malformed = (
        b'data: {"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"cont\n\n'
    )
    keepalive = b": keep-alive\n\n"

    def model_of(self, path: str, body: Any) -> str:
        """The model in the body or, for an Azure deployment, in the path. Raises `Rejection` if there is none."""
        if not isinstance(body, dict):
            raise errors.invalid("We could not parse the JSON body of your request.")
        in_path = "/deployments/" in path
        model = path.split("/deployments/")[1].split("/", maxsplit=1)[0] if in_path else body.get("model")
        if not isinstance(model, str) or not model:
            raise errors.invalid("you must provide a model parameter")
        if model.startswith(UNKNOWN_MODEL_PREFIX):
            raise errors.unknown_model(model, azure_deployment=in_path)
        return model

    def read(self, path: str, headers: Headers, body: Any) -> Request:
        azure = api_key(path, headers)
        model = self.model_of(path, body)
        validate(model, body)
        request = _request(model, body)
        if azure and request.turns and "refuse me" in request.turns[-1].text:
            raise errors.content_filtered()
        return request

    def body(self, request: Request, answer: Answer) -> Json:
        message: Json = {"role": "assistant", "content": "".join(answer.text) or None}
        message |= {"refusal": None, "annotations": []}
        if answer.reasoning and not hides_reasoning(request.model):
            message["reasoning_content"] = "".join(answer.reasoning)
        if answer.tool_calls:
            message["tool_calls"] = [
                _tool_call(request, call, "".join(call.pieces)) for call in answer.tool_calls
            ]  # fmt: skip
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[answer.finish_reason]}
        return {**_head(request, answer, "chat.completion"), "choices": [choice], "usage": _usage(answer)}

    def events(self, request: Request, answer: Answer, *, usage: bool = True) -> list[StreamEvent]:
        head = dumps(_head(request, answer, "chat.completion.chunk"))[:-1]
        tail = b',"usage":null}\n\n' if request.include_usage else b"}\n\n"

        def chunk(delta: Json, finish_reason: str | None = None, *, token: bool = True) -> StreamEvent:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
            data = b"data: " + head + b',"choices":[' + dumps(choice) + b"]" + tail
            return StreamEvent(data, token, finish_reason is not None)

        out = [chunk({"role": "assistant", "content": "", "refusal": None}, token=False)]
        if not hides_reasoning(request.model):
            out += [chunk({"reasoning_content": token}) for token in answer.reasoning]
        out += [chunk({"content": token}) for token in answer.text]
        for index, call in enumerate(answer.tool_calls):
            out.append(chunk({"tool_calls": [{"index": index, **_tool_call(request, call, "")}]}))
            for piece in call.pieces:
                out.append(chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
        out.append(chunk({}, _FINISH[answer.finish_reason], token=False))
        if request.include_usage and usage:
            out.append(StreamEvent(b"data: " + head + b',"choices":[],"usage":' + dumps(_usage(answer)) + b"}\n\n"))
        return [*out, StreamEvent(b"data: [DONE]\n\n")]

    def empty_choices(self, request: Request, answer: Answer) -> Json:
        return {**_head(request, answer, "chat.completion"), "choices": [], "usage": _usage(answer)}

    def empty_choices_events(self, request: Request, answer: Answer) -> list[bytes]:
        chunk = {**self.empty_choices(request, answer), "object": "chat.completion.chunk"}
        return [b"data: " + dumps(chunk) + b"\n\n", b"data: [DONE]\n\n"]

    def error(self, status: int, message: str | None = None) -> Json:
        return errors.error_body(status, message)

    def error_event(self, request: Request, status: int, message: str | None, *, first: bool) -> bytes:
        return b"data: " + dumps(errors.error_body(status, message)) + b"\n\n"

    def context_length_exceeded(self, request: Request, window: int) -> Rejection:
        message = (
            f"This model's maximum context length is {window} tokens. However, your messages resulted in "
            f"{max(request.prompt_tokens, window + 1)} tokens. Please reduce the length of the messages."
        )
        return errors.invalid(message, "messages", "context_length_exceeded")

    def prefill_refused(self, request: Request) -> Rejection:
        message = "Invalid value: the last message must have role 'user' or 'tool'."
        return errors.invalid(message, f"messages[{len(request.turns) - 1}].role")

    def streaming_refused(self) -> Rejection:
        message = "Your organization must be verified to stream this model."
        return errors.invalid(message, "stream", "unsupported_value")

    def rate_limited(self, form: str, seconds: float) -> Rejection:
        return errors.rate_limited(form, seconds)

    def quota(self, limit: str) -> Rejection:
        return errors.quota(limit)

    def rate_limit_headers(self, limit: RateLimit) -> Headers:
        return errors.rate_limit_headers(limit)

    def models(self) -> Json:
        common = {"object": "model", "created": CREATED, "owned_by": "drill"}
        return {"object": "list", "data": [{"id": model, **common} for model in MODELS]}


def api_key(path: str, headers: Headers) -> bool:
    """Check the API key. Returns whether the path is one of Azure's. Raises `Rejection` for a wrong key."""
    azure = "/openai/" in path
    key = headers.get("api-key") if azure else None
    if not (key or headers.get("authorization", "").removeprefix("Bearer ")).startswith(KEY_PREFIX):
        raise Rejection(401, errors.error_body(401))
    return azure


def _tool_call(request: Request, call: ToolCall, arguments: str) -> Json:
    mistral = "mistral" in request.model.lower()  # Mistral accepts ids of exactly nine letters and digits
    ident = opaque_id(call.seed, length=9) if mistral else "call_" + opaque_id(call.seed)
    return {"id": ident, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _head(request: Request, answer: Answer, kind: str) -> Json:
    return {
        "id": "chatcmpl-" + answer.seed, "object": kind, "created": CREATED, "model": request.model,
        "service_tier": "default", "system_fingerprint": "fp_hotspare",
    }  # fmt: skip


def _usage(answer: Answer) -> Json:
    details = {"reasoning_tokens": len(answer.reasoning), "audio_tokens": 0}
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.prompt_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {**details, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    }


def _request(model: str, body: Json) -> Request:
    turns: list[Turn] = []
    system: list[str] = []
    for message in body["messages"]:
        if message["role"] in ("system", "developer"):
            system.append(_text(message.get("content")))
        elif message["role"] == "tool":
            _add_result(turns, _text(message.get("content")))
        else:
            turns.append(_turn(message))
    form: Json = body.get("response_format") or {"type": "text"}
    stop = body.get("stop") or ()
    return Request(
        model=model,
        turns=turns,
        system="\n".join(system),
        stream=bool(body.get("stream")),
        tools=[Tool(t["function"]["name"], t["function"].get("parameters") or {}) for t in body.get("tools") or ()],
        tool_choice=tool_choice(body.get("tool_choice")),
        parallel_tool_calls=body.get("parallel_tool_calls") is not False,
        json_mode=form["type"] in ("json_object", "json_schema"),
        json_schema=form["json_schema"].get("schema") or {} if form["type"] == "json_schema" else None,
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        reasoning=_wants_reasoning(body),
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        # OpenAI restarts after a trailing assistant message; Mistral and DeepSeek continue it if it has `prefix`, vLLM with this field
        prefill="continue" if body.get("continue_final_message") or (turns and turns[-1].prefix) else "restart",
    )


def _wants_reasoning(body: Json) -> bool:
    thinking = body.get("thinking") or {}
    return body.get("reasoning_effort") not in (None, "none", "minimal") or thinking.get("type") == "enabled"


def tool_choice(choice: Any) -> str:
    """The tool choice as in `Request.tool_choice`, for Chat Completions and Responses."""
    if isinstance(choice, dict):
        return str(choice.get("function", choice).get("name", "auto"))
    return {"required": "any", "any": "any", "none": "none"}.get(choice, "auto")


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if part.get("type") in ("text", "refusal"))
    return content or ""


def _turn(message: Json) -> Turn:
    content = message.get("content")
    images = [_image_size(p) for p in content if p.get("type") == "image_url"] if isinstance(content, list) else []
    called = tuple(call["function"]["name"] for call in message.get("tool_calls") or ())
    prefix = message.get("prefix") is True
    return Turn(message["role"], _text(content), images, tools_called=called, prefix=prefix)


def _image_size(part: Json) -> int:
    url = part["image_url"] if isinstance(part["image_url"], str) else part["image_url"]["url"]
    return data_size(url.split(",", 1)[1]) if url.startswith("data:") else 0


def _add_result(turns: list[Turn], text: str) -> None:
    """Tool messages in a row become one turn, as the other dialects send parallel results."""
    if turns and turns[-1].role == "tool":
        turns[-1].results.append(text)
    else:
        turns.append(Turn("tool", results=[text]))
