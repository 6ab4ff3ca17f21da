"""`pgcharter up` as a process: from nothing to a checked database, interrupted in every way, twice at once."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.examples.conftest import Up, data_home, finish

from pgcharter import examples
from pgcharter.servers import project

FILES = len(list((examples.folder("shop") / "migrations").glob("*.sql")))
TABLE = "CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text NOT NULL);\n"


@pytest.fixture
def notes(home: Path) -> Path:
    folder = home / "notes"
    folder.mkdir()
    (folder / "1_notes.sql").write_text(TABLE)
    return folder


def until(stream: Any, text: str) -> None:
    """Read lines of `stream` until one holds `text`."""
    for line in stream:
        if text in line:
            return
    raise AssertionError(f"the stream ended without {text!r}")


def shop_document(up: Up, *more: object) -> dict[str, Any]:
    out, _ = finish(up("--example", "shop", "--once", "--format", "json", *more), 0, 1)
    document: dict[str, Any] = json.loads(out)
    return document


def test_a_folder_comes_up_is_checked_and_goes_down(up: Up, notes: Path) -> None:
    out, err = finish(up(notes, "--once"), 0)
    assert "database notes: 1 of 1 files applied" in out
    assert "hold" in out
    assert f"pgcharter server psql --project {notes} notes" in out
    assert "Traceback" not in err
    assert project.status(notes).state == "stopped"
    (notes / "2_more.sql").write_text("ALTER TABLE notes ADD COLUMN author text;\n")
    out, _ = finish(up("notes", "--once"), 0)
    assert "database notes: 1 of 2 files applied" in out
    out, _ = finish(up("notes", "--once"), 0)
    assert "all 2 files were applied before" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_until_it_is_told_to_stop(up: Up, notes: Path, number: signal.Signals) -> None:
    child = up(notes)
    until(child.stdout, "Ctrl-C stops the server")
    running = project.running(notes)
    assert running
    with psycopg.connect(running.dsn("notes")) as conn:
        assert conn.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    child.send_signal(number)
    finish(child, 0)
    assert project.status(notes).state == "stopped"


def test_a_server_that_was_running_is_left_running(up: Up, notes: Path) -> None:
    project.start(notes)
    out, _ = finish(up(notes, "--once"), 0)
    assert "was running" in out
    assert project.status(notes).state == "running"


def test_findings_end_in_1_and_no_password_is_printed(up: Up, notes: Path) -> None:
    (notes / "1_notes.sql").write_text("CREATE TABLE notes (price real);\n")
    child = up(notes)
    until(child.stdout, "Ctrl-C stops the server")
    running = project.running(notes)
    assert running
    child.send_signal(signal.SIGINT)
    finish(child, 1)
    out, err = finish(up(notes, "--once"), 1)
    assert "price" in out
    assert running.login.password not in out + err


def test_an_edited_file_is_refused_and_the_server_stopped(up: Up, notes: Path) -> None:
    finish(up(notes, "--once"), 0)
    (notes / "1_notes.sql").write_text(TABLE + "-- edited\n")
    _, err = finish(up(notes, "--once"), 4)
    assert "has been edited since" in " ".join(err.split())
    assert project.status(notes).state == "stopped"
    out, _ = finish(up(notes, "--once", "--fresh"), 0)
    assert "1 of 1 files applied" in out


def test_a_database_in_use_is_not_dropped(up: Up, notes: Path) -> None:
    server = project.start(notes)
    with psycopg.connect(server.database("notes")):
        _, err = finish(up(notes, "--once", "--fresh"), 4)
    assert "others are connected to database notes" in " ".join(err.split())


def test_sql_that_fails_is_told_with_its_place(up: Up, notes: Path) -> None:
    (notes / "2_wrong.sql").write_text("\nCREATE TABLE x (a nonsense);\n")
    _, err = finish(up(notes, "--once"), 3)
    assert "2_wrong.sql:2:19" in err
    assert 'type "nonsense" does not exist' in " ".join(err.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere",), "there is no folder 'nowhere'"),
        (("shop",), "did you mean `pgcharter up --example shop`"),
        (("--example", "shopp"), "there is no example 'shopp'"),
        (("notes", "--example", "shop"), "two things"),
        (("empty",), "holds no SQL file"),
        (("notes", "--fill", "absent.py"), "absent.py"),
    ],
)
def test_wrong_usage_starts_nothing(up: Up, notes: Path, home: Path, arguments: tuple[str, ...], says: str) -> None:
    (home / "empty").mkdir()
    _, err = finish(up(*arguments, "--once"), 2)
    assert says in " ".join(err.split())
    assert not (notes / ".pgcharter").exists()
    assert not (home / "empty" / ".pgcharter").exists()


FILL = """
NAME, UNIT, TOTAL, STEP, VERSION = "notes", "notes", 20, 5, 1
def begin(conn): pass
def load(conn, first, last):
    conn.execute("INSERT INTO notes (note) SELECT n::text FROM generate_series(%s::int, %s::int - 1) AS n", (first, last))
