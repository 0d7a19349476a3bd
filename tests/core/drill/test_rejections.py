"""Requests that the embedded provider rejects, as strictly and in the same words as the real providers."""

from typing import Any

import pytest
from hotspare import Kind
from hotspare.drill.provider import Provider

from tests.core.drill.client import outcome, send

Case = tuple[dict[str, Any], str]


def user(content: Any = "hello") -> dict[str, Any]:
    """A user message of OpenAI or Anthropic."""
    return {"role": "user", "content": content}


def called(ident: str = "call_1", **function: Any) -> dict[str, Any]:
    """OpenAI's assistant message with one tool call."""
    call = {"id": ident, "type": "function", "function": {"name": "f", "arguments": "{}", **function}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def tool(name: str = "f") -> dict[str, Any]:
    """OpenAI's tool."""
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def schema(**more: Any) -> dict[str, Any]:
    """OpenAI's strict response format."""
    wanted = {"type": "object", "properties": {"a": {"type": "string"}}, **more}
    return {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": wanted}}


OPENAI: list[Case] = [
    ({"nonsense": 1}, "Unknown parameter: 'nonsense'"),
    ({"temperature": "hot"}, "expected a decimal"),
    ({"temperature": 3}, "above maximum value"),
    ({"presence_penalty": -3}, "below minimum value"),
    ({"max_tokens": 0}, "integer below minimum"),
    ({"stop": list("abcde")}, "array too long"),
    ({"model": "o3", "max_tokens": 5}, "Use 'max_completion_tokens' instead"),
    ({"model": "o3", "temperature": 0.5}, "Only the default (1) value"),
    ({"stream_options": {"include_usage": True}}, "only allowed when 'stream'"),
    ({"messages": "hello"}, "Missing required parameter: 'messages'"),
    ({"messages": []}, "empty array"),
    ({"messages": [{"content": "x"}]}, "'messages[0].role'"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "Invalid value: 'robot'"),
    ({"messages": [user(None)]}, "expected a string, got null"),
    ({"messages": [user({"a": 1})]}, "string or array of objects"),
    ({"messages": [user([{"type": "video"}])]}, "Invalid value: 'video'"),
    ({"messages": [user(), {"role": "tool", "tool_call_id": "x", "content": "1"}]}, "must be a response to a preceeding"),
    ({"messages": [user(), called(), user()]}, "did not have response messages: call_1"),
    ({"messages": [user(), called()]}, "did not have response messages: call_1"),
    ({"messages": [{"role": "assistant", "content": "x", "tool_calls": []}]}, "empty array"),
    ({"messages": [called(ident=None)]}, "tool_calls[0].id'"),  # type: ignore[arg-type]
    ({"messages": [called("x" * 41)]}, "maximum length 40"),
    ({"model": "mistral-small", "messages": [called("call_1")]}, "length of 9"),
    ({"messages": [called(arguments={})]}, "expected a string, but got an object"),
    ({"tools": []}, "Invalid 'tools': empty array"),
    ({"tool_choice": "auto"}, "only allowed when 'tools'"),
    ({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "Tool choice 'g' not found"),
    ({"tools": [{"type": "function"}]}, "'tools[0].function.name'"),
    ({"tools": [tool("not a name")]}, "does not match pattern"),
    ({"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
    ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "json_schema.name"),
    ({"response_format": schema()}, "'additionalProperties' is required"),
    ({"response_format": schema(additionalProperties=False)}, "Missing 'a'"),
    ({"model": ""}, "you must provide a model"),
]  # fmt: skip


def output(ident: str = "call_1") -> dict[str, Any]:
    """A tool result of the Responses API."""
    return {"type": "function_call_output", "call_id": ident, "output": "1"}


ITEM = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
REASONED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAAother"}
FORM = {"type": "json_schema", "name": "s", "strict": True, "schema": {"type": "object", "properties": {}}}
RESPONSES: list[Case] = [
    ({"messages": []}, "Unknown parameter: 'messages'"),
    ({"stop": ["x"]}, "Unknown parameter: 'stop'"),
    ({"input": None}, "'input'"),
    ({"input": []}, "empty array"),
    ({"temperature": 3}, "above maximum value"),
    ({"max_output_tokens": 5}, "Expected a value >= 16"),
    ({"model": "gpt-5", "temperature": 0.5}, "'temperature' is not supported"),
    ({"include": ["reasoning.encrypted_content"]}, "Encrypted content is not supported"),
    ({"input": [{"type": "robot"}]}, "Invalid value: 'robot'"),
    ({"input": [{"role": "robot", "content": "x"}]}, "Invalid value: 'robot'"),
    ({"input": [{"role": "user", "content": None}]}, "but got null"),
    ({"input": [{"role": "user", "content": [{"type": "text"}]}]}, "'input_text', 'input_image'"),
    ({"input": [user(), ITEM]}, "No tool output found for function call call_1"),
    ({"input": [user(), output()]}, "No tool call found"),
    ({"input": [user(), {**ITEM, "arguments": {}}]}, "expected a string, but got an object"),
    ({"input": [user(), {**ITEM, "name": None}]}, "'input[1].name'"),
    ({"input": [user(), {**ITEM, "call_id": None}]}, "'input[1].call_id'"),
    ({"input": [user(), {**ITEM, "call_id": "x" * 65}]}, "maximum length 64"),
    ({"input": [REASONED, user()]}, "without its required following item"),
    ({"input": [user(), REASONED, ITEM, output()]}, "could not be verified"),
    ({"tools": [tool()]}, "'tools[0].name'"),
    ({"tools": [{"type": "function", "name": "a b"}]}, "does not match pattern"),
    ({"tool_choice": "required"}, "without 'tools'"),
    ({"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "function", "name": "g"}}, "'g' not found"),
    ({"text": {"format": {"type": "json_object"}}}, "must contain the word 'json'"),
    ({"text": {"format": {"type": "json_schema"}}}, "'text.format.name'"),
    ({"text": {"format": FORM}}, "'additionalProperties' is required"),
]  # fmt: skip


def used(ident: str = "toolu_1", **more: Any) -> dict[str, Any]:
    """Anthropic's assistant message with one tool call."""
    return {"role": "assistant", "content": [{"type": "tool_use", "id": ident, "name": "f", "input": {}, **more}]}


def result(ident: str) -> dict[str, Any]:
    """Anthropic's tool result."""
    return user([{"type": "tool_result", "tool_use_id": ident, "content": "1"}])


TOOL = {"name": "f", "input_schema": {"type": "object"}}
THINK = {"type": "enabled", "budget_tokens": 1024}
ANTHROPIC: list[Case] = [
    ({"max_tokens": None}, "max_tokens: Field required"),
    ({"seed": 1}, "seed: Extra inputs are not permitted"),
    ({"max_tokens": 0}, "greater than or equal to 1"),
    ({"temperature": 1.5}, "range: 0..1"),
    ({"stop_sequences": [" "]}, "non-whitespace"),
    ({"messages": []}, "at least one message"),
    ({"thinking": {"type": "deep"}}, "Input tag 'deep'"),
    ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "greater than or equal to 1024"),
    ({"thinking": THINK}, "must be greater than `thinking.budget_tokens`"),
    ({"thinking": THINK, "max_tokens": 2000, "temperature": 0.5}, "may only be set to 1"),
    ({"thinking": THINK, "max_tokens": 2000, "tool_choice": {"type": "any"}}, "forces tool use"),
    ({"thinking": THINK, "max_tokens": 2000, "messages": [user(), {"role": "assistant", "content": "a"}]}, "Prefill is not"),
    ({"tool_choice": {"type": "any"}}, "while providing tools"),
    ({"tools": [{**TOOL, "name": "a b"}]}, "tools.0.custom.name"),
    ({"tools": [{"name": "f"}]}, "input_schema.type: Field required"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}}, "Tool 'g' not found"),
    ({"output_config": {"format": {"type": "json_schema"}}}, "schema: Field required"),
    ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, "explicitly set to false"),
    ({"messages": ["hello"]}, "messages.0.role: Field required"),
    ({"messages": [{"role": "system", "content": "x"}]}, "top-level `system`"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, 'first message must use the "user" role'),
    ({"messages": [user(), used()]}, "without `tool_result` blocks"),
    ({"messages": [user(), used(), user()]}, "without `tool_result` blocks"),
    ({"messages": [user(), used(), result("toolu_2")]}, "unexpected `tool_use_id`"),
    ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    ({"messages": [user("")]}, "non-empty content"),
    ({"messages": [user({"a": 1})]}, "valid list"),
    ({"messages": [user(), {"role": "assistant", "content": "a "}]}, "trailing whitespace"),
    ({"messages": [user(), {"role": "assistant", "content": [{"type": "text", "text": "a "}]}]}, "trailing whitespace"),
    ({"messages": [user([{"type": "video"}])]}, "Input tag 'video'"),
    ({"messages": [user([{"type": "text", "text": ""}])]}, "must be non-empty"),
    ({"messages": [user([{"type": "text", "text": " "}])]}, "non-whitespace text"),
    ({"messages": [user(), used("a.b")]}, "should match pattern"),
    ({"messages": [user(), used(input="{}")]}, "valid dictionary"),
    ({"messages": [user(), {"role": "assistant", "content": result("x")["content"]}]}, "only be in `user` messages"),
    ({"messages": [user(), {"role": "assistant", "content": [{"type": "thinking", "thinking": "h", "signature": "no"}]}]},
     "Invalid `signature`"),
]  # fmt: skip


def content(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    """One of Gemini's contents."""
    return {"role": role, "parts": list(parts)}


TEXT = {"text": "hello"}
CALL: dict[str, Any] = {"functionCall": {"name": "f", "args": {}}}
DONE = {"functionResponse": {"name": "f", "response": {"result": "1"}}}
GEMINI: list[Case] = [
    ({"messages": []}, 'Unknown name "messages"'),
    ({"generationConfig": {"max_tokens": 1}}, "at 'generation_config'"),
    ({"generationConfig": {"temperature": 3}}, "temperature value of 3"),
    ({"generationConfig": {"responseSchema": {}}}, "response mime type"),
    ({"generationConfig": {"max_output_tokens": 0}}, "must be positive"),
    ({"contents": []}, "contents is not specified"),
    ({"tools": [{"functionDeclarations": [{"name": "1f"}]}]}, "Invalid function name"),
    ({"tools": {"functionDeclarations": [{"name": "f"}]},
      "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["f"]}}}, "mode is ANY"),
    ({"tools": [{"functionDeclarations": [{"name": "f"}]}],
      "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["g"]}}}, "not in the function"),
    ({"contents": [content(TEXT, role="assistant")]}, "valid role"),
    ({"contents": [content()]}, "parts must not be empty"),
    ({"contents": [content({"type": "text", "text": "x"})]}, "contents[0].parts[0]"),
    ({"contents": [content({"thought": True})]}, "one initialized field"),
    ({"contents": [content(TEXT), content(CALL, role="model"), content(TEXT)]}, "number of function response parts"),
    ({"contents": [content(TEXT), content(CALL, role="model")]}, "number of function response parts"),
    ({"contents": [content(CALL, role="model"), content(DONE)]}, "comes immediately after a user turn"),
    ({"contents": [content(TEXT), content({**CALL, "thoughtSignature": "x"}, role="model"), content(DONE)]}, "Corrupted"),
]  # fmt: skip
CASES = [
    (dialect, *case)
    for dialect, cases in (("openai", OPENAI), ("responses", RESPONSES), ("anthropic", ANTHROPIC), ("gemini", GEMINI))
    for case in cases
]


@pytest.mark.parametrize(
    ("dialect", "change", "words"), CASES, ids=[f"{dialect}-{words}" for dialect, _, words in CASES]
)
def test_invalid_requests_are_rejected(dialect: str, change: dict[str, Any], words: str, provider: Provider) -> None:
    """A 400 in the provider's shape that names the mistake. hotspare classifies it as INVALID."""
    rejected = send(provider, dialect, change)
    assert rejected.status_code == 400
    assert words in rejected.json()["error"]["message"]
    assert outcome(rejected, dialect).kind is Kind.INVALID


@pytest.mark.parametrize(
    ("dialect", "change"),
    [
        ("openai", {"model": "deepseek-chat", "thinking": {"type": "enabled"}}),
        ("openai", {"tool_choice": "none"}),
        ("openai", {"messages": [user(), called(), {"role": "tool", "tool_call_id": "call_1", "content": "1"}]}),
        ("openai", {"response_format": schema(additionalProperties=False, required=["a"])}),
        ("responses", {"input": [user(), {"role": "assistant", "content": "x"}, ITEM, output()]}),
        ("responses", {"tool_choice": "none"}),
        ("anthropic", {"messages": [user(), used(), result("toolu_1")]}),
        ("anthropic", {"thinking": THINK, "max_tokens": 2000, "temperature": 1}),
        ("gemini", {"contents": [content(TEXT), content(CALL, role="model"), content(DONE)]}),
        ("gemini", {"generation_config": {"response_mime_type": "application/json", "response_schema": {"type": "OBJECT"}}}),
    ],
)  # fmt: skip
def test_similar_valid_requests_pass(dialect: str, change: dict[str, Any], provider: Provider) -> None:
    """The rules do not reject more than they should."""
    assert send(provider, dialect, change).status_code == 200


def test_keys_and_models(provider: Provider) -> None:
    """A missing key, a wrong key and an unknown model get each provider's own error."""
    path = "/v1beta/models/gone-1:generateContent"
    for rejected, dialect, kind in (
        (send(provider, "openai", headers={}), "openai", Kind.AUTH),
        (send(provider, "azure", headers={"api-key": "wrong"}), "azure", Kind.AUTH),
        (send(provider, "anthropic", headers={}), "anthropic", Kind.AUTH),
        (send(provider, "anthropic", headers={"x-api-key": "wrong"}), "anthropic", Kind.AUTH),
        (send(provider, "anthropic", headers={"x-api-key": "test-1"}), "anthropic", Kind.INVALID),
        (send(provider, "gemini", headers={}), "gemini", Kind.AUTH),
        (send(provider, "gemini", headers={"x-goog-api-key": "wrong"}), "gemini", Kind.AUTH),
        (send(provider, "openai", {"model": "gone-1"}), "openai", Kind.NOT_FOUND),
        (send(provider, "responses", headers={}), "responses", Kind.AUTH),
        (send(provider, "responses", {"model": "gone-1"}), "responses", Kind.NOT_FOUND),
        (send(provider, "azure", path="/openai/deployments/gone/chat/completions?api-version=1"), "azure", Kind.NOT_FOUND),
        (send(provider, "anthropic", {"model": "gone-1"}), "anthropic", Kind.NOT_FOUND),
        (send(provider, "gemini", path=path), "gemini", Kind.NOT_FOUND),
        (send(provider, "openai", path="/v1/nothing"), "openai", Kind.NOT_FOUND),
    ):  # fmt: skip
        assert outcome(rejected, dialect).kind is kind, rejected.text


@pytest.mark.parametrize("dialect", ["openai", "responses", "azure", "anthropic", "gemini"])
def test_a_body_that_is_no_object_is_rejected(dialect: str, provider: Provider) -> None:
    """A JSON array is an INVALID request to every dialect."""
    assert outcome(send(provider, dialect, ["x"]), dialect).kind is Kind.INVALID


def test_azure_filters_prompts(provider: Provider) -> None:
    """Azure's content filter is a 400 with a code of its own."""
    rejected = send(provider, "azure", {"messages": [user("refuse me")]})
    assert outcome(rejected, "azure").kind is Kind.CONTENT_FILTER
