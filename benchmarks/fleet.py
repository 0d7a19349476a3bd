"""Measures eight processes that share one Redis, at the embedded provider and in Redis: `make fleet`.

It measures how many calls a failing target gets, with and without sharing; how much of a shared limit is used; and how many commands a
process sends to Redis at 10 to 1,000 calls a second.
"""

from __future__ import annotations

import argparse
import time

from hotspare.drill.provider import Provider

from tests.support.fleet import Worker, build, load, workers
from tests.support.redis_server import RedisServer, newest, redis_server

COUNT = 8


def outage(fleet: list[Worker], urls: list[str], provider: Provider, redis: RedisServer, seconds: float) -> None:
    """Count the calls that reach a target that answers 503, from separate processes and from a fleet. One process starts, the others follow
    after a second."""
    sent: dict[bool, int] = {}
    for shared in (False, True):
        provider.clear()
        build(fleet, urls, redis.url if shared else None, prefix="outage")
        time.sleep(1)
        provider.fault("a", "status", status=503)
        before = provider.stats("a").requests
        load(fleet[:1], 10)
        time.sleep(1)
        load(fleet[1:], 10)
        time.sleep(seconds)
        sent[shared] = provider.stats("a").requests - before
        load(fleet, 0)
    print(f"outage of {seconds:g} s, {COUNT} processes: {sent[False]} calls without sharing, {sent[True]} with it")
    provider.clear()


def limits(fleet: list[Worker], urls: list[str], provider: Provider, redis: RedisServer, seconds: float) -> None:
    """Measure how much of a limit of 600 requests a minute is used by eight times as many calls."""
    build(fleet, urls, redis.url, limits={"rpm": 600, "burst": 1}, learn_limits=False, prefix="limits")
    time.sleep(1)
    before, began = provider.stats("a").requests, time.monotonic()
    load(fleet, 10)
    time.sleep(1)
    steady, since = provider.stats("a").requests, time.monotonic()
    time.sleep(seconds)
    ended, now = provider.stats("a").requests, time.monotonic()
    load(fleet, 0)
    admitted = 10 + 10 * (now - began)
    print(
        f"limit of 600 a minute: {(ended - steady) / (10 * (now - since)):.1%} used, {(ended - before) / admitted:.1%} of what it admits from its start"
    )


def linearity(fleet: list[Worker], urls: list[str], redis: RedisServer, seconds: float) -> None:
    """Measure the Redis commands per second of one process, at different call rates."""
    client = redis.client()
    for limited in (False, True):
        found: list[str] = []
        for rate in (10, 100, 1000):
            build(
                fleet[:1], urls, redis.url, limits={"rpm": 1e6} if limited else None, learn_limits=False, prefix="rates"
            )
            build(fleet[1:], urls, None)
            time.sleep(1)
            load(fleet[:1], rate)
            time.sleep(2)
            before, began = int(client.info("stats")["total_commands_processed"]), time.monotonic()
            time.sleep(seconds)
            count = int(client.info("stats")["total_commands_processed"]) - before - 1
            answered = len(fleet[0].do("report")["seconds"])
            found.append(f"{count / (time.monotonic() - began):.1f} at {rate} calls ({answered} answered)")
            load(fleet[:1], 0)
        print(f"commands a second of a process{', with a shared limit' if limited else ''}: {'; '.join(found)}")


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement (default 10)")
    seconds = float(parser.parse_args().seconds)
    with redis_server(newest()) as redis, Provider(("a", "b")) as provider, workers(COUNT) as fleet:
        urls = [provider.base_url("a"), provider.base_url("b")]
        outage(fleet, urls, provider, redis, seconds)
        limits(fleet, urls, provider, redis, seconds)
        linearity(fleet, urls, redis, seconds)


if __name__ == "__main__":
    main()
