"""The errors in the providers' references, one row each, and what each means for failover.

`tests/core` classifies them as HTTP responses, `tests/conformance` as exceptions of the official SDKs and of LiteLLM.
Sources: platform.openai.com/docs/guides/error-codes, learn.microsoft.com (Azure OpenAI quotas), docs.anthropic.com/en/api/errors,
ai.google.dev/gemini-api/docs/troubleshooting, openrouter.ai/docs/api/reference/errors-and-debugging, api-docs.deepseek.com.
"""

import json
from typing import Any, NamedTuple

from hotspare.outcome import Kind, Outcome, Scope

NOW = 1_764_000_000.0
"""The time of the rows: 2025-11-24T16:00:00Z, a Monday, 08:00 in Los Angeles."""
DEFAULT_SCOPE = {
    Kind.SERVER: Scope.REGION, Kind.TRANSPORT: Scope.REGION, Kind.TIMEOUT: Scope.TARGET, Kind.RATE_LIMITED: Scope.TARGET,
    Kind.QUOTA: Scope.ACCOUNT, Kind.AUTH: Scope.ACCOUNT, Kind.NOT_FOUND: Scope.TARGET, Kind.CONTEXT_LENGTH: Scope.REQUEST,
    Kind.CONTENT_FILTER: Scope.REQUEST, Kind.INVALID: Scope.REQUEST,
}  # fmt: skip
"""The scope of each kind, unless the row has another one."""


class Row(NamedTuple):
    """One error. `after`: seconds to wait, as the provider asks, or until its quota is reset."""

    dialect: str
    status: int
    body: object
    kind: Kind
    after: float | None = None
    headers: dict[str, str] = {}  # noqa: RUF012
    scope: Scope | None = None

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body if isinstance(self.body, str) else json.dumps(self.body)

    @property
    def wire(self) -> str:
        """The dialect of its wire format."""
        return self.dialect if self.dialect in ("anthropic", "gemini") else "openai"

    def check(self, found: Outcome, status: int | None = None) -> None:
        """Check its outcome; `status`: another status, if an SDK changes it."""
        assert (found.kind, found.status) == (self.kind, status or self.status)
        assert found.fault_scope == (self.scope or DEFAULT_SCOPE[self.kind])
        assert found.retry_after == self.after
        assert "sk-abc123" not in found.message


