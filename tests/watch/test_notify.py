"""Telling people directly: what is told when, over real HTTP and SMTP, and nothing twice after an end at any moment."""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.watch.ground import until

from pgcharter import faults
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.findings import Gap
from pgcharter.runtime.targets_signing import verify_webhook
from pgcharter.watch import notify, notify_round, registry
from pgcharter.watch.model import Health, Level, Reading
from pgcharter.watch.notify import State
from pgcharter.watch.notify_round import Crowd
from pgcharter.watch.notify_settings import NotifyTable, SilenceTable

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
LOCKS, SLOTS = registry.check("locks.waiting"), registry.check("slots.inactive")


def found(*readings: tuple[Any, Level], gaps: tuple[Gap, ...] = (), since: datetime | None = None) -> Health:
    made = [Reading(c, level, 1.0, f"{c.id} says {level.word}", {"x": str(n)}, "do this", since) for n, (c, level) in enumerate(readings)]
    return Health(tuple(made), gaps, 0.0)


FINE = found((LOCKS, Level.OK), (SLOTS, Level.OK))
WARN = found((LOCKS, Level.WARNING), (LOCKS, Level.WARNING), (SLOTS, Level.OK))
GRAVE = found((LOCKS, Level.CRITICAL), (SLOTS, Level.OK))


class Talk:
    """What one is told, round by round."""

    def __init__(self, **changes: Any) -> None:
        self.who = NotifyTable("me", "webhook", "X", **changes)
        self.state = State()
        self.silences: tuple[SilenceTable, ...] = ()

    def __call__(self, health: Health, minutes: float) -> list[str]:
        now = NOW + timedelta(minutes=minutes)
        matters, answered = notify.matters(health, self.state, now), notify.judged(health)
        self.state = notify.remembered(self.state, matters, answered)
        notices = notify.due(self.who, matters, answered, self.silences, self.state, now)
        self.state = notify.after_telling(self.state, self.who.name, notices, now)
        return [f"{n.news} {n.matter.check} {len(n.matter.says)}" for n in notices]


def test_a_matter_is_told_when_it_begins_gets_worse_lasts_and_ends() -> None:
    told = Talk(repeat="1h")
    assert told(FINE, 0) == []
    assert told(WARN, 1) == ["new locks.waiting 2"]
    assert told(WARN, 2) == []
    assert told(GRAVE, 3) == ["worse locks.waiting 1"]
    assert told(WARN, 4) == []
    assert told(GRAVE, 62) == []
    assert told(GRAVE, 63) == ["still locks.waiting 1"]
    assert told(FINE, 64) == ["over locks.waiting 1"]
    assert told(FINE, 65) == []


def test_what_cannot_be_seen_is_not_over() -> None:
    told = Talk()
    assert told(WARN, 0) == ["new locks.waiting 2"]
    assert told(found((SLOTS, Level.OK), gaps=(Gap("blockers", "no"),)), 1) == []
    assert told(found((LOCKS, Level.OK), gaps=(Gap("locks.waiting", "no"),)), 2) == []
    assert told(FINE, 3) == ["over locks.waiting 2"]


def test_escalation_tells_of_what_lasts() -> None:
    told = Talk(after="15min")
    assert told(WARN, 0) == []
    assert told(WARN, 14) == []
    assert told(WARN, 15) == ["new locks.waiting 2"]
    assert told(FINE, 16) == ["over locks.waiting 2"]
    assert told(WARN, 17) == []
    assert told(FINE, 18) == []


def test_levels_families_and_silence() -> None:
    assert Talk(level="critical")(WARN, 0) == []
    assert Talk(only=("slots",))(WARN, 0) == []
    assert Talk(only=("locks.waiting",))(WARN, 0) == ["new locks.waiting 2"]
    told = Talk()
    told.silences = (SilenceTable(("locks",), NOW + timedelta(hours=1), "a test"),)
    assert told(WARN, 0) == []
    assert told(WARN, 59) == []
    assert told(WARN, 60) == ["new locks.waiting 2"]


def test_what_waits_for_its_time_is_not_told_and_what_is_only_to_know_is() -> None:
    check = replace(LOCKS, level="info")
    assert Talk(level="info")(found((LOCKS, Level.INFO)), 0) == []
    assert Talk(level="info")(found((check, Level.INFO)), 0) == ["new locks.waiting 1"]


class _Web(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        got, answers = self.server.got, self.server.answers  # type: ignore[attr-defined]
        got.append((self.path, dict(self.headers.items()), body))
        self.send_response(answers.pop(0) if answers else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def web(*answers: int) -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        server.got, server.answers = [], list(answers)  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/in", server.got  # type: ignore[attr-defined]
        server.shutdown()


def crowd(tmp_path: Path, *who: NotifyTable) -> Crowd:
    return Crowd("production", who, (), tmp_path / "state" / "production.json")


def no_complaint(error: PgcharterError) -> None:
    raise AssertionError(error)


def test_a_webhook_is_signed_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "a secret of more than sixteen")
    with web(503, 200) as (url, got):
        monkeypatch.setenv("URL", url)
        crowd(tmp_path, NotifyTable("me", "webhook", "URL", "SECRET")).round(WARN, NOW, no_complaint)
    assert len(got) == 2
    ids = {verify_webhook(body, headers, {"SECRET": "a secret of more than sixteen"}) for _, headers, body in got}
    assert len(ids) == 1
    data = json.loads(got[1][2])
    assert data["server"] == "production"
    assert data["notices"][0]["says"] == ["locks.waiting says warning"] * 2
    assert "a secret" not in (tmp_path / "state" / "production.json").read_text()
    assert (tmp_path / "state" / "production.json").stat().st_mode & 0o077 == 0


def test_slack_and_pagerduty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "routing key")
    with web() as (url, got):
        monkeypatch.setenv("URL", url)
        who = (NotifyTable("chat", "slack", "URL"), NotifyTable("duty", "pagerduty", "KEY", url=url))
        odd = found((replace(LOCKS, id="locks.waiting"), Level.CRITICAL))
        odd = replace(odd, readings=(replace(odd.readings[0], says="<script> & more"),))
        crowd(tmp_path, *who).round(odd, NOW, no_complaint)
        crowd(tmp_path, *who).round(FINE, NOW + timedelta(minutes=1), no_complaint)
    bodies = [json.loads(body) for _, _, body in got]
    assert bodies[0]["text"].splitlines() == [
        "*production: 1 critical*",
        ":red_circle: *locks.waiting* critical: &lt;script&gt; &amp; more",
    ]
    assert (bodies[1]["event_action"], bodies[1]["routing_key"], bodies[1]["payload"]["severity"]) == ("trigger", "routing key", "critical")
    assert bodies[2]["text"].startswith("*production: 1 over*")
    assert bodies[3]["event_action"] == "resolve"
    assert bodies[3]["dedup_key"] == bodies[1]["dedup_key"]