def finish(conn): conn.execute("ANALYZE notes")
"""


def test_python_in_a_folder_runs_only_when_asked_for(up: Up, notes: Path) -> None:
    (notes / "fill.py").write_text(FILL)
    out, _ = finish(up(notes, "--once"), 0)
    assert "fill.py is not run unless you say --fill" in " ".join(out.split())
    out, _ = finish(up(notes, "--once", "--fill", notes / "fill.py"), 0)
    assert "20 notes loaded" in out
    out, _ = finish(up(notes, "--once", "--fill", notes / "fill.py", "--orders", "30"), 0)
    assert "10 notes loaded, 30 there" in out


def test_the_shop_as_a_document(up: Up, home: Path) -> None:
    document = shop_document(up, "--orders", 500)
    assert (document["format"], document["version"], document["database"], document["example"]) == ("pgcharter-up", 1, "shop", "shop")
    assert document["build"]["applied"] == document["build"]["files"] == FILES
    assert document["fill"]["loaded"] == document["fill"]["there"] == 500
    assert document["check"]["targets"][0]["guide"]["id"] == "cloudlab"
    assert document["check"]["targets"][0]["verdict"] == "fine", document["check"]["targets"][0]["findings"]
    assert [len(part["seen"]) for part in document["walk"]] == [4, 3, 4, 4, 4, 3, 3]
    assert oct((data_home(home, "shop") / "keys" / "ring.json").stat().st_mode)[-3:] == "600"
    again = shop_document(up, "--orders", 500)
    assert [part["title"] for part in again["walk"]] == [part["title"] for part in document["walk"]]
    assert (again["build"]["applied"], again["fill"]["loaded"], again["fill"]["there"]) == (0, 0, 500)


@pytest.mark.slow
def test_ctrl_c_and_kill_leave_a_fill_that_goes_on(up: Up, home: Path) -> None:
    child = up("--example", "shop", "--orders", 40_000, "--once")
    until(child.stderr, "loading: 5,000 of 40,000 orders")
    child.send_signal(signal.SIGINT)
    _, err = finish(child, 130)
    assert "interrupted" in err
    assert "Traceback" not in err
    assert project.status(data_home(home, "shop")).state == "stopped"

    child = up("--example", "shop", "--orders", 40_000, "--once")
    until(child.stderr, "loading:")
    child.kill()
    finish(child, -signal.SIGKILL)
    assert project.status(data_home(home, "shop")).state == "running"

    document = shop_document(up, "--orders", 20_000)
    assert document["fill"]["there"] == 20_000
    assert 0 < document["fill"]["loaded"] <= 10_000
    assert document["server"]["reused"]
    assert project.status(data_home(home, "shop")).state == "stopped"


@pytest.mark.slow
def test_two_at_once_share_the_server_and_the_work(up: Up, home: Path) -> None:
    children = [up("--example", "shop", "--orders", 3_000, "--once", "--format", "json") for _ in range(2)]
    documents = [json.loads(finish(child, 0, 1)[0]) for child in children]
    assert sorted(d["build"]["applied"] for d in documents) == [0, FILES]
    assert sorted(d["fill"]["loaded"] for d in documents) == [0, 3_000]
    assert {d["fill"]["there"] for d in documents} == {3_000}
    assert project.status(data_home(home, "shop")).state == "stopped"