def openai(message: str, code: str | None = None, type_: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def claude(type_: str, message: str, **more: object) -> dict[str, Any]:
    return {"type": "error", "error": {"type": type_, "message": message, **more}}


def gemini(code: int, status: str, message: str, details: list[object] | None = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": details or []}}


def quota(*ids: str, delay: str | None = None) -> list[object]:
    found: list[object] = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": i} for i in ids]}
    ]
    if delay:
        found.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    return found


ROWS = [
    Row("openai", 401, openai("Incorrect API key provided: sk-abc123def456", "invalid_api_key"), Kind.AUTH),
    Row("openai", 403, openai("Country, region, or territory not supported", "unsupported_country_region_territory"), Kind.AUTH, scope=Scope.REGION),
    Row("openai", 403, openai("Project `p` does not have access to model `m`", "model_not_found"), Kind.NOT_FOUND),
    Row("openai", 404, openai("The model `x` does not exist or you do not have access to it.", "model_not_found"), Kind.NOT_FOUND),
    Row("openai", 400, openai("This model's maximum context length is 128000 tokens. However, your messages resulted in 200000 tokens.", "context_length_exceeded"), Kind.CONTEXT_LENGTH),
    Row("openai", 400, openai("Your request was rejected", "content_policy_violation"), Kind.CONTENT_FILTER),
    Row("openai", 400, openai("filtered", "content_filter"), Kind.CONTENT_FILTER),
    Row("openai", 400, openai("Unsupported parameter: 'max_tokens'", "unsupported_parameter", "invalid_request_error"), Kind.INVALID, scope=Scope.TARGET),
    Row("openai", 422, openai("bad value", "invalid_value"), Kind.INVALID),
    Row("openai", 429, openai("Rate limit reached for gpt-4.1 in organization org on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s.", "rate_limit_exceeded", "tokens"), Kind.RATE_LIMITED, 2.0),
    Row("openai", 429, openai("Rate limit reached for gpt-4.1 on requests per day (RPD): Limit 200, Used 200", "rate_limit_exceeded", "requests"), Kind.QUOTA),
    Row("openai", 429, openai("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "insufficient_quota"), Kind.QUOTA),
    Row("openai", 429, openai("no credit", "credit_balance_exhausted"), Kind.QUOTA),
    Row("openai", 429, openai("That model is currently overloaded with other requests."), Kind.SERVER),
    Row("openai", 503, openai("Slow down", "slow_down"), Kind.SERVER),
    Row("openai", 500, openai("The server had an error while processing your request", None, "server_error"), Kind.SERVER),
    Row("openai", 502, "<html><head><title>502 Bad Gateway</title></head></html>", Kind.SERVER),
    Row("azure", 429, {"error": {"code": "429", "message": "Requests have exceeded rate limit. Please retry after 20 seconds."}}, Kind.RATE_LIMITED, 20.0),
    Row("azure", 400, {"error": {"code": "content_filter", "message": "The response was filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, Kind.CONTENT_FILTER),
    Row("azure", 404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}, Kind.NOT_FOUND),
    Row("azure", 403, {"error": {"code": "403", "message": "Access denied due to Virtual Network/Firewall rules."}}, Kind.AUTH),
    Row("azure", 429, {"error": {"code": "429", "message": "System is experiencing high demand and cannot process your request."}}, Kind.SERVER),
    Row("azure", 429, {"error": {"code": "429", "message": "The service is temporarily unable to process your request."}}, Kind.SERVER),
    Row("deepseek", 402, openai("Insufficient Balance", "invalid_request_error", "unknown_error"), Kind.QUOTA),
    Row("deepseek", 422, openai("Invalid parameters"), Kind.INVALID),
    Row("deepseek", 503, openai("Server overloaded"), Kind.SERVER),
    Row("openrouter", 402, {"error": {"code": 402, "message": "Insufficient credits. Add more using https://openrouter.ai/credits"}}, Kind.QUOTA),
    Row("openrouter", 403, {"error": {"code": 403, "message": "Input was flagged by moderation", "metadata": {"reasons": ["violence"]}}}, Kind.CONTENT_FILTER),
    Row("openrouter", 408, {"error": {"code": 408, "message": "Request timed out"}}, Kind.TIMEOUT),
    Row("openrouter", 502, {"error": {"code": 502, "message": "Your chosen model is down"}}, Kind.SERVER),
    Row("openrouter", 503, {"error": {"code": 503, "message": "No provider meets your routing requirements"}}, Kind.SERVER),
    Row("groq", 413, openai("Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000", "rate_limit_exceeded", "tokens"), Kind.CONTEXT_LENGTH, scope=Scope.TARGET),
    Row("groq", 498, openai("Flex tier capacity exceeded", "capacity_exceeded"), Kind.SERVER),
    Row("groq", 400, {"error": {"message": "Failed to call a function.", "code": "tool_use_failed", "failed_generation": "<f>"}}, Kind.SERVER),
    Row("mistral", 429, {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited", "code": "1300"}, Kind.RATE_LIMITED),
    Row("mistral", 429, {"object": "error", "message": "Service tier capacity exceeded for this model.", "type": "invalid_request_error", "code": "3505"}, Kind.SERVER),
    Row("vllm", 400, {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError", "code": 400}, Kind.CONTEXT_LENGTH),
    Row("ollama", 404, {"error": {"message": "model 'x' not found, try pulling it first", "type": "api_error"}}, Kind.NOT_FOUND),
    Row("ollama", 503, {"error": {"message": "Loading model", "code": 503}}, Kind.SERVER),
    Row("anthropic", 401, claude("authentication_error", "invalid x-api-key"), Kind.AUTH),
    Row("anthropic", 403, claude("permission_error", "Your API key does not have permission"), Kind.AUTH),
    Row("anthropic", 402, claude("billing_error", "billing"), Kind.QUOTA),
    Row("anthropic", 400, claude("invalid_request_error", "Your credit balance is too low to access the Anthropic API."), Kind.QUOTA),
    Row("anthropic", 400, claude("invalid_request_error", "This organization has reached its spend limit"), Kind.QUOTA),
    Row("anthropic", 429, claude("rate_limit_error", "Number of request tokens has exceeded your per-minute rate limit"), Kind.RATE_LIMITED),
    Row("anthropic", 429, claude("rate_limit_error", "limit", details={"error_code": "enforced_spend_limit_reached"}), Kind.QUOTA, (6 * 24 + 8) * 3600.0),
    Row("anthropic", 529, claude("overloaded_error", "Overloaded"), Kind.SERVER),
    Row("anthropic", 500, claude("api_error", "Internal server error"), Kind.SERVER),
    Row("anthropic", 504, claude("timeout_error", "timed out"), Kind.SERVER),
    Row("anthropic", 404, claude("not_found_error", "model: claude-x"), Kind.NOT_FOUND),
    Row("anthropic", 413, claude("request_too_large", "Request exceeds the maximum size"), Kind.INVALID),
    Row("anthropic", 400, claude("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), Kind.CONTEXT_LENGTH),
    Row("anthropic", 400, claude("invalid_request_error", "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000"), Kind.CONTEXT_LENGTH),
    Row("anthropic", 400, claude("invalid_request_error", "This model does not support assistant message prefill."), Kind.INVALID, scope=Scope.TARGET),
    Row("gemini", 400, gemini(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", [{"reason": "API_KEY_INVALID"}]), Kind.AUTH),
    Row("gemini", 400, gemini(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), Kind.AUTH, scope=Scope.REGION),
    Row("gemini", 400, gemini(400, "INVALID_ARGUMENT", "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576)."), Kind.CONTEXT_LENGTH),
    Row("gemini", 400, gemini(400, "INVALID_ARGUMENT", "Unknown name \"foo\""), Kind.INVALID, scope=Scope.TARGET),
    Row("gemini", 403, gemini(403, "PERMISSION_DENIED", "Consumer has been suspended."), Kind.AUTH),
    Row("gemini", 404, gemini(404, "NOT_FOUND", "models/x is not found for API version v1beta"), Kind.NOT_FOUND),
    Row("gemini", 402, gemini(402, "FAILED_PRECONDITION", "billing"), Kind.QUOTA),
    Row("gemini", 429, gemini(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan", quota("GenerateRequestsPerMinutePerProjectPerModel", delay="38s")), Kind.RATE_LIMITED, 38.0),
    Row("gemini", 429, gemini(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", delay="38s")), Kind.QUOTA, 16 * 3600.0),
    Row("gemini", 429, gemini(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."), Kind.RATE_LIMITED),
    Row("gemini", 500, gemini(500, "INTERNAL", "An internal error has occurred."), Kind.SERVER),
    Row("gemini", 503, gemini(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), Kind.SERVER),
    Row("gemini", 504, gemini(504, "DEADLINE_EXCEEDED", "deadline"), Kind.SERVER),
    Row("relay", 429, openai("upstream: insufficient_quota"), Kind.QUOTA),
    Row("relay", 302, "", Kind.SERVER),
    Row("openai", 429, openai("Rate limit reached", "rate_limit_exceeded"), Kind.RATE_LIMITED, 1.5, {"retry-after-ms": "1500", "retry-after": "9"}),
    Row("openai", 429, openai("Rate limit reached", "rate_limit_exceeded"), Kind.RATE_LIMITED, 360.0, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}),
    Row("openai", 429, openai("Request too large for gpt-4o in organization o on tokens per min (TPM): Limit 30000, Requested 40000.", "rate_limit_exceeded", "tokens"), Kind.CONTEXT_LENGTH, scope=Scope.TARGET),
    Row("openai", 504, "upstream request timeout", Kind.SERVER),
    Row("azure", 403, {"error": {"code": "403", "message": "Your resource is temporarily blocked because we detected behavior that may violate our content policy."}}, Kind.AUTH),
    Row("azure", 429, {"error": {"code": "429", "message": "Requests have exceeded the token rate limit."}}, Kind.RATE_LIMITED, 12.0, {"retry-after": "12"}),
    Row("openrouter", 429, {"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": "x is temporarily rate-limited upstream", "provider_name": "Google"}}}, Kind.RATE_LIMITED, 5.0, {"retry-after": "5"}),
    Row("openrouter", 503, {"error": {"code": 503, "message": "No provider is available"}}, Kind.SERVER, 7.0, {"retry-after": "7"}),
    Row("openrouter", 403, {"error": {"code": 403, "message": "Key limit exceeded"}}, Kind.AUTH),
    Row("groq", 429, openai("Rate limit reached for model `m` on tokens per minute (TPM)", "rate_limit_exceeded", "tokens"), Kind.RATE_LIMITED, 7.66, {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7.66s"}),
    Row("groq", 429, openai("Rate limit reached for model `m` on tokens per day (TPD): Limit 500000, Used 499000", "rate_limit_exceeded", "tokens"), Kind.QUOTA),
    Row("deepseek", 401, openai("Authentication Fails (no such user)", "invalid_request_error", "authentication_error"), Kind.AUTH),
    Row("deepseek", 429, openai("Rate Limit Reached"), Kind.RATE_LIMITED),
    Row("mistral", 401, {"message": "Unauthorized", "request_id": "x"}, Kind.AUTH),
    Row("mistral", 422, {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "msg": "Extra inputs are not permitted"}]}, "type": "invalid_request_error"}, Kind.INVALID, scope=Scope.TARGET),
    Row("anthropic", 429, claude("rate_limit_error", "This request would exceed your rate limit"), Kind.RATE_LIMITED, 30.0, {"retry-after": "30"}),
    Row("anthropic", 429, claude("rate_limit_error", "This request would exceed your rate limit"), Kind.RATE_LIMITED, 5.0, {"anthropic-ratelimit-input-tokens-remaining": "0", "anthropic-ratelimit-input-tokens-reset": "2025-11-24T16:00:05Z"}),
    Row("anthropic", 400, claude("invalid_request_error", "You have reached your specified workspace API usage limits."), Kind.QUOTA),
    Row("relay", 401, openai("litellm.AuthenticationError: OpenAIException - Incorrect API key provided", "401", "authentication_error"), Kind.AUTH),
    Row("relay", 503, openai("upstream connect error or disconnect/reset before headers"), Kind.SERVER),
]  # fmt: skip
