"""What providers and engines say in their own words, and what it means: context length, account trouble, filters, crashes.

One row each, from public bug reports, error references and the sources of the engines.
"""

import json
from typing import Any

import pytest
from hotspare import Kind, Outcome, Scope, classify
from hotspare.errors import InBandError, StatusError

NOW = 1_764_000_000.0


def openai(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


def claude(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def outcome_of(status: int, body: object, headers: dict[str, str] | None = None) -> Outcome:
    """Of an answer with this status, or of an error inside a 200."""
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    cls = InBandError if status == 200 else StatusError
    return classify(cls("x", status=status, headers=headers, body=data), now=NOW)


TOO_LONG: dict[str, tuple[int, object]] = {
    "llama.cpp": (400, openai("request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it", code=400, type="exceed_context_size_error", n_prompt_tokens=4390, n_ctx=4096)),
    "llama.cpp, numbers only": (400, {"error": {"code": 400, "message": "bad", "n_prompt_tokens": 4390, "n_ctx": 4096}}),
    "llama.cpp, an older server": (500, openai("input is too large to process. increase the physical batch size", type="server_error")),
    "llama.cpp inside a 200": (200, openai("the request exceeds the available context size. try increasing the context size or enable context shift", code=400)),
    "LM Studio": (400, {"error": "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded with context length of only 32768 tokens, which is not enough."}),
    "LM Studio, n_keep": (400, {"error": "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>= n_ctx: 4096)."}),
    "Ollama": (400, openai("the input length exceeds the context length", type="invalid_request_error")),
    "Ollama, 500": (500, {"error": "the input length exceeds the context length"}),
    "vLLM": (400, {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you requested 5096 tokens", "type": "BadRequestError"}),
    "vLLM, V1": (400, openai("The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that `max_model_len` is no smaller than the number of text tokens.")),
    "SGLang": (400, {"object": "error", "message": "The input (9000 tokens) is longer than the model's context length (8192 tokens).", "code": 400}),
    "TensorRT-LLM": (400, {"message": "Prompt length (9000) exceeds max_seq_len"}),
    "TGI": (422, openai("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens and 512 `max_new_tokens`")),
    "TGI, inputs": (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000", "error_type": "validation"}),
    "Mistral": (400, {"object": "error", "message": "Prompt contains 33018 tokens and 0 draft tokens, too large for model with 32768 maximum context length", "type": "invalid_request_error", "code": "3051"}),
    "xAI": (400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072 but the request contains 200000 tokens."}),
    "Fireworks": (400, openai("The prompt is too long: 200000, model maximum context length: 131071")),
    "Cohere": (400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000."}),
    "Cerebras": (400, {"message": "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192", "code": "context_length_exceeded"}),
    "GitHub Models": (413, openai("Request body too large for gpt-4o model. Max size: 8000 tokens.", code="tokens_limit_reached")),
    "Bedrock": (400, {"message": "The model returned the following errors: Input is too long for requested model."}),
    "Anthropic": (400, claude("invalid_request_error", "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000")),
    "Gemini": (400, {"error": {"code": 400, "message": "Unable to submit request because the input token count is 40000 but model only supports up to 32768.", "status": "INVALID_ARGUMENT"}}),
    "Moonshot": (400, openai("Invalid request: Your request exceeded model token limit: 8192", type="invalid_request_error")),
    "DashScope": (400, openai("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]")),
    "OpenAI Responses": (400, openai("Your input exceeds the context window of this model. Please adjust your input and try again.", code="context_length_exceeded")),
    "OpenAI, a string": (400, openai("Invalid 'messages[0].content': string too long. Expected a string with maximum length 10485760, but got a string with length 20000000 instead.", code="string_above_max_length", param="messages[0].content")),
    "Cloudflare": (413, {"errors": [{"message": "The estimated number of input and maximum output tokens (9000) exceeded this model context window limit (7968)", "code": 5021}]}),
    "a relay": (400, openai('litellm.BadRequestError: AnthropicException - {"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}')),
    "unknown words, counted": (400, openai("Sorry: 12345 tokens were sent, at most 8192 fit in here")),
}  # fmt: skip

QUOTA: dict[str, tuple[int, object]] = {
    "Anthropic, limits": (400, claude("invalid_request_error", "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.")),
    "OpenAI, not active": (429, openai("Your account is not active, please check your billing details on our website.", type="billing_not_active", code="billing_not_active")),
    "Gemini, billing": (400, {"error": {"code": 400, "message": "Gemini API free tier is not available in your country. Please enable billing on your project in Google AI Studio.", "status": "FAILED_PRECONDITION"}}),
    "Gemini, a week": (429, {"error": {"code": 429, "message": "You have exhausted your capacity on this model. Your quota will reset after 142h40m7s.", "status": "RESOURCE_EXHAUSTED", "details": [{"reason": "QUOTA_EXHAUSTED"}]}}),
    "LiteLLM proxy": (400, openai("Budget has been exceeded! Current cost: 10.2, Max budget: 10.0", type="budget_exceeded", code="400")),
    "DashScope": (400, {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."}),
    "DashScope, 403": (403, {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."}),
    "new-api": (403, openai("用户额度不足, 剩余额度: ＄0.00", type="new_api_error", code="insufficient_user_quota")),
    "a relay's 503": (503, openai("no quota", code="insufficient_quota")),
    "Moonshot": (429, openai("Your account org is suspended, please check your plan and billing details", type="exceeded_current_quota_error")),
    "Volcengine": (403, openai("The request failed because your account has an overdue balance.", code="AccountOverdueError")),
    "xAI": (429, {"code": "Some resource has been exhausted", "error": "Your team has used all available credits or reached its monthly spending limit."}),
    "Together": (402, openai("Credit limit exceeded, please visit the billing page", type="credit_limit")),
    "Cerebras": (429, {"message": "Tokens per day limit exceeded - too many tokens processed.", "code": "token_quota_exceeded"}),
    "Perplexity": (401, "Payment Required"),
}  # fmt: skip
del QUOTA["Perplexity"]  # a 401 is about the key, whatever the words are

AUTH: dict[str, tuple[int, object]] = {
    "Anthropic, disabled": (400, claude("invalid_request_error", "This organization has been disabled.")),
    "Gemini, leaked": (403, {"error": {"code": 403, "message": "Your API key was reported as leaked. Please use another API key.", "status": "PERMISSION_DENIED"}}),
    "Gemini, not found": (400, {"error": {"code": 400, "message": "API Key not found. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}}),
    "Gemini, expired": (400, {"error": {"code": 400, "message": "API key expired. Please renew the API key.", "details": [{"reason": "API_KEY_INVALID"}]}}),
    "OpenAI, deactivated": (403, openai("Your account has been deactivated.", code="account_deactivated")),
    "FastAPI": (403, {"detail": "Not authenticated"}),
    "Bedrock": (403, {"message": "The security token included in the request is expired"}),
    "new-api": (401, openai("无效的令牌", type="new_api_error")),
    "a revoked key": (403, openai("This API key has been revoked")),
    "OpenAI, scopes": (403, openai("You have insufficient permissions for this operation. Missing scopes: model.request.")),
    "xAI": (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***. You can obtain an API key from https://console.x.ai."}),
}  # fmt: skip

FILTER: dict[str, tuple[int, object]] = {
    "xAI": (403, {"code": "permission-denied", "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}),
    "OpenRouter": (403, openai("m requires moderation. Your input was flagged.", code=403, metadata={"reasons": ["violence"], "flagged_input": "insufficient balance"})),
    "DashScope": (400, openai("Input data may contain inappropriate content.", code="data_inspection_failed")),
    "DeepSeek": (400, openai("Content Exists Risk", type="invalid_request_error")),
    "Moonshot": (400, openai("The request was rejected because it was considered high risk", type="content_filter")),
    "Zhipu": (400, {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}),
    "Azure": (400, openai("The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", code="content_filter")),
    "OpenAI": (400, openai("Invalid prompt: your prompt was flagged as potentially violating our usage policy.", code="invalid_prompt")),
    "OpenAI, images": (400, openai("Your request was rejected by the safety system.", code="moderation_blocked")),
    "Anthropic": (400, claude("invalid_request_error", "Output blocked by content filtering policy")),
}  # fmt: skip

SERVER: dict[str, tuple[int, object]] = {
    "Gemini, 499": (499, [{"error": {"code": 499, "message": "The operation was cancelled.", "errors": [{"reason": "backendError"}], "status": "CANCELLED"}}]),
    "LM Studio, load": (400, {"error": 'Failed to load model "q". Error: Operation canceled.'}),
    "LM Studio, crash": (400, {"error": "The model has crashed without additional information. (Exit code: null)"}),
    "424": (424, openai("Model backend failed to load: dependency unavailable")),
    "vLLM, dead": (400, {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause. EngineDeadError"}),
    "Ollama": (400, {"error": "model requires more system memory (8.0 GiB) than is available (4.0 GiB)"}),
    "Ollama, runner": (400, {"error": "llama runner process has terminated: exit status 2"}),
    "TGI, memory": (424, {"error": "Request failed during generation: Server error: CUDA out of memory", "error_type": "generation"}),
    "HF, loading": (400, {"error": "Model m is currently loading", "estimated_time": 20.0}),
    "a gateway's page": (400, "<html><head><title>400 Bad Request</title></head></html>"),
    "409": (409, openai("Conflict")),
    "busy": (429, openai("The server is busy, please try again later")),
    **{str(status): (status, "") for status in (101, 405, 407, 410, 418, 421, 425, 451, 499, 520, 529, 600, 999)},
}  # fmt: skip

GONE: dict[str, tuple[int, object]] = {
    "Groq": (400, openai("The model `mixtral` has been decommissioned and is no longer supported.", code="model_decommissioned")),
    "OpenRouter": (400, openai("foo/bar is not a valid model ID", code=400)),
    "Mistral": (400, {"message": "Invalid model: mistral-x", "type": "invalid_model", "code": "1500"}),
    "DeepSeek": (400, openai("Model Not Exist", type="invalid_request_error")),
    "Copilot": (400, openai("The requested model is not supported.", code="model_not_supported")),
    "vLLM": (404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}),
    "a router": (404, "404 page not found\n"),
    "nginx": (404, "<html><title>404 Not Found</title></html>"),
    "410": (410, openai("This model has been retired")),
    "Anthropic": (404, claude("not_found_error", "model: claude-x")),
    "xAI": (400, {"code": "invalid-argument", "error": "Model not found: grok-x"}),
    "OpenAI, 403": (403, openai("Project `p` does not have access to model `m`", code="model_not_found")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        pytest.param(kind, *row, id=f"{kind}-{name}")
        for kind, rows in {
            Kind.CONTEXT_LENGTH: TOO_LONG, Kind.QUOTA: QUOTA, Kind.AUTH: AUTH, Kind.CONTENT_FILTER: FILTER,
            Kind.SERVER: SERVER, Kind.NOT_FOUND: GONE,
        }.items()
        for name, row in rows.items()
    ],
)  # fmt: skip
def test_known_words(kind: Kind, status: int, body: object) -> None:
    """Each means what its provider means by it."""
    found = outcome_of(status, body)
    assert found.kind is kind, found


ELSEWHERE: dict[str, tuple[int, object]] = {
    "gpt-5.4": (400, openai("Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use /v1/responses instead.", type="invalid_request_error", param="reasoning_effort")),
    "responses only": (404, openai("This model is only supported in v1/responses and not in v1/chat/completions.", type="invalid_request_error", param="model")),
    "no chat model": (404, openai("This is not a chat model and thus not supported in the v1/chat/completions endpoint.", param="model")),
    "stream options": (400, openai("stream_options is not supported", code="unsupported_parameter")),
    "max_tokens": (400, openai("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", code="unsupported_parameter", param="max_tokens")),
    "temperature": (400, openai("Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.", code="unsupported_value", param="temperature")),
    "vLLM, tools": (400, {"message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', "type": "BadRequestError"}),
    "Ollama, tools": (400, {"error": {"message": "registry.ollama.ai/library/gemma does not support tools", "type": "api_error"}}),
    "Mistral, extra": (422, {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": 7}]}}),
    "DeepSeek, images": (400, openai("Failed to deserialize the JSON body: unknown variant `image_url`; this model does not accept image content")),
    "Gemini": (400, {"error": {"code": 400, "message": "Function calling with a response mime type: 'application/json' is unsupported", "status": "INVALID_ARGUMENT"}}),
    "Groq": (400, openai("json mode cannot be combined with tool/function calling: `response_format` is not supported together with tools")),
    "Anthropic": (400, claude("invalid_request_error", "This model does not support assistant message prefill. The conversation must end with a user message.")),
    "nginx, 413": (413, "<html><title>413 Request Entity Too Large</title></html>"),
    "431": (431, ""),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_another_target_may_take(status: int, body: object) -> None:
    """Only this target does not support the request: the next one is tried, and no breaker records a failure."""
    found = outcome_of(status, body)
    assert (found.kind, found.fault_scope) == (Kind.INVALID, Scope.TARGET), found


REQUEST: dict[str, tuple[int, object]] = {
    "schema": (400, openai("Invalid schema for function 'get_billing_errors': schema must be of type object", code="invalid_function_parameters", param="tools[0].function.parameters")),
    "moderation tool": (400, openai("Invalid schema for function 'content_moderation': schema must be of type object", code="invalid_function_parameters")),
    "backticks": (400, openai("Invalid schema for function `rate_limit_exceeded`: schema must be of type object")),
    "vLLM echoes": (400, openai("[{'type': 'list_type', 'loc': ('body', 'messages', 0, 'content'), 'msg': 'Input should be a valid list', 'input': {'role': 'user', 'content': 'my bank says: insufficient balance'}}]", type="Bad Request", code=400)),
    "an apostrophe in it": (400, openai("Input should be valid, input: 'I don't have it: insufficient balance', expected list")),
    "double quotes": (422, openai('Could not parse "the API key is invalid_api_key, context window"')),
    "pydantic": (422, {"detail": [{"type": "string_type", "loc": ["body", "messages"], "msg": "Input should be a valid string", "input": "your account is suspended, insufficient_quota"}]}),
    "cut in the middle": (400, '{"error": {"message": "Input should be a valid list, got \'my insufficient balance' + "y" * 70_000),
    "role": (400, openai("Invalid value: 'overloaded'. Supported values are: 'system', 'assistant', 'user'.", param="messages[0].role", code="invalid_value")),
    "OpenAI, order": (400, openai("An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.", param="messages")),
    "too large": (413, claude("request_too_large", "Request exceeds the maximum size")),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body"), REQUEST.values(), ids=REQUEST)
def test_what_a_message_quotes_does_not_count(status: int, body: object) -> None:
    """The user's words, a tool's name and the rest of a request that an error repeats say nothing about the target."""
    found = outcome_of(status, body)
    assert (found.kind, found.fault_scope) == (Kind.INVALID, Scope.REQUEST), found


FORBIDDEN: dict[str, object] = {
    "Cloudflare": "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body>invalid_api_key</body></html>",
    "AWS": "<html><head><title>403 Forbidden</title></head><body><center><h1>403 Forbidden</h1></center></body></html>",
    "API gateway": {"message": "Forbidden"},
    "empty": "",
    "one request": openai("This request was blocked"),
}


@pytest.mark.parametrize("body", FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_403_that_does_not_speak_of_the_key(body: object) -> None:
    """A firewall's page is about one request: the account is well."""
    found = outcome_of(403, body)
    assert (found.kind, found.fault_scope) == (Kind.SERVER, Scope.TARGET), found


@pytest.mark.parametrize(
    "message",
    [
        "No endpoints found that support tool use. To learn more about provider routing, visit: https://openrouter.ai/docs",
        "No endpoints found that support image input",
        "No endpoints found matching your data policy.",
        "No allowed providers are available for the selected model.",
        "Previous response with id 'resp_1' not found.",
    ],
)
def test_a_404_about_one_request(message: str) -> None:
    """The model is there; this request finds no endpoint."""
    found = outcome_of(404, openai(message, code=404))
    assert (found.kind, found.fault_scope) == (Kind.NOT_FOUND, Scope.REQUEST), found


def test_a_limit_on_long_prompts_is_about_the_request() -> None:
    """The next prompt, which is short, is not limited."""
    body = claude("rate_limit_error", "Extra usage is required for long context requests.")
    found = outcome_of(429, body)
    assert (found.kind, found.fault_scope) == (Kind.RATE_LIMITED, Scope.REQUEST)


@pytest.mark.parametrize(
    "message",
    ["model `m` not found in your rate limit group: too many requests", "Rate limit: deployment not found in cache", "flagged as too frequent"],
)  # fmt: skip
def test_a_429_is_a_limit(message: str) -> None:
    """Words of NOT_FOUND or of a filter do not win over it."""
    assert outcome_of(429, openai(message)).kind is Kind.RATE_LIMITED


@pytest.mark.parametrize(
    ("status", "body", "headers", "seconds"),
    [
        (429, openai("slow"), {"x-ratelimit-reset": "1764000030"}, 30.0),
        (429, openai("slow"), {"x-ratelimit-reset": "1764000030000"}, 30.0),
        (429, openai("slow", metadata={"headers": {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1764000030000"}}), {}, 30.0),
        (429, openai("slow"), {"retry-after": "1e308"}, None),
        (429, openai("slow"), {"retry-after": "nan"}, None),
        (429, openai("slow"), {"retry-after": "-3"}, 0.0),
        (503, openai("maintenance"), {"retry-after": "30"}, 30.0),
        (529, claude("overloaded_error", "Overloaded"), {"retry-after": "30"}, 30.0),
        (400, claude("invalid_request_error", "You have reached your specified API usage limits. You will regain access on 2025-12-01 at 00:00 UTC."), {}, (6 * 24 + 8) * 3600.0),
        (429, {"error": {"message": "Your quota will reset after 142h40m7s.", "status": "RESOURCE_EXHAUSTED"}}, {}, 142 * 3600 + 40 * 60 + 7.0),
        (500, openai("x"), {}, None),
    ],
)  # fmt: skip
def test_how_long_to_stay_away(status: int, body: object, headers: dict[str, str], seconds: float | None) -> None:
    """In every form, also of a 5xx; what is no time is none."""
    assert outcome_of(status, body, headers).retry_after == seconds


@pytest.mark.parametrize(
    "piece", [b"organization", b"<title>", b"<title", b"model ", b"1 ", b'"retryDelay" ', b"input token count ", b" 'a", b'\\"', b"(((", b"Request too large for ", b"100 tokens exceed "],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 404, 429, 200])
def test_pages_made_to_be_slow(piece: bytes, status: int) -> None:
    """64 KB of the beginnings of what the rules look for are read in linear time: what is quadratic takes minutes."""
    import time

    for body in (
        piece * (65_536 // len(piece)),
        b'{"error": {"message": "retry after ' + piece * (65_000 // len(piece)) + b'"}}',
    ):
        start = time.process_time()
        classify(StatusError("x", status=status, body=body), now=NOW)
        assert time.process_time() - start < 3


@pytest.mark.parametrize(
    ("body", "message"),
    [("{}", "HTTP 500"), ('{"error": {}}', "HTTP 500"), ("[]", "HTTP 500"), ('{"choices": [{"message": {"content": "PRIVATE"}}]}', "HTTP 500")],
)  # fmt: skip
def test_a_body_without_words(body: str, message: str) -> None:
    """The reason says the status; neither an empty object nor the model's text stands for it."""
    assert classify(StatusError("HTTP 500", status=500, body=body.encode())).message == message
