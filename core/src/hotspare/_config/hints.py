"""What to write instead of a wrong name: of a field, a provider or a model, as other libraries call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hotspare.errors import Problem, did_you_mean
from hotspare.secret import is_secret_name

_OF_TARGET = "belongs to a target: Target('openai/gpt-4.1', {name}=…), in a file under [[targets]]"
_OF_CALL = "belongs to a call: pool.chat(…, {name}=…)"
_DEADLINE = "the name here is 'deadline': seconds over all attempts"
_ATTEMPTS = "the name here is 'max_attempts': attempts of one call in all, over all targets"
_FALLBACKS = "is not needed: the targets are the fallbacks, in their order; `tier` and routes group them"
_ID = "the name here is 'id': 'provider/model', e.g. 'openai/gpt-4.1'"

_COMMON: Mapping[str, str] = {
    **dict.fromkeys(("timeout", "request_timeout", "timeout_s", "timeout_seconds", "max_time"), _DEADLINE),
    **dict.fromkeys(("max_retries", "num_retries", "retries", "retry", "max_tries", "attempts"), _ATTEMPTS),
    **dict.fromkeys(("fallbacks", "fallback", "fallback_models"), _FALLBACKS),
}
POOL_HINTS: Mapping[str, str] = {
    **_COMMON,
    **dict.fromkeys(("api_key", "base_url", "headers", "region", "tier", "weight", "price", "aliases"), _OF_TARGET),
    **dict.fromkeys(
        ("api_base", "azure_endpoint", "endpoint", "organization", "default_headers", "extra_headers"), "belongs to a target: see its base_url and headers"
    ),
    **dict.fromkeys(
        ("temperature", "max_tokens", "top_p", "stop", "seed", "tools", "tool_choice", "response_format", "reasoning_effort"), _OF_CALL
    ),
    "model": "belongs to a target, Target('openai/gpt-4.1'), or to a call, pool.chat(…, model=…)",
    "models": "the name here is 'targets': a list of Target('provider/model')",
    "target": "the name here is 'targets': a list",
    "llms": "the name here is 'targets': a list of Target('provider/model')",
    "clients": "the name here is 'targets': a list of Target('provider/model')",
    "cooldown": "the name here is 'breaker', with 'break_duration'",
    "cooldown_time": "the name here is 'breaker', with 'break_duration'",
    "allowed_fails": "the name here is 'breaker', with 'consecutive_failures'",
    "routing_strategy": "the name here is 'strategy'",
}  # fmt: skip
CALL_HINTS: Mapping[str, str] = {
    **_COMMON,
    "max_completion_tokens": "the name here is 'max_tokens'",
    "max_output_tokens": "the name here is 'max_tokens'",
    "stop_sequences": "the name here is 'stop'",
    "functions": "the name here is 'tools'",
    "function_call": "the name here is 'tool_choice'",
    "reasoning": "the name here is 'reasoning_effort'",
    "model_name": "the name here is 'model'",
    "target": "the name here is 'model': a route, an alias or the name of a target",
    "stream": "is a method here: pool.stream(…) and pool.astream(…)",
    **dict.fromkeys(("prompt", "input", "inputs", "query", "question", "content"), "is the first argument: pool.chat('…')"),
    **dict.fromkeys(("system", "system_prompt", "instructions"), "is a message: {'role': 'system', 'content': '…'}"),
    **dict.fromkeys(("api_key", "base_url", "headers", "extra_headers"), "belongs to a target, when the pool is built: Target(…, api_key=…, headers=…)"),
    **dict.fromkeys(
        ("n", "logprobs", "top_logprobs", "logit_bias", "metadata", "store", "service_tier", "extra_body", "thinking", "safety_settings"),
        "is a provider's own field: extra={'openai': {…}} (or 'anthropic', 'gemini')",
    ),
}  # fmt: skip
TARGET_HINTS: Mapping[str, str] = {
    **{name: hint if hint == _FALLBACKS else f"belongs to the pool: {hint}" for name, hint in _COMMON.items()},
    "deadline": "belongs to the pool: Pool([…], deadline=…), at the top of a file",
    "max_attempts": "belongs to the pool: Pool([…], max_attempts=…), at the top of a file",
    **dict.fromkeys(("model", "provider", "model_name", "model_id"), _ID),
    **dict.fromkeys(("api_base", "url", "endpoint", "azure_endpoint", "host", "azure_deployment_url"), "the name here is 'base_url'"),
    **dict.fromkeys(("key", "apikey", "token", "openai_api_key", "anthropic_api_key"), "the name here is 'api_key'"),
    **dict.fromkeys(("extra_body", "model_kwargs", "default_params"), "the name here is 'extra'"),
    **dict.fromkeys(("default_headers", "extra_headers"), "the name here is 'headers'"),
    "api_version": "belongs to the URL: base_url='https://….openai.azure.com?api-version=…'",
    "deployment": "is the model in 'id': 'azure/<deployment>'",
    "azure_deployment": "is the model in 'id': 'azure/<deployment>'",
    "priority": "the name here is 'tier': lower tiers are tried first",
    "max_tokens": "belongs to a call, or is 'max_output_tokens' here",
    **dict.fromkeys(("temperature", "top_p", "stop", "seed", "reasoning_effort"), f"{_OF_CALL}; for every call of this target use extra={{'{{name}}': …}}"),
    "supports": "the name here is 'missing': the capabilities that the model does not have",
}  # fmt: skip


def hint_for(name: str, hints: Mapping[str, str], known: Sequence[str]) -> str:
    """What to write instead of an unknown field: the equivalent of another library's name, else the nearest name, else all names."""
    hint = hints.get(name)
    if hint is not None:
        return hint.replace("{name}", name)
    return did_you_mean(name, known, f"the fields are {', '.join(known)}")


