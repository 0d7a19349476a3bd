"""The words and codes that providers and engines use for each kind of failure, as patterns in the order of precedence.

They are searched in an error's codes and in its message without its quotations (`Evidence.words`). Sources: the error
references of the providers, the sources of vLLM, llama.cpp, Ollama, LM Studio, TGI, SGLang, TensorRT-LLM and new-api, and
recorded or reported responses; `tests/support/refusals.py` and `tests/field/` have an example of each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from hotspare.outcome import Kind, Scope


class TextRule(NamedTuple):
    """An error whose words match `pattern` is of this kind. `scope` None: the kind's usual one."""

    kind: Kind
    pattern: re.Pattern[str]
    scope: Scope | None = None


def _rule(kind: Kind, words: Sequence[str], scope: Scope | None = None) -> TextRule:
    return TextRule(kind, re.compile("|".join(words), re.I), scope)


LARGER_THAN_LIMIT = _rule(
    Kind.CONTEXT_LENGTH,
    [
        r"Request too large for (?:model|.{0,80}tokens per min)",  # OpenAI, Groq: more than the tokens per minute of this account
    ],
    Scope.TARGET,
)
"""Larger than this target's own limit, so that another target may take it."""

LONG_CONTEXT_LIMIT = _rule(
    Kind.RATE_LIMITED,
    [r"long[- ]context (?:requests?|beta|rate|usage|window)", r"extra usage is required for long context"],  # Anthropic
    Scope.REQUEST,
)
"""A limit that concerns long prompts only."""

CONTEXT_LENGTH = _rule(
    Kind.CONTEXT_LENGTH,
    [
        r"context_length_exceeded", r"context_window_exceeded", r"exceed_context_size", r"tokens_limit_reached",
        r"(?:maximum|max\.?|model'?s?|available|the) context (?:length|size|window)",  # OpenAI, vLLM, llama.cpp, Ollama, SGLang
        r"context (?:length|size|window|limit)s? .{0,40}(?:exceed|overflow|too small)", r"exceed\w* .{0,60}context (?:length|size|window|limit)",
        r"context the overflows", r"tokens to keep from the initial prompt",  # LM Studio
        r"(?:prompt|input|messages?|request) (?:is|was|are) too (?:long|large to process)", r"reduce the length of (?:the |your )?(?:messages|prompt|input)",
        r"input token count .{0,60}(?:exceeds|supports)", r"maximum prompt length", r"too many (?:input |prompt )?tokens\b",
        r"prompt (?:contains|has) \d+ tokens", r"\(length \d+\) (?:is longer|exceeds)", r"longer than the (?:model|maximum)",
        r"maximum (?:model|input|sequence) length", r"max_seq_len", r"model token limit", r"input tokens? exceeded",
        r"tokens \+ .{0,40}must be <=", r"must have less than \d+ tokens", r"range of input length",  # TGI; DashScope
        r"\u8d85\u957f|\u4e0a\u4e0b\u6587\u957f\u5ea6",  # Zhipu
    ],
)  # fmt: skip

TOKENS_COUNTED = re.compile(
    r"(?=.{0,4000}\b\d{3,} (?:input |prompt )?tokens\b)(?=.{0,4000}(?:exceed|too (?:long|large|many)|longer|greater|larger|at most|maximum|limit))"
    r"(?!.{0,4000}(?:per (?:minute|min|day|hour)|rate|quota|(?:completion|output) tokens|max_(?:completion_|output_)?tokens))",
    re.I | re.S,
)  # fmt: skip
"""The fallback for unknown words: a message that compares a number of tokens with a limit that is not per time."""

