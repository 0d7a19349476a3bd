"""Runs the storms: in virtual time, or on the real wire with other clients for comparison.

python -m benchmarks.storms                     # every storm in virtual time, three seeds
python -m benchmarks.storms flaps               # the storms with this word in their name
python -m benchmarks.storms --wire flaps        # on the wire, the clients in turns, 40 s each
python -m benchmarks.storms --wire --seeds 3 --seconds 20 flaps
python -m benchmarks.storms --wire --client hotspare --seeds 3 --parallel 4

Exits with 1 if hotspare misses a threshold, or if its load on the wire fell behind: such a row is not judged. On the wire, each run's
figures are printed to stderr when it has ended, and the table at the end.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from rich.console import Console
from rich.progress import track

from benchmarks.clients import CLIENTS, Opening
from benchmarks.storms.report import Report
from benchmarks.storms.scenarios import SECONDS, STORMS, Storm, shortened
from benchmarks.storms.thresholds import thresholds
from benchmarks.storms.turns import at_once, run_all
from benchmarks.storms.twin import storm_result

_FAILING_OVER = [one for one in CLIENTS if one.failover]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the storms, and print the table."""
    options = parsed(arguments)
    if options.wire:
        report = run_all(options.storms, options.seeds, options.clients, options.parallel)
    else:
        report = _in_virtual_time(options.storms, options.seeds)
    report.print()
    raise SystemExit(report.failed)


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line, with the chosen `storms` and `clients`. Exits with 2 if they choose none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="words of the storms' names; default: all storms")
    parser.add_argument("--wire", action="store_true", help="on the real wire, with other clients for comparison")
    parser.add_argument("--seeds", type=int, help="how many (default 3, on the wire 1)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help="length of a storm (default 40; 20 gives a short but fair comparison)",
    )
    parser.add_argument("--client", help="on the wire: only the clients with this word in their name")
    parser.add_argument(
        "--parallel", type=int, metavar="N",
        help="on the wire: how many storms are run in parallel (default: two per core for hotspare alone, one per two cores with other clients)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if not options.wire and (options.client or options.parallel is not None):
        parser.error("--client and --parallel are for storms on the wire: add --wire")
    options.seeds = (1 if options.wire else 3) if options.seeds is None else options.seeds
    options.clients = [one for one in _FAILING_OVER if (options.client or "") in one.name]
    if not options.clients:
        parser.error(f"--client: none has {options.client!r} in its name: {_names(_FAILING_OVER)}")
    options.parallel = at_once(options.clients) if options.parallel is None else options.parallel
    if options.seeds < 1 or options.parallel < 1:
        parser.error("--seeds and --parallel must be 1 or more")
    options.storms = _chosen(parser, options.words, options.seconds)
    return options


def _chosen(parser: argparse.ArgumentParser, words: Sequence[str], seconds: float) -> list[Storm]:
    chosen = [one for one in STORMS if not words or any(word in one.name for word in words)]
    if not chosen:
        parser.error(f"no storm has one of these words in its name: {', '.join(words)}")
    try:
        return [shortened(one, seconds) for one in chosen]
    except ValueError as error:
        parser.error(f"--seconds: {error}")


def _names(clients: Sequence[Opening]) -> str:
    return ", ".join(one.name for one in clients)


def _in_virtual_time(storms: Sequence[Storm], seeds: int) -> Report:
    report = Report()
    runs = [(storm, seed) for storm in storms for seed in range(1, seeds + 1)]
    with ProcessPoolExecutor() as processes:
        finished = processes.map(storm_result, *zip(*runs, strict=True))
        results = list(track(finished, "storms", total=len(runs), console=Console(stderr=True), transient=True))
    for number, storm in enumerate(storms):
        report.add(storm, "hotspare", results[number * seeds : (number + 1) * seeds], thresholds(storm))
    return report


if __name__ == "__main__":
    main()
