"""`Pool.map`, `Pool.amap` and `hotspare batch`."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hotspare import AllTargetsFailed, ConfigError, Kind, Outcome, Pool, RequestError
from hotspare._cli.batch import read_requests
from hotspare.drill.provider import Provider
from hotspare.messages import ChatRequest
from hotspare.testing import ScriptedTarget, StepLike, answer, fail, scripted_pool

from tests.support.command import run

REFUSED = Outcome(Kind.INVALID, "no", 400)


def echo(request: ChatRequest) -> StepLike:
    """Answers with the question; refuses "bad"."""
    text = str(request.messages[-1]["content"])
    return fail(REFUSED) if text == "bad" else answer(f"{text}!")


def collect(face: str, pool: Pool, requests: Any, **options: Any) -> list[Any]:
    """The results of a batch, in sync code, under asyncio or under trio."""
    if face == "sync":
        return list(pool.map(requests, **options))

    async def main() -> list[Any]:
        async with pool.amap(requests, **options) as results:
            return [result async for result in results]

    return anyio.run(main, backend=face)


@pytest.mark.parametrize("face", ["sync", "asyncio", "trio"])
def test_every_request_has_its_result(face: str) -> None:
    """In order, each with its own answer; a failure is a value, and does not end the rest; keywords of a request win."""
    target = ScriptedTarget("a", echo)
    requests = ["one", {"messages": [{"role": "user", "content": "two"}], "temperature": 1.0}, "bad", "four"]
    seen: list[tuple[int, int | None]] = []
    found = collect(
        face, scripted_pool(target), requests, concurrency=2, temperature=0.0, progress=lambda *one: seen.append(one)
    )
    assert [one.index for one in found] == [0, 1, 2, 3]
    assert [one.reply and one.reply.text for one in found] == ["one!", "two!", None, "four!"]
    assert isinstance(found[2].error, AllTargetsFailed)
    with pytest.raises(AllTargetsFailed):
        found[2].result()
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(one.temperature or 0.0 for one in target.requests) == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("face", ["sync", "asyncio"])
def test_concurrency_and_laziness(face: str) -> None:
    """Never more calls than allowed at one time, and no more requests are taken than are needed."""
    taken, at_once, most, lock = 0, 0, 0, threading.Lock()

    def requests() -> Iterator[str]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield str(number)

    def step(request: ChatRequest) -> StepLike:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.002)
        with lock:
            at_once -= 1
        return answer("ok")

    pool = Pool([ScriptedTarget("a", step).target])
    if face == "sync":
        results = pool.map(requests(), concurrency=3, ordered=False)
        for _ in range(5):
            next(results)
        results.close()
        assert most == 3
    else:

        async def main() -> None:
            async with pool.amap(requests(), concurrency=3, ordered=False) as found:
                for _ in range(5):
                    await anext(found)

        anyio.run(main)
    assert taken < 20


def test_a_wrong_concurrency_is_named() -> None:
    """Before any call."""
    with pytest.raises(RequestError, match="concurrency: 0 must be an integer above 0"):
        list(scripted_pool("a").map(["q"], concurrency=0))


# --- the command -------------------------------------------------------------------------------------------------


def start(*words: str) -> subprocess.Popen[str]:
    """`hotspare batch …`"""
    command = [sys.executable, "-m", "hotspare", "batch", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@pytest.fixture
def files(provider: Provider, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A file of 60 requests, one for answers, and a configuration."""
    source, output, config = tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "hotspare.toml"
    rows = [
        {"custom_id": f"id-{n}", "body": {"model": "x", "messages": [{"role": "user", "content": f"q{n}"}]}}
        for n in range(58)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"prompt": "plain"}\n"bare"\n'
    source.write_text(text, encoding="utf-8")
    config.write_text(
        f'[[targets]]\nid = "openai/gpt-4.1"\nbase_url = "{provider.base_url("a")}"\napi_key = "test-1"\nprice = [1, 2]\n',
        encoding="utf-8",
    )
    return source, output, config


def test_a_batch_that_is_killed_goes_on_where_it_ended(files: tuple[Path, Path, Path]) -> None:
    """Every line is answered once, whatever kills the command; a line that was cut is asked again, what is answered is not."""
    source, output, config = files
    words = (str(source), str(output), "--config", str(config), "--concurrency", "2")
    process = start(*words)
    deadline = time.monotonic() + 60
    while len(lines(output)) < 5 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = lines(output)
    assert before
    with output.open("ab") as file:
        file.write(b'{"custom_id": "id-5')
    done, errors = start(*words).communicate()[1], process.returncode
    assert errors == -signal.SIGKILL
    assert f"60 of 60 answered, {len(before)} before, 0 failed" in done
    found = lines(output)
    assert found[: len(before)] == before
    assert sorted(one["custom_id"] for one in found) == sorted([*(f"id-{n}" for n in range(58)), "line-59", "line-60"])
    assert all(one["text"] and one["cost"] and one["usage"]["output_tokens"] for one in found)