RULES = (
    _rule(Kind.NOT_FOUND, [r"model_?not_?found", r"DeploymentNotFound", r"model_decommissioned", r"(?:does not|doesn't) have access to (?:the )?(?:requested )?model"]),
    # The origin of the request is at fault, not the key.
    _rule(Kind.AUTH, [
        r"user location is not supported", r"unsupported_country", r"region, or territory not supported", r"not available in your (?:country|region)(?!.{0,80}billing)",
    ], Scope.REGION),
    _rule(Kind.AUTH, [r"resource (?:is|has been) (?:temporarily )?blocked"]),  # Azure
    _rule(Kind.CONTENT_FILTER, [
        r"content_policy", r"content[ _-]?filter", r"content[_ ]?filtered", r"ResponsibleAIPolicyViolation", r"content management policy", r"\bSAFETY\b|SAFETY_CHECK",
        r"\b(?:RECITATION|PROHIBITED_CONTENT|BLOCKLIST|SPII|IMAGE_SAFETY|IMAGE_PROHIBITED_CONTENT)\b", r"\| refusal \||^refusal \|",
        r"ContentPolicyViolation", r"moderation", r"\bflagged\b", r"violat\w+ .{0,60}(?:polic(?:y|ies)|guidelines|terms of)",
        r"usage (?:guidelines|polic(?:y|ies))", r"safety (?:system|filter|polic)", r"inappropriate content", r"prohibited (?:content|use)",
        r"data_?inspection_?failed", r"content exists risk", r"considered high risk", r"prompt was blocked", r"guardrail",  # DashScope; DeepSeek; Moonshot; Gemini; Bedrock
        r"\u654f\u611f",  # Zhipu 1301
    ]),
    _rule(Kind.QUOTA, [
        r"insufficient[_ ](?:user_)?quota", r"insufficient[_ ]?(?:account )?(?:balance|credits?|funds)", r"credit_balance_exhausted", r"credit balance is too low",
        r"billing_hard_limit", r"\bbilling_error\b", r"billing_not_active", r"account is not active", r"check your (?:plan and )?billing details",
        r"enable billing", r"billing (?:has not been|is not|to be) enabled", r"requires? billing",
        r"enforced_spend_limit", r"(?:spend|spending|usage|budget) (?:limits?|cap)\b.{0,40}(?:reached|exceeded|hit)",
        r"reached .{0,60}(?:spend|spending|usage|monthly|credit) limits?", r"budget_exceeded|ExceededBudget|budget has been exceeded",  # LiteLLM proxy
        r"(?:organi[sz]ation|workspace)\S* .{0,40}(?:spend|usage) limit", r"PerDay|(?:requests|tokens) per day|\((?:RPD|TPD)\)|daily (?:limit|quota)",
        r"ServiceQuotaExceeded", r"QUOTA_EXHAUSTED|exhausted your capacity|quota will reset after", r"exceeded your current quota, please check your plan",
        r"out of credits|no credits? (?:left|remaining)|credits? (?:have been|has been|are|is) (?:exhausted|depleted|used up)", r"payment required",
        r"Arrearage|overdue|good standing", r"(?:subscription|trial) .{0,30}(?:expired|ended|inactive|lapsed)",  # DashScope, Volcengine
        r"pre_consume_token_quota_failed", r"\u4f59\u989d\u4e0d\u8db3|\u6b20\u8d39|\u989d\u5ea6\u4e0d\u8db3",  # new-api and other relays
    ]),
    _rule(Kind.AUTH, [
        r"invalid[_ -]?api[_ -]?key", r"invalid x-api-key", r"API_KEY_INVALID", r"API[ _]key (?:is )?(?:not valid|not found|invalid|missing|required|expired|disabled|revoked)",
        r"api[ _]key (?:has|was) .{0,40}(?:expired|revoked|disabled|leaked|deleted|deactivated)", r"(?:incorrect|missing|no|wrong|expired) api[ _-]?key", r"authentication_error|permission_error",
        r"AccessDenied|access denied|UnrecognizedClient|PERMISSION_?DENIED|permission-denied", r"(?:key|token|caller|account|project|user) .{0,40}(?:does not|doesn't|lacks?) have .{0,20}(?:permission|access)",
        r"(?:does not|doesn't) have permission", r"insufficient permissions?|missing scopes?|not authori[sz]ed|unauthori[sz]ed|not authenticated|authentication (?:failed|fails|required)",
        r"(?:organi[sz]ation|account|project|consumer|workspace|user|key|resource) .{0,40}(?:disabled|deactivated|suspended|terminated|banned|restricted)",
        r"no auth credentials|(?:invalid|expired|missing) (?:access |auth(?:entication)? |bearer |security )?(?:token|credentials?)|token .{0,40}(?:is expired|has expired|expired|is invalid)|ExpiredToken",
        r"key limit exceeded", r"virtual network|firewall rules", r"\u65e0\u6548\u7684\u4ee4\u724c",
    ]),
    # Engines that crash or are still loading, and a model that is busy: before the words of NOT_FOUND, which resemble them.
    _rule(Kind.SERVER, [
        r"overloaded", r"slow_down", r"model .{0,60}\bloading\b", r"capacity[_ ]exceeded|tier capacity|at capacity|no capacity|out of capacity|over capacity", r"(?:^|\| )3505(?: |$)", r"high demand",
        r"temporarily (?:unable|unavailable|overloaded)", r"tool_use_failed", r"\bloading model|model is (?:currently |still )?(?:loading|starting|warming)|still loading|warming up",
        r"fail(?:ed|ure) to load|failed to (?:start|initiali[sz]e)|(?:model|engine|runner|worker|process) .{0,40}(?:crashed|terminated|died|exited|is dead|not running)|EngineDead|exit code",
        r"CUDA|out of memory|\bOOM\b|insufficient memory|more system memory", r"backendError|operation (?:was )?cance(?:l|ll)ed", r"dependency (?:unavailable|failed)|failed dependency",
        r"server_error|internal (?:server )?error|InternalServer", r"ModelNotReady|ModelTimeout|ServiceUnavailable|service (?:is )?(?:currently |temporarily )?unavailable|modelStreamError",
        r"insufficient_system_resource", r"no healthy upstream|upstream (?:connect|error|request)|bad gateway|gateway time-?out", r"server (?:is )?busy|too busy",
        r"Error converting to valid response block",  # LiteLLM, for an answer that it cannot read; its own class for that is a bad request
    ]),
    _rule(Kind.RATE_LIMITED, [r"rate[_ -]?limit", r"RESOURCE_EXHAUSTED", r"Throttl", r"too many requests", r"TooManyRequests", r"concurrency limit"]),
    # No endpoint serves this request, but the model and the key are valid (OpenRouter).
    _rule(Kind.NOT_FOUND, [
        r"no (?:allowed )?(?:endpoints?|providers?) (?:(?:is|are) )?(?:found|available|support\w*|match\w*|meets?)\b.{0,40}(?:that|support|match|which|for|with|your|the requested)",
        r"(?:file|response|conversation|thread|assistant|batch|cached ?content|vector store|previous_response)\b.{0,60}(?:not found|does not exist|not_found)",
    ], Scope.REQUEST),
    _rule(Kind.INVALID, [r"only supported in", r"not supported in the v1/"], Scope.TARGET),
    _rule(Kind.NOT_FOUND, [
        r"model_?not_?found|DeploymentNotFound|not_found_error|ResourceNotFound|model_not_(?:available|supported)|model_decommissioned|invalid_model\b|unknown_model|model_not_exist",
        r"on-demand throughput isn.t supported", r"(?:model|deployment)\b.{0,80}(?:not found|not exist|is not (?:found|available|supported|served|deployed|accessible|a valid)|no longer (?:available|supported)|decommissioned|deprecated|discontinued|retired|not available)",
        r"(?:decommissioned|discontinued|retired)\b", r"no longer available", r"not a valid model", r"(?:unknown|no such|invalid|unsupported|unrecogni[sz]ed) (?:model|deployment)\b", r"is not found for API version",
        r"\u6a21\u578b\u4e0d\u5b58\u5728",
    ]),
    # This target does not support a feature of the request; another one may.
    _rule(Kind.INVALID, [
        r"unsupported_(?:parameter|value|feature|operation)|not_supported|unknown_parameter|UnsupportedParams|extra_forbidden",
        r"\b(?:not|isn't|aren't) (?:yet |currently )?(?:supported|available|enabled|implemented|permitted|allowed)\b", r"\bunsupported\b",
        r"(?:does not|doesn't|do not|don't|cannot|can't) (?:yet |currently )?(?:support|accept|handle|process|use)\b", r"\bsupports? only\b|\bonly supports?\b|only (?:available|supported)",
        r"extra (?:inputs|fields) (?:are )?not permitted", r"(?:unrecogni[sz]ed|unknown|unexpected|unsupported) (?:request )?(?:argument|parameter|field|name|key|property|keyword)",
        r"requires? .{0,40}(?:to be (?:set|enabled)|--enable|flag)", r"not implemented",
    ], Scope.TARGET),
)  # fmt: skip
"""In the order of precedence; the first match wins. `rules` has the steps before them, and the statuses that overrule them."""
