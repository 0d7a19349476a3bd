"""Channels that deliver notices: webhook, mail, and other services through Apprise."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, Protocol
from urllib.parse import urlsplit

from hotspare.errors import ConfigError, MissingExtra, Problem
from hotspare.secret import Secret

TIMEOUT = 10.0
"""Timeout in seconds of one delivery."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to deliver. `status`: firing, resolved, report or test. `at`: seconds since 1970. `html`: the page of a report."""

    status: str
    severity: str
    title: str
    text: str
    at: float
    rule: str = ""
    value: float | None = None
    source: str = ""
    html: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON. Slack, Mattermost and others show `text`."""
        return {
            "status": self.status, "severity": self.severity, "title": self.title, "text": f"{self.title}\n{self.text}",
            "rule": self.rule, "value": self.value, "at": self.at, "source": self.source,
        }  # fmt: skip


class Channel(Protocol):
    """Delivers notices. `send` is called in a thread of the monitor. If it raises any exception, it is called again later."""

    name: str

    def send(self, notice: Notice) -> None:
        """Deliver one notice."""
        ...


@dataclass(slots=True)
class Webhook:
    """POSTs each notice as JSON (`Notice.as_dict`). Any status but 2xx is a failure. The URL may contain a key, and never appears in messages.

    `headers`: added to each request. `name`: in events and logs; default: `webhook <host>`. Raises ConfigError for a URL that is not HTTP(S).
    """

    url: Secret | str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    name: str = ""

    def __post_init__(self) -> None:
        url = _plain(self.url)
        if not url.startswith(("http://", "https://")):
            raise ConfigError(Problem("webhook.url: must begin with http:// or https://"))
        self.name = self.name or f"webhook {urlsplit(url).hostname}"

    def send(self, notice: Notice) -> None:
        """POST the notice. Raises OSError."""
        import httpx

        try:
            answer = httpx.post(_plain(self.url), json=notice.as_dict(), headers=dict(self.headers), timeout=TIMEOUT)
        except httpx.HTTPError as error:
            raise OSError(f"{type(error).__name__} at {urlsplit(_plain(self.url)).hostname}") from None
        if not answer.is_success:
            raise OSError(f"status {answer.status_code}")


@dataclass(slots=True)
class Smtp:
    """Sends each notice by mail.

    host, port: the mail server; default port 587. sender, to: addresses. username, password: for servers that require them.
    security: `starttls` (default), `tls` or `none`. name: in events and logs; default: `smtp <host>`. Raises ConfigError for invalid values.
    """

    host: str
    sender: str
    to: Collection[str]
    port: int = 587
    username: str = ""
    password: Secret | str = field(default="", repr=False)
    security: str = "starttls"
    name: str = ""

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        if self.security not in ("starttls", "tls", "none"):
            problems.append(Problem.at("smtp.security", self.security, "must be starttls, tls or none"))
        if isinstance(self.to, str) or not self.to:
            problems.append(Problem.at("smtp.to", self.to, "must be a list of addresses"))
        if problems:
            raise ConfigError(problems)
        self.name = self.name or f"smtp {self.host}"

    def send(self, notice: Notice) -> None:
        """Send the notice as a mail. Raises OSError, which includes smtplib's errors."""
        context = ssl.create_default_context()
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT)
        with server:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.username:
                server.login(self.username, _plain(self.password))
            server.send_message(self._message(notice))

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = " ".join(f"[hotspare] {notice.title}".split())
        message["From"], message["To"] = self.sender, ", ".join(sorted(self.to))
        message["Date"], message["Message-ID"] = formatdate(notice.at), make_msgid(domain="hotspare.invalid")
        message.set_content(f"{notice.text}\n\n{notice.source}\n")
        if notice.html:
            message.add_attachment(notice.html, subtype="html", filename="hotspare-report.html")
        return message


@dataclass(slots=True)
class Apprise:
    """Sends each notice through Apprise to one of its services (extra `alerts`). The URL contains keys, and never appears in messages.

    Raises MissingExtra without the package apprise, and ConfigError for a URL that it does not support.
    """

    url: Secret | str = field(repr=False)
    name: str = ""

    def __post_init__(self) -> None:
        try:
            import apprise
        except ImportError:
            raise MissingExtra("the channel apprise", "alerts") from None
        if not apprise.Apprise().add(_plain(self.url)):  # pyright: ignore
            raise ConfigError(Problem("apprise.url: is not a URL that Apprise supports"))
        self.name = self.name or f"apprise {urlsplit(_plain(self.url)).scheme}"

    def send(self, notice: Notice) -> None:
        """Send the notice. Raises OSError if Apprise did not deliver it."""
        import apprise

        service: Any = apprise.Apprise()
        service.add(_plain(self.url))
        if not service.notify(title=notice.title, body=notice.text):
            raise OSError("Apprise did not deliver it")


def _plain(value: Secret | str) -> str:
    return value if isinstance(value, str) else value.get_secret_value()
