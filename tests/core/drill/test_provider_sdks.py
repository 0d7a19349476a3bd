"""The official SDKs, as clients of the embedded provider: a second opinion on its three wires."""

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors
from google.genai import types
from hotspare.drill.answers import after_tools, answer
from hotspare.drill.provider import Provider

ENDPOINT = "a"
TOOL = {"name": "weather", "description": "d"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def test_openai(provider: Provider) -> None:
    """Plain, streaming, tool call and error round trips."""
    client = openai.OpenAI(base_url=provider.base_url(ENDPOINT), api_key="test-1", max_retries=0)
    ask = [{"role": "user", "content": "hello"}]
    with client:
        plain = client.chat.completions.create(model="gpt-4.1", messages=ask)
        assert plain.choices[0].message.content == answer("hello")
        chunks = client.chat.completions.create(model="gpt-4.1", messages=ask, stream=True)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == answer("hello")
        tools = [{"type": "function", "function": {**TOOL, "parameters": SCHEMA}}]
        called = client.chat.completions.create(
            model="gpt-4.1", messages=[{"role": "user", "content": "call weather"}], tools=tools
        )
        assert called.choices[0].message.tool_calls[0].function.name == "weather"
        provider.fault(ENDPOINT, "rate_limited", retry_after=3)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="gpt-4.1", messages=ask)
        assert caught.value.response.headers["retry-after"] == "3"
    with openai.OpenAI(base_url=provider.base_url(ENDPOINT), api_key="wrong", max_retries=0) as client:
        provider.reset()
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="gpt-4.1", messages=ask)


def test_responses(provider: Provider) -> None:
    """`create`, `create(stream=True)` and `.stream` complete, with reasoning and tool calls, and their history goes back."""
    tool = {"type": "function", **TOOL, "parameters": SCHEMA, "strict": False}
    url = provider.base_url(ENDPOINT, "responses")
    with openai.OpenAI(base_url=url, api_key="test-1", max_retries=0) as client:
        plain = client.responses.create(model="gpt-5.6", input="hello")
        assert (plain.status, plain.output_text) == ("completed", answer("hello"))
        events = client.responses.create(model="gpt-5.6", input="hello", stream=True)
        assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == answer("hello")
        ask = {"role": "user", "content": "call weather"}
        encrypted = {"include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"}, "tools": [tool]}
        with client.responses.stream(model="gpt-5.6", input=[ask], store=False, **encrypted) as stream:
            called = stream.get_final_response()
        reasoning, call = called.output
        assert (reasoning.type, call.name) == ("reasoning", "weather")
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        history = [ask, reasoning.model_dump(exclude={"status"}), call.model_dump(exclude={"parsed_arguments"}), result]
        last = client.responses.create(model="gpt-5.6", input=history, **encrypted)
        assert last.output_text == after_tools("call weather", ("rain",))
        with pytest.raises(openai.BadRequestError, match="invalid_encrypted_content"):
            client.responses.create(model="gpt-5.4", input=history, tools=[tool])
        provider.fault(ENDPOINT, "error_event", at=3, status=500)
        events = list(client.responses.create(model="gpt-5.6", input="hello", stream=True))
        assert events[-1].type == "response.failed" and events[-1].response.error.code == "server_error"


def test_anthropic(provider: Provider) -> None:
    """Plain, streaming, tool call and error round trips."""
    with anthropic.Anthropic(base_url=provider.url(ENDPOINT), api_key="test-1", max_retries=0) as client:
        ask = [{"role": "user", "content": "hello"}]
        plain = client.messages.create(model="claude-sonnet-4-5", max_tokens=500, messages=ask)
        assert plain.content[0].text == answer("hello")
        with client.messages.stream(model="claude-sonnet-4-5", max_tokens=500, messages=ask) as stream:
            assert "".join(stream.text_stream) == answer("hello")
        called = client.messages.create(
            model="claude-sonnet-4-5", max_tokens=500, messages=[{"role": "user", "content": "call weather"}],
            tools=[{**TOOL, "input_schema": SCHEMA}],
        )  # fmt: skip
        assert [block.name for block in called.content if block.type == "tool_use"] == ["weather"]
        provider.fault(ENDPOINT, "status", status=529)
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.messages.create(model="claude-sonnet-4-5", max_tokens=500, messages=ask)
        assert caught.value.status_code == 529


def test_gemini(provider: Provider) -> None:
    """Plain, streaming, tool call and error round trips."""
    options = types.HttpOptions(base_url=provider.url(ENDPOINT))
    client = genai.Client(api_key="test-1", http_options=options)
    model = "gemini-2.5-flash"
    assert client.models.generate_content(model=model, contents="hello").text == answer("hello")
    chunks = client.models.generate_content_stream(model=model, contents="hello")
    assert "".join(chunk.text or "" for chunk in chunks) == answer("hello")
    function = types.FunctionDeclaration(name="weather", description="d", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[function])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    called = client.models.generate_content(model=model, contents="call weather", config=config)
    assert called.function_calls[0].name == "weather"
    provider.fault(ENDPOINT, "status", status=404)
    with pytest.raises(genai_errors.ClientError):
        client.models.generate_content(model=model, contents="hello")
    client.close()
