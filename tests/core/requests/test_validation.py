"""Checks of a request: every mistake is reported with the path of its field, all in one error."""

from typing import Any

import pytest
from hotspare._requests.validation import request_of, validate
from hotspare.errors import RequestError
from hotspare.messages import ChatRequest
from hypothesis import given
from hypothesis import strategies as st

HI: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
LOOP: dict[str, Any] = {}
LOOP["loop"] = LOOP
ENDLESS: dict[str, Any] = {"type": "object"}
ENDLESS["not"] = ENDLESS


def problems(messages: Any = HI, **fields: Any) -> tuple[str, ...]:
    """What `validate` reports."""
    with pytest.raises(RequestError) as caught:
        validate(ChatRequest(**{"messages": messages, **fields}))
    return caught.value.problems


def parameters(schema: Any) -> dict[str, Any]:
    """A request's `tools` with one function of these parameters."""
    return {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}


def test_a_string_a_list_and_a_request_become_a_request() -> None:
    """Keyword fields override those of a request; one stop text becomes a tuple of one; None is the default."""
    assert request_of("hi", seed=7) == ChatRequest(messages=HI, seed=7)
    assert request_of(HI, stop="END", tools=None) == ChatRequest(messages=HI, stop=("END",))
    request = ChatRequest(messages=HI, seed=7)
    assert request_of(request) is request
    assert request_of(request, seed=8) == ChatRequest(messages=HI, seed=8)


def test_request_of_validates() -> None:
    """`request_of` raises what `validate` raises, also for a ChatRequest."""
    with pytest.raises(RequestError, match="max_tokens: 0"):
        request_of("hi", max_tokens=0)
    with pytest.raises(RequestError, match="must hold at least one"):
        request_of(ChatRequest(messages=[]))


@pytest.mark.parametrize("bad", [None, 7, b"hi", {"role": "user"}, iter(HI)])
def test_other_types_are_rejected(bad: Any) -> None:
    """The error has the value and an example."""
    with pytest.raises(RequestError, match="must be a string, a list"):
        request_of(bad)


