"""Upkeep on real servers: what was done to a database on purpose is found with its reason, done, and not found any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcharter.errors import RefusedError
from pgcharter.operate import upkeep, upkeep_run
from pgcharter.operate.upkeep_memory import Memory
from pgcharter.operate.upkeep_model import UpkeepPlan
from pgcharter.operate.upkeep_settings import UpkeepSection

SMALL = UpkeepSection(bloat_least="64kB", pause="0.1s", retries=1, wait="1s", refresh="0s")
SEEDED = """
CREATE SCHEMA "Größe";
CREATE TABLE "Größe"."Order" (id bigint PRIMARY KEY, code text NOT NULL, pad text) WITH (autovacuum_enabled = off);
CREATE INDEX "Code ix" ON "Größe"."Order" (code);
INSERT INTO "Größe"."Order" SELECT n, md5(n::text), 'x' FROM generate_series(1, 20000) n;
CREATE TABLE twins (n int, m int);
INSERT INTO twins SELECT n % 500, n FROM generate_series(1, 1000) n;
CREATE TABLE parted (at date NOT NULL, n int) PARTITION BY RANGE (at);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO parted SELECT '2026-02-01', n FROM generate_series(1, 100) n;
CREATE TABLE quiet (n int) WITH (autovacuum_vacuum_threshold = 100000, autovacuum_analyze_threshold = 100000);
INSERT INTO quiet SELECT n FROM generate_series(1, 3000) n;
CREATE TABLE small_ids (id int GENERATED ALWAYS AS IDENTITY, n int);
ALTER SEQUENCE small_ids_id_seq RESTART 2000000000;
INSERT INTO small_ids (n) VALUES (1);
CREATE VIEW between AS SELECT n, count(*) AS m FROM twins GROUP BY n;
CREATE MATERIALIZED VIEW a_upper AS SELECT 1 AS one;
DROP MATERIALIZED VIEW a_upper;
CREATE MATERIALIZED VIEW lower_mv AS SELECT * FROM between;
CREATE UNIQUE INDEX ON lower_mv (n);
CREATE VIEW over AS SELECT sum(m) AS s FROM lower_mv;
CREATE MATERIALIZED VIEW a_upper AS SELECT * FROM over WITH NO DATA;
ALTER TABLE twins ADD CONSTRAINT big CHECK (m > 0) NOT VALID;
"""


def seed(dsn: str) -> None:
    """What is wrong on purpose."""
    changed(dsn, SEEDED)
    changed(dsn, 'VACUUM ANALYZE "Größe"."Order"')
    changed(dsn, "VACUUM ANALYZE quiet")
    changed(dsn, "DELETE FROM quiet WHERE n > 100")
    changed(dsn, 'DELETE FROM "Größe"."Order" WHERE id % 10 <> 0')
    with pytest.raises(psycopg.errors.UniqueViolation):
        changed(dsn, "CREATE UNIQUE INDEX CONCURRENTLY twins_n ON twins (n)")
    changed(dsn, "DELETE FROM twins WHERE m > 500; CREATE INDEX twins_m ON twins (m)")
    for hinders in ("LOCK TABLE twins IN ROW EXCLUSIVE MODE", "SELECT * FROM twins"):  # before the build, and before the old one goes
        with psycopg.connect(dsn) as holder, psycopg.connect(dsn, autocommit=True) as conn:
            holder.execute(hinders.encode())
            conn.execute("SET lock_timeout = '300ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                conn.execute("REINDEX INDEX CONCURRENTLY twins_m")


def made(dsn: str, section: UpkeepSection = SMALL, memory: Memory | None = None) -> UpkeepPlan:
    with upkeep_run.session(dsn) as conn:
        return upkeep.make(conn, section, memory)


def kinds(plan: UpkeepPlan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for step in plan.steps:
        found.setdefault(step.kind, []).append(step.object)
    return found


def asked(dsn: str, sql: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return [row[0] if len(row) == 1 else row for row in conn.execute(sql.encode()).fetchall()]


def changed(dsn: str, sql: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(sql.encode())
        conn.execute("SELECT pg_stat_force_next_flush()")  # a session that ends tells its statistics a moment later


@pytest.mark.parametrize("major", [15, 18])
def test_planned_done_and_nothing_left(database: str, major: int, tmp_path: Path) -> None:
    seed(database)
    changed(database, "CREATE EXTENSION pgstattuple")
    memory = Memory.read(tmp_path / "state" / "one.json")
    plan = made(database, memory=memory)
    found = kinds(plan)
    assert found["leftover"] == ["public.twins_m_ccnew", "public.twins_m_ccold"]
    assert found["vacuum"] == ['"Größe"."Order"']
    assert "public.parted" in found["analyze"]
    assert "public.quiet" not in found["vacuum"] + found["analyze"]
    assert "public.twins_n" in found["reindex"]
    assert found["refresh"] == ["public.lower_mv", "public.a_upper"]
    [order] = [s for s in plan.steps if s.kind == "vacuum"]
    assert "18,000 dead rows beside 2,000" in order.reason
    assert "autovacuum is off for it" in order.reason
    assert {s.lock for s in plan.steps if s.kind == "refresh"} == {"EXCLUSIVE: readers go on", "ACCESS EXCLUSIVE: readers wait"}
    assert {(a.kind, a.object) for a in plan.advice} >= {("sequence", "public.small_ids"), ("constraint", "public.twins")}

    done, left = upkeep_run.run(database, SMALL, memory, first=plan)
    assert [(d.step.object, d.error) for d in done if d.status != "done"] == []
    bloated = [d.step for d in done if d.step.facts.get("bloat_percent")]
    assert {s.object for s in bloated} == {'"Größe"."Code ix"', '"Größe"."Order_pkey"'}
    assert all("counted by pgstattuple" in s.reason for s in bloated)
    assert left.steps == ()
    assert made(database, memory=Memory.read(memory.file)).steps == ()
    assert asked(database, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [0]
    assert asked(database, "SELECT s FROM a_upper") == [500]
    assert [e.name for e in upkeep_run.evidence(done, left) if not e.holds] == []
    assert [(a.kind, a.object) for a in left.advice if a.kind == "table"] == [("table", '"Größe"."Order"')]

    changed(database, "INSERT INTO twins SELECT n, n FROM generate_series(501, 600) n")
    assert kinds(made(database, memory=Memory.read(memory.file))).get("refresh") == ["public.lower_mv", "public.a_upper"]


@pytest.mark.parametrize("major", [15, 18])
def test_a_clean_database_needs_nothing(database: str, major: int) -> None:
    """Neither out-of-line values nor long keys nor many equal ones are bloat."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE wide (id int PRIMARY KEY, v text, w text, k numeric, nothing int)")
        conn.execute("ALTER TABLE wide ALTER v SET STORAGE EXTERNAL")
        conn.execute("INSERT INTO wide SELECT n, repeat('x', 5000), md5((n % 7)::text), n % 3, NULL FROM generate_series(1, 5000) n")
        for column in ("w", "k", "nothing", "lower(w)", "id, w"):
            conn.execute(f"CREATE INDEX ON wide ({column})".encode())
    changed(database, "VACUUM ANALYZE wide")
    plan = made(database)
    assert (plan.steps, plan.advice, plan.gaps) == ((), (), ())
    changed(database, "DROP TABLE wide; CREATE TABLE none_yet (id int PRIMARY KEY)")
    assert made(database).steps == ()


