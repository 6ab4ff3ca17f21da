"""Markdown: fences, fragments, stand-ins, later and contradicting definitions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sources.conftest import Read
from tests.sources.test_files import place, tables

from pgcharter import sources
from pgcharter.catalog.reading import Reading
from pgcharter.names import ObjectId
from pgcharter.sources.fences import fences
from pgcharter.sqltext import node_place

ReadText = Callable[..., Reading]


@pytest.fixture
def read_md(read: Read, tmp_path: Path) -> ReadText:
    def reading(text: str) -> Reading:
        (tmp_path / "guide.md").write_text(text, "utf-8")
        return read(tmp_path / "guide.md")

    return reading


def sql(*blocks: str) -> str:
    return "\n".join(f"# Title\n\n```sql\n{block}\n```\n" for block in blocks)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```sql\nA\n```\n", [("sql", "A\n")]),
        ("~~~PgSQL\nA\n~~~~\n", [("pgsql", "A\n")]),
        ("````sql title='x'\nA\n```\nB\n````\n", [("sql", "A\n```\nB\n")]),
        ("- item\n  ```sql\n  A\n  ```\n", [("sql", "  A\n")]),
        ("1. ```sql\n   A\n   ```\n", [("sql", "   A\n")]),
        ("> ```sql\n> A\n> ```\n", [("sql", "  A\n")]),
        ("```{.sql}\nA\n```", [("sql", "A\n")]),
        ("```sql\r\nA\r\n```\r\n", [("sql", "A\r\n")]),
        ("```sql\nnever closed\n", [("sql", "never closed\n")]),
        ("`` ```sql `` is inline\n", []),
        ("```\nplain\n```\n", [("", "plain\n")]),
    ],
)
def test_fences(text: str, found: list[tuple[str, str]]) -> None:
    assert [(f.language, f.text(text)) for f in fences(text)] == found


def test_places_are_those_of_the_document(read_md: ReadText) -> None:
    reading = read_md(
        "# É😀\n\n- list\n\n  ```sql\n  CREATE TABLE t (\n    id int\n  );\n  ```\n> ```sql\n> CREATE TABLE u (x int);\n> ```\n"
    )
    assert (place(reading, "table", "t"), place(reading, "column", "t", "id")) == ("6:3", "7:5")
    assert place(reading, "table", "u") == "11:3"


def test_fragments_are_gaps_and_hide_nothing(read_md: ReadText) -> None:
    reading = read_md(sql("CREATE TYPE m AS ENUM ('a');\nprice DECIMAL(10,2) NOT NULL,\n", "users\norders\n", "CREATE TABLE t (x int);"))
    assert tables(reading) == ["public.t"]
    assert reading.findings == ()
    assert [(g.place.line, g.why) for g in reading.gaps if g.place] == [
        (5, 'not SQL by itself: syntax error at or near "price"'),
        (12, 'not SQL by itself: syntax error at or near "users"'),
    ]


def test_a_missing_table_gets_a_stand_in_with_the_columns_the_document_uses(read_md: ReadText) -> None:
    reading = read_md(
        sql(
            "CREATE INDEX p_vendor ON products (vendor_id, status) WHERE is_active;",
            "ALTER TABLE products ENABLE ROW LEVEL SECURITY;\n"
            "CREATE POLICY own ON products TO app USING (tenant_id = current_setting('x')::uuid);",
            "CREATE TABLE items (product_id bigint REFERENCES products (product_id));",
            "UPDATE products SET price = $1 WHERE product_id = $2;",
        )
    )
    assert reading.findings == ()
    assert reading.catalog is not None
    products = reading.catalog.table[ObjectId("table", "public", "products")]
    types = {c.name: c.type.sql for c in products.columns}
    assert types == {
        "vendor_id": "uuid",
        "status": "text",
        "is_active": "boolean",
        "tenant_id": "uuid",
        "product_id": "bigint",
        "price": "numeric",
    }
    assert products.id in reading.stand_ins
    assert products.part("column", "price") in reading.stand_ins
    assert products.id not in reading.places
    assert ObjectId("table", "public", "items") not in reading.stand_ins
    assert place(reading, "index", "p_vendor") == "4:1"
    assert place(reading, "policy", "products", "own") == "11:1"
    assert [g.what for g in reading.gaps] == ["table products", "roles app"]


def test_a_table_defined_later_is_built_when_it_is_needed(read_md: ReadText) -> None:
    reading = read_md(sql("CREATE TABLE orders (user_id int REFERENCES users (id));", "CREATE TABLE users (id int PRIMARY KEY);"))
    assert reading.findings == ()
    assert place(reading, "table", "users") == "10:1"
    assert not {i for i in reading.stand_ins if i.name == "users"}


def test_a_repetition_is_no_contradiction(read_md: ReadText) -> None:
    table = "CREATE TABLE t (\n  id int PRIMARY KEY -- key\n);"
    reading = read_md(
        sql(table + "\nCREATE INDEX i ON t (id);", "create table if not exists t ( id int primary key );\nCREATE INDEX i ON t (id);")
    )
    assert (reading.findings, reading.alternatives) == ((), ())
    assert [g.why for g in reading.gaps] == []


def test_a_second_definition_is_read_by_itself(read_md: ReadText) -> None:
    reading = read_md(
        sql(
            "CREATE TABLE events (id int PRIMARY KEY, at date);\nCREATE TABLE uses (e int REFERENCES events);",
            "CREATE TABLE events (id int, at date) PARTITION BY RANGE (at);\nCREATE TABLE events_1 PARTITION OF events DEFAULT;",
            "CREATE INDEX events_at ON events (at);",
        )
    )
    assert reading.findings == ()
    (other,) = reading.alternatives
    assert (place(reading, "table", "events"), place(other, "table", "events")) == ("4:1", "11:1")
    assert {i.name for i in other.places if i.kind == "table"} == {"events", "events_1"}
    assert ObjectId("table", "public", "uses") in other.stand_ins
    assert other.catalog is not None
    assert other.catalog.table[ObjectId("table", "public", "events")].kind == "partitioned table"
    assert place(reading, "index", "events_at") == "18:1"


def test_bad_and_good_in_one_block_are_both_read(read_md: ReadText) -> None:
    reading = read_md(sql("-- Bad\nCREATE TABLE t (x int);\n-- Good\nCREATE TABLE t (x int PRIMARY KEY);"))
    assert place(reading, "table", "t") == "5:1"
    assert [place(a, "table", "t") for a in reading.alternatives] == ["7:1"]


def test_a_recipe_that_takes_away_leaves_the_rest_alone(read_md: ReadText) -> None:
    reading = read_md(
        sql(
            "CREATE TABLE t (x int);",
            "CREATE TABLE t_new (x bigint);\nALTER TABLE t RENAME TO t_old;\nALTER TABLE t_new RENAME TO t;\nDROP TABLE t_old;",
            "ALTER TABLE t ADD COLUMN y int;",
        )
    )
    assert tables(reading) == ["public.t"]
    assert place(reading, "table", "t") == "4:1"
    assert place(reading, "column", "t", "y") == "19:26"
    assert [place(a, "table", "t") for a in reading.alternatives] == ["10:1"]


@pytest.mark.parametrize(
    ("block", "made"),
    [
        ("CREATE TABLE t (x app.status);", "schema app, type app.status"),
        ("CREATE TABLE gone.t (x int);", "schema gone"),
        ("CREATE TABLE t (x int);\nCREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();", "function touch()"),
        ("CREATE TABLE t (x int, CHECK (is_valid(x)));", "function is_valid(integer)"),
        ("CREATE VIEW v AS SELECT a.x, b.y FROM one a JOIN two b ON a.id = b.id;", "table one, table two"),
        ("CREATE TABLE t (name text);\nCREATE INDEX i ON t USING gin (name gin_trgm_ops);", "extension pg_trgm"),
        ("CREATE TABLE e_1 PARTITION OF e FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');\nCREATE INDEX ON e (kind);", "table e"),
        ("CREATE TABLE e_1 PARTITION OF e FOR VALUES IN (1, 2);", "table e"),
        ("CREATE TABLE e_1 PARTITION OF e FOR VALUES WITH (MODULUS 2, REMAINDER 0);", "table e"),
        ("CREATE TABLE t (id int);\nCREATE INDEX i ON t (missing_at);", "column t.missing_at"),
    ],
)
def test_what_else_gets_a_stand_in(block: str, made: str, read_md: ReadText) -> None:
    reading = read_md(sql(block))
    assert reading.findings == ()
    assert [g.what for g in reading.gaps] == [made]


def test_what_postgresql_refuses_for_another_reason_is_a_finding(read_md: ReadText) -> None:
    reading = read_md(sql("CREATE VIEW m AS SELECT most_common_vals FROM pg_stats;", "CREATE TABLE t (x int);"))
    assert [(f.code, f.place.line) for f in reading.findings if f.place] == [("SRC01", 4)]
    assert tables(reading) == ["public.t"]


def test_other_blocks_are_kept_with_their_language_and_place(tmp_path: Path) -> None:
    (tmp_path / "g.md").write_text("```sql\nSELECT 1;\n```\n\n```ini\n[pgbouncer]\nauth_type = md5\n```\n")
    (block,) = sources.read(str(tmp_path / "g.md"), server=False).blocks
    assert (block.language, block.text, block.place.line) == ("ini", "[pgbouncer]\nauth_type = md5\n", 6)


def test_text_only_reads_every_block(tmp_path: Path) -> None:
    (tmp_path / "g.md").write_text(
        sql("CREATE TABLE a (x int);", "nonsense;", "-- pgcharter: allow KEY01 because example\nCREATE TABLE a (y int);")
    )
    reading = sources.read(str(tmp_path / "g.md"), server=False)
    assert [(s.kind, s.place.line, len(s.allows)) for s in reading.statements] == [("create_stmt", 4, 0), ("create_stmt", 17, 1)]
    assert reading.catalog is None


def test_nothing_is_said_about_copies_of_what_is_invented_or_only_part_of_a_recipe(read_md: ReadText) -> None:
    reading = read_md(
        sql(
            "CREATE TABLE t (x int);\nCREATE TABLE t_archive (LIKE t);\nCREATE TABLE gone_archive (LIKE gone);",
            "CREATE TABLE t_new (LIKE t INCLUDING ALL);\nALTER TABLE t RENAME TO t_old;\nALTER TABLE t_new RENAME TO t;",
        )
    )
    named = {i.name for i in reading.stand_ins if i.kind == "table"}
    assert named == {"gone", "gone_archive"}
    assert place(reading, "table", "t_archive") == "5:1"
    (recipe,) = reading.alternatives
    assert {i.name for i in recipe.stand_ins if i.kind == "table"} >= {"t", "t_old"}


def test_what_is_missing_is_guessed_from_long_concatenations_too(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.md").write_text("```sql\nCREATE VIEW v AS SELECT " + " || ".join(["name"] * 2000) + " AS x FROM people;\n```\n")
    assert read(tmp_path / "a.md").findings == ()


def test_what_an_html_comment_hides_is_no_block() -> None:
    text = "<!-- old:\n```sql\nCREATE TABLE a (x int);\n```\n-->\n<!-- short -->\n```sql\nCREATE TABLE b (x int);\n```\n<!--\n```sql\n"
    assert [f.text(text) for f in fences(text)] == ["CREATE TABLE b (x int);\n"]


@pytest.mark.timeout(20)
def test_time_grows_with_the_text_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    block = "# h\n\n" + "text " * 60 + "\n\n```sql\nCREATE TABLE t{0} (id int PRIMARY KEY, é text);\n  SELECT * FROM t{0};\n```\n"
    path.write_text("".join(block.format(n) for n in range(3000)) + " " * 1_000_000 + "x\n")
    reading = sources.read(str(path), server=False)
    assert len(reading.statements) == 6000
    last = reading.statements[-1]
    assert (last.place.line, last.place.column, node_place(last, 9).column) == (2999 * 8 + 7, 3, 10)
