"""What `import hotspare` costs and brings."""

import subprocess
import sys
from pkgutil import iter_modules

FORBIDDEN = {
    "httpx", "aiohttp", "aiohappyeyeballs", "anyio", "asyncio", "typer", "rich", "yaml", "langchain_core", "llama_index", "litellm", "openai",
    "anthropic", "google.genai", "tenacity",
}  # fmt: skip


def test_import_is_light() -> None:
    """No HTTP library, no framework, no SDK, no command-line library."""
    code = "import hotspare, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not FORBIDDEN & set(done.stdout.split())


def test_public_names() -> None:
    """The public names, locked: a change here is a change of the public face."""
    import hotspare

    assert set(hotspare.__all__) == {
        "AllTargetsFailed", "AnswerRejected", "AttemptRecord", "AttemptTimeout", "Backend", "BackendError", "BatchResult", "Breaker", "Budget", "BudgetExceeded", "BudgetStatus", "Cache", "CacheEntry", "CacheStore", "Brownout", "CallError",
        "CallOptions", "Candidate", "ChatChunk", "ChatReply", "ChatRequest", "Choice", "ConfigError", "Dialect", "EmbedInput", "EmbedOptions", "EmbedReply", "EmptyAnswer",
        "Explanation", "FinishReason", "Hedge", "HotspareError", "IDLE", "IncompleteAnswer", "KeyFunctionFailed", "Kind", "Lease",
        "LimitExceeded", "Limits", "Listener", "LongPrice", "Message", "MessageDict", "MissingExtra", "NoKeyGiven", "Outcome", "Policy", "PolicyFields", "Pool", "PoolClosed", "PoolHealth", "Price",
        "Problem", "Recorder", "RecordingError", "Reducer", "RequestError", "RetryBudget", "RouteFields", "Routes", "Scope", "SecretStr", "Selector", "Shared", "SkipReason", "State",
        "StreamInterrupted", "StreamSummary", "Target", "TargetFields", "TargetKey", "Timeouts", "ToolCall", "ToolCallDelta",
        "Usage", "__version__", "classify", "compact_prompt", "portable_history", "remaining_time", "trim_history",
    }  # fmt: skip
    assert all(getattr(hotspare, name) is not None for name in hotspare.__all__)


def test_no_module_hides_a_public_name() -> None:
    """Importing a submodule sets it as an attribute of the package: under a public name it would replace what is public."""
    import hotspare

    assert not set(hotspare.__all__) & {module.name for module in iter_modules(hotspare.__path__)}
    assert set(dir(hotspare)) == set(hotspare.__all__)


def test_target_fields_are_those_of_target() -> None:
    """`TargetFields` has every field of `Target` but the three that adapters set themselves."""
    from dataclasses import fields

    from hotspare import Target, TargetFields

    assert TargetFields.__annotations__.keys() == {field.name for field in fields(Target)} - {"id", "name", "backend"}
