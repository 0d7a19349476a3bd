"""`hotspare simulate`: traffic of a ledger, or of a file, replayed in virtual time against a configuration."""

import asyncio
import json
import random
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hotspare import AllTargetsFailed, ConfigError, Pool, Price, Target
from hotspare._cli.entry import main
from hotspare._cli.recordings import UNUSED
from hotspare._config.loader import Config, load
from hotspare._simulation.figures import Figures
from hotspare._simulation.from_ledger import traffic_of
from hotspare._simulation.from_load import read_load
from hotspare._simulation.loop import run_in_virtual_time
from hotspare._simulation.simulator import ARRIVAL, SimulatedBackend, simulate
from hotspare._simulation.traffic import Answer, Arrival, Traffic
from hotspare.ledger import Ledger
from hotspare.ledger.schema import open_to_read
from hotspare.outcome import Kind

BEGAN = 1_800_000_000.0
DOWN, UP, END = 60.0, 100.0, 160.0
"""Seconds: the first target fails from `DOWN` to `UP`."""


RATE = 2.0


class Reality:
    """How the two targets of the recorded application answer: `fast` is dear, and down for a while; `slow` is cheap."""

    def answer(self, target: str, at: float, rng: random.Random, *, streaming: bool) -> Answer:
        if target == "fast" and DOWN <= at < UP:
            return Answer(0.05, Kind.SERVER, 503)
        return Answer((0.5 if target == "fast" else 2.0) * rng.uniform(0.8, 1.2))


CONFIG = """
deadline = 20
[[targets]]
id = "openai/gpt-4.1"
name = "{0}"
api_key = "${{A_KEY_THAT_IS_NOT_SET}}"
price = {1}
[[targets]]
id = "openai/gpt-4.1-mini"
name = "{2}"
api_key = "${{A_KEY_THAT_IS_NOT_SET}}"
price = {3}
tier = 1
"""
AS_IT_WAS = CONFIG.format("fast", [4, 8], "slow", [1, 2])
SWAPPED = CONFIG.format("slow", [1, 2], "fast", [4, 8])


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an application with `AS_IT_WAS` has recorded of 160 s, two calls a second."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"

    async def run(loop: asyncio.AbstractEventLoop) -> None:
        rng, traffic = random.Random(5), Traffic((), Reality())
        targets = [
            Target(
                f"openai/{name}", name=name, price=price, tier=tier, backend=SimulatedBackend(name, traffic, loop, rng)
            )
            for tier, (name, price) in enumerate((("fast", Price(4, 8)), ("slow", Price(1, 2))))
        ]
        pool = Pool(targets, clock=loop.time, rng=rng, deadline=20)
        file = Ledger(path, clock=lambda: BEGAN + loop.time()).attach(pool)

        async def call(number: int) -> None:
            await asyncio.sleep(number / RATE)
            ARRIVAL.set(Arrival(0.0, input_tokens=1000, output_tokens=200))
            with suppress(AllTargetsFailed):
                await pool.achat("q")

        await asyncio.gather(*(call(number) for number in range(round(RATE * END))))
        assert file.close()

    run_in_virtual_time(run)
    return path