def test_without_the_extension_an_estimate_is_acted_on_once(database: str, tmp_path: Path) -> None:
    seed(database)
    memory = Memory.read(tmp_path / "one.json")
    done, left = upkeep_run.run(database, SMALL, memory)
    assert any("estimated" in d.step.reason for d in done if d.step.kind == "reindex")
    assert left.steps == ()


def test_who_may_not_says_so(database: str) -> None:
    changed(database, "CREATE ROLE up_keeper; CREATE TABLE theirs (n int); INSERT INTO theirs SELECT generate_series(1, 100)")
    changed(database, "CREATE TABLE own (n int); INSERT INTO own SELECT generate_series(1, 100); ALTER TABLE own OWNER TO up_keeper")
    try:
        with upkeep_run.session(database) as conn:
            conn.execute("SET ROLE up_keeper")
            plan = upkeep.make(conn, SMALL)
            assert kinds(plan) == {"analyze": ["public.own"]}
            assert [g.what for g in plan.gaps] == ["analyze public.theirs"]
            conn.execute("RESET ROLE; GRANT pg_maintain TO up_keeper; SET ROLE up_keeper")
            assert sorted(kinds(upkeep.make(conn, SMALL))["analyze"]) == ["public.own", "public.theirs"]
            assert [e.name for e in upkeep_run.evidence([], plan) if not e.holds] == ["upkeep.analyze"]
    finally:
        changed(database, "DROP OWNED BY up_keeper; DROP ROLE up_keeper")


