"""`pgcharter new` and `pgcharter migrate` from the outside, on a real server."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.cli.conftest import Done

from pgcharter.db import connect
from pgcharter.errors import PgcharterError
from pgcharter.migrate import ledger, lock, naming
from pgcharter.migrate.watch import silent
from pgcharter.servers.lifecycle import Server

Run = Callable[..., Done]
Texts = dict[str, str]
UP = "-- pgcharter: up\n{}\n-- pgcharter: down\n{}\n"
THREE: Texts = {
    "001_people.sql": UP.format("CREATE TABLE people (id int PRIMARY KEY);", "DROP TABLE people;"),
    "002_pets.sql": UP.format("CREATE TABLE pets (id int PRIMARY KEY);", "DROP TABLE pets;"),
    "003_name.sql": UP.format("ALTER TABLE people ADD name text;", "ALTER TABLE people DROP name;"),
}


@pytest.fixture(scope="module")
def own_database(server_of: Callable[[int | None], Server]) -> Iterator[str]:
    server = server_of(None)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE test_migrate_command TEMPLATE template0 STRATEGY file_copy")
        yield server.dsn("test_migrate_command")
        admin.execute("DROP DATABASE test_migrate_command WITH (FORCE)")


@pytest.fixture
def database(own_database: str) -> str:
    """The same database for all tests of this file, emptied."""
    with psycopg.connect(own_database) as conn:
        conn.execute("SET client_min_messages = error; DROP SCHEMA IF EXISTS pgcharter, public CASCADE; CREATE SCHEMA public")
    return own_database


@pytest.fixture
def shop(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_URL", database)
    (tmp_path / "pgcharter.toml").write_text('[environments.dev]\ndsn_env = "SHOP_URL"\n')
    return lay(tmp_path, THREE)


def lay(folder: Path, texts: Texts) -> Path:
    (folder / "migrations").mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / "migrations" / name).write_text(text, "utf-8")
    return folder


def charter(folder: Path, text: str) -> None:
    (folder / "pgcharter.toml").write_text(text)


def states(program: Run) -> dict[str, str]:
    return {
        m["version"] or m["name"]: m["state"] for m in json.loads(program("migrate", "status", "--format", "json").stdout)["migrations"]
    }


def tables(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as conn:
        rows = conn.execute("SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1")
        return [name for (name,) in rows]


def test_up_down_and_to(shop: Path, program: Run, database: str) -> None:
    assert states(program) == {"001": "pending", "002": "pending", "003": "pending"}
    done = program("migrate", "up")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "3 migrations applied")
    assert tables(database) == ["people", "pets"]
    assert program("migrate", "up").stdout == "nothing to do: 3 applied\n"
    assert program("migrate", "to", "1").stdout.splitlines()[-1] == "2 migrations taken back"
    assert tables(database) == ["people"]
    assert program("migrate", "to", "002").stdout.splitlines()[-1] == "1 migration applied"
    assert states(program) == {"001": "applied", "002": "applied", "003": "pending"}
    assert program("migrate", "to", "pets").stdout == "nothing to do: 002 pets is the last one applied\n"
    assert program("migrate", "down", "--steps", "5").stdout.splitlines()[-1] == "2 migrations taken back"
    assert program("migrate", "to", "nothing").stdout == "nothing to do: nothing is applied\n"
    assert tables(database) == []


def test_a_dry_run_prints_the_sql_and_changes_nothing(shop: Path, program: Run, database: str) -> None:
    done = program("migrate", "up", "--dry-run")
    assert done.returncode == 0
    assert "CREATE TABLE people (id int PRIMARY KEY);" in done.stdout
    assert tables(database) == []
    with connect(database) as conn:
        assert not ledger.installed(conn)


def test_status_shows_a_table_and_check_ends_in_1(shop: Path, program: Run) -> None:
    program("migrate", "to", "001")
    done = program("migrate", "status", "--check")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("1 applied, 2 pending in migrations on dev")
    assert [line.split()[:4] for line in lines[2:]] == [
        ["✔", "001", "people", "applied"], ["•", "002", "pets", "pending"], ["•", "003", "name", "pending"],
    ]  # fmt: skip
    program("migrate", "up")
    assert program("migrate", "status", "--check").returncode == 0


def test_many_applied_ones_are_folded(shop: Path, program: Run) -> None:
    lay(shop, {f"{n:03}_x.sql": "SELECT 1;" for n in range(4, 20)})
    assert program("migrate", "baseline", "019", "--yes").returncode == 0
    assert "9 applied earlier are not shown" in program("migrate", "status").stdout
    assert len(program("migrate", "status", "--all").stdout.splitlines()) == 2 + 19


def test_an_edited_file_is_refused_with_the_difference_and_repair_accepts_it(shop: Path, program: Run) -> None:
    program("migrate", "to", "002")
    lay(shop, {"001_people.sql": THREE["001_people.sql"].replace("id int", "id bigint")})
    done = program("migrate", "up")
    assert done.returncode == 4
    assert "migrations/001_people.sql was applied on" in done.stderr.replace("\n       ", " ")
    assert "-CREATE TABLE people (id int PRIMARY KEY);" in done.stderr
    assert "+CREATE TABLE people (id bigint PRIMARY KEY);" in done.stderr
    assert states(program)["001"] == "edited"
    assert program("migrate", "verify").returncode == 1
    assert program("migrate", "down", "--steps", "2").returncode == 4
    asked = program("migrate", "repair")
    assert asked.returncode == 4
    assert "take the text of migrations/001_people.sql as the applied one" in asked.stderr
    assert states(program)["001"] == "edited"
    assert program("migrate", "repair", "001", "--yes").returncode == 0
    assert states(program) == {"001": "applied", "002": "applied", "003": "pending"}
    assert "002 pets" in program("migrate", "down").stdout  # accepting a text is no later run: 001 is not the last one applied
    assert program("migrate", "up").returncode == 0


def test_a_missing_file_and_files_older_than_the_database(shop: Path, program: Run) -> None:
    program("migrate", "up")
    (shop / "migrations" / "003_name.sql").unlink()
    done = program("migrate", "up")
    assert done.returncode == 4
    assert "they are older than the database" in " ".join(done.stderr.split())
    lay(shop, {"003_name.sql": THREE["003_name.sql"]})
    (shop / "migrations" / "002_pets.sql").unlink()
    done = program("migrate", "up")
    assert done.returncode == 4
    assert "its file is missing" in " ".join(done.stderr.split())
    assert states(program) == {"001": "applied", "002": "missing", "003": "applied"}
    assert program("migrate", "down", "--steps", "2").returncode == 4
    charter(shop, '[environments.dev]\ndsn_env = "SHOP_URL"\n[migrate]\nmissing = "allow"\n')
    assert program("migrate", "up").returncode == 0


def test_a_renamed_file_is_the_same_migration(shop: Path, program: Run, database: str) -> None:
    program("migrate", "up")
    (shop / "migrations" / "003_name.sql").rename(shop / "migrations" / "3_full_name.sql")
    assert set(states(program).values()) == {"applied"}
    assert program("migrate", "down").stdout.splitlines()[-1] == "1 migration taken back"
    assert states(program)["3"] == "pending"


def test_out_of_order_is_refused_unless_the_charter_allows_it(shop: Path, program: Run) -> None:
    late = shop / "migrations" / "002_pets.sql"
    text = late.read_text()
    late.unlink()
    program("migrate", "up")
    late.write_text(text)
    done = program("migrate", "up")
    assert done.returncode == 4
    assert "would run out of order" in " ".join(done.stderr.split())
    assert "out of order" in program("migrate", "status").stdout
    charter(shop, '[environments.dev]\ndsn_env = "SHOP_URL"\n[migrate]\nout_of_order = "allow"\n')
    assert program("migrate", "up").stdout.splitlines()[-1] == "1 migration applied"


def test_an_address_of_sqlalchemys_is_one(shop: Path, program: Run, database: str) -> None:
    assert program("migrate", "up", "--on", database.replace("postgresql://", "postgresql+psycopg://")).returncode == 0


def test_files_of_one_day_have_no_order_among_them(shop: Path, program: Run) -> None:
    for old in (shop / "migrations").iterdir():
        old.unlink()
    lay(shop, {"20261121_b.sql": "SELECT 1;"})
    program("migrate", "up")
    lay(shop, {"20261121_a.sql": "SELECT 1;"})
    assert program("migrate", "up").stdout.splitlines()[-1] == "1 migration applied"


def test_an_empty_project_has_nothing_to_say(tmp_path: Path, program: Run, database: str) -> None:
    (tmp_path / "migrations").mkdir()
    done = program("migrate", "status", "--check", "--on", database, cwd=tmp_path)
    assert (done.returncode, done.stdout.split(" in ")[0]) == (0, "no migrations")
    assert program("migrate", "up", "--on", database).stdout == "nothing to do: 0 applied\n"


def test_a_gap_is_a_warning_or_a_refusal(shop: Path, program: Run) -> None:
    lay(shop, {"005_x.sql": "SELECT 1;"})
    charter(shop, '[environments.dev]\ndsn_env = "SHOP_URL"\n[migrate]\ngaps = "refuse"\n')
    assert program("migrate", "up").returncode == 4
    charter(shop, '[environments.dev]\ndsn_env = "SHOP_URL"\n')
    done = program("migrate", "up")
    assert done.returncode == 0
    assert "there is no 004" in done.stderr


def test_a_mistake_in_the_last_file_leaves_nothing_done(shop: Path, program: Run, database: str) -> None:
    lay(shop, {"004_bad.sql": "SELECT 1;\nCREATE TABEL x ();"})
    done = program("migrate", "up")
    assert done.returncode == 3
    assert "migrations/004_bad.sql:2:8" in done.stderr
    assert tables(database) == []
    assert program("migrate", "verify").returncode == 1


def test_a_failing_statement_says_what_is_applied_and_the_mended_file_goes_on(shop: Path, program: Run, database: str) -> None:
    text = "CREATE TABLE a (id int PRIMARY KEY);\nALTER TABLE nowhere ADD x int;\nCREATE TABLE b (id int PRIMARY KEY);"
    lay(shop, {"004_bad.sql": UP.format(text, "DROP TABLE a, b;")})
    done = program("migrate", "up")
    assert done.returncode == 3
    said = " ".join(done.stderr.split())
    assert 'relation "nowhere" does not exist' in said
    assert "migrations/004_bad.sql:3" in said
    assert tables(database) == ["a", "people", "pets"]
    assert states(program)["004"] == "failed"
    assert "failed on" in program("migrate", "status").stdout
    assert program("migrate", "down").returncode == 4
    lay(shop, {"004_bad.sql": UP.format(text.replace("nowhere", "pets"), "DROP TABLE a, b;")})
    assert program("migrate", "up").returncode == 0
    assert tables(database) == ["a", "b", "people", "pets"]
    assert states(program)["004"] == "applied"


def test_a_failed_run_can_be_set_aside(shop: Path, program: Run) -> None:
    lay(shop, {"004_bad.sql": "SELECT 1/0;"})
    program("migrate", "up")
    assert states(program)["004"] == "failed"
    done = program("migrate", "repair", "--yes")
    assert done.stdout == "set the run of 004 bad aside\n"
    assert states(program)["004"] == "pending"
    assert program("migrate", "repair").stdout == "nothing to mend\n"


def test_down_without_a_way_back(shop: Path, program: Run, database: str) -> None:
    lay(
        shop,
        {"004_x.sql": "CREATE TABLE x (id int);", "005_y.sql": "-- pgcharter: up\nDROP TABLE x;\n-- pgcharter: one-way its rows are gone"},
    )
    program("migrate", "up")
    done = program("migrate", "down")
    assert done.returncode == 4
    assert "005 y has no way back: its rows are gone; nothing was run" in " ".join(done.stderr.split())
    (shop / "migrations" / "005_y.sql").unlink()
    charter(shop, '[environments.dev]\ndsn_env = "SHOP_URL"\n[migrate]\nmissing = "allow"\n')
    assert program("migrate", "to", "003").returncode == 4


def test_repeatable_files_run_again_when_they_change(shop: Path, program: Run, database: str) -> None:
    lay(shop, {"R__views.sql": "CREATE OR REPLACE VIEW v AS SELECT 1 AS a;"})
    assert program("migrate", "up").stdout.splitlines()[-1] == "4 migrations applied"
    lay(shop, {"R__views.sql": "CREATE OR REPLACE VIEW v AS SELECT 2 AS a;"})
    assert states(program)["views"] == "changed"
    assert program("migrate", "up").stdout.splitlines()[-1] == "1 migration applied"
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT a FROM v").fetchone() == (2,)
    assert program("migrate", "up").stdout == "nothing to do: 4 applied\n"


def test_baseline_records_without_running(shop: Path, program: Run, database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("CREATE TABLE people (id int PRIMARY KEY)")
        conn.execute("CREATE TABLE pets (id int PRIMARY KEY)")
    assert program("migrate", "baseline", "002").returncode == 4
    assert program("migrate", "baseline", "002", "--yes").stdout == "001 people recorded as applied\n002 pets recorded as applied\n"
    assert program("migrate", "baseline", "002").stdout == "nothing to do: all of that is applied\n"
    assert "baseline" in program("migrate", "status").stdout
    assert program("migrate", "up").stdout.splitlines()[-1] == "1 migration applied"


def test_production_is_named_twice(shop: Path, program: Run, database: str) -> None:
    charter(shop, '[environments.live]\ndsn_env = "SHOP_URL"\nproduction = true\n')
    for words in (["up"], ["baseline", "001", "--yes"], ["repair", "--yes"], ["up", "--on", database], ["up", "--confirm", "life"]):
        done = program("migrate", *words)
        assert (done.returncode, "environment live is production" in done.stderr) == (4, True), words
    assert tables(database) == []
    assert program("migrate", "up", "--confirm", "live").returncode == 0


def test_production_is_known_by_whatever_name_it_is_called(shop: Path, program: Run, database: str) -> None:
    charter(shop, '[environments.live]\ndsn_env = "SHOP_URL"\nproduction = true\n[environments.dev]\ndsn_env = "DEV"\n')
    parts = {k: str(v) for k, v in psycopg.conninfo.conninfo_to_dict(database).items()}
    words = {f"PG{k.upper().replace('DBNAME', 'DATABASE')}": v for k, v in parts.items()}
    by_variables = program("migrate", "up", "--on", f"dbname={parts['dbname']}", **{**words, "PGDATABASE": "other"})
    (shop / "svc.conf").write_text("[shop]\n" + "".join(f"{k}={v}\n" for k, v in parts.items()))
    unset = dict.fromkeys(words, "")
    by_service = program("migrate", "up", "--on", "service=shop", PGSERVICEFILE=str(shop / "svc.conf"), **unset)
    told = program("migrate", "status", "--on", "service=shop", PGSERVICEFILE=str(shop / "svc.conf"), **unset)
    assert f"on {parts['dbname']} at {parts['host']}" in told.stdout
    for done in (by_variables, by_service):
        assert (done.returncode, "environment live is production" in done.stderr) == (4, True), done
    assert tables(database) == []


def test_the_record_of_up_is_understood(shop: Path, program: Run, database: str) -> None:
    from pgcharter.examples import build

    with connect(database) as conn:
        build.install(conn)
        (shop / "seed").mkdir()
        (shop / "seed" / "003_rows.sql").write_text("SELECT 1;")
        files = build.read_files(shop, ("migrations", "seed"))
        build.build(conn, [*files[:2], files[3]])
    assert states(program) == {"001": "applied", "002": "applied", "003": "pending"}
    assert program("migrate", "up").stdout.splitlines()[-1] == "1 migration applied"
    assert program("migrate", "to", "001").stdout.splitlines()[-1] == "2 migrations taken back"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("ALTER TABLE pgcharter.schema_migrations DROP COLUMN checksum", "the ledger is damaged: column"),
        (
            "UPDATE pgcharter.schema_migrations SET checksum = 'x' WHERE run_id = 2",
            "the ledger is damaged in run 2: its checksum is no SHA-256",
        ),
        ("DELETE FROM pgcharter.schema_migrations WHERE run_id = 3", "it takes 003 back, which was not applied"),
    ],
)
def test_a_damaged_ledger_is_not_acted_upon(shop: Path, program: Run, database: str, damage: str, said: str) -> None:
    program("migrate", "up")
    program("migrate", "down")
    with psycopg.connect(database) as conn:
        conn.execute(damage.encode())
    for words in (["status"], ["up"], ["down"], ["repair", "--yes"], ["baseline", "003", "--yes"]):
        done = program("migrate", *words)
        assert done.returncode == 3, words
        assert said in " ".join(done.stderr.split()), words


def test_a_ledger_that_somebody_keeps_locked_is_not_waited_for_without_end(shop: Path, program: Run, database: str) -> None:
    program("migrate", "up")
    with psycopg.connect(database) as culprit:
        culprit.execute("LOCK TABLE pgcharter.schema_migrations")
        done = program("migrate", "status")
    assert (done.returncode, "another session keeps the ledger locked" in " ".join(done.stderr.split())) == (3, True)


def test_a_half_done_migration_whose_file_is_gone_is_not_forgotten(shop: Path, program: Run, database: str) -> None:
    half = "-- pgcharter: up\nCREATE TABLE half ();\n-- pgcharter: gate so\nCREATE TABLE whole ();\n"
    lay(shop, {"004_half.sql": half})
    assert program("migrate", "up").returncode == 4
    stopped = " ".join(program("migrate", "status").stdout.split())
    assert "the run of 004 half stopped on" in stopped
    assert "it died" not in stopped
    (shop / "migrations" / "004_half.sql").unlink()
    lay(shop, {"005_more.sql": "CREATE TABLE more ();"})
    assert states(program)["004"] == "missing"
    for words in (["up"], ["down"], ["to", "005"]):
        done = program("migrate", *words)
        assert (done.returncode, "004 half was left half way up and its file is missing" in " ".join(done.stderr.split())) == (4, True)
    assert program("migrate", "repair", "004", "--yes").returncode == 0
    assert program("migrate", "up").returncode == 0
    assert tables(database) == ["half", "more", "people", "pets"]


def test_a_failed_file_that_was_renamed_leaves_nothing_behind(shop: Path, program: Run) -> None:
    lay(shop, {"004_wrong.sql": "SELECT 1 / 0;"})
    assert program("migrate", "up").returncode == 3
    (shop / "migrations" / "004_wrong.sql").unlink()
    lay(shop, {"005_right.sql": "SELECT 1;"})
    assert program("migrate", "up").returncode == 0
    assert set(states(program)) == {"001", "002", "003", "005"}


def test_repair_waits_for_a_runner_and_then_gives_up(shop: Path, program: Run, database: str) -> None:
    charter(shop, '[environments.dev]\ndsn_env = "SHOP_URL"\n[migrate]\nwait = "100ms"\n')
    with lock.held(database, 1, silent):
        done = program("migrate", "repair", "--yes")
    assert done.returncode == 3
    assert "another runner is at work" in " ".join(done.stderr.split())


def test_json_says_how_a_run_ended(shop: Path, program: Run) -> None:
    lay(shop, {"004_bad.sql": "SELECT 1/0;"})
    done = program("migrate", "up", "--format", "json")
    data = json.loads(done.stdout)
    assert done.returncode == 3
    assert (data["format"], data["status"], data["applied"], data["at"]) == (
        "pgcharter-migrate-run", "failed", ["001 people", "002 pets", "003 name"], "004 bad",
    )  # fmt: skip
    status = json.loads(program("migrate", "status", "--format", "json").stdout)
    assert status["totals"]["applied"] == 3
    assert status["problems"][0]["kind"] == "unfinished"


def test_a_lock_that_others_hold_is_told_with_its_holder(shop: Path, program: Run, database: str) -> None:
    program("migrate", "to", "002")
    with closing(psycopg.connect(database, application_name="reporting")) as other:
        other.execute("LOCK TABLE people")
        done = program("migrate", "up", "--lock-timeout", "400ms", "--deadline", "2s")
        said = " ".join(done.stderr.split())
        assert done.returncode == 3
        assert "003 name gave way" in said
        assert "reporting" in said
        assert states(program)["003"] == "failed"
        done = program("migrate", "up", "--lock-timeout", "400ms", "--terminate-blockers")
    assert done.returncode == 0
    assert "ended, because it stood in the way: pid" in " ".join(done.stderr.split())


def test_gates_stop_a_run_until_they_are_open(shop: Path, program: Run, database: str) -> None:
    lay(shop, {"004_g.sql": "-- pgcharter: up\nCREATE TABLE g (id int);\n-- pgcharter: gate release 2 runs\nDROP TABLE g;"})
    done = program("migrate", "up")
    assert done.returncode == 4
    assert "release 2 runs" in done.stderr
    assert "g" in tables(database)
    assert program("migrate", "up", "--gate", "release 2 runs").returncode == 0
    assert "g" not in tables(database)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["migrate", "to", "007"], 2, "there is no migration 007"),
        (["migrate", "up", "--env", "nowhere"], 2, "there is no environment 'nowhere'"),
        (["migrate", "up", "--on", "env:NOT_SET_HERE"], 2, "NOT_SET_HERE is not set"),
        (["migrate", "up", "--on", "mysql://x"], 2, "is not a PostgreSQL address"),
        (["migrate", "up", "--on", "nonsense"], 2, "cannot be understood"),
        (["migrate", "up", "--env", "dev", "--on", "x"], 2, "name two databases"),
        (["migrate", "up", "--folder", "gone"], 2, "gone does not exist"),
        (["migrate", "up", "--lock-timeout", "soon"], 2, "'soon' is no duration"),
        (["migrate", "status", "--on", "postgresql://localhost:1/x"], 3, "no server answers"),
        (["new", "!!!"], 2, "gives no name for a file"),
    ],
)
def test_wrong_words(shop: Path, program: Run, words: list[str], code: int, said: str) -> None:
    done = program(*words)
    assert done.returncode == code
    assert said in " ".join(done.stderr.split())


MAKE, DROP = "CREATE TABLE a (id int PRIMARY KEY, b int);", "DROP TABLE a;"
INDEX, UNINDEX = "CREATE INDEX CONCURRENTLY a_b ON a (b);", "DROP INDEX a_b;"
LAYOUTS: dict[str, Texts] = {
    "timestamp": {"20261121090000_a.sql": f"-- Up\n{MAKE}\n-- Down\n{DROP}", "20261121090001_i.sql": f"{INDEX}\n-- Down\n{UNINDEX}"},
    "date": {
        "20261121_a.sql": f"-- Up Migration\nBEGIN;{MAKE}COMMIT;\n-- Down Migration\n{DROP}",
        "20261121_b.sql": "-- Up\nSELECT 1;\n-- Down\nSELECT 1;",
    },
    "number": {"001_a.sql": f"-- Description: A\n-- Author: Zoë\n\n{MAKE}\n\n-- Rollback\n{DROP}"},
    "flyway": {
        "V1__a.sql": MAKE.replace("TABLE a", "TABLE ${t}"), "U1__a.sql": DROP, "V1_1__i.sql": INDEX, "U1.1__i.sql": UNINDEX,
        "V1_1__i.sql.conf": "executeInTransaction=false", "R__v.sql": "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1;",
    },
    "dbmate": {
        "1_a.sql": f"-- migrate:up\n{MAKE}\n-- migrate:down\n{DROP}",
        "2_i.sql": f"-- migrate:up transaction:false\n{INDEX}\n-- migrate:down\n{UNINDEX}",
    },
    "goose": {
        "1_a.sql": f"-- +goose Up\n-- +goose StatementBegin\n{MAKE}\n-- +goose StatementEnd\n-- +goose Down\n{DROP}",
        "2_i.sql": f"-- +goose NO TRANSACTION\n-- +goose Up\n{INDEX}\n-- +goose Down\n{UNINDEX}",
    },
    "sql-migrate": {
        "1_a.sql": f"-- +migrate Up\n{MAKE}\n-- +migrate Down\n{DROP}",
        "2_i.sql": f"-- +migrate Up notransaction\n{INDEX}\n-- +migrate Down\n{UNINDEX}",
    },
    "liquibase": {
        "a.sql": f"--liquibase formatted sql\n--changeset me:1\n{MAKE}\n--rollback {DROP}\n"
                 f"--changeset me:2 runInTransaction:false\n{INDEX}\n--rollback {UNINDEX}",
    },
    "up-down": {"1_a.up.sql": MAKE, "1_a.down.sql": DROP, "2_i.up.sql": INDEX, "2_i.down.sql": UNINDEX},
    "sqitch": {
        "sqitch.plan": "%project=x\n\na 2026-01-01T00:00:00Z A <a@b> # a\ni [a] 2026-01-02T00:00:00Z A <a@b> # i\n",
        "deploy/a.sql": f"BEGIN;{MAKE}COMMIT;", "revert/a.sql": DROP, "deploy/i.sql": INDEX, "revert/i.sql": UNINDEX,
    },
    "pgcharter": {"1_a.sql": UP.format(MAKE + INDEX, "DROP INDEX CONCURRENTLY a_b;" + DROP)},
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_goes_up_down_and_up_again(tmp_path: Path, program: Run, database: str, layout: str) -> None:
    charter(tmp_path, '[environments.dev]\ndsn_env = "SHOP_URL"\n[migrate.placeholders]\nt = "a"\n')
    for name, text in LAYOUTS[layout].items():
        (tmp_path / "migrations" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "migrations" / name).write_text(text, "utf-8")
    for _ in range(2):
        done = program("migrate", "up", cwd=tmp_path, SHOP_URL=database)
        assert done.returncode == 0, done.stderr
        assert tables(database) == ["a"]
        assert program("migrate", "status", "--check").returncode == 0
        done = program("migrate", "to", "nothing")
        assert done.returncode == 0, done.stderr
        assert tables(database) == []


def test_verify_tries_what_is_pending_there_and_back(shop: Path, program: Run, major_server: Server) -> None:
    here = ("--scratch-url", major_server.dsn())
    program("migrate", "to", "001")
    done = program("migrate", "verify", "--try", *here)
    assert (done.returncode, [line.split(":")[0] for line in done.stderr.splitlines()]) == (0, ["002 pets", "003 name"])
    lay(shop, {"004_x.sql": UP.format("CREATE TABLE x (id int PRIMARY KEY);\nALTER TABLE people ADD age int;", "DROP TABLE x;")})
    done = program("migrate", "verify", "--try", "--all", *here, "--format", "json")
    assert done.returncode == 1
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["kind"] == "refused"  # the column is there still when it goes up again
    assert 'column "age" of relation "people" already exists' in problem["message"]
    lay(
        shop,
        {"004_x.sql": UP.format("CREATE TABLE x (id int PRIMARY KEY);\nALTER TABLE people ADD IF NOT EXISTS age int;", "DROP TABLE x;")},
    )
    (problem,) = json.loads(program("migrate", "verify", "--try", *here, "--format", "json").stdout)["problems"]
    assert (problem["kind"], "people.age" in problem["message"]) == ("way back", True)


def test_versions_complete(shop: Path, program: Run) -> None:
    done = program(_PGCHARTER_COMPLETE="bash_complete", COMP_WORDS="pgcharter migrate to 00", COMP_CWORD="3")
    assert done.stdout.split() == ["plain,001", "plain,002", "plain,003"]


@pytest.mark.parametrize(
    ("there", "made"),
    [
        ({}, r"\d{14}_add_it\.sql"),
        ({"009_a.sql": ""}, "010_add_it.sql"),
        ({"99_a.sql": ""}, "100_add_it.sql"),
        ({"V1_9__a.sql": "", "R__v.sql": ""}, "V1_10__add_it.sql"),
        ({"20200101_a.sql": ""}, r"\d{8}_add_it\.sql"),
        ({"20200101000000_a.sql": ""}, r"\d{14}_add_it\.sql"),
        ({"29990101000000_a.sql": ""}, r"29990101000001_add_it\.sql"),
        ({"0007_a.up.sql": "", "0007_a.down.sql": ""}, r"0008_add_it\.down\.sql 0008_add_it\.up\.sql"),
        ({"up/1_a.sql": "", "down/1_a.sql": ""}, "down/2_add_it.sql up/2_add_it.sql"),
        ({"2020-01-01-000000_a/up.sql": "", "2020-01-01-000000_a/down.sql": ""}, r"\d{14}_add_it/down\.sql \d{14}_add_it/up\.sql"),
        ({"sqitch.plan": "%project=x\n\na 2026-01-01T00:00:00Z A <a@b> # a\n", "deploy/a.sql": ""},
         "deploy/add_it.sql revert/add_it.sql verify/add_it.sql"),
    ],
)  # fmt: skip
def test_new_names_the_next_file_like_its_neighbours(tmp_path: Path, program: Run, there: Texts, made: str) -> None:
    import re

    (tmp_path / "migrations").mkdir()
    for name, text in there.items():
        (tmp_path / "migrations" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "migrations" / name).write_text(text)
    before = {p for p in (tmp_path / "migrations").rglob("*") if p.is_file()}
    assert program("new", "Add it!", cwd=tmp_path).returncode == 0
    after = sorted(
        p.relative_to(tmp_path / "migrations").as_posix() for p in set((tmp_path / "migrations").rglob("*")) - before if p.is_file()
    )
    assert re.fullmatch(made, " ".join(after))
    again = program("migrate", "status", "--on", "postgresql://localhost:1/x")
    assert again.returncode == 3  # the folder with the new file is understood; only the server is missing


@pytest.mark.parametrize(
    "layout", ["pgcharter", "timestamp", "date", "number", "flyway", "dbmate", "goose", "sql-migrate", "liquibase", "up-down", "sqitch"]
)
def test_every_layout_makes_files_that_are_read_back_as_that_layout(tmp_path: Path, program: Run, layout: str) -> None:
    from pgcharter.migrate import files

    for name in ("first", "second"):
        assert program("new", name, "--layout", layout, "--author", "Ann B", cwd=tmp_path).returncode == 0
    found = files.read("migrations").migrations
    assert [m.layout for m in found] == [layout, layout]
    assert ["first" in (m.title + m.file) for m in found] == [True, False]
    if layout != "liquibase":
        assert found[0].author == "Ann B"


def test_new_never_overwrites_and_says_what_kind(tmp_path: Path, program: Run) -> None:
    assert program("new", "views", "--repeatable", cwd=tmp_path).stdout == "migrations/R__views.sql\n"
    assert program("new", "views", "--repeatable", cwd=tmp_path).returncode == 3
    made = json.loads(program("new", "fill", "--data", "--layout", "pgcharter", "--format", "json", cwd=tmp_path).stdout)
    assert "-- pgcharter: data" in Path(made["files"][0]).read_text()
    assert program("new", "fill", "--data", "--layout", "dbmate", cwd=tmp_path).returncode == 2


def test_new_does_not_leave_half_a_file(tmp_path: Path, program: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "migrations").mkdir()
    resource = pytest.importorskip("resource")
    monkeypatch.chdir(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(PgcharterError, match=r"cannot be written, so nothing was: File too large"):
            naming.write({tmp_path / "migrations" / "001_a.sql": "x" * 5, tmp_path / "migrations" / "002_b.sql": "x" * 50})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, kept)
    assert list((tmp_path / "migrations").iterdir()) == []


def test_a_plan_of_sqitchs_does_not_hide_other_files(tmp_path: Path, program: Run) -> None:
    lay(tmp_path, THREE)
    done = program("new", "more", "--layout", "sqitch", cwd=tmp_path)
    assert (done.returncode, "003_name.sql, which would not be run" in " ".join(done.stderr.split())) == (2, True)
    assert len(list((tmp_path / "migrations").iterdir())) == 3


def test_passwords_are_neither_kept_nor_shown(shop: Path, program: Run, database: str) -> None:
    role = "CREATE ROLE test_kept_role LOGIN PASSWORD '{}';\n-- {}\n"
    lay(shop, {"004_role.sql": role.format("hush1", "first")})
    try:
        dry = program("migrate", "up", "--dry-run")
        assert "CREATE ROLE test_kept_role LOGIN PASSWORD '***';" in dry.stdout
        assert "hush" not in dry.stdout + program("migrate", "up", "--dry-run", "--format", "json").stdout
        assert program("migrate", "up").returncode == 0
        with psycopg.connect(database) as conn:
            (text,) = conn.execute("SELECT file_text FROM pgcharter.schema_migrations WHERE version = '004'").fetchone() or ("",)
            verifier = conn.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'test_kept_role'").fetchone()
        assert text == role.format("***", "first")
        assert states(program)["004"] == "applied"
        lay(shop, {"004_role.sql": role.format("hush2", "first")})
        done = program("migrate", "up")
        assert done.returncode == 4
        assert "only a password, or white space at the end, was edited" in done.stderr
        lay(shop, {"004_role.sql": role.format("hush2", "second")})
        done = program("migrate", "status")
        assert "-- second" in done.stdout
        assert "hush" not in done.stdout + done.stderr
        assert verifier
        assert "***" not in verifier[0]
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("DROP ROLE IF EXISTS test_kept_role")