def test_an_interrupted_batch_pays_for_nothing_twice(provider: Provider, files: tuple[Path, Path, Path]) -> None:
    """No further request is begun, what is under way is written, and the exit code says that lines are left. Started again, the
    command has paid for as many answers as there are lines."""
    source, output, config = files
    words = (str(source), str(output), "--config", str(config), "--concurrency", "4")
    before = provider.stats("a").outcomes.get("ok", 0)
    provider.fault("a", "latency", seconds=0.05)
    process = start(*words)
    deadline = time.monotonic() + 60
    while not lines(output) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "finishing requests in flight" in errors
    assert f"{len(lines(output))} of 60 answered" in errors
    provider.clear("a")
    assert "60 of 60 answered" in start(*words).communicate()[1]
    assert provider.stats("a").outcomes["ok"] - before == 60


def test_a_second_signal_ends_a_batch_at_once(provider: Provider, files: tuple[Path, Path, Path]) -> None:
    """It does not wait for what is under way."""
    source, output, config = files
    before = provider.stats("a").requests
    provider.fault("a", "latency", seconds=60)
    process = start(str(source), str(output), "--config", str(config))
    deadline = time.monotonic() + 60
    while provider.stats("a").requests == before and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    assert "a second signal" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == -signal.SIGINT


def test_failures(files: tuple[Path, Path, Path]) -> None:
    """Lines that fail stand in a file of their own, and the exit code is 1."""
    source, output, config = files
    source.write_text('{"custom_id": "a", "prompt": "q", "deadline": 1, "max_attempts": 1}\n', encoding="utf-8")
    config.write_text(
        '[[targets]]\nid = "openai/m"\nbase_url = "http://127.0.0.1:9"\napi_key = "k"\n', encoding="utf-8"
    )
    process = start(str(source), str(output), "--config", str(config))
    _, errors = process.communicate()
    assert process.returncode == 1, errors
    assert errors.endswith(
        "0 of 1 answered, 0 before, 1 failed, 0.000000 USD; the failures are in " + f"{output}.errors\n"
    )
    (failure,) = lines(output.with_name("out.jsonl.errors"))
    assert (failure["custom_id"], failure["type"]) == ("a", "AllTargetsFailed")
    assert lines(output) == []


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{", "line 1: invalid JSON"),
        ("{}", "line 1: has neither messages nor prompt"),
        ("3", "line 1: 3 must be an object"),
        ('{"body": "x"}', "line 1: body: 'x' must be an object"),
        ('{"body": 5}', "line 1: body: 5 must be an object"),
        ('{"body": null}', "line 1: body: None must be an object"),
        ('"a"\n{"custom_id": "line-1", "prompt": "b"}', "line 2: 'line-1' is the custom_id of an earlier line"),
    ],
)
def test_a_line_that_is_no_request_is_named(text: str, hint: str, tmp_path: Path) -> None:
    """Before any call is made."""
    source = tmp_path / "in.jsonl"
    source.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=hint):
        read_requests(source)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_requests(tmp_path)
    source.write_bytes('"prüfe"\n'.encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8: byte 3 is invalid"):
        read_requests(source)


def test_a_line_ends_at_a_line_feed_only(tmp_path: Path) -> None:
    """JSON allows the other characters at which `str.splitlines` splits; a line feed may follow a carriage return."""
    source = tmp_path / "in.jsonl"
    source.write_bytes('"a\u2028b\u0085c"\r\n"d"'.encode())
    assert [one["request"] for one in read_requests(source).values()] == ["a\u2028b\u0085c", "d"]


def test_an_output_that_is_another_file_is_left_alone(files: tuple[Path, Path, Path]) -> None:
    """A file of requests, notes, or a file that cannot be written: the error names it, and not a byte of it changes."""
    source, output, config = files
    notes = '{"custom_id": "a", "prompt": "q"}\n'
    for text in (notes, "my notes", notes + "more notes", '{"custom_id": "a", "text": ""}\n[1]\n', "3\n"):
        output.write_text(text, encoding="utf-8")
        done = run("batch", str(source), str(output), "--config", str(config))
        assert done.returncode == 2
        assert "has lines that are not answers of `hotspare batch`; name another file" in done.stderr
        assert output.read_text(encoding="utf-8") == text
    done = run("batch", str(source), str(output.parent), "--config", str(config))
    assert done.returncode == 2 and f"output: '{output.parent}' cannot be written" in done.stderr


def test_failures_are_kept_if_the_next_start_is_impossible(files: tuple[Path, Path, Path]) -> None:
    """A wrong configuration sends nothing again, so the file of failures stays."""
    source, output, config = files
    failures = output.with_name("out.jsonl.errors")
    failures.write_text("{}", encoding="utf-8")
    config.write_text("targets = 3", encoding="utf-8")
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert run("batch", str(source), str(output), "--config", str(config)).returncode == 2
    assert failures.exists()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
