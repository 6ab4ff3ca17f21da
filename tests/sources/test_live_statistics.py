"""What a live server counted: shares of NULLs where they matter, and a gap where our role may not see them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.conftest import every_major

from pgcharter.names import ObjectId
from pgcharter.sources import live

SCHEMA = """
CREATE TABLE plain (id bigint PRIMARY KEY, "ended At" bigint, other bigint, filled bigint);
CREATE INDEX ON plain ("ended At");
CREATE INDEX ON plain (filled);
INSERT INTO plain SELECT n, CASE WHEN n % 100 = 0 THEN n END, NULL, n FROM generate_series(1, 12000) AS n;
CREATE TABLE parted (id bigint PRIMARY KEY, ended bigint) PARTITION BY RANGE (id);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES FROM (0) TO (6000);
CREATE TABLE parted_b PARTITION OF parted FOR VALUES FROM (6000) TO (20000);
CREATE INDEX ON parted (ended);
INSERT INTO parted SELECT n, CASE WHEN n < 6000 OR n % 100 = 0 THEN n END FROM generate_series(1, 12000) AS n;
CREATE TABLE guarded (LIKE plain INCLUDING ALL);
INSERT INTO guarded SELECT * FROM plain;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ANALYZE;
"""


@pytest.fixture
def filled(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
    return database


@every_major
def test_shares_of_nulls_of_columns_that_lead_an_index(filled: str, major: int) -> None:
    reading = live.read(filled)
    assert reading.stats is not None
    shares = {str(column): round(share, 2) for column, share in reading.stats.null_fractions.items()}
    assert shares == {
        'column public.plain."ended At"': 0.99,
        'column public.guarded."ended At"': 0.99,
        "column public.parted_b.ended": 0.99,
    }, "of a partitioned table the share over all its rows counts, which is a half here"
    assert reading.stats.gaps == ()


@pytest.fixture
def reader(filled: str) -> Iterator[str]:
    with psycopg.connect(filled, autocommit=True) as conn:
        conn.execute("CREATE ROLE statistics_reader LOGIN PASSWORD 'for tests'")
        conn.execute("GRANT SELECT ON guarded, parted TO statistics_reader")
        yield make_conninfo(filled, user="statistics_reader", password="for tests")
        conn.execute("DROP OWNED BY statistics_reader")
        conn.execute("DROP ROLE statistics_reader")


def test_what_the_role_may_not_see_is_a_gap(reader: str) -> None:
    reading = live.read(reader)
    assert reading.stats is not None
    (gap,) = reading.stats.gaps
    assert gap.what == "column statistics of public.guarded, public.plain"
    assert gap in reading.gaps
    assert set(reading.stats.null_fractions) == set()


@every_major
def test_writes_and_live_rows_are_counted_and_analysis_is_known(database: str, major: int) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE counted (id bigint PRIMARY KEY) WITH (autovacuum_enabled = off)")
        conn.execute("INSERT INTO counted SELECT generate_series(1, 100)")
        conn.execute("UPDATE counted SET id = -id")
        conn.execute("DELETE FROM counted WHERE id > -11")
        conn.execute("SELECT pg_stat_force_next_flush()")
    address = ObjectId("table", "public", "counted")
    before = live.read(database).stats
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("ANALYZE counted")
        conn.execute("SELECT pg_stat_force_next_flush()")
    after = live.read(database).stats
    assert before is not None
    assert after is not None
    assert (before.relations[address].live, before.relations[address].written, before.relations[address].analysed) == (90, 210, False)
    assert after.relations[address].analysed
