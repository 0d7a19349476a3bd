"""Six disasters, simulated with real HTTP calls against the embedded provider.

    python disasters.py             # in English
    python disasters.py --lang ko   # 한국어

With real keys there is nothing to change in the code: export HOLYSHEEP_API_KEY and OPENAI_API_KEY, and use
`Pool.from_config("hotspare.toml")` as it is. README.md says more.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Timer

from hotspare import AttemptRecord, Pool
from hotspare.drill.provider import Provider, answer
from rehearsal import rehearsal

QUESTION = "What's the weather in Seoul? tokens=12"


@dataclass(frozen=True)
class Result:
    """What the caller got. `targets`: those that wrote the answer. `seconds`: how long the call took."""

    text: str
    targets: Sequence[str]
    attempts: Sequence[AttemptRecord]
    seconds: float = 0.0


def ask(pool: Pool) -> Result:
    """A whole answer."""
    reply = pool.chat(QUESTION)
    return Result(reply.text, [reply.target], reply.attempts)


def model_fails(provider: Provider, pool: Pool) -> Result:
    """GPT-4.1 answers 503; the relay's other models work."""
    provider.fault("a", "status", status=503, model="gpt")
    return ask(pool)


def latency_surges(provider: Provider, pool: Pool) -> Result:
    """GPT-4.1 answers a minute late."""
    provider.fault("a", "delay", seconds=60, model="gpt")
    return ask(pool)


def rate_limit(provider: Provider, pool: Pool) -> Result:
    """GPT-4.1 answers 429 and asks to wait 20 s."""
    provider.fault("a", "rate_limited", retry_after=20, model="gpt")
    return ask(pool)


def daily_quota(provider: Provider, pool: Pool) -> Result:
    """The relay's key has used up its daily quota: none of its four models can be called."""
    provider.fault("a", "quota", limit="day")
    return ask(pool)


def cut_stream(provider: Provider, pool: Pool) -> Result:
    """The connection breaks after five tokens of the answer."""
    provider.fault("a", "cut", at=5, model="gpt")
    *chunks, last = pool.stream(QUESTION)
    assert last.summary is not None
    text = "".join(chunk.text for chunk in (*chunks, last))
    return Result(text, last.summary.targets, last.summary.attempts)


def everything_down(provider: Provider, pool: Pool) -> Result:
    """The relay and the direct provider refuse connections; the direct one accepts them again after a second."""
    provider.fault(["a", "b"], "refused")
    recovery = Timer(1, lambda: provider.clear("b"))
    recovery.start()
    try:
        return ask(pool)
    finally:
        recovery.join()


DISASTERS: dict[str, Callable[[Provider, Pool], Result]] = {
    one.__name__: one for one in (model_fails, latency_surges, rate_limit, daily_quota, cut_stream, everything_down)
}
TITLES = {
    "en": {
        "model_fails": "A model fails (503)",
        "latency_surges": "Latency surges",
        "rate_limit": "Rate limit (429)",
        "daily_quota": "The relay's daily quota is used up",
        "cut_stream": "A stream is cut in mid-sentence",
        "everything_down": "Relay and direct provider are down for a second",
    },
    "ko": {
        "model_fails": "모델 장애 (503)",
        "latency_surges": "지연 시간 급증",
        "rate_limit": "호출 한도 초과 (429)",
        "daily_quota": "중계 키의 일일 할당량 소진",
        "cut_stream": "문장 중간에 끊긴 스트림",
        "everything_down": "중계 서비스와 직접 연결 모두 1초간 중단",
    },
}
WORDS = {
    "en": {"ok": "correct answer from {} after {:.2f} s", "wrong": "WRONG ANSWER from {} after {:.2f} s"},
    "ko": {"ok": "올바른 응답: {}, {:.2f}초", "wrong": "잘못된 응답: {}, {:.2f}초"},
}


def run(name: str, provider: Provider, make_pool: Callable[..., Pool]) -> Result:
    """Run one disaster, with a new pool and a provider that was reset."""
    provider.reset()
    with make_pool() as pool:
        pool.warmup()
        began = time.perf_counter()
        result = DISASTERS[name](provider, pool)
        return Result(result.text, result.targets, result.attempts, time.perf_counter() - began)


def run_all() -> dict[str, Result]:
    """Run all six. Returns the results by name."""
    with rehearsal() as (provider, make_pool):
        return {name: run(name, provider, make_pool) for name in DISASTERS}


def show(results: dict[str, Result], language: str) -> None:
    """Print what the caller got, and each attempt."""
    words = WORDS[language]
    for number, (name, result) in enumerate(results.items(), 1):
        verdict = words["ok" if result.text == answer(QUESTION) else "wrong"]
        print(f"{number}. {TITLES[language][name]}")
        print(f"   {verdict.format(' + '.join(result.targets), result.seconds)}")
        for attempt in result.attempts:
            print(f"   - {attempt.target}: {attempt.kind} {attempt.status or ''} {attempt.message}".rstrip())


def main() -> None:
    """Run the disasters and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lang", choices=TITLES, default="en")
    language = parser.parse_args().lang
    show(run_all(), language)


if __name__ == "__main__":
    main()