def config_of(tmp_path: Path, text: str, name: str = "new.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def simulate_ledger(path: Path, ledger: Path) -> tuple[Figures, Figures]:
    """The recorded figures, and those of the simulation with this configuration."""
    config: Config = load(path, placeholder=UNUSED)
    with closing(open_to_read(ledger)) as connection:
        traffic = traffic_of(connection, 0.0, 10**6)
    assert traffic.recorded is not None
    return traffic.recorded, simulate(config, traffic)


def test_the_same_configuration_gives_what_was_recorded(ledger: Path, tmp_path: Path) -> None:
    """The proof of the simulation: calls, answers, cost and latencies are those of the ledger, within a tenth."""
    recorded, simulated = simulate_ledger(config_of(tmp_path, AS_IT_WAS), ledger)
    assert simulated.calls == recorded.calls == round(RATE * END)
    assert (len(simulated.seconds), simulated.refused) == (len(recorded.seconds), 0)
    assert simulated.cost == pytest.approx(recorded.cost, rel=0.1)
    assert simulated.attempts == pytest.approx(recorded.attempts, rel=0.1)
    assert simulated.answered_by["fast"] == pytest.approx(recorded.answered_by["fast"], rel=0.1)
    for q in (0.5, 0.95, 0.99):
        assert simulated.quantile(q) == pytest.approx(recorded.quantile(q), rel=0.1)


def test_a_changed_order_shows_what_it_would_change(ledger: Path, tmp_path: Path) -> None:
    """The cheap, slow target first: nearly all answers come from it, at a quarter of the price and four times the latency."""
    recorded, simulated = simulate_ledger(config_of(tmp_path, SWAPPED), ledger)
    assert simulated.answered_by["slow"] == simulated.calls
    assert simulated.cost == pytest.approx(simulated.calls * (1000 * 1 + 200 * 2) / 1e6)
    assert simulated.cost < 0.5 * recorded.cost
    assert simulated.quantile(0.5) == pytest.approx(2.0, rel=0.1)


LOAD = """
seconds = 90
rate = 3
input_tokens = 800
[targets.fast]
seconds = 0.5
[targets.slow]
seconds = 2.0
failures = 0.1
[[phases]]
start = 40
end = 80
targets = ["fast"]
failures = 1.0
"""


def test_a_described_load_and_refusals(tmp_path: Path) -> None:
    """Without a backup an outage is lost calls; a limit below the load is refusals; the same seed gives the same figures."""
    traffic = read_load(config_of(tmp_path, LOAD, "load.toml"), 1)
    both = load(config_of(tmp_path, AS_IT_WAS), {"A_KEY_THAT_IS_NOT_SET": "k"})
    alone_text = AS_IT_WAS[: AS_IT_WAS.rindex("[[targets]]")].replace(
        "deadline = 20", 'deadline = 5\nwhen_all_down = "fail"'
    )
    alone = load(config_of(tmp_path, alone_text), {"A_KEY_THAT_IS_NOT_SET": "k"})
    limited = load(
        config_of(tmp_path, alone_text + "limits = [{ rpm = 120, burst = 1 }]\n"), {"A_KEY_THAT_IS_NOT_SET": "k"}
    )
    found, again = simulate(both, traffic), simulate(both, traffic)
    assert found.as_dict() == again.as_dict()
    assert found.calls == len(traffic.arrivals) == pytest.approx(270, rel=0.2)
    assert len(found.seconds) > 0.99 * found.calls
    lost = simulate(alone, traffic)
    assert lost.calls - len(lost.seconds) > 60
    refused = simulate(limited, traffic)
    assert refused.refused > 2 * lost.refused


def test_the_command(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table with the change in percent, JSON for scripts, and notes about what is not known."""
    new, old = config_of(tmp_path, SWAPPED), config_of(tmp_path, AS_IT_WAS, "old.toml")
    words = ["simulate", "--config", str(new), "--ledger", str(ledger)]
    assert run_command(*words) == 0
    shown = capsys.readouterr().out
    assert all(
        word in shown for word in ("recorded", "simulated", "change", "p95", "cost", "by fast", "by slow", "refused")
    )
    assert run_command(*words, "--json", "--most", "100") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["simulated"]["calls"] == found["recorded"]["calls"] == 100
    assert found["notes"] == ["the latest 100 calls only: --most"]
    third = config_of(tmp_path, CONFIG.format("fast", [4, 8], "third", [1, 2]), "third.toml")
    assert run_command("simulate", "--config", str(third), "--ledger", str(ledger), "--most", "20", "--json") == 0
    assert (
        json.loads(capsys.readouterr().out)["notes"][1]
        == "never called in the ledger, assumed to answer like the others: third"
    )
    file = config_of(tmp_path, LOAD, "load.toml")
    assert run_command("simulate", "--config", str(new), "--load", str(file), "--against", str(old), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["before"]["p50"] < found["simulated"]["p50"]


def test_mistakes_are_named(tmp_path: Path) -> None:
    """Every mistake of a load file, and a ledger that is none."""
    path = config_of(tmp_path, "rat = 3\n[targets.a]\nseconds = 0\n[[phases]]\nstart = 1\n", "load.toml")
    with pytest.raises(ConfigError) as caught:
        read_load(path, 0)
    message = str(caught.value)
    assert all(word in message for word in ("load.rat", "targets.a.seconds", "phases[0].end", "phases[0].targets"))
    with pytest.raises(ConfigError, match=r"^--load: '[^']*/none\.toml' cannot be read: No such file or directory$"):
        read_load(tmp_path / "none.toml", 0)
    config = config_of(tmp_path, AS_IT_WAS)
    assert run_command("simulate", "--config", str(config), "--ledger", str(path)) == 2


def run_command(*words: str) -> Any:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["hotspare", *words])
        main()
    return ended.value.code or 0
