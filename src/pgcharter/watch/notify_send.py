"""Notices on their way: as JSON, for Slack, for PagerDuty, by mail. Addresses and keys come from the environment and go nowhere else."""

from __future__ import annotations

import json
import os
import smtplib
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.watch.model import Level
from pgcharter.watch.notify import Notice
from pgcharter.watch.notify_settings import NotifyTable

TRIES, PAUSE, LONGEST = 3, 0.5, 5.0
"""Times that a request is made in one round, seconds before the second time, and at most; then the next round tries again."""
TIMEOUT = 10.0
_SPACE = uuid.UUID("8b2a2c0e-5d0f-4d0c-9d53-6f0f6e3f8a11")


def send(who: NotifyTable, server: str, notices: Sequence[Notice], now: datetime) -> None:
    """Tell one. Raises PgcharterError where he could not be reached, UsageError where the environment lacks his address."""
    if who.kind == "email":
        _mail(who, server, notices, now)
    else:
        _post(who, server, notices, now)


def variable(who: NotifyTable, name: str) -> str:
    """The value of an environment variable. Raises UsageError."""
    value = os.environ.get(name, "")
    if not value:
        raise UsageError(f"{who.name} is told at what the variable {name} says, which is not set", hint=f"export {name}=…")
    return value


def _post(who: NotifyTable, server: str, notices: Sequence[Notice], now: datetime) -> None:
    from pgcharter.runtime.targets import TargetDownError
    from pgcharter.runtime.targets_webhook import Webhook

    address = who.url if who.kind == "pagerduty" else variable(who, who.to_env)
    secrets = {who.secret_env: variable(who, who.secret_env)} if who.secret_env else None
    target = Webhook(address, secrets=secrets, timeout=TIMEOUT)
    try:
        for body, name in _bodies(who, server, notices):
            for number in range(1, TRIES + 1):
                try:
                    [outcome] = target.deliver([_message(body, name, now)])
                    problem = "" if outcome is None else outcome.error
                except TargetDownError as error:
                    outcome, problem = None, error.message
                if not problem:
                    break
                if number == TRIES or (outcome and outcome.final):
                    raise PgcharterError(f"{who.name} could not be told: {problem}")
                time.sleep(min(outcome.after if outcome and outcome.after is not None else PAUSE * number, LONGEST))
    finally:
        target.close()


def _message(body: Mapping[str, Any], name: str, now: datetime) -> Any:
    from pgcharter.runtime.outbox import Message

    text = json.dumps(body, ensure_ascii=False)
    return Message(0, uuid.uuid5(_SPACE, name), "", None, text, None, None, "", None, None, now)


def _bodies(who: NotifyTable, server: str, notices: Sequence[Notice]) -> Iterator[tuple[dict[str, Any], str]]:
    """What is sent, and what it is: the same when it has to be sent again."""
    if who.kind == "pagerduty":
        for notice in notices:
            yield _event(who, server, notice), _name(who, server, [notice])
    elif who.kind == "slack":
        lines = [f"{_MARK[n.matter.level] if n.news != 'over' else _OVER} *{n.matter.check}* {_escaped(n.sentence)}" for n in notices]
        yield {"text": "\n".join([f"*{_escaped(title(server, notices))}*", *lines])}, _name(who, server, notices)
    else:
        yield body(server, notices), _name(who, server, notices)


def _name(who: NotifyTable, server: str, notices: Sequence[Notice]) -> str:
    return "\x1f".join([who.name, server, *(f"{n.news} {n.matter.check} {n.matter.level} {n.matter.since.isoformat()}" for n in notices)])


_MARK = {Level.CRITICAL: ":red_circle:", Level.WARNING: ":large_orange_circle:", Level.INFO: ":large_blue_circle:", Level.OK: ""}
_OVER = ":large_green_circle:"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def title(server: str, notices: Sequence[Notice]) -> str:
    """One line for all: `production: 1 critical, 2 over`."""
    counts: dict[str, int] = {}
    for notice in notices:
        word = "over" if notice.news == "over" else notice.matter.level.word
        counts[word] = counts.get(word, 0) + 1
    return f"{server}: " + ", ".join(f"{count} {word}" for word, count in counts.items())


def body(server: str, notices: Sequence[Notice]) -> dict[str, Any]:
    """What a webhook gets."""
    return {
        "format": "pgcharter-notice", "version": 1, "server": server,
        "notices": [
            {"news": n.news, "check": n.matter.check, "level": n.matter.level.word, "title": n.matter.title, "says": list(n.matter.says),
             "remedy": n.matter.remedy, "since": n.matter.since.isoformat()}
            for n in notices
        ],
    }  # fmt: skip


def _event(who: NotifyTable, server: str, notice: Notice) -> dict[str, Any]:
    """An event of PagerDuty's Events API v2."""
    event = {
        "routing_key": variable(who, who.to_env), "dedup_key": f"pgcharter {server} {notice.matter.check}"[:255],
        "event_action": "resolve" if notice.news == "over" else "trigger",
    }  # fmt: skip
    payload = {
        "summary": f"{server}: {notice.sentence}"[:1024], "source": server, "severity": notice.matter.level.word,
        "timestamp": notice.matter.since.isoformat(), "component": "postgresql", "class": notice.matter.check,
        "custom_details": {"says": list(notice.matter.says), "remedy": notice.matter.remedy},
    }  # fmt: skip
    return {**event, "payload": payload}


def _mail(who: NotifyTable, server: str, notices: Sequence[Notice], now: datetime) -> None:
    letter = EmailMessage()
    letter["Subject"] = " ".join(title(server, notices).split())
    letter["From"], letter["To"], letter["Date"] = who.sender, ", ".join(who.to), now
    letter["Message-ID"] = f"<{uuid.uuid5(_SPACE, _name(who, server, notices))}@pgcharter>"
    letter.set_content("\n\n".join(_paragraph(n) for n in notices) + "\n")
    address = urlsplit(variable(who, who.to_env))
    if address.scheme not in ("smtp", "smtps") or not address.hostname:
        raise UsageError(f"{who.to_env} holds no address of a mail server", hint="smtp://user:password@host:587 or smtps://…")
    try:
        _deliver(address, letter)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise PgcharterError(f"{who.name} could not be told: the mail server {address.hostname} refused ({type(error).__name__})") from None


def _deliver(address: Any, letter: EmailMessage) -> None:
    """TLS wherever the server can; never a password without it, unless the server is this machine."""
    context = ssl.create_default_context()
    port = address.port or (465 if address.scheme == "smtps" else 587)
    made = (
        smtplib.SMTP_SSL(address.hostname, port, timeout=TIMEOUT, context=context)
        if address.scheme == "smtps"
        else smtplib.SMTP(address.hostname, port, timeout=TIMEOUT)
    )
    with made as server:
        server.ehlo()
        if address.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=context)
        elif address.scheme == "smtp" and address.username and address.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise smtplib.SMTPNotSupportedError("no STARTTLS, so no password")
        if address.username:
            server.login(unquote(address.username), unquote(address.password or ""))
        server.send_message(letter)


def _paragraph(notice: Notice) -> str:
    lines = [f"{notice.matter.check}: {notice.sentence}", f"since {notice.matter.since:%Y-%m-%d %H:%M:%S %Z}"]
    if notice.news != "over" and notice.matter.remedy:
        lines.append(f"to do: {notice.matter.remedy}")
    return "\n".join([*lines, f"pgcharter health explain {notice.matter.check}"])
