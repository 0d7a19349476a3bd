"""How OpenAI and its dialect say no. Shapes from recorded traffic and platform.openai.com/docs/guides/error-codes."""

from typing import Any, Final

from hotspare.drill.dialects.base import Headers, Json, Rate, Reject, retry_headers

_ERRORS: Final[dict[int, tuple[str, str, str | None]]] = {
    400: ("The request was invalid.", "invalid_request_error", None),
    401: (
        "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
        "invalid_request_error",
        "invalid_api_key",
    ),
    402: ("Insufficient Balance", "unknown_error", "invalid_request_error"),
    403: ("Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory"),
    404: (
        "The model `gone` does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    408: ("Request timed out", "timeout", None),
    413: ("Request too large", "invalid_request_error", "request_too_large"),
    422: ("Unprocessable entity", "invalid_request_error", "invalid_value"),
    429: ("Rate limit reached for requests", "requests", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request. Sorry about that!", "server_error", None),
    502: ("Bad gateway.", "server_error", None),
    503: ("That model is currently overloaded with other requests. You can retry your request.", "server_error", None),
    504: ("Gateway timeout.", "server_error", None),
    529: ("The engine is currently overloaded, please try again later", "overloaded_error", "overloaded"),
}


def error_body(status: int, message: str | None = None) -> Json:
    """OpenAI's body for `status`."""
    words, kind, code = _ERRORS.get(status, _ERRORS[500])
    return {"error": {"message": message or words, "type": kind, "param": None, "code": code}}


def invalid(message: str, param: str | None = None, code: str | None = None) -> Reject:
    """A 400 with OpenAI's words."""
    return Reject(400, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}})


def filtered() -> Reject:
    """Azure's content filter on the prompt (learn.microsoft.com, Azure OpenAI content filtering)."""
    words = (
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "
        "Please modify your prompt and retry."
    )
    found = {"hate": {"filtered": True, "severity": "high"}}
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": found}
    error = {"message": words, "type": None, "param": "prompt", "code": "content_filter", "status": 400}
    return Reject(400, {"error": {**error, "innererror": inner}})


def unknown_model(model: str, *, azure: bool) -> Reject:
    """404, in OpenAI's words or Azure's."""
    if azure:
        words = (
            "The API deployment for this resource does not exist. If you created the deployment within "
            "the last 5 minutes, please wait."
        )
        return Reject(404, {"error": {"code": "DeploymentNotFound", "message": words}})
    words = f"The model `{model}` does not exist or you do not have access to it."
    return Reject(
        404, {"error": {"message": words, "type": "invalid_request_error", "param": None, "code": "model_not_found"}}
    )


def span(seconds: float) -> str:
    """Go's way to write a duration, as in `x-ratelimit-reset-*`: 12ms, 1s, 6m0s."""
    if seconds < 1:
        return f"{max(1, round(seconds * 1000))}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"


def throttled(form: str, seconds: float) -> Reject:
    """429: `form` says where the time to wait stands."""
    headers = retry_headers(form, seconds)
    words = (
        "Rate limit reached for gpt-4.1 in organization org-drill on requests per min (RPM): Limit 500, "
        "Used 500, Requested 1."
    )
    if form == "reset-headers":
        headers.update(rate_headers(Rate(500, 0, seconds)))
    elif form in ("phrase", "body"):
        words += f" Please try again in {seconds:g}s."
    error = {"message": words, "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    return Reject(429, {"error": error}, headers)


def quota(form: str) -> Reject:
    """429: `day` for requests per day, else `insufficient_quota`."""
    if form == "day":
        words = (
            "Rate limit reached for gpt-4.1 in organization org-drill on requests per day (RPD): Limit "
            "200, Used 200, Requested 1."
        )
        return Reject(
            429, {"error": {"message": words, "type": "requests", "param": None, "code": "rate_limit_exceeded"}}
        )
    words = "You exceeded your current quota, please check your plan and billing details."
    error: dict[str, Any] = {
        "message": words,
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }
    return Reject(429, {"error": error})


def rate_headers(rate: Rate) -> Headers:
    """`x-ratelimit-*`; tokens are told as a thousand for every request."""
    return {
        "x-ratelimit-limit-requests": str(rate.limit),
        "x-ratelimit-remaining-requests": str(rate.remaining),
        "x-ratelimit-reset-requests": span(rate.reset),
        "x-ratelimit-limit-tokens": str(rate.limit * 1000),
        "x-ratelimit-remaining-tokens": str(rate.remaining * 1000),
        "x-ratelimit-reset-tokens": span(rate.reset),
    }
