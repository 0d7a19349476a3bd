"""The cost strategy by task, the cache, and a 429 that is seen coming; offline.

python costs.py             # in English
python costs.py --lang ko   # 한국어
"""

import argparse
from collections.abc import Callable, Sequence

from hotspare import Pool
from hotspare.drill.provider import Provider
from rehearsal import CONFIG, rehearsal

TASKS = ("simple", "default", "hard", "batch")
WORDS = {
    "en": {
        "task": "{:<8} {:<9} {:.6f} USD",
        "saved": "with GPT-4.1 for everything: {:.6f} USD; by task: {:.6f} USD",
        "cache": "the same question again: {} from the cache, {} request sent",
        "limits": "{} calls at once, GPT-4.1 admits 3 a minute: {} answered, {} attempts drew a 429",
    },
    "ko": {
        "task": "{:<8} {:<9} {:.6f} USD",
        "saved": "모두 GPT-4.1이면 {:.6f} USD, 작업별로 나누면 {:.6f} USD",
        "cache": "같은 질문을 다시: 캐시에서 {}, 보낸 요청 {}건",
        "limits": "동시 호출 {}건, GPT-4.1의 한도는 분당 3건: 응답 {}건, 429를 받은 시도 {}건",
    },
}


def by_task(pool: Pool) -> dict[str, tuple[str, float]]:
    """The target and the cost of one question to each route."""
    replies = {task: pool.chat(f"A {task} question", model=task) for task in TASKS}
    return {task: (reply.target, reply.cost or 0.0) for task, reply in replies.items()}


def all_at_gpt(pool: Pool) -> float:
    """What the same questions cost at GPT-4.1."""
    return sum(pool.chat(f"A {task} question", only=["gpt"]).cost or 0.0 for task in TASKS)


def cached(provider: Provider, pool: Pool) -> tuple[str, int]:
    """How the second of two identical questions was answered, and how many requests both sent."""
    provider.reset()
    pool.chat("What's the capital of Korea?")
    again = pool.chat("What's the capital of Korea?")
    return again.cached or "-", provider.stats("a").requests


def below_the_limit(provider: Provider, make_pool: Callable[..., Pool], calls: int = 12) -> tuple[int, int]:
    """How many calls were answered, and how many attempts drew a 429, where GPT's limit is written in the configuration."""
    provider.reset()
    with make_pool(**with_limit("gpt", {"rpm": 3})) as pool:
        results = list(pool.map([f"Question {number}" for number in range(calls)], concurrency=calls))
        replies = [result.reply for result in results if result.reply is not None]
    refused = [attempt for reply in replies for attempt in reply.attempts if attempt.status == 429]
    return len(replies), len(refused)


def with_limit(name: str, limits: dict[str, float]) -> dict[str, object]:
    """The targets of the file, one of them with limits."""
    import tomllib

    targets = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["targets"]
    return {"targets": [{**one, "limits": limits} if one["name"] == name else one for one in targets]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what each task costs, what the cache answers, and that no caller sees a 429."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lang", choices=WORDS, default="en")
    words = WORDS[parser.parse_args(arguments).lang]
    with rehearsal() as (provider, make_pool):
        with make_pool() as pool:
            costs = by_task(pool)
            for task, (target, cost) in costs.items():
                print(words["task"].format(task, target, cost))
            print(words["saved"].format(all_at_gpt(pool), sum(cost for _, cost in costs.values())))
            print(words["cache"].format(*cached(provider, pool)))
        print(words["limits"].format(12, *below_the_limit(provider, make_pool)))


if __name__ == "__main__":
    main()
