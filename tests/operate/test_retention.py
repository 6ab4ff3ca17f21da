"""Rows whose time is over, on real servers: archived, filed, deleted, none lost and none doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.policy.planned import applied

from pgcharter.errors import RefusedError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.names import ObjectId, quote
from pgcharter.operate import retention, retention_files, retention_holds
from pgcharter.operate.retention_model import Outcome
from pgcharter.policy import retention as policies
from pgcharter.policy.retention_settings import PurgeTable, RetentionSection, RuleTable
from pgcharter.policy.soft_delete_settings import SoftDeleteSection

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
SHOP = """
CREATE SCHEMA app;
CREATE TABLE app.orders (id int PRIMARY KEY, at timestamptz NOT NULL, v int NOT NULL DEFAULT 0, note text,
    twice int GENERATED ALWAYS AS (v * 2) STORED);
CREATE INDEX ON app.orders (at);
CREATE TABLE app.items (id int PRIMARY KEY, order_id int NOT NULL REFERENCES app.orders ON DELETE CASCADE, n int);
CREATE INDEX ON app.items (order_id);
CREATE TABLE app.parts (item_id int NOT NULL REFERENCES app.items ON DELETE CASCADE, p text);
INSERT INTO app.orders SELECT n, timestamptz '2026-11-22 08:00+00' - n * interval '1 day', n, 'Größe "' || n FROM generate_series(1, 100) n;
INSERT INTO app.items SELECT n, (n + 1) / 2, n FROM generate_series(1, 200) n;
INSERT INTO app.parts SELECT n, 'p' FROM generate_series(1, 200) n;
"""
LOGS = """
CREATE SCHEMA app;
CREATE TABLE app.logs (id int PRIMARY KEY, at timestamptz NOT NULL, v int NOT NULL DEFAULT 0);
INSERT INTO app.logs SELECT n, timestamptz '2026-11-22 08:00+00' - n * interval '1 day' FROM generate_series(1, 100) n;
"""
_plans: dict[int, tuple[str, ...]] = {}


def execute(dsn: str, sql: str, *parameters: Any) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        done = conn.execute(sql.encode(), parameters or None)
        return done.fetchall() if done.description else []


def ready(dsn: str, sql: str) -> None:
    """A database with the policy's tables and some of its own."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        version = conn.info.server_version
        if version not in _plans:
            made = planning.make(Wish("", dsn, chosen=Chosen((policies.policy(RetentionSection()),)), prove=False))
            _plans[version] = tuple(s.sql for s in applied(dsn, made).plan.steps)
        else:
            for statement in _plans[version]:
                conn.execute(statement.encode())
        conn.execute(sql.encode())


def wish(*rules: RuleTable, **more: Any) -> RetentionSection:
    return RetentionSection(rule=rules, lock_timeout="200ms", tries=3, **more)


def logs(**more: Any) -> RuleTable:
    return RuleTable(("app.logs",), **{"column": "at", "keep": "90d", "batch": 4, **more})


def run(
    dsn: str, section: RetentionSection, folder: Path, now: datetime = NOW, deleted: SoftDeleteSection | None = None
) -> tuple[Outcome, ...]:
    return retention.run(dsn, section, deleted or SoftDeleteSection(), folder=folder, now=now, sleep=lambda _: None)


@pytest.mark.parametrize("major", [15, 18])
@pytest.mark.parametrize("how", ["archive", "delete", "csv", "jsonl", "parquet"])
def test_rows_leave(database: str, tmp_path: Path, how: str, major: int) -> None:
    ready(database, LOGS)
    (done,) = run(database, wish(logs(how=how, to="files" if how not in ("archive", "delete") else "")), tmp_path)
    assert (done.problem, done.rows, done.batches, done.left) == ("", 10, 3, 0)
    assert execute(database, "SELECT count(*), max(id) FROM app.logs") == [(90, 90)]
    assert execute(database, "SELECT sum(rows_gone), count(*) FROM pgcharter.retention_runs") == [(10, 3)]
    (evidence,) = retention.evidence((done,), NOW)
    assert (evidence.name, evidence.holds) == ("retention.app.logs", True)
    if how == "archive":
        assert execute(database, "SELECT count(*), min(id), max(id) FROM app.logs_archive") == [(10, 91, 100)]
    elif how != "delete":
        files = list((tmp_path / "files").glob(f"*.{how}"))
        assert len(files) == 3
        assert [retention_files.verify(f) for f in files] == [""] * 3
        known = [retention_files.read(f) for f in files]
        assert sum(k.rows for k in known if k) == 10
    (again,) = run(database, wish(logs(how=how, to="files")), tmp_path)
    assert (again.problem, again.rows) == ("", 0)


