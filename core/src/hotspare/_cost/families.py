"""Tokens that families of models add to the text of a prompt: chat templates, prompts for tools, reasoning and schemas.

The constants were fitted to the usage in 204 recorded exchanges, and `tests/conformance/test_tokens.py` measures the errors;
`tests/support/token_fit.py` fits them, leaving out the prompt that is estimated. They are close to documented numbers: Anthropic states
346 tokens for the tool prompt of Claude 4, and 313 if a tool must be called ("Tool use", pricing; recordings of later models show about
494 and 594); Llama's chat template since 3.1 has a date preamble of 25, DeepSeek R1's adds three tokens to a question, and OpenAI's
harmony format (gpt-oss) has a system message of about 60.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Family(NamedTuple):
    """Tokens beside the text.

    `text`: factor on the tokens of texts. `base`: per request; `message`: per further message; `thinking`: added if reasoning is on.
    `tool_prompt`: added once if there are tools; `forced`: instead of it if a tool must be called (0: the same); `tool`: per tool;
    `tools`: factor on the compact JSON of the tools. `schema_prompt`, `schema`: the same for a JSON schema. `call`: per tool call in the
    history; `calls`: factor on their JSON.
    """

    text: float = 1.0
    base: float = 6.0
    message: float = 4.0
    thinking: float = 0.0
    tool_prompt: float = 60.0
    tool: float = 0.0
    tools: float = 1.2
    schema_prompt: float = 0.0
    schema: float = 0.7
    call: float = 11.0
    calls: float = 1.0
    forced: float = 0.0


_CLAUDE = Family(1.09, 7, 6, 29, 494, 6.5, 1.26, 55, 2.25, 25, 1.3, 594)
_CLAUDE_4 = _CLAUDE._replace(tool_prompt=320, forced=313)
_GEMINI = Family(1.0, 0, 1, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
_LLAMA = Family(base=36)
_FAMILIES: tuple[tuple[str, Family], ...] = (
    ("claude-3", _CLAUDE_4),
    ("claude-sonnet-4-0", _CLAUDE_4),
    ("claude-sonnet-4-2", _CLAUDE_4),
    ("claude-opus-4-0", _CLAUDE_4),
    ("claude-opus-4-1", _CLAUDE_4),
    ("claude-opus-4-2", _CLAUDE_4),
    ("claude", _CLAUDE),
    ("vertex/gemini", Family(1.0, 0, 0, 0, 3, 0, 0.05, 0, 0, 0, 0.33)),
    ("gemini-1", _GEMINI._replace(tools=0.34, schema=0.28, calls=0.15)),
    ("gemini-2.0", _GEMINI._replace(tools=0.34, schema=0.28, calls=0.15)),
    ("gemini-3", _GEMINI._replace(message=0, call=12)),
    ("gemini", _GEMINI._replace(base=1, calls=2.5)),
    ("gpt-oss", Family(1.0, 69, 4, 0, 40, 0, 0.4, 0, 1.7, 0, 0.5)),
    ("gpt-5", Family(1.0, 6, 4, 0, 95, 0, 0.7, 0, 0.88, 11, 1.0)),
    ("gpt", Family(1.0, 7, 3.5, 0, 14, 0, 0.45, 0, 0.66, 6, 0.9)),
    ("mistral", Family(1.0, 15, 5, 0, 0, 0, 1.34, 0, 0.7, 0, 0.5)),
    ("pixtral", Family(1.0, 15, 5, 0, 0, 0, 1.34, 0, 0.7, 0, 0.5)),
    ("llama-4", _LLAMA._replace(base=9, tool_prompt=655)),
    ("llama-3-", _LLAMA._replace(base=11)),
    ("llama3-", _LLAMA._replace(base=11)),
    ("llama", _LLAMA),
    ("deepseek-v4", Family(1.0, 84, 2, 0, 220, 0, 1.2, 0, 0.7, 54)),
    ("deepseek-r1", Family(1.0, 3, 4, 0, 130, 0, 1.5, 0, 0.7, 30)),
    ("deepseek", Family(1.0, 5, 4, 0, 130, 0, 1.5, 0, 0.7, 30)),
    ("glm-5", Family(1.0, 13, 2, 0, 100, 0, 1.2, 0, 0.0, 27)),
    ("glm", Family(1.0, 6, 2, 0, 100, 0, 1.2, 0, 0.0, 27)),
    ("minimax", Family(base=40)),
    ("coder", Family(1.0, 12, 4, 0, 228, 0, 1.2, 0, 0.7, 30)),
    ("qwen", Family(1.0, 12, 4, 0, 105, 0, 1.2, 0, 0.7, 30)),
)
"""Families by a substring of ``provider/model``; the first match counts, so that Claude 3 and 4 come before later models."""


@lru_cache(64)
def family(model: str, provider: str = "") -> Family:
    """The family of a model; an average family for an unknown model."""
    name = f"{provider}/{model}".lower().replace("4.", "4-").replace("3.5-", "3-5-")
    return next((found for part, found in _FAMILIES if part in name), Family())
