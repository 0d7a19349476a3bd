"""The answers of the embedded provider. They depend on the prompt only, so that a test can compare every answer exactly."""

import hashlib
import re
from functools import lru_cache

DEFAULT_TOKENS = 60
"""Length of an answer whose prompt does not contain `tokens=N`."""

MAX_TOKENS = 20_000
"""Upper bound of `tokens=N`."""

_CJK = r"\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3"
_TOKEN = re.compile(rf"\s*(?:[{_CJK}]{{1,2}}|[^\s{_CJK}]+)|\s+")
_TOKENS_DIRECTIVE = re.compile(r"\btokens=(\d{1,6})\b")

_PROSE = (
    "the a spare engine takes over when its primary fails, and nobody notices. Health is measured at first token; "
    "latency drifts upward before errors arrive. One probe returns, then traffic ramps slowly "
    "(ten percent, twenty, more). Deadlines bound every attempt: retries draw on budgets. "
    "Regions, keys, quotas and accounts share domains — so "
    'failures travel together. "Quoted" words, it\'s fine; naïve café façade über. 42 3.14 a/b x_y <tag> & {curly} '
    r"back\slash **bold** `code` #1 100% why? indeed! e.g. i.e. …"
)
_LATIN = _PROSE.split()
# (separator, word); Chinese and Japanese words have no spaces between them
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
    """Split `text` into the tokens in which it is streamed. Joined, they are the text again."""
    return _TOKEN.findall(text)


@lru_cache(maxsize=4096)
def answer(prompt: str, tokens: int = DEFAULT_TOKENS) -> str:
    """The answer to `prompt`: the same text in every process and on every machine.

    It has exactly `tokens` tokens (see `tokenize`), or N if the prompt contains `tokens=N`. It mixes Latin words,
    punctuation, Markdown (sometimes a code fence), Korean, Chinese, Japanese and multi-byte emoji. A word without a space before it
    never occurs twice in a row: after a break between the two, a continuation and a repetition would look the same.
    """
    found = _TOKENS_DIRECTIVE.search(prompt)
    count = min(int(found[1]), MAX_TOKENS) if found else tokens
    noise = hashlib.shake_128(prompt.encode("utf-8", "surrogatepass")).digest(2 * count + 2)
    out: list[str] = []
    # one answer in four has a code fence, within its first forty tokens
    fence_at = noise[1] % 40 if noise[0] % 4 == 0 else -1
    position = 2
    while len(out) < count:
        if len(out) == fence_at and count - len(out) >= len(_FENCE):
            out.extend(_FENCE)
            continue
        separator, word = _PIECES[(noise[position] << 8 | noise[position + 1]) % len(_PIECES)]
        position += 2
        if not separator and out and out[-1].endswith(word):
            word = next(w for s, w in _OTHER if not s and w != word)
        out.append(separator + word)
    return "".join(out).lstrip()


def reasoning(prompt: str, tokens: int = 12) -> str:
    """The reasoning that comes before the answer to `prompt`."""
    return answer("thinking about: " + _TOKENS_DIRECTIVE.sub("", prompt), tokens)


def after_tools(prompt: str, results: tuple[str, ...]) -> str:
    """The answer to `prompt` after tool calls. It repeats their results."""
    joined = " ; ".join(results)
    return f"The tool says: {joined}\n\n{answer(prompt + joined, 20)}"


def with_images(prompt: str, sizes: tuple[int, ...]) -> str:
    """The answer to a prompt with images: their number and total size in bytes (0 for links), then the usual answer."""
    return f"[{len(sizes)} image(s), {sum(sizes)} bytes] {answer(prompt)}"


def estimate_tokens(text: str) -> int:
    """Prompt tokens of `text`: a quarter of its characters, rounded up."""
    return (len(text) + 3) // 4


def opaque_id(*parts: str, length: int = 24) -> str:
    """An id of letters and digits, which every API accepts. It depends on `parts` only."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()[:length]