@pytest.mark.parametrize("major", [15, 18])
def test_what_cascades_is_archived_first(database: str, tmp_path: Path, major: int) -> None:
    ready(database, SHOP)
    (done,) = run(database, wish(RuleTable(("app.orders",), column="at", keep="90d", batch=3)), tmp_path)
    assert (done.problem, done.rows, done.with_them) == ("", 10, 40)
    assert execute(database, "SELECT count(*), min(id), max(twice) FROM app.orders_archive") == [(10, 91, 200)]
    assert execute(database, "SELECT count(*), min(id) FROM app.items_archive") == [(20, 181)]
    assert execute(database, "SELECT count(*) FROM app.parts_archive") == [(20,)]
    assert execute(database, "SELECT count(*) FROM app.parts") == [(180,)]


def test_the_archive_follows_its_table(database: str, tmp_path: Path) -> None:
    ready(database, LOGS)
    assert run(database, wish(logs()), tmp_path)[0].rows == 10
    execute(database, "ALTER TABLE app.logs ADD COLUMN extra text DEFAULT 'x', DROP COLUMN v")
    (said,) = run(database, wish(logs(keep="80d")), tmp_path)
    assert "ALTER TABLE app.logs_archive ALTER COLUMN v DROP NOT NULL" in said.problem
    execute(database, "ALTER TABLE app.logs_archive ALTER COLUMN v DROP NOT NULL")
    assert run(database, wish(logs(keep="80d")), tmp_path)[0].rows == 10
    assert execute(database, "SELECT count(*) FROM app.logs_archive WHERE extra = 'x'") == [(10,)]
    execute(database, "ALTER TABLE app.logs ALTER COLUMN extra TYPE varchar(9)")
    assert "character varying(9) in app.logs" in run(database, wish(logs(keep="70d")), tmp_path)[0].problem


