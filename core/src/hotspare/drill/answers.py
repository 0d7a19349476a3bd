"""What the embedded provider says: a pure function of the prompt, so that every answer can be checked word for word."""

import hashlib
import re
from functools import lru_cache

DEFAULT_TOKENS = 60
"""Tokens in an answer whose prompt does not ask for another length: long enough to be cut anywhere, short enough
to be cheap.
"""

MAX_TOKENS = 20_000

_CJK = r"\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3"
_TOKEN = re.compile(rf"\s*(?:[{_CJK}]{{1,2}}|[^\s{_CJK}]+)|\s+")
_TOKENS_KNOB = re.compile(r"\btokens=(\d{1,6})\b")

# (separator, word): Chinese and Japanese pieces stand without blanks, two characters each, as real tokenizers cut them.
_PROSE = (
    "the a spare engine takes over when its primary fails, and nobody notices. Health is measured at first token; "
    "latency drifts upward before errors arrive. One probe returns, then traffic ramps slowly "
    "(ten percent, twenty, more). Deadlines bound every attempt: retries draw on budgets. "
    "Regions, keys, quotas and accounts share domains — so "
    'failures travel together. "Quoted" words, it\'s fine; naïve café façade über. 42 3.14 a/b x_y <tag> & {curly} '
    r"back\slash **bold** `code` #1 100% why? indeed! e.g. i.e. …"
)
_LATIN = _PROSE.split()
_OTHER = (
    *((" ", w) for w in ("서울", "장애", "전환", "대기", "응답", "지연")),
    *(("", w) for w in ("热备", "切换", "延迟", "東京", "回復")),
    *((" ", w) for w in ("🚀", "👩‍💻", "🇰🇷", "🙂")),
    *(("\n", w) for w in ("-", "1.")),
    *(("\n\n", w) for w in ("Next,", "##", "Then", "다음")),
)
_PIECES: tuple[tuple[str, str], ...] = (*((" ", w) for w in _LATIN), *_OTHER)
_FENCE = ("\n\n```python", "\ndef", " probe():", "\n    return", " True", "\n```", "\n\nSo")


def tokenize(text: str) -> list[str]:
    """Cut `text` into the pieces in which it is streamed; their concatenation is the text."""
    return _TOKEN.findall(text)


def wanted_tokens(prompt: str, tokens: int = DEFAULT_TOKENS) -> int:
    """The length asked for by `tokens=N` inside the prompt (at most 20,000), else `tokens`."""
    found = _TOKENS_KNOB.search(prompt)
    return min(int(found[1]), MAX_TOKENS) if found else tokens


@lru_cache(maxsize=4096)
def answer(prompt: str, tokens: int = DEFAULT_TOKENS) -> str:
    """The answer to `prompt`: the same words for the same prompt, in any process, on any machine.

    `tokens=N` inside the prompt overrules `tokens`. The text has exactly that many `tokenize` tokens and mixes Latin
    words,
    punctuation, Markdown (a code fence now and then), Korean, Chinese, Japanese and multi-byte emoji.
    """
    count = wanted_tokens(prompt, tokens)
    noise = hashlib.shake_128(prompt.encode("utf-8", "surrogatepass")).digest(2 * count + 2)
    out: list[str] = []
    # one prompt in four carries a code fence, somewhere in its first forty tokens
    fence_at = noise[1] % 40 if noise[0] % 4 == 0 else -1
    position = 2
    while len(out) < count:
        if len(out) == fence_at and count - len(out) >= len(_FENCE):
            out.extend(_FENCE)
            continue
        separator, word = _PIECES[(noise[position] << 8 | noise[position + 1]) % len(_PIECES)]
        position += 2
        out.append(separator + word)
    return "".join(out).lstrip()


def think(prompt: str, tokens: int = 12) -> str:
    """What the provider thinks before it answers `prompt`: a pure function too."""
    return answer("thinking about: " + _TOKENS_KNOB.sub("", prompt), tokens)


def estimate(text: str) -> int:
    """Prompt tokens of `text`, as billed: one for every four characters begun."""
    return (len(text) + 3) // 4


def opaque(*parts: str, length: int = 24) -> str:
    """An id-like string of letters and digits (no sign that any wire forbids), a function of `parts`."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()[:length]
