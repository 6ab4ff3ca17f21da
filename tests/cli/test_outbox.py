"""`pgcharter outbox` as an operator calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.runtime import own_tables
from tests.runtime.outbox_messages import until
from tests.runtime.test_outbox import running

from pgcharter.runtime.database import Database
from pgcharter.runtime.outbox import Message, publish
from pgcharter.runtime.outbox_relay import Relay, Route
from pgcharter.runtime.targets import Call, Failed, FailedError

Program = Callable[..., Any]
CHARTER = """
[environments.dev]
dsn_env = "OUTBOX_DB"

[environments.production]
dsn_env = "OUTBOX_PRODUCTION"
production = true

[messaging]
app = "outbox_app:messaging"
"""
APP = """
from pathlib import Path
from pgcharter.runtime.database import Database
from pgcharter.runtime.messaging import Messaging
from pgcharter.runtime.outbox_relay import Route
from pgcharter.runtime.targets import Call

def send(message):
    with Path("sent").open("a") as file:
        file.write(message.topic + "\\n")

messaging = Messaging(database=lambda dsn: Database(dsn), routes=[Route("file", Call(send))])
"""


@pytest.fixture
def here(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    own_tables.install(database, "messaging")
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    (tmp_path / "outbox_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OUTBOX_DB", database)
    monkeypatch.setenv("OUTBOX_PRODUCTION", "postgresql://production.invalid/shop")
    with Database(database) as db:
        yield db


def send(m: Message) -> None:
    if m.payload in ("bad", "worse"):
        raise FailedError(Failed("no such address", final=True))


def said(program: Program, *arguments: str, code: int = 0) -> Any:
    done = program("outbox", *arguments, "--env", "dev", "--format", "json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_what_waits_is_dead_and_is_sent_again(here: Database, program: Program) -> None:
    one = uuid.uuid4()
    done = program("outbox", "status", "--env", "dev", "--sample", "0s")
    assert done.returncode == 0
    assert "no route has run yet" in done.stdout
    for payload, key in (("good", "a"), ("bad", "b"), ("after", "b"), ("worse", "c d")):
        here.run(lambda w, p=payload, k=key: publish(w.conn, "mail.sent", p, key=k, message_id=one if p == "bad" else None))
    Relay(here, [Route("mail", Call(send))]).catch_up()
    here.run(lambda w: publish(w.conn, "mail.sent", "late"))
    status = said(program, "status", "--sample", "100ms", code=1)
    (route,) = status["routes"]
    assert {n: route[n] for n in ("route", "state", "slots", "workers", "position", "waiting", "parked", "dead", "per_second")} == {
        "route": "mail", "state": "running", "slots": 1, "workers": 0, "position": 4, "waiting": 1, "parked": 3, "dead": 2,
        "per_second": 0.0,
    }  # fmt: skip
    assert 0 < route["oldest_seconds"] < 60
    assert (status["drawn"], status["settled"], status["published_per_second"]) == (5, 5, 0.0)
    assert [(p["part"], p["filled"], p["first"], p["last"]) for p in status["parts"]] == [
        (0, True, 1, 5), (1, False, None, None), (2, False, None, None), (3, False, None, None),
    ]  # fmt: skip
    text = program("outbox", "status", "--env", "dev", "--sample", "10ms")
    assert text.returncode == 1
    assert "3 parked, 2 of them dead" in " ".join(text.stdout.split())
    assert "part 0: 1 to 5" in text.stdout

    listed = said(program, "list")["messages"]
    assert [(m["position"], m["key"], m["state"], m["attempts"]) for m in listed] == [
        (2, "b", "dead", 1),
        (3, "b", "behind", 0),
        (4, "c d", "dead", 1),
    ]
    assert [m["key"] for m in said(program, "list", "mail", "--state", "dead", "--limit", "1")["messages"]] == ["b"]
    assert "no such address" in program("outbox", "list", "--env", "dev").stdout

    shown = said(program, "show", str(one))
    assert shown["message"]["payload"] == '"bad"'
    assert [(p["route"], p["state"], p["error"]) for p in shown["parked"]] == [("mail", "dead", "no such address")]
    assert said(program, "show", "2")["message"]["message_id"] == str(one)
    assert 'payload      "bad"' in program("outbox", "show", "2", "--env", "dev").stdout

    assert said(program, "requeue", "mail", "--key", "c d")["keys"] == 1
    assert said(program, "skip", "mail", "b", "--position", "2")["messages"] == 1
    Relay(here, [Route("mail", Call(lambda _m: None))]).catch_up()
    assert said(program, "list")["messages"] == []
    assert "nothing is parked" in program("outbox", "list", "--env", "dev").stdout
    assert said(program, "status", "--sample", "0s")["routes"][0]["per_second"] is None


def test_topics_without_a_route_are_named_and_a_route_that_is_gone_is_forgotten(here: Database, program: Program) -> None:
    for topic, payload in (("mail.sent", "bad"), ("sms.sent", 1), ("sms.sent", 2)):
        here.run(lambda w, t=topic, p=payload: publish(w.conn, t, p))
    relay = Relay(here, [Route("mail", Call(send), topics=("mail.*",))])
    relay.catch_up()
    for command in (("status", "--sample", "0s"), ("list",)):
        found = said(program, *command, code=int(command[0] == "status"))["unrouted"]
        assert [(u["topic"], u["messages"], u["first"]) for u in found] == [("sms.sent", 2, 2)]
        text = program("outbox", *command, "--env", "dev").stdout
        assert "no route wants topic sms.sent: 2 messages from position 2 on" in " ".join(text.split())

    with running(relay):
        until(lambda: here.run(lambda w: w.conn.execute("SELECT FROM pgcharter.feeds WHERE owner IS NOT NULL").fetchall()))
        done = program("outbox", "forget", "mail", "--env", "dev", "--yes")
        assert (done.returncode, "mail is at work in" in done.stderr) == (4, True)
    done = program("outbox", "forget", "mail", "--env", "dev")
    assert (done.returncode, "would be lost" in done.stderr) == (4, True)
    gone = said(program, "forget", "mail", "--yes")
    assert {n: gone[n] for n in ("format", "route", "position", "parked")} == {
        "format": "pgcharter-outbox-forget", "route": "mail", "position": 3, "parked": 1,
    }  # fmt: skip
    status = said(program, "status", "--sample", "0s")
    assert (status["routes"], [u["topic"] for u in status["unrouted"]]) == ([], ["mail.sent", "sms.sent"])
    assert said(program, "list")["messages"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("list", "nobody"), 2, "has never run"),
        (("show", "nonsense"), 2, "is no message"),
        (("show", "99"), 2, "not in the outbox"),
        (("requeue", "nobody"), 2, "no consumer"),
        (("skip", "nobody", "k"), 2, "no consumer"),
        (("forget", "nobody", "--yes"), 2, "no consumer 'nobody' of log outbox"),
        (("forget", "mail", "--yes", "--env", "production"), 4, "production"),
        (("requeue", "mail", "--env", "production"), 4, "production"),
        (("run", "--env", "production"), 4, "production"),
        (("run", "--app", "outbox_app:Route"), 2, "no Messaging"),
    ],
)
def test_bad_input(here: Database, program: Program, arguments: tuple[str, ...], code: int, what: str) -> None:
    done = program("outbox", *arguments, *(() if "--env" in arguments else ("--env", "dev")))
    assert done.returncode == code, done.stderr
    assert what in done.stderr
    assert here


def test_without_an_outbox(database: str, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = program("outbox", "status", "--on", database)
    assert done.returncode == 3
    assert "there is no pgcharter.outbox" in done.stderr


def test_run_delivers_until_it_is_told_to_stop(here: Database, database: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pgcharter", "outbox", "run", "--env", "dev"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            here.run(lambda w: publish(w.conn, "a.b", 1))
            until(lambda: (tmp_path / "sent").exists() and (tmp_path / "sent").read_text() == "a.b\n")
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0, process.stderr and process.stderr.read()
        finally:
            process.kill()
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT position, owner FROM pgcharter.feeds").fetchall() == [(1, None)]
