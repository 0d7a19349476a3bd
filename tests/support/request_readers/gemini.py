"""The body of a Gemini request -> ChatRequest. What OpenAI's shape cannot say goes into `extra`, word for word.

Google's clients write camelCase and snake_case, often in one body; both are read.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from hotspare.messages import ChatRequest, ReasoningEffort
from hotspare.providers.content import json_text
from hotspare.providers.gemini.response import generated_id, signed_block
from hotspare.providers.json_access import Json, as_list, as_map, as_maps, as_text, drop_empty, without

_SCHEMA_WORDS = {"any_of": "anyOf", "property_ordering": None, "propertyOrdering": None, "nullable": None}
_CONFIG = {
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "maxOutputTokens": "max_tokens",
    "stopSequences": "stop",
    "seed": "seed",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
}
_FIELDS = frozenset({"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"})
_OPAQUE = frozenset(
    {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "customMetadata"}
)


def parse_body(body: Mapping[str, Any], model: str | None = None) -> ChatRequest:
    """The reverse of `write_body`."""
    raw = camel(body)
    config = as_map(raw.get("generationConfig"))
    extra = without(raw, _FIELDS)
    contents = as_maps(raw.get("contents"))
    history = _History()
    system = _parts(as_maps(as_map(raw.get("systemInstruction")).get("parts")))
    messages = [{"role": "system", "content": system}] if system else []
    messages += [message for content in contents for message in history.messages(content)]
    if not all(_portable(content) for content in contents):
        extra["contents"] = raw["contents"]
    tools = as_maps(raw.get("tools")) or as_maps([raw.get("tools")])
    functions = [f for tool in tools for f in as_maps(tool.get("functionDeclarations"))]
    if any(set(tool) != {"functionDeclarations"} for tool in tools):  # server tools: only Gemini has them
        extra["tools"] = raw["tools"]
    calling, other = _calling(as_map(raw.get("toolConfig")), functions)
    own = _own_config(config)
    return ChatRequest(
        messages=messages,
        model=model,
        tools=[_tool(function) for function in functions],
        tool_choice=calling,
        response_format=_format(config),
        reasoning_effort=_effort(as_map(config.get("thinkingConfig"))),
        **{ours: config[theirs] for theirs, ours in _CONFIG.items() if config.get(theirs) is not None},
        extra={"gemini": extra | drop_empty(toolConfig=other or None, generationConfig=own or None)}
        if extra or other or own
        else {},
    )


def camel(value: Any, name: str = "") -> Any:
    """The same JSON with camelCase names, but for what the user or the model wrote: arguments, results, schemas."""
    if name in _OPAQUE:
        return value
    if isinstance(value, (list, tuple)):
        return [camel(item) for item in as_list(cast("object", value))]
    if not isinstance(value, Mapping):
        return value
    renamed: Json = {}
    for key, inner in as_map(cast("object", value)).items():
        head, *tail = key.split("_")
        new = head + "".join(word[:1].upper() + word[1:] for word in tail)
        renamed[new] = camel(inner, new)
    return renamed


def json_schema(schema: Any) -> Any:
    """Google's OpenAPI schema as JSON Schema: types in lower case, `any_of` as `anyOf`, `nullable` as a type."""
    if isinstance(schema, (list, tuple)):
        return [json_schema(item) for item in as_list(cast("object", schema))]
    if not isinstance(schema, Mapping):
        return schema
    result: Json = {}
    for name, value in as_map(cast("object", schema)).items():
        word = _SCHEMA_WORDS.get(name, name)
        if name == "properties":
            result[name] = {key: json_schema(inner) for key, inner in as_map(value).items()}
        elif name == "type" and isinstance(value, str):
            result[name] = value.lower()
        elif word is not None:
            result[word] = json_schema(value)
    if as_map(cast("object", schema)).get("nullable") and isinstance(result.get("type"), str):
        result["type"] = [result["type"], "null"]
    return result


def _own_config(config: Json) -> Json:
    own = without(config, [*_CONFIG, "responseMimeType", "responseJsonSchema", "responseSchema"])
    if config.get("responseMimeType") not in (None, "application/json"):
        own["responseMimeType"] = config["responseMimeType"]
    return own


def _format(config: Json) -> Json | None:
    if config.get("responseMimeType") != "application/json":
        return None
    schema = config.get("responseJsonSchema") or json_schema(config.get("responseSchema"))
    if not schema:
        return {"type": "json_object"}
    name = as_text(as_map(schema).get("title")) or "answer"
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


def _effort(thinking: Json) -> ReasoningEffort | None:
    """What the other dialects are sent; Gemini itself gets the exact words, from `extra`."""
    levels: dict[str, ReasoningEffort] = {
        "minimal": "minimal",
        "low": "low",
        "medium": "medium",
        "high": "high",
        "xhigh": "xhigh",
    }
    budget = thinking.get("thinkingBudget")
    if not isinstance(budget, int) or budget < 0:
        return levels.get(as_text(thinking.get("thinkingLevel")).lower())
    return "none" if budget == 0 else "low" if budget <= 1024 else "medium" if budget <= 2048 else "high"


