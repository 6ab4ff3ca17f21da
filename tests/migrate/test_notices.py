"""Hooks that hear of runs: what they are told, how they know the sender, and that none of them harms a run."""

from __future__ import annotations

import hashlib
import hmac
import json
import resource
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.later import later
from tests.migrate.test_backfill import NUMBERS
from tests.migrate.test_runner import QUICK, idle_in_transaction

from pgcharter import charter
from pgcharter.errors import CharterError
from pgcharter.migrate import hooks, notices, runner
from pgcharter.migrate.endings import Outcome
from pgcharter.migrate.model import Migration, Unit
from pgcharter.migrate.notices import Notices
from pgcharter.migrate.notify_settings import NotifySection
from pgcharter.migrate.settings import MIGRATE
from pgcharter.migrate.watch import Begun, Event, Note, Paused, Resumed, RunnerWaits

M = Migration("001", "fill")
WRITES = (sys.executable, "-c", "import sys; open('heard', 'ab').write(sys.stdin.buffer.read() + b'\\n')")


class Hook(ThreadingHTTPServer):
    """A webhook that keeps what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.delay = 0.0


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((dict(self.headers), body))
        time.sleep(self.server.delay)
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    with Hook() as made:
        monkeypatch.setenv("THE_HOOK", f"http://127.0.0.1:{made.server_port}/secret-path")
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


def telling(section: NotifySection, folder: Path, events: list[Event]) -> Notices:
    return Notices(section, notices.facts("dev", "shop at db1", False, "up", "anna@ws7"), folder, events.append)


def heard(folder: Path) -> list[dict[str, Any]]:
    path = folder / "heard"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_run_is_told_to_a_command_and_a_signed_webhook(
    tmp_path: Path, database: str, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_SECRET", "s3cret")
    events: list[Event] = []
    made = telling(NotifySection(WRITES, "env:THE_HOOK", "env:THE_SECRET"), tmp_path, events)
    outcome = runner.apply(database, [NUMBERS], terms=QUICK, watch=made)
    made.ended(outcome)
    made.close()
    told = heard(tmp_path)
    assert [e["event"] for e in told] == ["begun", "finished"]
    assert (told[0]["database"], told[0]["by"], told[0]["migration"], told[1]["applied"]) == (
        "shop at db1", "anna@ws7", "001 step_001", ["001 step_001"],
    )  # fmt: skip
    assert told[0]["run"] == told[1]["run"]
    assert [json.loads(body) for _, body in hook.heard] == told
    for headers, body in hook.heard:
        signed = hmac.new(b"s3cret", headers["X-Pgcharter-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
        assert headers["X-Pgcharter-Signature"] == f"sha256={signed}"
        assert abs(int(headers["X-Pgcharter-Timestamp"]) - time.time()) < 60
    assert events == []


def test_a_failure_is_told_without_what_rows_hold(tmp_path: Path, database: str) -> None:
    made = telling(NotifySection(WRITES), tmp_path, [])
    wrong = Migration("002", "twice", up=(Unit(("CREATE TABLE x (id text PRIMARY KEY)", "INSERT INTO x VALUES ('anna'), ('anna')")),))
    outcome = runner.apply(database, [wrong], terms=QUICK, watch=made)
    assert "anna" in outcome.hint
    made.ended(outcome)
    made.close()
    told = heard(tmp_path)[-1]
    assert (told["event"], told["sqlstate"], told["unit"], told["units"]) == ("failed", "23505", 1, 1)
    assert "anna)" not in json.dumps(told)


def test_a_long_wait_is_told_once(tmp_path: Path, database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("CREATE TABLE t (n int)")
    made = telling(NotifySection(WRITES, waiting="300ms"), tmp_path, [])
    with idle_in_transaction(database, "SELECT * FROM t") as culprit, later(1.5, culprit.rollback):
        change = Migration("002", "x", up=(Unit(("ALTER TABLE t ADD x int",)),))
        assert runner.apply(database, [change], terms=replace(QUICK, deadline=30), watch=made).status == "done"
    made.close()
    (told,) = [e for e in heard(tmp_path) if e["event"] == "waiting"]
    assert told["waited_s"] >= 0.3
    assert "idle in transaction" in told["blockers"][0]


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (Begun(M, "up", 2, 0), "begun"),
        (RunnerWaits((), 31.0, 600), "waiting"),
        (RunnerWaits((), 29.0, 600), None),
        (Paused(M, 0, ("a replica lags",)), "paused"),
        (Resumed(M, 0, 3.0), "resumed"),
    ],
)
def test_events_and_their_words(tmp_path: Path, event: Event, word: str | None) -> None:
    made = telling(NotifySection(WRITES), tmp_path, [])
    made(event)
    made.close()
    assert [e["event"] for e in heard(tmp_path)] == ([word] if word else [])


def test_only_what_is_asked_for_and_nothing_of_a_run_that_did_nothing(tmp_path: Path) -> None:
    made = telling(NotifySection(WRITES, on=("failed",)), tmp_path, [])
    made(Begun(M, "up", 2, 0))
    made.ended(Outcome("done"))
    made.ended(Outcome("planned"))
    made.ended(Outcome("failed", migration=M, message="password=hunter2 was wrong"))
    made.close()
    (told,) = heard(tmp_path)
    assert told["message"] == "password=*** was wrong"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("/no/such/program",), "command /no/such/program cannot be run: No such file or directory"),
        ((sys.executable, "-c", "import sys; sys.exit('no: password=hunter2')"), "ended in 1: no: password=***"),
        ((sys.executable, "-c", "import time; time.sleep(60)"), "did not end within 0 s"),
    ],
    ids=["missing", "fails", "hangs"],
)
def test_a_command_that_fails_is_told_once(tmp_path: Path, argv: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "sleep" in argv[-1]:
        monkeypatch.setattr(hooks, "TIMEOUT", 0.3)
    events: list[Event] = []
    made = telling(NotifySection(argv), tmp_path, events)
    made(Begun(M, "up", 2, 0))
    made.ended(Outcome("failed", migration=M))
    made.close()
    (note,) = events
    assert isinstance(note, Note)
    assert note.message.startswith("[migrate.notify] command ")
    assert said in note.message
    assert note.message.endswith("the run itself is not harmed")


def test_a_command_that_leaves_something_running_is_over_when_it_ends(tmp_path: Path) -> None:
    began = time.monotonic()
    assert hooks.command(("sh", "-c", "sleep 4 & echo no >&2; exit 3"), b"{}", tmp_path) == "command sh ended in 3: no"
    assert hooks.command(("sh", "-c", "(exec setsid sleep 4) & exit 0"), b"{}", tmp_path) == ""
    assert time.monotonic() - began < 2


def test_a_command_that_floods_takes_no_memory_and_one_that_cannot_be_killed_whole_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "TIMEOUT", 0.5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    assert hooks.command(("sh", "-c", "head -c 300000000 /dev/zero >&2; sleep 9"), b"x" * 1_000_000, tmp_path).endswith("within 0 s")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert hooks.command(("sh", "-c", "setsid sleep 4 & exec sleep 9"), b"{}", tmp_path).endswith("within 0 s")
    assert time.monotonic() - began < 2


def test_a_webhook_that_fails_is_named_by_its_variable(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    hook.answers = [404]
    assert hooks.webhook("env:THE_HOOK", b"{}") == "webhook env:THE_HOOK answered 404"
    hook.answers = [302]
    assert hooks.webhook("env:THE_HOOK", b"{}") == "webhook env:THE_HOOK answered 302"
    hook.answers = [503, 200]
    assert hooks.webhook("env:THE_HOOK", b"{}") == ""
    assert len(hook.heard) == 4
    monkeypatch.setenv("NOWHERE", "http://127.0.0.1:1/secret-path")
    assert hooks.webhook("env:NOWHERE", b"{}") == "webhook env:NOWHERE could not be reached: Connection refused"
    for wrong in ("http://example.com/x", "file:///etc/passwd", "https://", "ftp://127.0.0.1/x", "https://[x"):
        monkeypatch.setenv("WRONG", wrong)
        assert hooks.webhook("env:WRONG", b"{}") == "webhook env:WRONG is no https address"
    assert hooks.webhook("env:UNSET_ONE", b"{}") == "webhook env:UNSET_ONE is not told, because UNSET_ONE is not set"
    assert hooks.webhook("env:THE_HOOK", b"{}", "env:UNSET_ONE").endswith("because UNSET_ONE is not set")


def test_a_hook_that_hangs_holds_nothing_up(tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    hook.delay = 5.0
    monkeypatch.setattr(notices, "FLUSH", 0.5)
    events: list[Event] = []
    made = telling(NotifySection(url="env:THE_HOOK"), tmp_path, events)
    began = time.monotonic()
    for _ in range(notices.MOST * 2):
        made(Paused(M, 0, ()))
    assert time.monotonic() - began < 0.5
    made.close()
    assert time.monotonic() - began < 2
    (note,) = events
    assert isinstance(note, Note)
    assert "not everything was told" in note.message


def read(folder: Path, text: str) -> NotifySection:
    (folder / "pgcharter.toml").write_text(text)
    return charter.read(folder / "pgcharter.toml", sections=[MIGRATE], name="pgcharter.toml").section(MIGRATE).notify


def test_the_charter_says_who_is_told(tmp_path: Path) -> None:
    text = '[migrate.notify]\ncommand = ["./tell", "ops"]\nurl = "env:HOOK"\nsecret = "env:KEY"\nwaiting = "1min"\non = ["failed"]\n'
    assert read(tmp_path, text) == NotifySection(("./tell", "ops"), "env:HOOK", "env:KEY", "1min", ("failed",))
    assert not read(tmp_path, "").any
    for wrong, said in (
        ('url = "https://hooks/T0/secret"', 'key "url"'),
        ('on = ["ended"]', "must be a list of"),
        ('waiting = "x"', "no duration"),
    ):
        with pytest.raises(CharterError) as caught:
            read(tmp_path, f"[migrate.notify]\n{wrong}\n")
        assert said in caught.value.message
        assert "T0" not in caught.value.message + caught.value.hint
        assert caught.value.place == "pgcharter.toml:2"
