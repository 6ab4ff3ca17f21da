"""ClickHouse and PostgreSQL make the same digests of equal rows, and others of rows that differ in any column."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import psycopg
import pytest
from tests.conftest import every_major, lacking
from tests.sinks import servers
from tests.sinks.servers import Store
from tests.stream.copying import own_tables

from pgcharter.policy.sync_settings import MappingTable
from pgcharter.sinks import clickhouse_digests, clickhouse_tables
from pgcharter.sinks.clickhouse import ClickHouseSink
from pgcharter.sinks.clickhouse_http import Http, literal, quoted
from pgcharter.sinks.clickhouse_rows import encoded
from pgcharter.sinks.clickhouse_types import kind, wanted
from pgcharter.stream import reconcile_texts
from pgcharter.stream.model import Row, Shape, Stamp
from pgcharter.stream.reconcile import Side, reconcile
from pgcharter.stream.reconcile_model import Options
from pgcharter.stream.reconcile_moment import Moment, let_go
from pgcharter.stream.reconcile_source import Source
from pgcharter.stream.source import open_source

TABLE = """
CREATE TABLE "Odd ""t" (
  id bigint, tag text, part date, at_key timestamptz, small smallint, n int, "pre{}" numeric(12,3), wide numeric(30,10), ok boolean, u uuid,
  note text, code varchar(9), doc jsonb, day date, at timestamptz, plain timestamp, raw bytea, PRIMARY KEY (id, tag, part, at_key)
);
INSERT INTO "Odd ""t" SELECT i, 'ä' || i % 3, '2024-01-01'::date + i, '2024-01-01 00:00:00.5'::timestamptz + i * '1 s'::interval, i, -i,
  i / 8.0, i / 7.0, i % 2 = 0, gen_random_uuid(), repeat('é\\' || chr(9), i % 5), NULLIF('c' || i % 4, 'c0'),
  jsonb_build_object('a', i), '1970-01-01'::date + i - 1, '2024-02-29 12:34:56+05'::timestamptz + i * '0.25 s'::interval,
  '0044-01-01 00:00:00.000001'::timestamp + i * '700 days'::interval, decode(lpad(to_hex(i), 4, '0'), 'hex')
  FROM generate_series(1, 300) i;
INSERT INTO "Odd ""t" (id, tag, part, at_key) VALUES (1000, '', '2024-01-01', '2024-01-01'), (1001, 'n', 'infinity', '-infinity');
"""
ODD = """
INSERT INTO "Odd ""t" SELECT 2000, 'x', '2024-01-01', 'infinity', 1, 1, 'NaN', 'NaN', NULL, NULL, '', '', 'null', 'infinity', '-infinity',
  '0001-01-01 BC', '';
INSERT INTO "Odd ""t" SELECT 2001, 'x', '10000-01-01', '12000-01-01', 1, 1, 0, -0.5, NULL, NULL, '-', '1:', '""', '1960-01-01',
  '20000-01-01', 'infinity', '';
"""
MAPPING = MappingTable("s", 'public."Odd ""t"', to='odd "t', rename={"n": "number"}, filter=("tag <> 'zzz'",))


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with servers.running("clickhouse-server") as server:
        yield server


@pytest.fixture
def side(database: str, store: Store) -> Iterator[Side]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(TABLE)
    own_tables(database)
    http = Http(store.url)
    for (name,) in http.table("SELECT name FROM system.tables WHERE database = currentDatabase()"):
        http.run(f"DROP TABLE {quoted(name)}")
    http.close()
    sink = ClickHouseSink(store.url, "s")
    yield Side(database, sink, MAPPING, "s")
    sink.close()


class Both:
    """Rows of the source written into the copy, and both sides of the comparison."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.source = Source(side.source, side.mapping)

    def run(self, then: Any) -> Any:
        with open_source(self.side.source) as conn:
            self.source.look(conn)
            conn.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            at = Moment(conn, Stamp(5, 0), 5)
            with self.source.mapper(at) as made:
                self.side.sink.open(made.shapes)
                rows = list(self.source.rows(at, made))
                found = then(conn, made.shapes[0], rows)
            let_go(conn)
        return found

    def copy(self) -> None:
        self.run(lambda conn, shape, rows: self.side.sink.write(rows, Stamp(5, 0)))

    def differing(self) -> set[int]:
        """Parts that differ."""

        def look(conn: psycopg.Connection[Any], shape: Shape, rows: list[Row]) -> set[int]:
            sides = reconcile_texts.sides(conn, self.side.sink, self.source.table, MAPPING, shape)  # type: ignore[arg-type]
            assert sides is not None
            here, there = sides[0].summed(conn, 1024), sides[1].summed(1024)
            assert sum(p.rows for p in here.values()) == len(rows)
            return {n for n in here.keys() | there.keys() if here.get(n) != there.get(n)}

        found: set[int] = self.run(look)
        return found