def _calling(config: Json, functions: Sequence[Json]) -> tuple[Any, Json]:
    """Tool choice, and what is left of `toolConfig`."""
    calling = as_map(config.get("functionCallingConfig"))
    rest = without(config, ["functionCallingConfig"])
    mode, names = calling.get("mode"), as_list(calling.get("allowedFunctionNames"))
    known = {"AUTO": "auto", "NONE": "none", "ANY": "required"}
    if not calling or mode not in known or not functions:
        return None, config
    if not names:
        return known[mode], rest
    if len(names) == 1:
        return {"type": "function", "function": {"name": names[0]}}, rest
    allowed = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": allowed}}, rest


def _tool(function: Json) -> Json:
    parameters = function.get("parametersJsonSchema") or json_schema(function.get("parameters"))
    return {
        "type": "function",
        "function": drop_empty(
            name=function.get("name"), description=function.get("description"), parameters=parameters
        ),
    }


def _portable(content: Json) -> bool:
    """Whether OpenAI's shape can say all of this content, in this order."""
    ranks = [_rank(part, content.get("role")) for part in as_maps(content.get("parts"))]
    return -1 not in ranks and ranks == sorted(ranks) and content.get("role") in ("user", "model")


def _rank(part: Json, role: object) -> int:
    """A part's place in a message of ours: thoughts, text, calls; results before all else. -1: it has none."""
    names = set(part) - {"thought", "thoughtSignature"}
    if role == "model":
        if names == {"text"}:
            return 0 if part.get("thought") else 1
        return 2 if names == {"functionCall"} else -1
    if names == {"functionResponse"}:
        parts = as_maps(as_map(part["functionResponse"]).get("parts"))
        return 0 if all(_media(inner) for inner in parts) else -1
    return 1 if names == {"text"} or _media(part) else -1


class _History:
    """Gives ids to calls that came without, and the same ids to their results."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str]] = []
        self._count = 0

    def messages(self, content: Json) -> list[Json]:
        """One content as messages of ours."""
        parts = as_maps(content.get("parts"))
        if content.get("role") == "model":
            return [self._assistant(parts)]
        results = [self._result(as_map(p["functionResponse"])) for p in parts if "functionResponse" in p]
        rest = _parts([part for part in parts if "functionResponse" not in part])
        return [*results, {"role": "user", "content": rest}] if rest else results

    def _assistant(self, parts: Sequence[Json]) -> Json:
        calls = [self._call(part) for part in parts if "functionCall" in part]
        thoughts = [p for p in parts if p.get("thought")]
        said = [p for p in parts if "text" in p and not p.get("thought")]
        blocks = [
            signed_block("thinking", thinking=as_text(p.get("text")), signature=as_text(p.get("thoughtSignature")))
            for p in thoughts
        ]
        blocks += [
            signed_block("signature", signature=p["thoughtSignature"]) for p in said if p.get("thoughtSignature")
        ]
        return {
            "role": "assistant",
            "content": _parts(said) or None,
            **drop_empty(
                tool_calls=calls,
                thinking_blocks=blocks,
                reasoning_content="".join(as_text(p.get("text")) for p in thoughts) or None,
            ),
        }

    def _call(self, part: Json) -> Json:
        function = as_map(part["functionCall"])
        name, arguments = as_text(function.get("name")), json_text(as_map(function.get("args")))
        call_id = as_text(function.get("id")) or generated_id("request", self._count, name, arguments)
        self._count += 1
        self._waiting.append((call_id, name))
        call: Json = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        if part.get("thoughtSignature"):
            call["extra_content"] = {"google": {"thought_signature": part["thoughtSignature"]}}
        return call

    def _result(self, response: Json) -> Json:
        name = as_text(response.get("name"))
        call_id = as_text(response.get("id"))
        if not call_id:
            call_id = next((waiting for waiting, called in self._waiting if called == name), "")
        self._waiting = [pair for pair in self._waiting if pair[0] != call_id]
        answer, media = as_map(response.get("response")), _parts(as_maps(response.get("parts")))
        text = [{"type": "text", "text": json_text(answer)}] if answer else []
        return {"role": "tool", "tool_call_id": call_id, "content": [*text, *media] if media else json_text(answer)}


def _parts(parts: Sequence[Json]) -> list[Json]:
    found = [{"type": "text", "text": part["text"]} if "text" in part else _media(part) for part in parts]
    return [part for part in found if part]


def _media(part: Json) -> Json | None:
    blob, file = as_map(part.get("inlineData")), as_map(part.get("fileData"))
    if blob:
        media_type = as_text(blob.get("mimeType"))
        data = as_text(blob.get("data")).replace("-", "+").replace("_", "/")  # Google's SDK writes base64url
        url = f"data:{media_type};base64,{data + '=' * (-len(data) % 4)}"
        if media_type.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": url}}
        return {"type": "file", "file": {"file_data": url}}
    if not file:
        return None
    return {"type": "file", "file": drop_empty(file_id=file.get("fileUri"), format=file.get("mimeType"))}
