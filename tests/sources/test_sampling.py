"""Samples of rows: found on every version, kept to the budget, honest about what was not seen, and nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from tests.conftest import every_major

from pgcharter import sources
from pgcharter.catalog import codec
from pgcharter.catalog.model import Samples
from pgcharter.catalog.reading import Reading
from pgcharter.db import connect
from pgcharter.sources import live, sampling

VISITS = """
CREATE TABLE visits (id bigint PRIMARY KEY, postal_code text NOT NULL, city text NOT NULL, secret text NOT NULL);
INSERT INTO visits SELECT n, 'code ' || n % 300, 'city ' || n % 300 / 10, 'hidden ' || n % 47 FROM generate_series(1, 3000) AS n;
ANALYZE visits;
"""


def made(dsn: str, statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statements.encode())


def looked(dsn: str, seconds: float = 60) -> tuple[Samples, Reading]:
    reading = live.read(dsn, looks=[sampling.look(seconds)])
    assert reading.stats is not None
    assert reading.stats.samples is not None
    return reading.stats.samples, reading


def pairs(samples: Samples) -> list[tuple[str, str, str]]:
    return [(d.table.name, d.determinant, d.dependent) for d in samples.dependencies]


def gaps(reading: Reading) -> dict[str, str]:
    return {g.what: g.why for g in reading.gaps if g.what.startswith("rows of")}


@every_major
def test_dependencies_are_found_on_every_version(database: str, major: int) -> None:
    made(database, VISITS)
    samples, reading = looked(database)
    assert pairs(samples) == [("visits", "postal_code", "city")]
    found = samples.dependencies[0]
    assert (found.rows, found.values, found.outcomes) == (3000, 300, 30)
    assert (samples.tables, samples.rows) == (1, 3000)
    assert gaps(reading) == {}


@every_major
def test_large_tables_are_sampled_and_partitions_are_one_table(database: str, major: int) -> None:
    made(
        database,
        """
        CREATE TABLE small_ones (id bigint PRIMARY KEY, post_code text NOT NULL, town text NOT NULL);
        INSERT INTO small_ones SELECT n, n * 31 % 900, n * 31 % 900 / 9 FROM generate_series(1, 90000) AS n;
        CREATE TABLE big_ones (id bigint PRIMARY KEY, post_code text NOT NULL, town text NOT NULL);
        INSERT INTO big_ones SELECT n, n * 31 % 900, n * 31 % 900 / 9 FROM generate_series(1, 600000) AS n;
        CREATE TABLE parted (id bigint, post_code text NOT NULL, town text NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE parted_a PARTITION OF parted FOR VALUES FROM (0) TO (30000);
        CREATE TABLE parted_b PARTITION OF parted FOR VALUES FROM (30000) TO (60000);
        INSERT INTO parted SELECT n, n * 31 % 900, n * 31 % 900 / 9 FROM generate_series(1, 50000) AS n;
        ANALYZE;
        """,
    )
    samples, reading = looked(database)
    assert {d.table.name for d in samples.dependencies} == {"small_ones", "big_ones", "parted"}
    assert all(15_000 < d.rows < 31_000 for d in samples.dependencies)
    assert looked(database)[0] == samples, "the same sample each time"
    assert gaps(reading) == {}


def test_names_that_need_quotes(database: str) -> None:
    table = 'odd "table" {0} %s'
    with psycopg.connect(database, autocommit=True) as conn:
        names = [sql.Identifier(n) for n in (table, "Post code", "to'wn; --", "{answers}")]
        conn.execute(sql.SQL("CREATE TABLE {} (id bigint PRIMARY KEY, {} text, {} text, {} text)").format(*names))
        conn.execute(
            sql.SQL("INSERT INTO {} SELECT n, n % 300, n % 300 / 10, md5(n::text) FROM generate_series(1, 3000) AS n").format(names[0])
        )
        conn.execute("ANALYZE")
    assert pairs(looked(database)[0]) == [(table, "Post code", "to'wn; --")]


def test_values_of_the_data_stay_on_the_server(database: str) -> None:
    made(database, VISITS)
    samples, reading = looked(database)
    assert reading.catalog is not None
    assert "hidden" not in repr(reading)
    assert "city 1" not in repr(samples)
    assert codec.loads(codec.dumps(reading.catalog, reading.cluster)) == reading.catalog


def test_empty_and_small_tables_are_no_gap_but_unanalysed_ones_are(database: str) -> None:
    made(
        database,
        """
        CREATE TABLE nothing (id bigint PRIMARY KEY, postal_code text, city text);
        CREATE TABLE few (id bigint PRIMARY KEY, postal_code text, city text);
        INSERT INTO few SELECT n, n % 10, n % 5 FROM generate_series(1, 100) AS n;
        CREATE TABLE fresh (id bigint PRIMARY KEY, postal_code text, city text) WITH (autovacuum_enabled = off);
        INSERT INTO fresh SELECT n, n % 300, n % 30 FROM generate_series(1, 3000) AS n;
        CREATE TABLE fresh_parts (id bigint PRIMARY KEY, postal_code text, city text) PARTITION BY RANGE (id);
        CREATE TABLE fresh_part PARTITION OF fresh_parts FOR VALUES FROM (0) TO (30000);
        INSERT INTO fresh_parts SELECT n, n % 300, n % 30 FROM generate_series(1, 3000) AS n;
        ANALYZE fresh_part;
        SELECT pg_stat_force_next_flush();
        """,
    )
    time.sleep(0.1)
    samples, reading = looked(database)
    assert samples == Samples()
    assert gaps(reading) == {
        "rows of public.fresh, public.fresh_parts": "never analysed, so it is not known what is worth a look: ANALYZE first"
    }


@pytest.fixture
def reader(database: str) -> Iterator[str]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE ROLE sample_reader LOGIN PASSWORD 'for tests'")
        yield make_conninfo(database, user="sample_reader", password="for tests")
        conn.execute("DROP OWNED BY sample_reader")
        conn.execute("DROP ROLE sample_reader")


def test_what_the_role_may_not_read_is_a_gap(database: str, reader: str) -> None:
    made(database, VISITS)
    made(
        database,
        """
        CREATE TABLE guarded (LIKE visits INCLUDING ALL);
        INSERT INTO guarded SELECT * FROM visits;
        ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
        CREATE FUNCTION trap(bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'ran'; END $$;
        CREATE POLICY some_rows ON guarded USING (trap(id));
        CREATE TABLE partly (LIKE visits INCLUDING ALL);
        INSERT INTO partly SELECT * FROM visits;
        CREATE TABLE allowed (LIKE visits INCLUDING ALL);
        INSERT INTO allowed SELECT * FROM visits;
        GRANT SELECT ON guarded, allowed TO sample_reader;
        GRANT SELECT (id, postal_code) ON partly TO sample_reader;
        ANALYZE;
        """,
    )
    samples, reading = looked(reader)
    assert pairs(samples) == [("allowed", "postal_code", "city")]
    assert gaps(reading) == {"rows of public.guarded, public.partly, public.visits": "the role may not read all of its rows and columns"}


def test_a_locked_table_is_a_gap_and_the_rest_is_looked_at(database: str) -> None:
    made(database, VISITS + "CREATE TABLE locked (LIKE visits INCLUDING ALL); INSERT INTO locked SELECT * FROM visits; ANALYZE;")
    with connect(database) as conn:
        bare = live.read(database)
        with psycopg.connect(database) as other:
            other.execute("LOCK TABLE locked IN ACCESS EXCLUSIVE MODE")
            reading = sampling.look(60)(conn, bare)
    assert reading.stats is not None
    assert reading.stats.samples is not None
    assert pairs(reading.stats.samples) == [("visits", "postal_code", "city")]
    assert gaps(reading) == {"rows of public.locked": "another session holds a lock on it"}


def test_the_budget_is_kept_and_what_was_left_is_named(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(VISITS.encode())
        for n in range(300):
            conn.execute(f"CREATE TABLE visits_{n:03} (LIKE visits INCLUDING ALL)".encode())
            conn.execute(f"INSERT INTO visits_{n:03} SELECT * FROM visits".encode())
        conn.execute("ANALYZE")
    with connect(database) as conn:
        bare = live.read(database)
        began = time.monotonic()
        reading = sampling.look(0.5)(conn, bare)
        assert time.monotonic() - began < 3
    assert reading.stats is not None
    samples = reading.stats.samples
    assert samples is not None
    assert 0 < samples.tables < 301
    ((what, why),) = gaps(reading).items()
    assert why == "the 0.5 s for samples were used up"
    assert what.endswith(f" and {301 - samples.tables - 3} more tables")


def test_one_slow_table_does_not_use_up_everything(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made(database, VISITS + "CREATE TABLE slow (LIKE visits INCLUDING ALL);")
    made(database, "INSERT INTO slow SELECT * FROM visits; INSERT INTO slow SELECT -id, 'a', 'b', 'c' FROM visits; ANALYZE;")
    wait = "(select case when '{table}' = 'public.slow' then pg_catalog.pg_sleep(30) end) as waiting"
    frame = "select {answers} from (select {values} from {table} {method} limit {limit}) as sampled, " + wait
    monkeypatch.setitem(sampling._SQL, "sample", frame)
    with connect(database) as conn:
        reading = sampling.look(8)(conn, live.read(database))
    assert reading.stats is not None
    assert reading.stats.samples is not None
    assert gaps(reading) == {"rows of public.slow": "a sample took longer than its share of the time"}
    assert pairs(reading.stats.samples) == [("visits", "postal_code", "city")]


def test_an_interrupt_leaves_nothing(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import _thread

    made(database, VISITS)
    bare = live.read(database)
    monkeypatch.setitem(
        sampling._SQL, "sample", "select {answers} from (select {values} from {table} {method} limit {limit}) as s, pg_sleep(30)"
    )
    with connect(database) as conn:
        timer = threading.Timer(0.5, _thread.interrupt_main)
        timer.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            sampling.look(60)(conn, bare)
        assert time.monotonic() - began < 10
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert conn.execute("SHOW transaction_read_only").fetchone() == ("off",)
        assert conn.execute("SHOW statement_timeout").fetchone() == ("0",)
    with psycopg.connect(database) as conn:
        row = conn.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)' AND state = 'active'").fetchone()
    assert row == (0,)


def test_in_a_callers_transaction_nothing_is_changed(database: str) -> None:
    made(database, VISITS)
    bare = live.read(database)
    with psycopg.connect(database) as conn:
        conn.execute("CREATE TABLE mine (id bigint)")
        reading = sampling.look(60)(conn, bare)
        conn.execute("INSERT INTO mine VALUES (1)")
        assert conn.execute("SHOW row_security").fetchone() == ("on",)
    assert reading.stats is not None
    assert reading.stats.samples is not None
    assert pairs(reading.stats.samples) == [("visits", "postal_code", "city")]


def test_files_have_no_rows_to_look_at(tmp_path: Path) -> None:
    file = tmp_path / "schema.sql"
    file.write_text(VISITS)
    assert sources.read(str(file), looks=[sampling.look(5)]).stats is None
