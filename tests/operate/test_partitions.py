"""Partitions by time on real servers: made ahead, alike, taken out, archived; every kill, bad neighbours, hostile names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any

import psycopg
import pytest
from tests.conftest import lacking
from tests.policy.planned import applied

from pgcharter.catalog.model import Catalog
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.names import ObjectId, quote
from pgcharter.operate import partitions, partitions_make, retention_files, retention_holds
from pgcharter.operate.partitions_model import Result
from pgcharter.policy import retention as policies
from pgcharter.policy.retention_settings import PartitionTable, RetentionSection
from pgcharter.sources import live

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
BASE = """
CREATE SCHEMA app;
CREATE TABLE app.users (id int PRIMARY KEY);
INSERT INTO app.users VALUES (1);
CREATE TABLE app.events (
    id bigint NOT NULL, user_id int NOT NULL REFERENCES app.users (id) ON DELETE CASCADE, created_at timestamptz NOT NULL,
    note text DEFAULT 'x', CONSTRAINT events_note_short CHECK (length(note) < 100), PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE app.events IS 'What happened';
COMMENT ON COLUMN app.events.note IS 'said';
CREATE INDEX events_user ON app.events (user_id, created_at DESC) WHERE note <> '';
CREATE FUNCTION app.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION app.f();
CREATE POLICY own ON app.events FOR SELECT USING (user_id = 1);
ALTER TABLE app.events ENABLE ROW LEVEL SECURITY;
"""


def section(*tables: PartitionTable, **more: Any) -> RetentionSection:
    return RetentionSection(partition=tables, lock_timeout=more.pop("lock_timeout", "100ms"), tries=more.pop("tries", 2), **more)


def events(**more: Any) -> PartitionTable:
    return PartitionTable("app.events", **{"ahead": 2, **more})


def run(dsn: str, wish: RetentionSection, tmp_path: Path, now: datetime = NOW) -> tuple[Result, ...]:
    return partitions.run(dsn, wish, folder=tmp_path, now=now, sleep=lambda _: None)


def execute(dsn: str, sql: str, *parameters: Any) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        done = conn.execute(sql.encode(), parameters or None)
        return done.fetchall() if done.description else []


def names(dsn: str, schema: str = "app") -> list[str]:
    sql = (
        "SELECT c.relname FROM pg_inherits h JOIN pg_class c ON c.oid = inhrelid WHERE c.relkind = 'r'"
        " AND NOT inhdetachpending AND c.relnamespace = %s::regnamespace ORDER BY 1"
    )
    return [r[0] for r in execute(dsn, sql, quote(schema))]


def problems(results: tuple[Result, ...]) -> list[str]:
    return [d.problem for r in results for d in r.done if d.problem]


def read(dsn: str) -> Catalog:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return live.read_catalog(conn)


@pytest.mark.parametrize("major", [15, 18])
def test_made_ahead_and_alike(database: str, tmp_path: Path, major: int) -> None:
    role = f"part_reader_{major}"
    execute(database, BASE + f"CREATE ROLE {role}; GRANT SELECT ON app.events TO {role}; GRANT UPDATE (note) ON app.events TO {role}")
    try:
        (found,) = run(database, section(events()), tmp_path)
        assert problems((found,)) == []
        assert (found.unlike, found.ahead) == ((), 2)
        assert names(database) == ["events_y2026m10", "events_y2026m11", "events_y2026m12", "events_y2027m01"]
        catalog = read(database)
        parent, part = (catalog.table[ObjectId("table", "app", n)] for n in ("events", "events_y2026m11"))
        assert partitions_make.unlike(parent, part) == ()
        assert part.comment == parent.comment
        assert part.column["note"].comment == "said"
        assert any(g.grantee == role for g in part.column["note"].acl or ())
        assert part.partition_bound == "FOR VALUES FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00')"
        # again: nothing to do; a month later: one more, with what the newest partition has
        assert [a for p in run(database, section(events()), tmp_path) for a in p.plan.actions] == []
        execute(database, "ALTER TABLE app.events_y2027m01 SET (fillfactor = 80)")
        (found,) = run(database, section(events()), tmp_path, datetime(2026, 12, 1, tzinfo=UTC))
        assert [d.action.part.name for d in found.done] == ["events_y2027m02"]
        assert read(database).table[ObjectId("table", "app", "events_y2027m02")].options == ("fillfactor=80",)
        (evidence,) = partitions.evidence((found,), NOW)
        assert (evidence.name, evidence.holds) == ("partitions.app.events", True)
    finally:
        execute(database, f"DROP OWNED BY {role}; DROP ROLE {role}")


def filled(dsn: str) -> None:
    execute(
        dsn,
        BASE
        + """CREATE TABLE app.events_y2026m08 PARTITION OF app.events FOR VALUES FROM ('2026-08-01 00:00+00') TO ('2026-09-01 00:00+00');
        CREATE TABLE app.events_y2026m09 PARTITION OF app.events FOR VALUES FROM ('2026-09-01 00:00+00') TO ('2026-10-01 00:00+00');
        INSERT INTO app.events SELECT n, 1, timestamptz '2026-08-01 00:00+00' + n * interval '1 h', E'a,"\\n\\\\' || n
          FROM generate_series(0, 1400) n;
        INSERT INTO app.events VALUES (-1, 1, '2026-08-31 23:59:59.999999+00', NULL)""",
    )


@pytest.mark.parametrize(("how", "major"), [("drop", 15), ("keep", 18), ("schema", 18), ("csv", 18), ("jsonl", 15), ("parquet", 18)])
def test_old_ones_leave(database: str, tmp_path: Path, how: str, major: int) -> None:
    filled(database)
    execute(database, "CREATE SCHEMA old")
    to = {"drop": "", "keep": "", "schema": "old"}.get(how, "files")
    (found,) = run(database, section(events(keep="2 months", how=how, to=to)), tmp_path)
    assert problems((found,)) == []
    assert "events_y2026m08" not in names(database)
    assert names(database)[0] == "events_y2026m09"
    there = execute(database, "SELECT to_regclass('app.events_y2026m08') IS NOT NULL, to_regclass('old.events_y2026m08') IS NOT NULL")
    assert there == [(how == "keep", how == "schema")]
    if to == "files":
        path = tmp_path / "files" / f"app.events_y2026m08.{how}"
        assert retention_files.verify(path) == ""
        known = retention_files.read(path)
        assert known
        assert (known.rows, known.bound.split()[2]) == (745, "FROM")
        if how == "jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            assert rows[1]["note"] == 'a,"\n\\1'
            assert rows[-1] == {"id": -1, "user_id": 1, "created_at": "2026-08-31T23:59:59.999999+00:00", "note": None}
        path.write_bytes(path.read_bytes()[:-1])
        assert "checksum differs" in retention_files.verify(path)
    assert [a for p in run(database, section(events(keep="2 months", how=how, to=to)), tmp_path) for a in p.plan.actions] == []


_RUN = """
import sys
from datetime import datetime
from pathlib import Path
from pgcharter.operate import partitions
from pgcharter.policy.retention_settings import PartitionTable, RetentionSection
wish = RetentionSection(partition=(PartitionTable("app.events", ahead=2, keep="2 months", how="jsonl", to="files"),))
partitions.run(sys.argv[1], wish, folder=Path(sys.argv[2]), now=datetime.fromisoformat(sys.argv[3]))
"""


@pytest.mark.parametrize("point", partitions.POINTS)
def test_killed_anywhere(database: str, tmp_path: Path, point: str) -> None:
    filled(database)
    command = [sys.executable, "-c", _RUN, database, str(tmp_path), NOW.isoformat()]
    environment = {**os.environ, "PGCHARTER_FAULT": point, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    found = run(database, section(events(keep="2 months", how="jsonl", to="files")), tmp_path)
    assert problems(found) == []
    assert names(database) == [f"events_y{m}" for m in ("2026m09", "2026m10", "2026m11", "2026m12", "2027m01")]
    assert execute(database, "SELECT to_regclass('app.events_y2026m08')") == [(None,)]
    files = sorted(p.name for p in (tmp_path / "files").iterdir() if not p.name.startswith("."))
    assert files == ["app.events_y2026m08.jsonl", "app.events_y2026m08.jsonl.json"]
    known = retention_files.read(tmp_path / "files" / files[0])
    assert known
    assert known.rows == 745


@pytest.mark.parametrize("major", [15, 18])
def test_a_detach_that_was_interrupted(database: str, tmp_path: Path, major: int) -> None:
    """A reader keeps the second half of a concurrent detach waiting beyond every try; the next run finalizes."""
    filled(database)
    wish = section(events(keep="2 months"))
    with psycopg.connect(database) as reader:
        reader.execute("SELECT count(*) FROM app.events")
        (found,) = run(database, wish, tmp_path)
        (said,) = [p for p in problems((found,)) if "events_y2026m08" in p]
        assert "locks were not to be had in 2 tries" in said
        assert execute(database, "SELECT count(*) FROM pg_inherits WHERE inhdetachpending") == [(1,)]
        assert not partitions.evidence((found,), NOW)[0].holds
        reader.execute("SELECT count(*) FROM app.users")
    (found,) = run(database, wish, tmp_path)
    assert problems((found,)) == []
    assert [d.action.kind for d in found.done] == ["finish", "release"]
    assert execute(database, "SELECT to_regclass('app.events_y2026m08')") == [(None,)]


def test_with_a_default_partition(database: str, tmp_path: Path) -> None:
    filled(database)
    execute(database, "CREATE TABLE app.rest PARTITION OF app.events DEFAULT; INSERT INTO app.events VALUES (7, 1, '2026-11-05')")
    (found,) = run(database, section(events(keep="2 months")), tmp_path)
    (said,) = problems((found,))
    assert "events_y2026m11 was not made, because the DEFAULT partition of app.events holds rows of its time" in said
    assert "has a DEFAULT partition, app.rest" in found.plan.problems[0]
    assert names(database) == ["events_y2026m09", "events_y2026m10", "events_y2026m12", "events_y2027m01", "rest"]


@pytest.mark.parametrize(
    ("sql", "table", "said"),
    [
        ("CREATE SCHEMA app", {}, "there is no table app.events"),
        ("CREATE SCHEMA app; CREATE TABLE app.events (created_at date)", {}, "is not partitioned"),
        ("CREATE SCHEMA app; CREATE VIEW app.events AS SELECT 1", {}, "is not partitioned"),
        ("CREATE SCHEMA app; CREATE TABLE app.events (a date, b date) PARTITION BY RANGE (a, b)", {}, "not partitioned by RANGE of one"),
        ("CREATE SCHEMA app; CREATE TABLE app.events (a int) PARTITION BY RANGE (a)", {}, "not partitioned by RANGE of one column of date"),
        ("CREATE SCHEMA app; CREATE TABLE app.events (a date) PARTITION BY HASH (a)", {}, "not partitioned by RANGE"),
        ("CREATE SCHEMA app; CREATE TABLE app.events (a date) PARTITION BY RANGE (date_trunc('day', a::timestamp))", {}, "of one column"),
        ("CREATE SCHEMA app; CREATE TABLE app.events (a date) PARTITION BY RANGE (a)", {"period": "6h"}, "has no hours"),
        ("CREATE SCHEMA app; CREATE TABLE app.events (a date) PARTITION BY RANGE (a)", {"zone": "Asia/Kolkata"}, "has no time zone"),
        (BASE + "CREATE TABLE app.events_y2026m11 ()", {}, "events_y2026m11 should be the partition"),
        (
            BASE + "CREATE TABLE app.p PARTITION OF app.events FOR VALUES FROM ('2026-11-10') TO ('2026-11-20')",
            {},
            "app.p holds a part of that only",
        ),
        (BASE + "CREATE TABLE app.p PARTITION OF app.events DEFAULT PARTITION BY HASH (id)", {}, "is partitioned itself"),
    ],
)
def test_what_cannot_be_is_said_and_stops_nobody(database: str, tmp_path: Path, sql: str, table: dict[str, Any], said: str) -> None:
    execute(database, sql + "; CREATE SCHEMA two; CREATE TABLE two.logs (at timestamp NOT NULL) PARTITION BY RANGE (at)")
    first, second = run(database, section(events(**table), PartitionTable("two.logs", period="quarter")), tmp_path)
    assert any(said in p for p in first.plan.problems)
    assert problems((first, second)) == []
    assert names(database, "two") == ["logs_y2026q3", "logs_y2026q4", "logs_y2027q1", "logs_y2027q2", "logs_y2027q3"]
    assert not partitions.evidence((first,), NOW)[0].holds
    assert partitions.evidence((second,), NOW)[0].holds


HOSTILE = ['Größe "x" y.z', "a" * 63, "é" * 31, "select", "%s; --'"]


@pytest.mark.parametrize("major", [15, 18])
def test_hostile_names(database: str, tmp_path: Path, major: int) -> None:
    tables = []
    for n, name in enumerate(HOSTILE):
        schema, column = f'S {n} "é%', f"at\\'{name}"[:30]
        at = ObjectId("table", schema, name).sql()
        made = f"CREATE TABLE {at} ({quote(column)} timestamptz NOT NULL) PARTITION BY RANGE ({quote(column)})"
        execute(database, f"CREATE SCHEMA {quote(schema)}; {made}")
        tables.append(PartitionTable(at, period="week", ahead=1, past=0, keep="4w", how="csv", to="files"))
    wish = section(*tables)
    assert problems(run(database, wish, tmp_path)) == []
    found = run(database, wish, tmp_path, datetime(2027, 3, 1, tzinfo=UTC))
    assert problems(found) == []
    assert all(sum(d.action.kind == "release" for d in r.done) >= 2 for r in found)
    assert len(list((tmp_path / "files").glob("*.csv"))) == sum(d.action.kind == "release" for r in found for d in r.done)


@pytest.mark.parametrize("major", [15])
def test_pg_partman_is_left_alone(database: str, tmp_path: Path, major: int) -> None:
    execute(database, BASE)
    available = execute(database, "SELECT 1 FROM pg_available_extensions WHERE name = 'pg_partman'")
    if not available:
        lacking("pg_partman is not installed beside PostgreSQL 15")
    execute(database, "CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman")
    execute(database, "SELECT partman.create_parent('app.events', 'created_at', 'native', 'monthly')")
    (found,) = run(database, section(events()), tmp_path)
    assert (found.plan.look.alone, found.done) == ("pg_partman", [])


def test_a_locked_table_does_not_stop_the_others(database: str, tmp_path: Path) -> None:
    execute(database, BASE + "CREATE SCHEMA two; CREATE TABLE two.logs (at timestamp NOT NULL) PARTITION BY RANGE (at)")
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE app.events IN SHARE UPDATE EXCLUSIVE MODE")
        first, second = run(database, section(events(ahead=1, past=0), PartitionTable("two.logs"), tries=1), tmp_path)
    assert all("locks were not to be had" in d.problem for d in first.done)
    assert all(not d.problem for d in second.done)


def test_nobodys_rights(database: str, tmp_path: Path) -> None:
    execute(database, BASE + "DROP ROLE IF EXISTS part_nobody; CREATE ROLE part_nobody LOGIN")
    try:
        with partitions.opened(database, section()) as own:
            own.execute("SET ROLE part_nobody")
            (found,) = partitions.plans(own, section(events()), NOW)
        assert ", who owns it, can make partitions" in found.problems[0]
    finally:
        execute(database, "DROP ROLE part_nobody")


def test_the_zone_of_the_charter(database: str, tmp_path: Path) -> None:
    execute(database, BASE)
    wish = section(events(period="day", zone="America/New_York", ahead=1, past=0))
    assert problems(run(database, wish, tmp_path, datetime(2026, 11, 1, 3, tzinfo=UTC))) == []
    catalog = read(database)
    made = {t.name: t.partition_bound for t in catalog.tables if t.partition_of}
    assert made == {
        "events_y2026m10d31": "FOR VALUES FROM ('2026-10-31 04:00:00+00') TO ('2026-11-01 04:00:00+00')",
        "events_y2026m11d01": "FOR VALUES FROM ('2026-11-01 04:00:00+00') TO ('2026-11-02 05:00:00+00')",
    }


def test_what_was_about_to_leave_and_is_kept_longer_now(database: str, tmp_path: Path) -> None:
    """A run died between mark, detach and drop; meanwhile the charter keeps more."""
    filled(database)
    mark = partitions.mark("", ObjectId("table", "app", "events"), _part(database, "events_y2026m08"))
    execute(database, f"COMMENT ON TABLE app.events_y2026m08 IS '{mark}'")
    (found,) = run(database, section(events(keep="1y")), tmp_path)
    assert problems((found,)) == []
    assert execute(database, "SELECT obj_description('app.events_y2026m08'::regclass)") == [(None,)]
    execute(database, f"COMMENT ON TABLE app.events_y2026m08 IS '{mark}'; ALTER TABLE app.events DETACH PARTITION app.events_y2026m08")
    (found,) = run(database, section(events(keep="1y")), tmp_path)
    assert "was taken out of app.events and is not old any more" in found.plan.notes[0]
    assert execute(database, "SELECT count(*) FROM app.events_y2026m08") == [(745,)]
    # somebody else's table that says so too is nobody's partition
    execute(database, "CREATE ROLE part_other; ALTER TABLE app.events_y2026m08 OWNER TO part_other")
    try:
        (found,) = run(database, section(events(keep="1 month")), tmp_path)
        assert execute(database, "SELECT count(*) FROM app.events_y2026m08") == [(745,)]
    finally:
        execute(database, "DROP OWNED BY part_other; DROP ROLE part_other")


def _part(dsn: str, name: str) -> Any:
    with partitions.opened(dsn, section()) as conn:
        (found,) = partitions.plans(conn, section(events()), NOW)
    return next(p for p in found.look.parts if p.id.name == name)


def test_held_partitions_stay(database: str, tmp_path: Path) -> None:
    filled(database)
    applied(database, planning.make(Wish("", database, chosen=Chosen((policies.policy(RetentionSection()),)), prove=False)))
    wish = section(events(keep="1 month"))
    with psycopg.connect(database, autocommit=True) as conn:
        retention_holds.place(conn, ObjectId("table", "app", "events"), "case 1", "id", "5")
        retention_holds.place(conn, ObjectId("table", "app", "users"), "case 2", "id", "1")
        (found,) = run(database, wish, tmp_path)
        assert [n for n in found.plan.notes if "stays" in n] == [
            "app.events_y2026m08 stays: app.events where id is '5' is held: case 1",
            "app.events_y2026m09 stays: rows of app.events_y2026m09 belong to what is held",
        ]
        assert "events_y2026m08" in names(database)
        retention_holds.release(conn, "case 2")
        run(database, wish, tmp_path)
        assert ("events_y2026m08" in names(database), "events_y2026m09" in names(database)) == (True, False)
    assert execute(database, "SELECT table_name, action, rows_gone FROM pgcharter.retention_runs") == [("events_y2026m09", "drop", 657)]


@pytest.mark.parametrize("major", [15, 18])
def test_everything_a_table_can_have(database: str, tmp_path: Path, major: int) -> None:
    new = ", i bigint GENERATED ALWAYS AS IDENTITY, virt int GENERATED ALWAYS AS (n + 1) VIRTUAL" if major >= 18 else ""
    execute(
        database,
        f"""CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('a'); CREATE SEQUENCE app.s; CREATE EXTENSION IF NOT EXISTS btree_gist;
        CREATE TABLE app.ref (id int PRIMARY KEY);
        CREATE TABLE app.events (dropped int, at date NOT NULL, n int DEFAULT nextval('app.s'), big text COMPRESSION pglz, m app.mood,
          twice int GENERATED ALWAYS AS (n * 2) STORED, r int, UNIQUE NULLS NOT DISTINCT (at, n), PRIMARY KEY (n, at),
          FOREIGN KEY (r) REFERENCES app.ref DEFERRABLE INITIALLY DEFERRED{new}) PARTITION BY RANGE (at);
        ALTER TABLE app.events DROP COLUMN dropped; ALTER TABLE app.events ALTER big SET STATISTICS 500, ALTER big SET STORAGE EXTERNAL;
        CREATE INDEX gin ON app.events USING gin (to_tsvector('simple', big)) WITH (fastupdate = off);
        CREATE INDEX ON app.events (lower(big)) INCLUDE (n) WHERE m = 'a';
        CREATE STATISTICS app.st ON n, r FROM app.events;
        CREATE TABLE app.inc (n int, at date, FOREIGN KEY (n, at) REFERENCES app.events (n, at));
        CREATE TABLE app.first PARTITION OF app.events FOR VALUES FROM ('2026-09-01') TO ('2026-10-01')
          WITH (autovacuum_vacuum_scale_factor = 0.01);
        CREATE FUNCTION app.no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';
        CREATE TRIGGER guard BEFORE TRUNCATE ON app.first EXECUTE FUNCTION app.no();
        ALTER TABLE app.first REPLICA IDENTITY FULL""",
    )
    (found,) = run(database, section(events()), tmp_path)
    assert (problems((found,)), found.unlike) == ([], ())
    part = read(database).table[ObjectId("table", "app", "events_y2026m11")]
    assert (part.replica_identity, part.options) == ("full", ("autovacuum_vacuum_scale_factor=0.01",))
    assert [t.name for t in part.triggers if t.level == "statement"] == ["guard"]
    execute(database, "INSERT INTO app.events (at, n, big) VALUES ('2026-11-05', 7, 'x'); INSERT INTO app.inc VALUES (7, '2026-11-05')")
    # what is referred to does not leave, and is said
    (found,) = run(database, section(events(keep="1 month", past=0)), tmp_path, datetime(2027, 3, 1, tzinfo=UTC))
    (said,) = problems((found,))
    assert "events_y2026m11 was not taken out, because rows of other tables refer to it" in said


def test_months_end_under_load(database: str, tmp_path: Path) -> None:
    """The clock moves over six month ends while rows come for now, and late ones: none is refused, each is here or in a file."""
    execute(database, BASE)
    clock, stop, failed, written = [NOW], threading.Event(), [], [0, 0]

    def write(which: int) -> None:
        try:
            with psycopg.connect(database, autocommit=True) as conn:
                while not stop.is_set():
                    written[which] += 1
                    at = clock[0] - which * timedelta(days=10)
                    conn.execute("INSERT INTO app.events VALUES (%s, 1, %s)", [written[which] * 2 + which, at])
        except BaseException as error:
            failed.append(error)

    wish = RetentionSection(partition=(events(ahead=1, keep="2 months", how="csv", to="files"),), lock_timeout="2s")
    partitions.run(database, wish, folder=tmp_path, now=clock[0])
    writers = [threading.Thread(target=write, args=(n,)) for n in (0, 1)]
    for writer in writers:
        writer.start()
    try:
        for month in (12, 1, 2, 3, 4, 5):
            found = partitions.run(database, wish, folder=tmp_path, now=clock[0])
            assert problems(found) == []
            clock[0] = datetime(2026 + (month < 12), month, 1, 0, 0, 1, tzinfo=UTC)
            failed or sleep(0.1)
            assert problems(partitions.run(database, wish, folder=tmp_path, now=clock[0])) == []
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert failed == []
    files = [retention_files.read(f) for f in (tmp_path / "files").glob("*.csv")]
    assert len(files) >= 4
    archived = sum(f.rows for f in files if f)
    assert archived + execute(database, "SELECT count(*) FROM app.events")[0][0] == sum(written)