def test_an_unknown_field_is_reported_with_the_nearest() -> None:
    """Every unknown keyword is reported, with the nearest field or all of them."""
    with pytest.raises(RequestError) as caught:
        request_of("hi", temprature=1, zzz=2)
    first, second = caught.value.problems
    assert first == "temprature: 1 is not a field of ChatRequest; did you mean 'temperature'?"
    assert second.startswith("zzz: 2 is not a field of ChatRequest; the fields are messages")


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest(messages=HI),
        ChatRequest(messages=[{"role": "system", "content": [{"type": "text", "text": "x"}]}, *HI]),
        ChatRequest(messages=[*HI, {"role": "assistant", "content": None, "tool_calls": [CALL]}]),
        ChatRequest(messages=[*HI, {"role": "tool", "tool_call_id": "c", "content": ""}]),
        ChatRequest(messages=[{"role": "user", "content": ["x", {"type": "image_url", "image_url": {"url": "u"}}]}]),
        ChatRequest(messages=HI, tools=[TOOL], tool_choice={"type": "function", "function": {"name": "f"}}),
        ChatRequest(messages=HI, tools=[TOOL], tool_choice="required", temperature=0, max_tokens=1, seed=-1),
        ChatRequest(messages=HI, tool_choice="any of yours", extra={"openai": {"tools": []}}),
        ChatRequest(messages=HI, **parameters({})),
        ChatRequest(
            messages=HI,
            **parameters(
                {
                    "type": "object",
                    "properties": {"a": {"type": ["string", "null"], "enum": [None]}, "b": True, "type": {}},
                    "required": ["a"],
                    "additionalProperties": False,
                    "$defs": {"x": {"anyOf": [{"type": "array", "items": {"$ref": "#"}}]}},
                }
            ),
        ),
        ChatRequest(messages=HI, response_format={"type": "json_object"}, reasoning_effort="low"),
        ChatRequest(
            messages=HI,
            response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}},
        ),
    ],
)
def test_valid_requests_pass(request_: ChatRequest) -> None:
    """Everything that some provider accepts."""
    validate(request_)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages: [] must hold at least one message"),
    ({"messages": "hi"}, "messages: 'hi' must be a list"),
    ({"messages": ["hi"]}, "messages[0]: 'hi' must be a dict"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role: None must be one of system"),
    ({"messages": [*HI, {"role": "bot", "content": "x"}]}, "messages[1].role: 'bot' must be one of system"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id: None must be the id of a tool call"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content: None must be a string"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content: 7 must be a string"),
    ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0]: {'text': 'x'} must be"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text: None must"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url: None"),
    ({"messages": [{"role": "user", "content": [{"type": "x", "y": b"z"}]}]}, "messages[0].content[0]: "),
    ({"messages": [{"role": "user", "content": "x", "name": {1}}]}, "messages[0]: {'name': {1}} cannot be sent"),
    ({"messages": [{"role": "assistant", "tool_calls": 1}]}, "messages[0].tool_calls: 1 must be a list"),
    ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0]: {} must have an id"),
    ({"temperature": 2.1}, "temperature: 2.1 must be between 0 and 2"),
    ({"temperature": float("nan")}, "temperature: nan must be between 0 and 2"),
    ({"temperature": "1"}, "temperature: '1' must be between 0 and 2"),
    ({"top_p": -0.1}, "top_p: -0.1 must be between 0 and 1"),
    ({"presence_penalty": 3}, "presence_penalty: 3 must be between -2 and 2"),
    ({"max_tokens": -5}, "max_tokens: -5 must be an integer, 1 or more"),
    ({"max_tokens": 1.5}, "max_tokens: 1.5 must be an integer"),
    ({"seed": True}, "seed: True must be an integer"),
    ({"stop": [""]}, "stop: [''] must be a list of non-empty strings"),
    ({"reasoning_effort": "max"}, "reasoning_effort: 'max' must be one of none"),
    ({"user": 7}, "user: 7 must be a string"),
    ({"tools": {"f": 1}}, "tools: {'f': 1} must be a list"),
    ({"tools": [{"name": "f"}]}, "tools[0]: {'name': 'f'} must be {'type': 'function'"),
    ({"tools": [{"function": {}}]}, "tools[0].function.name: None must be a non-empty string"),
    ({"tools": [TOOL, TOOL]}, "tools[1].function.name: 'f' is a duplicate"),
    ({"tools": [{**TOOL, "x": {1}}]}, "tools: "),
    (parameters("object"), "tools[0].function.parameters: 'object' must be a JSON schema"),
    (parameters({"type": "array"}), "tools[0].function.parameters.type: 'array' must be 'object'"),
    (parameters({"properties": {"a": {"type": "int"}}}), "tools[0].function.parameters.properties.a.type: 'int' must"),
    (parameters({"properties": ["a"]}), "tools[0].function.parameters.properties: ['a'] must be a JSON schema"),
    (parameters({"required": "a"}), "tools[0].function.parameters.required: 'a' must be a list"),
    (parameters({"properties": {"a": {"enum": 1}}}), "tools[0].function.parameters.properties.a.enum: 1 must be"),
    (parameters({"anyOf": [7]}), "tools[0].function.parameters.anyOf[0]: 7 must be a JSON schema"),
    (parameters({"properties": LOOP}), "tools: [{'type': 'function'"),
    (parameters(ENDLESS), "tools[0].function.parameters.not.not.not"),
    ({"tools": [TOOL], "tool_choice": "f"}, "tool_choice: 'f' must be 'auto'"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice: 'g' is not a tool of this request; the tools are f",
    ),
    ({"tool_choice": "required"}, "tool_choice: 'required' needs tools"),
    ({"response_format": {"type": "xml"}}, "response_format: {'type': 'xml'} must have type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.name: None must"),
    ({"response_format": {"type": "json_object", "x": b""}}, "response_format: "),
    (
        {"extra": {"openrouter": {}}},
        "extra: 'openrouter' is not a dialect; the keys are openai, responses, anthropic, gemini",
    ),
    ({"extra": {"openai": 7}}, "extra.openai: 7 must be a dict"),
    ({"extra": {"openai": {"x": object}}}, "extra: "),
]


@pytest.mark.parametrize(("fields", "start"), MISTAKES, ids=[start for _, start in MISTAKES])
def test_each_mistake_is_reported_with_its_path(fields: dict[str, Any], start: str) -> None:
    """The first problem has the path of the field, the value and a hint."""
    assert problems(**fields)[0].startswith(start)


def test_all_mistakes_are_reported_at_once() -> None:
    """One error with one problem for each mistake."""
    found = problems([{"content": "x"}, {"role": "tool", "content": "x"}], temperature=9, max_tokens=0, seed="a")
    assert [problem.partition(":")[0] for problem in found] == [
        "messages[0].role", "messages[1].tool_call_id", "temperature", "max_tokens", "seed",
    ]  # fmt: skip


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "function", "name", "parameters", "tool_calls", "id", "text"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSONISH, JSONISH, JSONISH, JSONISH)
def test_only_request_error_is_raised(messages: Any, tools: Any, choice: Any, wanted: Any) -> None:
    """Any data is valid or raises RequestError, no other exception."""
    request = ChatRequest(messages=messages, tools=tools, tool_choice=choice, response_format=wanted)
    try:
        validate(request)
    except RequestError as error:
        assert error.problems
