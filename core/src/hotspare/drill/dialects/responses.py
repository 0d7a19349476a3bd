# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (this module reads JSON of any shape)
"""OpenAI's Responses API, as OpenAI, Azure and compatible providers serve it."""

from typing import Any, Final

from hotspare.drill.answers import opaque_id
from hotspare.drill.dialects import openai_errors as errors
from hotspare.drill.dialects.base import Headers, Rejection, StreamEvent, data_size, dumps
from hotspare.drill.dialects.openai import CREATED, OpenAIDialect, api_key, tool_choice
from hotspare.drill.dialects.openai_validation import hides_reasoning
from hotspare.drill.dialects.responses_validation import encrypted, validate
from hotspare.drill.messages import Answer, Json, Request, Tool, ToolCall, Turn

_INCOMPLETE: Final = {
    "length": "max_output_tokens",
    "refusal": "content_filter",
    "malformed": "malformed_function_call",
}


class ResponsesDialect(OpenAIDialect):
    """`POST /v1/responses`, and Azure's `/openai/v1/responses`. Errors, limits and the list of models are those of OpenAI."""

    name = "responses"
    malformed = (
        b"event: response.output_text.delta\n"
        b'data: {"type":"response.output_text.delta","output_index":0,"content_index":0,"del\n\n'
    )

    def read(self, path: str, headers: Headers, body: Any) -> Request:
        api_key(path, headers)
        if not isinstance(body, dict):
            raise errors.invalid("We could not parse the JSON body of your request.")
        validate(body)
        return _request(body)

    def body(self, request: Request, answer: Answer) -> Json:
        output = [item for item, _, _ in _items(request, answer)]
        return {**_head(request, answer), **_ending(answer), "output": output, "usage": _usage(answer)}

    def events(self, request: Request, answer: Answer, *, usage: bool = True) -> list[StreamEvent]:
        stream = _Stream()
        head = {**_head(request, answer), "status": "in_progress", "output": [], "usage": None}
        stream.add("response.created", response=head)
        stream.add("response.in_progress", response=head)
        for index, (item, field, tokens) in enumerate(_items(request, answer)):
            stream.item(index, item, field, tokens)
        whole = self.body(request, answer)
        if not usage:
            whole["usage"] = None
        kind = {"in_progress": "response.in_progress", "incomplete": "response.incomplete"}.get(whole["status"])
        stream.add(kind or "response.completed", finish=True, response=whole)
        return stream.events

    def empty_choices(self, request: Request, answer: Answer) -> Json:
        return {**_head(request, answer), "status": "completed", "output": [], "usage": _usage(answer)}

    def empty_choices_events(self, request: Request, answer: Answer) -> list[bytes]:
        stream = _Stream()
        stream.add("response.completed", response=self.empty_choices(request, answer))
        return [event.data for event in stream.events]

    def error_event(self, request: Request, status: int, message: str | None, *, first: bool) -> bytes:
        error = errors.error_body(status, message)["error"]
        found = {"code": error["code"] or error["type"], "message": error["message"]}
        stream = _Stream()
        if first:
            stream.add("error", **found, param=None)
        else:
            failed = {"id": "resp_failed", "object": "response", "status": "failed", "error": found, "output": []}
            stream.add("response.failed", response=failed)
        return stream.events[0].data

    def context_length_exceeded(self, request: Request, window: int) -> Rejection:
        message = (
            "Your input exceeds the context window of this model. Please adjust your input and try again "
            f"({max(request.prompt_tokens, window + 1)} tokens, {window} at most)."
        )
        return errors.invalid(message, "input", "context_length_exceeded")


class _Stream:
    """The numbered events of one stream."""

    def __init__(self) -> None:
        self.events: list[StreamEvent] = []

    def add(self, kind: str, *, token: bool = False, finish: bool = False, **fields: Any) -> None:
        body = {"type": kind, "sequence_number": len(self.events), **fields}
        data = b"event: " + kind.encode() + b"\ndata: " + dumps(body) + b"\n\n"
        self.events.append(StreamEvent(data, token, finish))

    def item(self, index: int, item: Json, field: str, tokens: list[str]) -> None:
        """Add the events of one output item: start, pieces, end. `field`: the kind of the pieces."""
        start: Json = {**item, "status": "in_progress"}
        start |= {name: empty for name, empty in (("content", []), ("arguments", "")) if name in item}
        place: Json = {"output_index": index, "item_id": item["id"]}
        self.add("response.output_item.added", output_index=index, item=start)
        if field == "function_call_arguments":
            for token in tokens:
                self.add(f"response.{field}.delta", token=True, delta=token, **place)
            self.add(f"response.{field}.done", arguments="".join(tokens), name=item["name"], **place)
        elif tokens:
            self._part(place, item["content"][0], field, tokens)
        self.add("response.output_item.done", output_index=index, item=item)

    def _part(self, place: Json, part: Json, field: str, tokens: list[str]) -> None:
        place |= {"content_index": 0}
        more: Json = {"logprobs": []} if field == "output_text" else {}
        self.add("response.content_part.added", part={**part, "text": ""}, **place)
        for token in tokens:
            self.add(f"response.{field}.delta", token=True, delta=token, **more, **place)
        self.add(f"response.{field}.done", text="".join(tokens), **more, **place)
        self.add("response.content_part.done", part=part, **place)


