"""Rows that were there before: read in pieces of bounded size, as they are, and given to sinks as values or as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import every_major
from tests.sinks.conformance import TYPES
from tests.stream.copying import Copies

from pgcharter.errors import ConnectError
from pgcharter.names import quote
from pgcharter.policy.sync_settings import MappingTable
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream import mapping_table, source
from pgcharter.stream.mapping import Mappings
from pgcharter.stream.mapping_table import Catalog
from pgcharter.stream.model import UNCHANGED, Attribute, Change, Relation, Stamp

_BIG = """
CREATE TABLE keyed (id int PRIMARY KEY, v text);
INSERT INTO keyed SELECT i, repeat('x', CASE WHEN i % 50 = 0 THEN 3000 ELSE 10 END) FROM generate_series(1, 330) i;
CREATE TABLE loose (id int, v text); INSERT INTO loose SELECT * FROM keyed; ALTER TABLE loose REPLICA IDENTITY FULL;
"""


@pytest.fixture
def copies(database: str, tmp_path: Path) -> Iterator[Copies]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(_BIG)
    made = Copies(database, tmp_path, ("public.keyed", "public.loose"))
    yield made
    made.drop()


@every_major
def test_pieces_have_few_bytes_and_rows(copies: Copies, major: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PIECE", 1_000)
    with source.open_source(copies.dsn) as conn:
        keyed, loose = source.tables(conn, "p")
        for table, most, rows in ((keyed, 100, 100), (loose, 20, 330)):
            pieces = list(source.read(conn, table, None, most))
            assert sum(map(len, pieces)) == rows
            assert all(sum(len(str(v)) for r in p[:-1] for v in r) <= 1_000 for p in pieces)
            assert max(map(len, pieces)) <= most
        assert [r[0] for p in source.read(conn, keyed, ["300"], 100) for r in p] == [str(i) for i in range(301, 331)]


@pytest.mark.parametrize("later", [False, True])
def test_seeds_in_pieces_are_whole(copies: Copies, monkeypatch: pytest.MonkeyPatch, later: bool) -> None:
    monkeypatch.setattr(source, "PIECE", 1_000)
    copies.init(later=later)
    copies.once()
    assert copies.differences() == []
    assert copies.kept()["rows"] == 660
    with psycopg.connect(copies.dsn) as conn:
        assert set(conn.execute("SELECT source, state, rows FROM pgcharter.sync_snapshots")) == {
            ("public.keyed", "done", 330), ("public.loose", "done", 330),
        }  # fmt: skip


def test_a_source_that_goes_while_rows_are_read_is_lost(copies: Copies) -> None:
    with source.open_source(copies.dsn) as conn, psycopg.connect(copies.dsn, autocommit=True) as other:
        other.execute("INSERT INTO loose SELECT i, repeat('y', 1000) FROM generate_series(1, 50000) i")
        pieces = source.read(conn, source.tables(conn, "p")[1], None, 10)
        assert len(next(pieces)) == 10
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [conn.info.backend_pid])
        with pytest.raises(ConnectError, match="lost while rows were read"):
            list(pieces)
        conn.close()


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_CELL = st.one_of(st.none(), _TEXT, st.sampled_from(["\\N", "\\", "a\tb", "\n", "\r", "N", "", "\\\\N", "t\\N"]))


@pytest.fixture(scope="module")
def server_conn(server_of: object) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with source.open_source(server_of(None).dsn()) as conn:  # type: ignore[operator]
        yield conn


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=5))
def test_lines_are_read_as_they_were_written(
    server_conn: psycopg.Connection[tuple[object, ...]], rows: list[tuple[str | None, ...]]
) -> None:
    listed = ", ".join("(%s::text, %s::text)" for _ in rows)
    with server_conn.cursor().copy(f"COPY (VALUES {listed}) TO STDOUT".encode(), [v for row in rows for v in row]) as copy:
        lines = list(map(bytes, copy))
    assert source.parsed(lines, 2) == rows == list(map(source.parse, lines))


@every_major
def test_text_is_stored_as_the_values_are(database: str, major: int) -> None:
    columns = {f"c{i} {of}": (of, texts) for i, (of, texts) in enumerate(TYPES.items())}
    made = (Attribute("id", 23, "integer", True), *(Attribute(n, 25, of, False) for n, (of, _) in columns.items()))
    relation = Relation(1, "public", "t", "default", made)
    most = max(len(texts) for _, texts in columns.values())
    rows = [(str(i), *(texts[i] if i < len(texts) else None for _, texts in columns.values())) for i in range(most)]
    found = []
    for texts in (False, True):
        mapper = Mappings([MappingTable("s", "public.t", to=f"t_{texts}".lower())], lambda: pytest.fail("nothing is asked"), texts=texts)
        mapper.relation(relation)
        sink = PostgresqlSink(database, name=f"s_{texts}")
        sink.open(mapper.shapes)
        changes = [Change(relation, "insert", row, None, Stamp(7, i + 1)) for i, row in enumerate(rows)]
        made_of = mapper.rows(changes)
        assert [r.key for r in made_of] == [(i,) for i in range(most)]
        sink.write(made_of, Stamp(8, 1))
        sink.close()
        with source.open_source(database) as conn:
            names = ", ".join(f"{quote(c.name)}::text" for c in made)
            found.append(
                conn.execute(f"SELECT {names}, pgcharter_lsn, pgcharter_ordinal FROM public.t_{texts} ORDER BY id".encode()).fetchall()
            )
    assert found[0] == found[1]
    assert len(found[0]) == most


_VALUE = st.one_of(st.none(), st.sampled_from(["1", "2", "3"]))
_CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["insert", "update", "update with key", "delete", "truncate"]), st.sampled_from(["1", "2", "3"]), _VALUE,
        st.one_of(_VALUE, st.just(UNCHANGED)),
    ), max_size=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    _CHANGES,
    st.sampled_from([{}, {"filter": ("b <> '2'",)}, {"columns": ("c", "id")}, {"tenant": "id", "to": "{tenant}_t"}]),
    st.booleans(),
)
def test_many_changes_are_mapped_as_each_of_them_is(told: list[tuple[str, str, str, str]], options: dict[str, object], texts: bool) -> None:
    made = tuple(Attribute(n, 23, "integer" if n != "b" else "text", n == "id") for n in ("id", "b", "c"))
    relation = Relation(1, "public", "t", "default", made)
    many, one = (
        mapping_table.made(MappingTable("s", "public.t", **options), relation, Catalog(), (), b"", texts=texts)  # type: ignore[arg-type]
        for _ in range(2)
    )
    changes = [_change(relation, n, *what) for n, what in enumerate(told)]
    assert many.rows(changes) == [row for c in changes for row in one._rows(c)]


def _change(relation: Relation, n: int, op: str, key: str, b: str, c: str) -> Change:
    stamp = Stamp(1, n + 1)
    if op == "truncate":
        return Change(relation, "truncate", None, None, stamp)
    if op == "delete":
        return Change(relation, "delete", None, (key, None, None), stamp)
    new = (key, b, None if op == "insert" and c is UNCHANGED else c)  # type: ignore[comparison-overlap]
    return Change(relation, "insert" if op == "insert" else "update", new, ("3", None, None) if op == "update with key" else None, stamp)
