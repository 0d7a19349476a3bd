"""A load surge during an outage, watched: a ledger, alerts by webhook and mail, and the daily report; offline.

python monitoring.py                 # in English; writes report.html
python monitoring.py --lang ko       # 한국어
python monitoring.py --calls 2000    # a larger surge
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from hotspare import Pool
from hotspare.drill.provider import Provider
from hotspare.ledger import Ledger
from hotspare.ledger.schema import open_to_read
from hotspare.monitor import Monitor, Smtp, Webhook
from hotspare.monitor.report import read_report, report_html, report_text
from receivers import receivers
from rehearsal import rehearsal

WORDS = {
    "en": {
        "surge": "{} of {} calls answered while GPT-4.1 was down",
        "alerts": "Alerts",
        "page": "The report as a page",
    },
    "ko": {"surge": "GPT-4.1 장애 중 호출 {1}건 가운데 {0}건 응답", "alerts": "알림", "page": "보고서 페이지"},
}


def surge(provider: Provider, pool: Pool, calls: int) -> int:
    """Make calls, 64 concurrently, while GPT-4.1 fails; then one during which the relay rejects the key.

    Returns how many of the first calls were answered.
    """
    provider.fault("a", "status", status=503, model="gpt")
    prompts = [f"Question {number}: what's the weather in Seoul?" for number in range(calls)]
    answered = sum(result.reply is not None for result in pool.map(prompts, concurrency=64))
    provider.clear()
    provider.fault("a", "status", status=401)
    pool.chat("And now?")
    return answered


def watch(calls: int, ledger_file: Path) -> tuple[int, list[str], list[str]]:
    """Run the surge with the ledger and the monitor. Returns the number of answered calls, and what the webhook and the mail server received."""
    with receivers() as (url, port, posted, mailed), rehearsal() as (provider, make_pool), make_pool() as pool:
        ledger = Ledger(ledger_file).attach(pool)
        channels = [
            Webhook(url),
            Smtp("127.0.0.1", port=port, sender="hotspare@example.com", to=["oncall@example.com"], security="none"),
        ]
        with Monitor(pool, channels=channels, ledger=ledger, interval=0.2).start():
            answered = surge(provider, pool, calls)
            deadline = time.monotonic() + 10
            while not all("key_refused" in "".join(got) for got in (posted, mailed)) and time.monotonic() < deadline:
                time.sleep(0.05)
        ledger.close()
    return answered, posted, mailed


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the surge, the alerts and the report, and write the report as a page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lang", choices=("en", "ko"), default="en")
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--html", type=Path, default=Path("report.html"))
    given = parser.parse_args(arguments)
    words = WORDS[given.lang]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        answered, posted, mailed = watch(given.calls, file)
        with closing(open_to_read(file)) as connection:
            report = read_report(connection, 0, time.time())
    print(words["surge"].format(answered, given.calls))
    print(f"\n{words['alerts']}:")
    print(*(f"  webhook: {text.splitlines()[0]}" for text in posted), sep="\n")
    print(*(f"  mail:    {subject}" for subject in mailed), sep="\n")
    print(f"\n{report_text(report, given.lang)}")
    given.html.write_text(report_html(report, given.lang), encoding="utf-8")
    print(f"{words['page']}: {given.html}")


if __name__ == "__main__":
    main()