def unknown_field(name: str, value: object, owner: str, hint: str) -> Problem:
    """The problem of a field that does not exist. The value is not shown if it is likely to be a secret."""
    text = f"is not a field of {owner}; {hint}"
    return Problem(f"{name}: {text}") if is_secret_name(name) or name == "headers" else Problem.at(name, value, text)


_PROVIDER_ALIASES: Mapping[str, str] = {
    "claude": "anthropic", "google": "gemini", "google_genai": "gemini", "google-genai": "gemini", "googleai": "gemini", "palm": "gemini", "ai_studio": "gemini",
    "gpt": "openai", "chatgpt": "openai", "oai": "openai", "open_ai": "openai", "open-ai": "openai",
    "azure_openai": "azure", "azure-openai": "azure", "azureopenai": "azure", "azure_ai": "azure",
    "grok": "xai", "x-ai": "xai", "x_ai": "xai", "mistralai": "mistral", "mistral_ai": "mistral", "together_ai": "together", "togetherai": "together",
    "fireworks_ai": "fireworks", "deep_seek": "deepseek", "deep-seek": "deepseek", "open_router": "openrouter", "ollama_chat": "ollama", "hosted_vllm": "vllm",
    **dict.fromkeys(("llamacpp", "llama.cpp", "llama-cpp", "llama_cpp", "lmstudio", "lm_studio", "lm-studio", "localai", "local", "tgi", "sglang", "openai_compatible", "custom"), "openai-compatible"),
}  # fmt: skip
"""Other libraries' names for a provider."""
_VERTEX = frozenset({"vertex", "vertex_ai", "vertexai", "google_vertexai", "google-vertex", "vertex_ai_beta"})
_UNSUPPORTED_PROVIDERS = frozenset({"bedrock", "bedrock_converse", "aws", "amazon", "sagemaker", "cohere", "huggingface", "replicate", "watsonx", "databricks", "snowflake", "oci", "nvidia_nim", "perplexity", "ai21", "cloudflare", "voyage"})  # fmt: skip
"""Providers without a wire format in hotspare, which LiteLLM and the frameworks support."""
_MODEL_VENDORS = frozenset({"meta-llama", "meta", "qwen", "nvidia", "microsoft", "nousresearch", "moonshotai", "z-ai", "deepseek-ai", "thudm", "unsloth", "minimax", "tiiuae", "bigcode"})  # fmt: skip
"""The vendors of models: the first part of a model's name at OpenRouter, Together and Hugging Face."""
_MODEL_PREFIXES = (
    ("gpt-", "openai"), ("chatgpt", "openai"), ("o1", "openai"), ("o3", "openai"), ("o4", "openai"), ("claude", "anthropic"), ("gemini", "gemini"),
    ("gemma", "gemini"), ("deepseek", "deepseek"), ("grok", "xai"), ("mistral", "mistral"), ("codestral", "mistral"), ("llama", "ollama"), ("qwen", "ollama"),
)  # fmt: skip


def provider_of_model(model: str) -> str:
    """The provider whose models are called like this; "" if that is not known."""
    return next((provider for prefix, provider in _MODEL_PREFIXES if model.lower().startswith(prefix)), "")


def id_hint(id: str) -> str:
    """What to write instead of an id that is not `provider/model`; "" if that is not known."""
    provider, _, model = id.partition(":")
    known = {*_PROVIDER_ALIASES, *_PROVIDER_ALIASES.values(), "groq", "holysheep"}
    if provider.lower() in known and model and not model[0].isdigit() and model != "latest":
        return f"did you mean '{_PROVIDER_ALIASES.get(provider.lower(), provider.lower())}/{model}'?"
    likely = provider_of_model(id)
    return f"did you mean '{likely}/{id}'?" if likely else ""


def provider_hint(provider: str, model: str, presets: Sequence[str]) -> str:
    """What to write instead of an unknown provider; "" if nothing is near."""
    name = provider.lower()
    if name in presets or name in _PROVIDER_ALIASES:
        return f"did you mean '{_PROVIDER_ALIASES.get(name, name)}/{model}'?"
    if name in _VERTEX:
        return f"write 'vertex/{model}' with region='…', account='<project>' and a function that gives an access token as api_key"
    if name in _UNSUPPORTED_PROVIDERS:
        return (
            f"pip install litellm-hotspare and write 'litellm/{provider}/{model}', or give a framework's own model to an adapter "
            "(ChatHotspare(models=[…]), Hotspare(llms=[…])), or set `backend` of the target"
        )
    if name in _MODEL_VENDORS:
        return f"begin with the provider that serves the model: 'openrouter/{provider}/{model}', 'together/{provider}/{model}', 'vllm/{provider}/{model}'"
    return did_you_mean(name, presets)
