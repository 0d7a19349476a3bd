"""A monitor on a pool: a real outage at a real mail server and a real webhook, silences, channels that fail."""

import logging
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hotspare import CallError, ConfigError, Pool, SecretStr
from hotspare.drill.provider import KEY, Provider
from hotspare.errors import MissingExtra
from hotspare.events import AlertFired, AlertUndelivered, Event
from hotspare.ledger import Ledger
from hotspare.ledger.queries import last_alerts
from hotspare.ledger.schema import open_to_read
from hotspare.ledger.silences import silence, silenced_rules, unsilence
from hotspare.monitor import DEFAULT_RULES, Apprise, Monitor, Notice, Rule, Smtp, Webhook, delivery
from hotspare.target import Target
from hotspare.testing import scripted_pool

from tests.support.eventually import eventually
from tests.support.receivers import Mailbox, Receiver, mail_server

NOTICE = Notice("test", "info", "A test", "words", 0.0)


def smtp(port: int) -> Smtp:
    """A channel to it."""
    return Smtp("127.0.0.1", "hotspare@example.com", ["oncall@example.com"], port=port, security="none")


QUICK = (
    Rule(name="no_healthy_target", metric="available_targets", comparison="<", threshold=1, hold=0.2, min_calls=0, severity="critical", cooldown=60),
    Rule(name="error_rate", metric="error_rate", threshold=0.05, window=1.0, severity="critical", cooldown=60),
    Rule(name="latency", metric="latency_max", threshold=0.5, window=1.0, cooldown=60),
)  # fmt: skip
"""The default rules in small: a test is no hour long."""


def test_an_outage_is_one_alert_and_one_resolved_notice() -> None:
    """At a mail server and at a webhook, over real sockets, within 10 s; a second outage inside the cooldown is silent."""
    receiver, mailbox = Receiver(), Mailbox()
    with Provider(["a"]) as provider, receiver.serve() as url, mail_server(mailbox) as port:
        target = Target("openai/m", name="a", base_url=provider.base_url("a", "openai"), api_key=KEY)
        with Pool(target, when_all_down="fail", deadline=2, max_rejection=0.0) as pool:
            monitor = Monitor(pool, rules=QUICK, channels=[Webhook(url), smtp(port)], interval=0.05).start()

            def outage() -> None:
                provider.fault("a", "status", status=503)

                def is_noticed() -> bool:
                    with pytest.raises(CallError):
                        pool.chat("q", max_attempts=1)
                    return pool.health()["a"].available_in != 0

                eventually(is_noticed)

            began = time.monotonic()
            outage()
            eventually(lambda: bool(receiver.notices and mailbox.mails))
            assert time.monotonic() - began < 10
            eventually(lambda: monitor.firing == {"no_healthy_target", "error_rate"})
            provider.clear()

            def is_back() -> bool:
                with suppress(CallError):
                    return bool(pool.chat("q").text) and not monitor.firing
                return False

            eventually(is_back)
            eventually(lambda: len(receiver.notices) == len(mailbox.mails) == 2)
            outage()
            assert monitor.evaluate() == []
            monitor.close()
    assert [(one["status"], one["severity"]) for one in receiver.notices] == [
        ("firing", "critical"),
        ("resolved", "critical"),
    ]
    assert "Subject: [hotspare] CRITICAL:" in mailbox.mails[0] and "Subject: [hotspare] RESOLVED:" in mailbox.mails[1]
    assert "Targets:\na: " in receiver.notices[0]["text"]


def test_silences_and_history(tmp_path: Path) -> None:
    """A silenced rule is recorded and not sent; the silence ends after its time, or manually; it applies to every process."""
    path, now = tmp_path / "ledger.db", [1_000.0]
    pool = scripted_pool("a")
    ledger = Ledger(path, clock=lambda: now[0]).attach(pool)
    silence(path, "no_*", 1_100.0, "maintenance")
    sent: list[Event] = []
    pool.subscribe(sent.append)
    monitor = Monitor(pool, ledger=ledger, clock=lambda: now[0], interval=1)
    pool.disable("a")
    monitor.evaluate()
    now[0] += 4
    assert [event.delivery for event in monitor.evaluate()] == ["silenced"]
    assert silenced_rules(path, ["no_healthy_target", "cost"], 1_099.0) == {"no_healthy_target"}
    assert not silenced_rules(path, ["no_healthy_target"], 1_101.0)
    assert unsilence(path, "no_*") == 1 and unsilence(path, "no_*") == 0
    ledger.close()
    found = open_to_read(path)
    assert [(row["event"], row["rule"], row["delivery"]) for row in last_alerts(found, 10)] == [
        ("AlertFired", "no_healthy_target", "silenced")
    ]
    found.close()
    assert not silenced_rules(tmp_path / "missing.db", ["x"], 0.0)