class _Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as one letter takes."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                letter = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.got.append(letter.decode())  # type: ignore[attr-defined]
            if word == b"EHLO":
                self.wfile.write(b"250-here\r\n250 8BITMIME\r\n")
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


def test_a_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mail) as server:
        server.got = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MAIL", f"smtp://127.0.0.1:{server.server_address[1]}")
        who = NotifyTable("post", "email", "MAIL", sender="pg@example.org", to=("ops@example.org", "dba@example.org"))
        crowd(tmp_path, who).round(WARN, NOW, no_complaint)
        server.shutdown()
        [letter] = server.got  # type: ignore[attr-defined]
    assert "Subject: production: 1 warning" in letter
    assert "To: ops@example.org, dba@example.org" in letter
    assert "to do: do this" in letter


def test_who_cannot_be_reached_is_told_later_and_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[str] = []
    with web(404, 200, 200) as (url, got):
        monkeypatch.setenv("BAD", url)
        monkeypatch.setenv("GOOD", url)
        some = crowd(tmp_path, NotifyTable("bad", "webhook", "BAD"), NotifyTable("good", "webhook", "GOOD"))
        some.round(WARN, NOW, lambda e: complaints.append(e.message))
        assert complaints == ["bad could not be told: 127.0.0.1 answered 404"]
        assert len(got) == 2
        some.round(WARN, NOW + timedelta(minutes=1), no_complaint)
        assert len(got) == 3
        assert got[0][1]["webhook-id"] == got[2][1]["webhook-id"]


@pytest.mark.parametrize(("point", "times"), [("notify told", 2), ("notify remembered", 1)])
def test_nothing_is_told_twice_after_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, times: int) -> None:
    """Between telling and remembering it is told again under the same id, which its receiver knows; never otherwise."""
    code = (
        "import sys; from datetime import datetime; from pathlib import Path\n"
        "from tests.watch import test_notify as t\n"
        "t.crowd(Path(sys.argv[1]), t.NotifyTable('me', 'webhook', 'URL')).round(t.WARN, t.NOW, t.no_complaint)\n"
    )
    with web() as (url, got):
        env = {**os.environ, "URL": url}
        killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env={**env, **faults_env(point)}, check=False)
        assert killed.returncode == -9
        monkeypatch.setenv("URL", url)
        crowd(tmp_path, NotifyTable("me", "webhook", "URL")).round(WARN, NOW + timedelta(minutes=1), no_complaint)
    assert len(got) == times
    assert len({headers["webhook-id"] for _, headers, _ in got}) == 1


def faults_env(point: str) -> dict[str, str]:
    return {faults.VARIABLE: point}


def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="write sender and to"):
        NotifyTable("x", "email", "X")
    for odd in ("a@b\nBcc: c@d", "nobody", "a b@c"):
        with pytest.raises(ValueError, match="no address of a mail"):
            NotifyTable("x", "email", "X", sender="a@b", to=(odd,))
    with pytest.raises(ValueError, match="only a webhook is signed"):
        NotifyTable("x", "slack", "X", "Y")
    with pytest.raises(ValueError, match="has no zone"):
        SilenceTable(("locks",), NOW.replace(tzinfo=None), "why")
    with pytest.raises(UsageError, match="which is not set"):
        notify_round.complete([NotifyTable("x", "slack", "NO_SUCH_VARIABLE")])
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(UsageError, match="does not hold"):
        notify_round.read(tmp_path / "state.json")


def test_the_command_tells_of_a_real_fault(tmp_path: Path, database: str) -> None:
    with web() as (url, got):
        (tmp_path / "pgcharter.toml").write_text(
            '[watch]\nskip = ["settings", "server", "host"]\n'
            '[[watch.check]]\nid = "transactions.long"\nwarn = 0.01\n[[watch.notify]]\n'
            'name = "on-call"\nkind = "webhook"\nto_env = "ONCALL"\nonly = ["transactions.long"]\n'
        )
        words = [sys.executable, "-m", "pgcharter", "metrics", "serve", "--port", "0", "--on", database, "--notify", "--every", "100ms"]
        env = {**os.environ, "ONCALL": url}
        with psycopg.connect(database) as conn, subprocess.Popen(words, cwd=tmp_path, env=env, stderr=subprocess.PIPE) as process:
            conn.execute("SELECT pg_current_xact_id()")
            until(lambda: got, 30)
            conn.rollback()
            until(lambda: len(got) > 1, 30)
            process.terminate()
            process.wait(20)
    assert [json.loads(b)["notices"][0]["news"] for _, _, b in got] == ["new", "over"]