def _items(request: Request, answer: Answer) -> list[tuple[Json, str, list[str]]]:
    """The output items, each with the kind of its pieces, and the pieces."""
    found: list[tuple[Json, str, list[str]]] = []
    if answer.reasoning:
        hidden = hides_reasoning(request.model)
        content = [] if hidden else [{"type": "reasoning_text", "text": "".join(answer.reasoning)}]
        item = {"id": f"rs_{answer.seed}", "type": "reasoning", "summary": [], "content": content}
        item["encrypted_content"] = encrypted(request.model, answer.seed)
        found.append((item, "reasoning_text", [] if hidden else answer.reasoning))
    if answer.text:
        part = {"type": "output_text", "text": "".join(answer.text), "annotations": [], "logprobs": []}
        found.append((_message(answer, part), "output_text", answer.text))
    found += [(_call(call), "function_call_arguments", call.pieces) for call in answer.tool_calls]
    return found


def _message(answer: Answer, part: Json) -> Json:
    return {
        "id": f"msg_{answer.seed}", "type": "message", "role": "assistant", "status": "completed", "content": [part],
    }  # fmt: skip


def _call(call: ToolCall) -> Json:
    ident = opaque_id(call.seed)
    return {
        "id": f"fc_{ident}", "type": "function_call", "status": "completed", "call_id": f"call_{ident}", "name": call.name,
        "arguments": "".join(call.pieces),
    }  # fmt: skip


def _head(request: Request, answer: Answer) -> Json:
    return {
        "id": f"resp_{answer.seed}", "object": "response", "created_at": CREATED, "model": request.model, "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True, "store": False,
        "previous_response_id": None, "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "tools": [],
        "reasoning": {"effort": None, "summary": None}, "text": {"format": {"type": "text"}},
    }  # fmt: skip


def _ending(answer: Answer) -> Json:
    reason = _INCOMPLETE.get(answer.finish_reason)
    if reason:
        return {"status": "incomplete", "incomplete_details": {"reason": reason}}
    return {"status": "in_progress" if answer.finish_reason == "null" else "completed"}


def _usage(answer: Answer) -> Json:
    return {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": answer.cached_tokens,
            "cache_write_tokens": answer.cache_write_tokens,
        },
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": len(answer.reasoning)},
        "total_tokens": answer.prompt_tokens + answer.output_tokens,
    }


def _request(body: Json) -> Request:
    system = [body["instructions"]] if body.get("instructions") else []
    turns: list[Turn] = []
    items = [{"role": "user", "content": body["input"]}] if isinstance(body["input"], str) else body["input"]
    for item in items:
        kind, role = item.get("type", "message"), item.get("role")
        if kind == "function_call_output":
            _add_result(turns, item["output"])
        elif kind == "function_call":
            if not turns or turns[-1].role != "assistant":
                turns.append(Turn("assistant"))
            turns[-1].tools_called += (item["name"],)
        elif role in ("system", "developer"):
            system.append(_text(item["content"]))
        elif kind == "message":
            turns.append(Turn(str(role), _text(item["content"]), _images(item["content"])))
    form: Json = (body.get("text") or {}).get("format") or {"type": "text"}
    effort = (body.get("reasoning") or {}).get("effort")
    return Request(
        model=body["model"],
        turns=turns,
        system="\n".join(system),
        stream=bool(body.get("stream")),
        tools=[Tool(t["name"], t.get("parameters") or {}) for t in body.get("tools") or () if t["type"] == "function"],
        tool_choice=tool_choice(body.get("tool_choice")),
        parallel_tool_calls=body.get("parallel_tool_calls") is not False,
        json_mode=form["type"] in ("json_object", "json_schema"),
        json_schema=form.get("schema") or {} if form["type"] == "json_schema" else None,
        max_tokens=body.get("max_output_tokens"),
        reasoning=effort not in (None, "none", "minimal"),
        prefill="restart",
    )


def _add_result(turns: list[Turn], output: Any) -> None:
    if not turns or turns[-1].role != "tool":
        turns.append(Turn("tool"))
    turns[-1].results.append(_text(output))
    turns[-1].images += _images(output)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content)


def _images(content: Any) -> list[int]:
    urls = [part["image_url"] for part in content if isinstance(part, dict) and part["type"] == "input_image"]
    return [data_size(url.split(",", 1)[1]) if url.startswith("data:") else 0 for url in urls]