def test_a_channel_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With pauses, and reported once after the last try; other channels are not delayed. No message shows the URL."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(delivery, "RETRIES", 2)
    broken, sound, seen = Receiver(), Receiver(), list[Event]()
    pool = scripted_pool("a", listeners=[seen.append])
    with broken.serve() as url, sound.serve() as other:
        monitor = Monitor(pool, channels=[Webhook(SecretStr(url)), Webhook(other, name="other")])
        broken.statuses = [500, 500, 200, 500, 500, 500]
        monitor.send(NOTICE)
        eventually(lambda: len(broken.notices) == 1)
        monitor.send(NOTICE)
        eventually(lambda: bool(seen))
        monitor.close()
    assert seen == [AlertUndelivered("webhook 127.0.0.1", "OSError: status 500")]
    assert len(sound.notices) == 2 and sound.notices[0]["text"] == "A test\nwords"
    assert "secret" not in repr(Webhook(url)) + repr(seen)


def test_a_full_queue_is_delivered_before_the_end() -> None:
    """`close` ends once each queued notice was sent, although the queue had no place left for a mark of its end."""
    sending, hanging = threading.Event(), threading.Event()
    sent, lost = list[Notice](), list[AlertUndelivered]()

    class Slow:
        name = "slow"

        def send(self, notice: Notice) -> None:
            sending.set()
            hanging.wait()
            sent.append(notice)

    def full() -> delivery.Delivery:
        sending.clear()
        made = delivery.Delivery(Slow(), lost.append)
        made.put(NOTICE)
        sending.wait()
        for _ in range(delivery.MAX_QUEUED):
            made.put(NOTICE)
        assert not lost
        return made

    channel = full()
    threading.Timer(0.05, hanging.set).start()
    channel.close(30)
    assert not channel._thread.is_alive() and len(sent) == delivery.MAX_QUEUED + 1
    hanging.clear()
    channel = full()
    channel.close(0.01)
    assert channel._thread.is_alive()  # for as long as its channel hangs; it is a daemon
    hanging.set()
    eventually(lambda: len(sent) == 2 * (delivery.MAX_QUEUED + 1))


def test_apprise() -> None:
    """Everything that Apprise knows, here a JSON webhook; what it does not know is named without its URL."""
    receiver = Receiver()
    with receiver.serve() as url:
        channel = Apprise(url.replace("http://", "json://"))
        channel.send(NOTICE)
        assert receiver.notices[0]["message"] == "words"
        receiver.statuses = [500]
        with pytest.raises(OSError, match="did not deliver"):
            channel.send(NOTICE)
    with pytest.raises(ConfigError, match="not a URL that Apprise supports") as caught:
        Apprise("nonsense://my-secret")
    assert "my-secret" not in str(caught.value)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that installs it is named."""
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    with pytest.raises(MissingExtra, match=r"hotspare\[alerts\]"):
        Apprise("json://x")


def test_settings_are_checked() -> None:
    """Two rules of one name, a URL that is none, a mail without addresses."""
    with pytest.raises(ConfigError, match="is used by two rules"):
        Monitor(scripted_pool("a"), rules=[*DEFAULT_RULES, DEFAULT_RULES[0]])
    with pytest.raises(ConfigError, match="must begin with http"):
        Webhook("my-secret")
    with pytest.raises(ConfigError, match="must be a list of addresses"):
        Smtp("h", "a@b", "c@d")


def test_a_rule_that_cannot_be_evaluated_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next evaluation comes."""
    caplog.set_level(logging.ERROR)
    pool, turns = scripted_pool("a"), list[float]()

    def clock() -> float:
        turns.append(0.0)
        if len(turns) == 1:
            raise ValueError("broken clock")
        return 0.0

    with Monitor(pool, interval=0.001, clock=clock):
        eventually(lambda: len(turns) > 2)
    assert "could not evaluate" in caplog.text


def test_alerts_are_events_without_any_channel() -> None:
    """For listeners and the log."""
    now, seen = [0.0], list[Event]()
    pool = scripted_pool("a", listeners=[seen.append])
    pool.disable("a")
    monitor = Monitor(pool, clock=lambda: now[0])
    for now[0] in (0.0, 3.0, 4.0):
        monitor.evaluate()
    (fired,) = [event for event in seen if isinstance(event, AlertFired)]
    assert (fired.rule, fired.severity, fired.value, fired.delivery) == ("no_healthy_target", "critical", 0.0, "sent")