def test_the_window(database: str) -> None:
    changed(database, "CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 100)")
    later = datetime.now(UTC) + timedelta(hours=3)
    closed = UpkeepSection(window=f"{later:%H:%M}-{later + timedelta(hours=1):%H:%M} UTC")
    with pytest.raises(RefusedError, match="it is not that time"):
        upkeep_run.run(database, closed, Memory())
    done, _ = upkeep_run.run(database, closed, Memory(), always=True)
    assert [d.status for d in done] == ["done"]


def test_the_window_ends_between_steps(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "tu":
        changed(database, f"CREATE TABLE {name} (n int); INSERT INTO {name} SELECT generate_series(1, 100)")
    told: list[str] = []
    section = UpkeepSection(window="00:00-23:59 UTC")
    answers = iter([True, True, False])
    monkeypatch.setattr(upkeep_run, "_open", lambda *_: next(answers))
    done, left = upkeep_run.run(database, section, Memory(), tell=lambda d, *_: told.append(d.status))
    assert told == [d.status for d in done] == ["done", "left"]
    assert len(left.steps) == 1
    assert [e.holds for e in upkeep_run.evidence(done, left) if e.name == "upkeep.analyze"] == [False]


def test_a_lock_is_not_waited_for_long_and_others_go_on(database: str) -> None:
    for name in "tu":
        changed(database, f"CREATE TABLE {name} (n int); INSERT INTO {name} SELECT generate_series(1, 100)")
    with psycopg.connect(database) as holder:
        holder.execute("LOCK TABLE t IN SHARE MODE")
        done, left = upkeep_run.run(database, UpkeepSection(wait="100ms", pause="0s", retries=2), Memory())
    assert sorted((d.step.object, d.status) for d in done) == [("public.t", "failed"), ("public.u", "done")]
    assert "tried 3 times" in next(d.error for d in done if d.status == "failed")
    assert len(left.steps) == 1


def test_a_reindex_that_waits_in_vain_leaves_nothing(database: str) -> None:
    changed(database, "CREATE TABLE t (n int); INSERT INTO t VALUES (1), (1); ANALYZE t")
    with psycopg.connect(database, autocommit=True) as conn, pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("CREATE UNIQUE INDEX CONCURRENTLY t_n ON t (n)")
    done, _ = upkeep_run.run(database, SMALL, Memory())
    assert [(d.step.kind, d.status) for d in done] == [("reindex", "failed")]
    assert "could not create unique index" in done[0].error
    assert asked(database, "SELECT count(*) FROM pg_class WHERE relname ~ '_cc(new|old)'") == [0]


def test_only_one_run_at_a_time(database: str) -> None:
    with upkeep_run.session(database) as conn:
        conn.execute(upkeep_run._ONE.encode())
        with pytest.raises(RefusedError, match="another run"):
            upkeep_run.run(database, SMALL, Memory())


def pgcharter(dsn: str, folder: Path, *words: str, fault: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pgcharter", "upkeep", *words, "--on", dsn]
    environment = {**os.environ, "PGCHARTER_FAULT": fault, "LIVE": dsn}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("fault", ["upkeep step:3", "upkeep stepped:2", "upkeep remembered:1"])
def test_killed_and_gone_on_with(database: str, tmp_path: Path, fault: str) -> None:
    seed(database)
    (tmp_path / "pgcharter.toml").write_text('[upkeep]\nbloat_least = "64kB"\nrefresh = "0s"\n')
    assert pgcharter(database, tmp_path, "run", "--yes", fault=fault).returncode == -signal.SIGKILL
    again = pgcharter(database, tmp_path, "run", "--yes")
    assert again.returncode == 0, again.stdout + again.stderr
    last = pgcharter(database, tmp_path, "plan")
    assert (last.returncode, "nothing is to be done" in last.stdout) == (0, True), last.stdout


def test_production_is_asked_for_by_name(database: str, tmp_path: Path) -> None:
    changed(database, "CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 100)")
    (tmp_path / "pgcharter.toml").write_text('[environments.live]\ndsn_env = "LIVE"\nproduction = true\n')
    refused = pgcharter(database, tmp_path, "run", "--yes")
    assert refused.returncode == 4
    assert "--confirm live" in refused.stderr
    assert pgcharter(database, tmp_path, "run", "--yes", "--confirm", "live").returncode == 0