@pytest.mark.parametrize("major", [15, 18])
def test_race(database: str, tmp_path: Path, major: int) -> None:
    """Rows come, change and go back and forth over the cut-off while others leave: each is in one place, as it was last."""
    ready(database, LOGS.replace("generate_series(1, 100)", "generate_series(1, 3000)"))
    execute(database, "CREATE INDEX ON app.logs (at)")
    stop = threading.Event()
    failed: list[BaseException] = []

    def write(first: int) -> None:
        try:
            with psycopg.connect(database, autocommit=True) as conn:
                n = first
                while not stop.is_set():
                    n += 2
                    conn.execute("INSERT INTO app.logs VALUES (%s, '2026-01-01', 1)", [10_000 + n])
                    conn.execute("UPDATE app.logs SET v = v + 1 WHERE id = %s", [n % 3000 + 1])
                    conn.execute("UPDATE app.logs SET at = '2026-11-21', v = v + 1 WHERE id = %s", [(n * 7) % 3000 + 1])
                    conn.execute("INSERT INTO app.counts VALUES (%s)", [10_000 + n])
        except BaseException as error:
            failed.append(error)

    execute(database, "CREATE TABLE app.counts (id int)")
    writers = [threading.Thread(target=write, args=(n,)) for n in (0, 1)]
    for writer in writers:
        writer.start()
    try:
        outcomes = [run(database, wish(logs(batch=50)), tmp_path)[0] for _ in range(3)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    outcomes += run(database, wish(logs(batch=50)), tmp_path)
    assert (failed, [o.problem for o in outcomes]) == ([], [""] * 4)
    everything = "SELECT id, at, v FROM app.logs UNION ALL SELECT id, at, v FROM app.logs_archive"
    assert execute(database, f"SELECT count(*) - count(DISTINCT id) FROM ({everything}) x") == [(0,)]
    assert execute(database, f"SELECT count(*) FROM ({everything}) x WHERE id <= 3000") == [(3000,)]
    assert execute(database, f"SELECT count(*) FROM app.counts WHERE id NOT IN (SELECT id FROM ({everything}) x)") == [(0,)]
    assert execute(database, "SELECT count(*) FROM app.logs_archive WHERE at >= timestamptz '2026-08-24 08:00+00'") == [(0,)]
    assert execute(database, "SELECT count(*) FROM app.logs WHERE at < timestamptz '2026-08-24 08:00+00'") == [(0,)]
    assert sum(o.rows for o in outcomes) == execute(database, "SELECT count(*) FROM app.logs_archive")[0][0]


def test_race_with_children(database: str, tmp_path: Path) -> None:
    """Children come to parents that are leaving: refused by the foreign key, or archived; none goes with the cascade alone."""
    ready(database, SHOP)
    execute(database, "CREATE TABLE app.made (id int)")
    stop, failed = threading.Event(), []

    def write() -> None:
        try:
            with psycopg.connect(database, autocommit=True) as conn:
                n = 1000
                while not stop.is_set():
                    n += 1
                    try:
                        conn.execute(
                            "WITH i AS (INSERT INTO app.items VALUES (%s, %s, 0) RETURNING id) INSERT INTO app.made SELECT id FROM i",
                            [n, n % 100 + 1],
                        )
                    except psycopg.errors.ForeignKeyViolation:
                        continue
        except BaseException as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        section = wish(RuleTable(("app.orders",), column="at", keep="10d", batch=1))
        outcomes = [run(database, section, tmp_path)[0]]
    finally:
        stop.set()
        writer.join()
    assert (failed, outcomes[0].problem, outcomes[0].left) == ([], "", 0)
    lost = "SELECT count(*) FROM app.made WHERE id NOT IN (SELECT id FROM app.items UNION ALL SELECT id FROM app.items_archive)"
    assert execute(database, lost) == [(0,)]
    assert (
        outcomes[0].with_them
        == execute(database, "SELECT (SELECT count(*) FROM app.items_archive) + (SELECT count(*) FROM app.parts_archive)")[0][0]
    )


def test_legal_holds(database: str, tmp_path: Path) -> None:
    ready(database, SHOP)
    orders, items = ObjectId("table", "app", "orders"), ObjectId("table", "app", "items")
    rule = wish(RuleTable(("app.orders",), column="at", keep="90d", batch=3))
    with psycopg.connect(database, autocommit=True) as conn:
        retention_holds.place(conn, orders, "case 1", "id", "95")
        retention_holds.place(conn, items, "case 2", "id", "200")
        (done,) = run(database, rule, tmp_path)
        assert (done.problem, done.rows, done.left) == ("", 8, 0)
        assert [r[0] for r in execute(database, "SELECT id FROM app.orders WHERE id > 90 ORDER BY 1")] == [95, 100]
        everything = retention_holds.place(conn, orders, "case 3")
        assert "is held: case 3" in run(database, rule, tmp_path)[0].problem
        # what belongs to a held row stays with it
        execute(database, "ALTER TABLE app.items ADD COLUMN at date NOT NULL DEFAULT '2020-01-01'")
        retention_holds.release(conn, str(everything.id))
        (done,) = run(database, wish(RuleTable(("app.items",), column="at", keep="90d", how="delete")), tmp_path)
        assert (done.problem, [r[0] for r in execute(database, "SELECT id FROM app.items ORDER BY 1")]) == ("", [189, 190, 200])
        assert retention_holds.release(conn, "case 1") + retention_holds.release(conn, "case 2") == 2
        execute(database, "ALTER TABLE app.items_archive ALTER COLUMN n TYPE int")
        assert run(database, rule, tmp_path)[0].rows == 2
        conn.execute("DROP TABLE pgcharter.legal_holds")
        with pytest.raises(RefusedError, match="not installed"):
            retention_holds.place(conn, orders, "case 4")
    with pytest.raises(RefusedError, match="nothing may leave"):
        run(database, rule, tmp_path)


def test_a_hold_waits_for_rows_that_are_leaving(database: str) -> None:
    ready(database, LOGS)
    with psycopg.connect(database) as leaving, psycopg.connect(database, autocommit=True) as conn:
        leaving.execute(retention_holds.SQL["leaving"])
        conn.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            retention_holds.place(conn, ObjectId("table", "app", "logs"), "case")
        leaving.rollback()
        retention_holds.place(conn, ObjectId("table", "app", "logs"), "case")


_RUN = """
import sys
from datetime import datetime
from pathlib import Path
from pgcharter.operate import retention
from pgcharter.policy.retention_settings import RetentionSection, RuleTable
from pgcharter.policy.soft_delete_settings import SoftDeleteSection
wish = RetentionSection(rule=(RuleTable(("app.logs",), column="at", keep="90d", batch=4, how=sys.argv[4], to=sys.argv[5]),))
retention.run(sys.argv[1], wish, SoftDeleteSection(), folder=Path(sys.argv[2]), now=datetime.fromisoformat(sys.argv[3]))
"""


@pytest.mark.parametrize(
    ("point", "how"), [(p, h) for p in retention.POINTS for h in ("archive", "jsonl") if h == "jsonl" or p not in retention_files.POINTS]
)
def test_killed_anywhere(database: str, tmp_path: Path, point: str, how: str) -> None:
    ready(database, LOGS)
    to = "files" if how == "jsonl" else ""
    occurrence = 1 if point == "retention.prepared" else 2
    environment = {**os.environ, "PGCHARTER_FAULT": f"{point}:{occurrence}", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", _RUN, database, str(tmp_path), NOW.isoformat(), how, to]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    (done,) = run(database, wish(logs(how=how, to=to)), tmp_path)
    assert (done.problem, done.left) == ("", 0)
    live = [r[0] for r in execute(database, "SELECT id FROM app.logs")]
    if how == "archive":
        archived = [r[0] for r in execute(database, "SELECT id FROM app.logs_archive")]
    else:
        files = [f for f in (tmp_path / "files").glob("*.jsonl") if retention_files.read(f)]
        assert [retention_files.verify(f) for f in files] == [""] * len(files)
        archived = [json.loads(line)["id"] for f in files for line in f.read_text().splitlines()]
    assert sorted(live + archived) == list(range(1, 101))
    assert execute(database, "SELECT sum(rows_gone) FROM pgcharter.retention_runs") == [(10,)]


@pytest.mark.parametrize(
    ("sql", "rule", "said"),
    [
        ("", {"column": "made_at"}, "has no column made_at"),
        ("", {"column": "v"}, "is integer, and no date or time"),
        ("", {"tables": ("app.nothing",)}, "no table is meant by app.nothing"),
        ("", {"where": "nonsense = 1"}, 'column "nonsense" does not exist'),
        ("CREATE TABLE app.x (log int REFERENCES app.logs); INSERT INTO app.x VALUES (100)", {}, ""),
        ("CREATE TABLE app.p (at date) PARTITION BY RANGE (at)", {"tables": ("app.p",)}, "has no primary key"),
        (
            "ALTER TABLE app.logs ADD up int; CREATE TABLE app.a (id int PRIMARY KEY, l int REFERENCES app.logs ON DELETE CASCADE);"
            "ALTER TABLE app.logs ADD FOREIGN KEY (up) REFERENCES app.a ON DELETE CASCADE",
            {},
            "back to where it was",
        ),
    ],
)
def test_what_cannot_be_is_said_and_stops_nobody(database: str, tmp_path: Path, sql: str, rule: dict[str, Any], said: str) -> None:
    ready(
        database,
        LOGS + sql + ";CREATE SCHEMA two; CREATE TABLE two.t (at timestamp); INSERT INTO two.t VALUES ('2020-01-01'), ('2026-11-21')",
    )
    other = RuleTable(("two.*",), column="at", keep="1y", how="delete")
    rules = RuleTable(**{"tables": ("app.logs",), "column": "at", "keep": "90d", **rule})
    done = run(database, wish(rules, other), tmp_path)
    assert any(said in o.problem for o in done)
    assert execute(database, "SELECT count(*) FROM two.t") == [(1,)]
    if not said:
        assert execute(database, "SELECT min(id) FROM app.logs WHERE at < timestamptz '2026-08-24 08:00+00'") == [(100,)]


def test_referring_to_itself(database: str, tmp_path: Path) -> None:
    """Leaves go first; a parent stays as long as somebody younger refers to it."""
    ready(
        database,
        LOGS
        + "ALTER TABLE app.logs ADD up int REFERENCES app.logs ON DELETE CASCADE;"
        + "UPDATE app.logs SET up = id + 1 WHERE id < 100 AND id <> 94",
    )
    (done,) = run(database, wish(logs(batch=100)), tmp_path)
    assert (done.problem, done.rows, done.batches) == ("", 6, 6)
    assert [r[0] for r in execute(database, "SELECT id FROM app.logs WHERE id > 90 ORDER BY 1")] == [91, 92, 93, 94]


def test_purge_of_soft_deleted(database: str, tmp_path: Path) -> None:
    ready(database, LOGS + "ALTER TABLE app.logs ADD deleted_at timestamptz; UPDATE app.logs SET deleted_at = at WHERE id % 2 = 0")
    (done,) = run(database, wish(purge=PurgeTable(keep="90d")), tmp_path, deleted=SoftDeleteSection(tables=("app.*",)))
    assert (done.problem, done.rows) == ("", 5)
    assert execute(database, "SELECT count(*) FROM app.logs") == [(95,)]


HOSTILE = ['Größe "x" y', "a" * 63, "é" * 31, "select", "%s; --'"]


def test_hostile_names(database: str, tmp_path: Path) -> None:
    schemas = [f'S {n} "é%' for n in range(len(HOSTILE))]
    tables = [ObjectId("table", schema, name).sql() for schema, name in zip(schemas, HOSTILE, strict=True)]
    sql = "".join(f"CREATE SCHEMA {quote(schema)};" for schema in schemas)
    for table, name in zip(tables, HOSTILE, strict=True):
        sql += f"CREATE TABLE {table} ({quote(name)} timestamptz PRIMARY KEY, b text);"
        sql += f"INSERT INTO {table} VALUES ('2020-01-01', '%'), (now(), NULL);"
    ready(database, sql)
    for how in ("archive", "jsonl"):
        to = "files" if how == "jsonl" else ""
        named = zip(tables, HOSTILE, strict=True)
        rules = [RuleTable((table,), column=name, how=how, to=to) for table, name in named]  # type: ignore[arg-type]
        assert [(o.problem, o.rows) for o in run(database, wish(*rules), tmp_path)] == [("", 1)] * len(HOSTILE)
        execute(database, "".join(f"INSERT INTO {table} VALUES ('2020-01-02', '%');" for table in tables))


def test_rights(database: str, tmp_path: Path) -> None:
    ready(
        database,
        LOGS
        + "CREATE ROLE rt_nobody; GRANT USAGE ON SCHEMA pgcharter, app TO rt_nobody; GRANT SELECT ON pgcharter.legal_holds TO rt_nobody",
    )
    try:
        with retention.opened(database, wish()) as conn:
            conn.execute("SET ROLE rt_nobody")
            (job,) = retention.plans(conn, wish(logs()), SoftDeleteSection(), NOW)
            assert "may not read and delete rows of app.logs" in job.problem
            conn.execute(
                "RESET ROLE; GRANT SELECT, DELETE ON app.logs TO rt_nobody;"
                "ALTER TABLE app.logs ENABLE ROW LEVEL SECURITY; SET ROLE rt_nobody"
            )
            (job,) = retention.plans(conn, wish(logs()), SoftDeleteSection(), NOW)
            assert "row policies hide rows of app.logs" in job.problem
            conn.execute("RESET ROLE; REVOKE SELECT ON pgcharter.legal_holds FROM rt_nobody; SET ROLE rt_nobody")
            with pytest.raises(RefusedError, match="nobody knows what must stay"):
                retention.plans(conn, wish(logs()), SoftDeleteSection(), NOW)
    finally:
        execute(database, "DROP OWNED BY rt_nobody; DROP ROLE rt_nobody")


ODD = """
CREATE SCHEMA app; CREATE DOMAIN app.dom AS numeric(5,2);
CREATE TYPE app.comp AS (a int, b text); CREATE TYPE app.mood AS ENUM ('x');
CREATE TABLE app.logs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), at timestamp NOT NULL, gone int, d app.dom,
  c app.comp, m app.mood, arr int[][], r int4range, j jsonb, b bytea, iv interval, n numeric, f float8, inf timestamptz,
  t time, ip inet, p text, pick text, l text);
ALTER TABLE app.logs DROP COLUMN gone;
INSERT INTO app.logs (at, d, c, m, arr, r, j, b, iv, n, f, inf, t, ip, p)
  VALUES ('2020-01-01', 1.25, (1,'q"'), 'x', '{{1,2},{3,4}}', '[1,5)', '{"a": [1]}', '\\x00ff', '1 year 2 mons',
    12345678901234567890.123, 'NaN', '2020-01-01', '10:00', '::1', E'a\\x01\\x02\\n');
"""


@pytest.mark.parametrize("how", ["archive", "parquet", "jsonl", "csv"])
def test_odd_columns(database: str, tmp_path: Path, how: str) -> None:
    """Types of every kind, names that our own statements use, values that Parquet cannot hold."""
    ready(database, ODD)
    to = "" if how == "archive" else "files"
    sql = "INSERT INTO app.logs (at, inf, t) VALUES ('2020-01-02', 'infinity', '24:00')"
    assert [(o.problem, o.rows) for o in run(database, wish(logs(how=how, to=to)), tmp_path)] == [("", 1)]
    execute(database, sql)
    (done,) = run(database, wish(logs(how=how, to=to)), tmp_path)
    if how == "parquet":
        assert "holds a value that Parquet's types do not" in done.problem
        assert execute(database, "SELECT count(*) FROM app.logs") == [(1,)]
    else:
        assert (done.problem, done.rows) == ("", 1)
    if how == "jsonl":
        rows = [json.loads(f.read_text(encoding="utf-8")) for f in (tmp_path / "files").glob("*.jsonl")]
        assert {(r["p"], r["inf"], r["b"]) for r in rows} == {
            ("a\x01\x02\n", "2020-01-01T00:00:00+00:00", "\\x00ff"),
            (None, "infinity", None),
        }


def test_partitions_and_no_key(database: str, tmp_path: Path) -> None:
    ready(
        database,
        """CREATE SCHEMA app; CREATE TABLE app.par (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE app.par1 PARTITION OF app.par FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
        CREATE TABLE app.par2 PARTITION OF app.par FOR VALUES FROM ('2021-01-01') TO ('2027-01-01');
        CREATE TABLE app.kid (pid int, pat date, FOREIGN KEY (pid, pat) REFERENCES app.par ON DELETE CASCADE) PARTITION BY HASH (pid);
        CREATE TABLE app.kid0 PARTITION OF app.kid FOR VALUES WITH (MODULUS 1, REMAINDER 0);
        INSERT INTO app.par SELECT n, date '2020-06-01' + n FROM generate_series(1, 2000) n; INSERT INTO app.kid SELECT id, at FROM app.par;
        CREATE TABLE app.logs (at timestamptz, v text); INSERT INTO app.logs SELECT '2026-01-01', 'same' FROM generate_series(1, 10)""",
    )
    for how in ("archive", "csv"):
        (done,) = run(database, wish(logs(how=how, to="files" if how == "csv" else "")), tmp_path)
        assert (done.problem, done.rows) == ("", 10)
        execute(database, "INSERT INTO app.logs SELECT '2026-01-01', 'same' FROM generate_series(1, 10)")
    (done,) = run(database, wish(RuleTable(("app.par",), column="at", keep="2y", batch=500)), tmp_path)
    assert (done.problem, done.rows, done.with_them) == ("", 1634, 1634)
    assert execute(database, "SELECT (SELECT count(*) FROM app.kid), (SELECT count(*) FROM app.kid_archive)") == [(366, 1634)]


def test_what_others_refer_to_stays_and_is_told(database: str, tmp_path: Path) -> None:
    """One order whose item is referred to does not hold up the others, and nobody says that all is well."""
    ready(database, SHOP + "CREATE TABLE app.claims (item int REFERENCES app.items); INSERT INTO app.claims VALUES (200)")
    rule = wish(RuleTable(("app.orders",), column="at", keep="90d"))
    (done,) = run(database, rule, tmp_path)
    assert (done.problem, done.rows, done.left) == ("", 9, 1)
    assert not retention.evidence((done,), NOW)[0].holds
    execute(database, "DELETE FROM app.claims")
    (done,) = run(database, rule, tmp_path)
    assert (done.problem, done.rows, done.left) == ("", 1, 0)
