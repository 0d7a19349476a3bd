"""OpenAI's error bodies, from recorded traffic and platform.openai.com/docs/guides/error-codes."""

from typing import Final

from hotspare.drill.dialects.base import Headers, RateLimit, Rejection, retry_after_headers
from hotspare.drill.messages import Json

_ERRORS: Final[dict[int, tuple[str, str, str | None]]] = {
    400: ("The request was invalid.", "invalid_request_error", None),
    401: (
        "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
        "invalid_request_error",
        "invalid_api_key",
    ),
    402: ("Insufficient Balance", "unknown_error", "invalid_request_error"),
    403: ("Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory"),
    404: ("The model `gone` does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"),
    408: ("Request timed out", "timeout", None),
    413: ("Request too large", "invalid_request_error", "request_too_large"),
    422: ("Unprocessable entity", "invalid_request_error", "invalid_value"),
    429: ("Rate limit reached for requests", "requests", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request. Sorry about that!", "server_error", None),
    502: ("Bad gateway.", "server_error", None),
    503: ("That model is currently overloaded with other requests. You can retry your request.", "server_error", None),
    504: ("Gateway timeout.", "server_error", None),
    529: ("The engine is currently overloaded, please try again later", "overloaded_error", "overloaded"),
}  # fmt: skip


def _body(message: str, kind: str, code: str | None, param: str | None = None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_body(status: int, message: str | None = None) -> Json:
    """OpenAI's body for `status`."""
    text, kind, code = _ERRORS.get(status, _ERRORS[500])
    return _body(message or text, kind, code)


def invalid(message: str, param: str | None = None, code: str | None = None) -> Rejection:
    """A 400 in OpenAI's shape."""
    return Rejection(400, _body(message, "invalid_request_error", code, param))


def content_filtered() -> Rejection:
    """Azure's content filter rejects the prompt (learn.microsoft.com, "Azure OpenAI content filtering")."""
    message = (
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "
        "Please modify your prompt and retry."
    )
    result = {"hate": {"filtered": True, "severity": "high"}}
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result}
    error = {"message": message, "type": None, "param": "prompt", "code": "content_filter", "status": 400}
    return Rejection(400, {"error": {**error, "innererror": inner}})


def unknown_model(model: str, *, azure_deployment: bool) -> Rejection:
    """A 404 as OpenAI or Azure sends it."""
    if azure_deployment:
        message = (
            "The API deployment for this resource does not exist. If you created the deployment within "
            "the last 5 minutes, please wait."
        )
        return Rejection(404, {"error": {"code": "DeploymentNotFound", "message": message}})
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Rejection(404, _body(message, "invalid_request_error", "model_not_found"))


def go_duration(seconds: float) -> str:
    """A duration as Go writes it, and as `x-ratelimit-reset-*` states it: 12ms, 1s, 6m0s."""
    if seconds < 1:
        return f"{max(1, round(seconds * 1000))}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"


def rate_limited(form: str, seconds: float) -> Rejection:
    """A 429; `form` says where the time to wait is stated."""
    headers = retry_after_headers(form, seconds)
    message = (
        "Rate limit reached for gpt-4.1 in organization org-drill on requests per min (RPM): "
        "Limit 500, Used 500, Requested 1."
    )
    if form == "reset-headers":
        headers.update(rate_limit_headers(RateLimit(500, 0, seconds)))
    elif form in ("phrase", "body"):
        message += f" Please try again in {seconds:g}s."
    return Rejection(429, _body(message, "requests", "rate_limit_exceeded"), headers)


def quota(limit: str) -> Rejection:
    """A 429: requests per day for `day`, else `insufficient_quota`."""
    if limit == "day":
        message = (
            "Rate limit reached for gpt-4.1 in organization org-drill on requests per day (RPD): "
            "Limit 200, Used 200, Requested 1."
        )
        return Rejection(429, _body(message, "requests", "rate_limit_exceeded"))
    message = "You exceeded your current quota, please check your plan and billing details."
    return Rejection(429, _body(message, "insufficient_quota", "insufficient_quota"))


def rate_limit_headers(limit: RateLimit) -> Headers:
    """`x-ratelimit-*`; the token limits are a thousand times the request limits."""
    headers: dict[str, str] = {}
    for unit, factor in (("requests", 1), ("tokens", 1000)):
        headers[f"x-ratelimit-limit-{unit}"] = str(limit.limit * factor)
        headers[f"x-ratelimit-remaining-{unit}"] = str(limit.remaining * factor)
        headers[f"x-ratelimit-reset-{unit}"] = go_duration(limit.reset)
    return headers
