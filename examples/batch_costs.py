"""Batches over two routes, with the cost of each, and an outage in the middle of one; offline.

    python examples/batch_costs.py

With real keys: export DEEPSEEK_API_KEY, GEMINI_API_KEY and OPENAI_API_KEY, leave `base_url` and `api_key` out of the targets,
drop the provider, and write the prices that you pay; or `Pool(prices=True)`, which looks list prices up.
"""

from hotspare import Pool, Price, Target
from hotspare.drill.provider import KEY, Provider

CALLS = 40


def make_pool(provider: Provider) -> Pool:
    """Three models with prices in USD per million tokens, in two orders."""
    deepseek, gemini, gpt = provider.base_url("a"), provider.base_url("b", "gemini") + "/v1beta", provider.base_url("c")
    return Pool(
        [
            Target("deepseek/deepseek-chat", name="deepseek", base_url=deepseek, api_key=KEY, price=Price(0.27, 1.10)),
            Target("gemini/gemini-2.5-flash", name="gemini", base_url=gemini, api_key=KEY, price=Price(0.30, 2.50)),
            Target("openai/gpt-4.1", name="gpt", base_url=gpt, api_key=KEY, price=Price(2.0, 8.0)),
        ],
        routes={"batch": ["deepseek", "gemini", "gpt"], "simple": ["gemini", "gpt"]},
    )


def run(provider: Provider, pool: Pool, route: str, outage_at: int | None = None) -> float:
    """A batch at one route, printed; its cost in USD. `outage_at`: after this many answers DeepSeek goes down."""
    cost, answered, failed_over = 0.0, dict[str, int](), 0
    requests = [f"{route}: classify document {number} tokens=20" for number in range(CALLS)]
    for number, result in enumerate(pool.map(requests, model=route, concurrency=4), 1):
        reply = result.result()
        cost += reply.cost or 0.0
        answered[reply.target] = answered.get(reply.target, 0) + 1
        failed_over += len(reply.attempts) > 1
        if number == outage_at:
            provider.fault("a", "refused")
    by = ", ".join(f"{target} {count}" for target, count in answered.items())
    print(f"{route:<7} {sum(answered.values())} of {CALLS} answered, {cost:.6f} USD ({by}; {failed_over} failed over)")
    return cost


def main() -> None:
    """Each route in fair weather, then the batch with an outage."""
    with Provider(["a", "b", "c"]) as provider, make_pool(provider) as pool:
        usual = run(provider, pool, "batch")
        run(provider, pool, "simple")
        print(f"DeepSeek goes down after {CALLS // 4} answers:")
        outage = run(provider, pool, "batch", outage_at=CALLS // 4)
        print(f"the outage cost {outage - usual:.6f} USD more, and no answer")


if __name__ == "__main__":
    main()