@every_major
def test_equal_rows_have_equal_digests(side: Side, major: int) -> None:
    both = Both(side)
    both.copy()
    assert both.differing() == set()
    assert reconcile(side).found == 0


def test_values_that_do_not_fit_are_compared_as_rows(side: Side) -> None:
    with psycopg.connect(side.source, autocommit=True) as conn:
        conn.execute(ODD)
    both = Both(side)
    both.copy()
    assert len(both.differing()) <= 2  # their parts are read, and nothing is found
    report = reconcile(side)
    assert (report.found, report.rows, report.stored) == (0, 304, 304)


def test_each_column_counts(side: Side) -> None:
    both = Both(side)
    both.copy()

    def damage(conn: psycopg.Connection[Any], shape: Shape, rows: list[Row]) -> int:
        fields = [f.name for f in shape.fields if not f.key]
        wrong = []
        for n, name in enumerate(fields):
            one, other = rows[n], next(r for r in rows if r.values[name] not in (None, rows[n].values[name]))
            wrong += [one._replace(values={**one.values, name: other.values[name]}, stamp=Stamp(6, 0))]
            gone = rows[100 + n]
            wrong += [gone._replace(values={**gone.values, name: None}, stamp=Stamp(6, 0))]
        side.sink.write(wrong, Stamp(6, 0))
        return len(
            [
                w
                for w, r in zip(wrong, (r for n in range(len(fields)) for r in (rows[n], rows[100 + n])), strict=True)
                if w.values != r.values
            ]
        )

    changed = both.run(damage)
    assert changed >= 24
    report = reconcile(side, Options(repair=True, share=1.0))
    assert (report.found, report.repaired) == (changed, changed)
    assert both.differing() == set()


def test_columns_without_a_form_are_read(side: Side) -> None:
    with psycopg.connect(side.source, autocommit=True) as conn:
        conn.execute('ALTER TABLE "Odd ""t" ADD f float8 DEFAULT 1.5')
    both = Both(side)
    both.copy()
    sides = both.run(lambda conn, shape, rows: reconcile_texts.sides(conn, side.sink, both.source.table, MAPPING, shape))  # type: ignore[arg-type]
    assert sides is None
    assert reconcile(side).found == 0


_MODERN = """
import json, sys
from chdb import session
s = session.Session()
for statement in json.load(sys.stdin):
    print(json.dumps(s.query(statement, "TabSeparatedRaw").bytes().decode()))
"""


def test_a_current_server_makes_the_same(side: Side) -> None:
    """chDB: with Date32 and DateTime64, whose digests are of other texts."""
    if find_spec("chdb") is None:
        lacking("chdb is not installed")
    modern, both = (26, 9), Both(side)
    with psycopg.connect(side.source, autocommit=True) as conn:
        conn.execute("""UPDATE "Odd ""t" SET plain = '1999-12-31 23:59:59.25'::timestamp + id * '1 day 1 us'::interval""")

    def compare(conn: psycopg.Connection[Any], shape: Shape, rows: list[Row]) -> None:
        kinds = tuple(k for f in shape.fields if (k := kind(f, wanted(f, modern), not f.key)) is not None)
        table = clickhouse_tables.Table(shape, kinds)
        types = ", ".join(f"{quoted(f.name)} {clickhouse_tables._declared(f, modern)}" for f in shape.fields)
        own = ", ".join(f"{name} {type_}" for name, type_ in clickhouse_tables.OWN.items())
        raw = b"".join(encoded(table, rows)).hex()
        sent = [
            clickhouse_tables._create(shape, modern, ""),
            f"INSERT INTO {table.name} SELECT * FROM format(RowBinary, {literal(f'{types}, {own}')}, unhex('{raw}'))",
            clickhouse_digests.summed(table, 64),
        ]
        said = subprocess.run([sys.executable, "-c", _MODERN], input=json.dumps(sent), capture_output=True, text=True, check=True)
        there = {int(p): (int(n), int(d)) for p, n, d in (line.split() for line in json.loads(said.stdout.splitlines()[-1]).splitlines())}
        made = clickhouse_digests.forms(table) or {}
        modern_sink: Any = type("Modern", (), {"forms": lambda _, __: {name: form.postgresql for name, form in made.items()}})()
        sides = reconcile_texts.sides(conn, modern_sink, both.source.table, MAPPING, shape)
        assert sides is not None
        here = {p: (part.rows, part.digest % (1 << 64)) for p, part in sides[0].summed(conn, 64).items()}
        assert here == there

    both.run(compare)
