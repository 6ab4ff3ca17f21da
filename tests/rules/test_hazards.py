"""Hazard rules where a case cannot reach: statistics, layouts, Alembic, documents, dumps, and agreement of text and server."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.rules.casework import OneRule, as_text, scripted

from pgcharter import sources
from pgcharter.catalog.model import Catalog, RelationStats, Stats, Table
from pgcharter.catalog.reading import Destination, Reading
from pgcharter.rules import engine
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import files

CODES = tuple(code for code in engine.load() if code.startswith("MIG"))
PROJECT = Path(__file__).parent.parent / "sources" / "project"


def said(reading: Reading, *codes: str) -> list[tuple[str, str]]:
    """Code of each finding and the file and line it stands at."""
    found = engine.run(reading, OneRule("MIG"), only=codes or CODES).findings
    return sorted((f.code, f"{Path(f.place.file).name}:{f.place.line}") for f in found if f.place)


ORDERS = Table(schema="app", name="orders", columns=())


@pytest.mark.parametrize(
    ("rows", "pages", "severity"),
    [(-1.0, 9, "warning"), (-1.0, 0, ""), (500.0, 9, ""), (500.0, 90_000, "warning"), (50_000.0, 9, "warning"), (2e6, 9, "error")],
)
def test_the_size_of_a_table_weighs(rows: float, pages: int, severity: str) -> None:
    stats = Stats({ORDERS.id: RelationStats(rows=rows, bytes=pages * 8192)})
    where = Destination("production", Catalog(tables=(ORDERS,)), stats)
    reading = replace(as_text("CREATE INDEX i ON app.orders (a)", "m.sql"), destination=where)
    found = engine.run(reading, OneRule("MIG"), only=("MIG01",)).findings
    assert [(f.severity.word, f.facts["rows"]) for f in found] == [(severity, rows)] * bool(severity)


TWO = "CREATE TABLE t (id bigint);\n-- file: {0}\nCREATE INDEX i ON t (id);\n"


@pytest.mark.parametrize(
    ("first", "second", "migrations"),
    [
        ("001_a.sql", "002_b.sql", True),
        ("V1__a.sql", "V2__b.sql", True),
        ("20260101120000_a.sql", "20260102120000_b.sql", True),
        ("2026-01-01-120000_a/up.sql", "2026-01-02-120000_b/up.sql", True),
        ("deploy/a.sql", "deploy/b.sql", False),
        ("tables.sql", "indexes.sql", False),
        ("01_tables.sql", "02_indexes.sql", False),
        ("001_a.sql", "later.sql", False),
    ],
)
def test_what_is_taken_for_migrations(first: str, second: str, migrations: bool) -> None:
    reading = as_text(f"-- file: {first}\n{TWO.format(second)}", "folder")
    assert said(reading, "MIG01") == [("MIG01", f"{Path(second).name}:1")] * migrations


def test_sqitch_changes_are_migrations_and_if_not_exists_makes_nothing_anew() -> None:
    text = "-- file: deploy/a.sql\n-- Deploy shop:a to pg\nCREATE TABLE t (id bigint);\n-- file: deploy/b.sql\n-- Deploy shop:b to pg\n"
    assert said(as_text(f"{text}CREATE TABLE IF NOT EXISTS t (id bigint);\nCREATE INDEX i ON t (id);\n", "d"), "MIG01") == [
        ("MIG01", "b.sql:3")
    ]
    assert said(as_text(f"{text}CREATE TABLE IF NOT EXISTS u (id bigint);\nCREATE INDEX i ON u (id);\n", "d"), "MIG01") == []


DUMP = """
SET lock_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SEQUENCE public.orders_id_seq;
CREATE TABLE public.orders (id integer NOT NULL, parent integer);
ALTER TABLE public.orders OWNER TO app;
ALTER TABLE public.orders_id_seq OWNER TO app;
INSERT INTO public.orders SELECT 1;
ALTER TABLE ONLY public.orders ALTER COLUMN id SET DEFAULT nextval('public.orders_id_seq'::regclass);
ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id);
CREATE INDEX orders_parent ON public.orders (parent);
ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_parent_fkey FOREIGN KEY (parent) REFERENCES public.orders(id);
CREATE MATERIALIZED VIEW public.sums AS SELECT count(*) FROM public.orders WITH NO DATA;
REFRESH MATERIALIZED VIEW public.sums;
UPDATE public.orders SET parent = 1;
"""


def test_a_dump_is_silent_as_text_and_built(scratch: Scratch) -> None:
    assert said(as_text(DUMP, "dump.sql")) == []
    with scratch.database() as database:
        reading = files.build_on(database, "dump.sql", scripted(DUMP, "dump.sql"))
    assert len(reading.effects) > 8
    assert said(reading) == []


def test_documents_and_seeds_are_silent(tmp_path: Path) -> None:
    text = "ALTER TABLE t ADD COLUMN a text NOT NULL;\nUPDATE t SET a = 'x';\n"
    document = tmp_path / "guide.md"
    document.write_text(f"# Bad\n```sql\n{text}```\n")
    assert said(sources.read(str(document), server=False)) == []
    assert said(as_text(f"-- file: seeds/001_rows.sql\n{text}-- file: 002_seed.sql\n{text}", "folder")) == []
    assert said(as_text(f"-- file: 001_add_seed.sql\n{text}", "folder"), "MIG30") == [("MIG30", "001_add_seed.sql:2")]


def revise(project: Path, number: str, down: str, body: str, back: str = "pass") -> None:
    lines = "\n    ".join(body.splitlines())
    text = (
        f"import sqlalchemy as sa\nfrom alembic import op\nrevision = {number!r}\ndown_revision = {down!r}\n\ndef upgrade():\n    {lines}\n"
    )
    (project / "migrations" / "versions" / f"{number}_x.py").write_text(f"{text}\ndef downgrade():\n    {back}\n")


def test_alembic_revisions_are_migrations(tmp_path: Path) -> None:
    project = Path(shutil.copytree(PROJECT, tmp_path / "project"))
    revise(project, "0003", "0002", "op.create_index('users_name', 'users', ['name'])", "op.drop_index('users_name')")
    revise(project, "0004", "0003", "op.create_index('a', 'users', ['id'], postgresql_concurrently=True)")
    alone = "with op.get_context().autocommit_block():\n    op.create_index('b', 'users', ['id'], postgresql_concurrently=True)"
    revise(project, "0005", "0004", alone, "raise NotImplementedError('the index stays')")
    revise(project, "0006", "0005", "op.create_table('fresh', sa.Column('id', sa.Integer))\nop.create_index('c', 'fresh', ['id'])")
    revise(project, "0007", "0006", "op.alter_column('users', 'name', type_=sa.Integer, postgresql_using='1')")
    for server in (False, True):
        found = said(sources.read(str(project), server=server), "MIG01", "MIG04", "MIG13", "MIG42")
        assert [f for f in found if not f[1].startswith(("0001", "0002"))] == [
            ("MIG01", "0003_x.py:7"), ("MIG04", "0004_x.py:7"), *[("MIG13", "0007_x.py:7")] * server,
            ("MIG42", "0004_x.py:9"), ("MIG42", "0006_x.py:10"), ("MIG42", "0007_x.py:9"),
        ]  # fmt: skip


WIDE = "varchar(10) varchar(20)|varchar(10) text|text varchar|numeric(10,2) numeric(12,2)|numeric(10,2) numeric|timestamp(3) timestamp(6)"
NARROW = "varchar(10) varchar(5)|text varchar(50)|integer bigint|numeric(10,2) numeric(10,3)|jsonb json|char(5) char(10)|char(5) text"


def test_only_a_type_that_touches_rows_is_told(scratch: Scratch) -> None:
    """Trap 24: widening is catalog-only."""
    pairs = [p.split(" ") for p in f"{WIDE}|{NARROW}".split("|")]
    tables = "".join(f"CREATE TABLE t{n} (c {old});\n" for n, (old, _) in enumerate(pairs))
    changes = "".join(f"ALTER TABLE t{n} ALTER c TYPE {new} USING c::{new};\n" for n, (_, new) in enumerate(pairs))
    with scratch.database() as database:
        text = f"-- file: 001_tables.sql\n{tables}-- file: 002_types.sql\n{changes}"
        reading = files.build_on(database, "folder", scripted(text, "folder"))
    assert reading.findings == ()
    assert said(as_text(changes, "types.sql"), "MIG13") == [], "the old types are not known"
    assert {int(where.partition(":")[2]) for _, where in said(reading, "MIG13")} == set(range(WIDE.count("|") + 2, len(pairs) + 1))


def test_the_advice_is_what_postgresql_accepts_and_does_not_stop_others(scratch: Scratch) -> None:
    """Trap 24: UNIQUE ... NOT VALID does not exist. Every statement of every hint is run."""
    from pgcharter.catalog.effect import Mode

    ground = 'CREATE TABLE "K" (id bigint NOT NULL, "Ä" text, b bigint);\nCREATE TABLE k (id bigint PRIMARY KEY);\n'
    wrong = (
        'ALTER TABLE "K" ADD CONSTRAINT "Ä key" UNIQUE ("Ä") DEFERRABLE;\nALTER TABLE "K" ADD CONSTRAINT pk PRIMARY KEY (id);\n'
        'ALTER TABLE "K" ADD CONSTRAINT fk FOREIGN KEY (b) REFERENCES k ON DELETE CASCADE;\n'
        'ALTER TABLE "K" ADD CONSTRAINT c CHECK (b > 0);\n'
        'ALTER TABLE "K" ALTER "Ä" SET NOT NULL;\nCREATE UNIQUE INDEX IF NOT EXISTS "i" ON "K" (b);\n'
        'ALTER TABLE "K" ADD COLUMN "Schlüssel" uuid UNIQUE NOT NULL DEFAULT gen_random_uuid() CHECK ("Schlüssel" IS NOT NULL);\n'
        """ALTER TABLE "K" ADD "Zustand" text NOT NULL DEFAULT 'it''s' CONSTRAINT "Z" CHECK ("Zustand" <> '');\n"""
    )
    found = engine.run(as_text(wrong, "m.sql"), OneRule("MIG"), only=("MIG01", "MIG06", "MIG08", "MIG10", "MIG11", "MIG12")).findings
    advice = [f.hint.removeprefix("instead: ").rpartition(" (")[0] for f in found]
    assert len(advice) == 8
    text = f"-- file: 001_ground.sql\n{ground}-- file: 002_right.sql\n" + ";\n".join(advice) + ";\n"
    with scratch.database() as database:
        reading = files.build_on(database, "folder", scripted(text, "folder"))
    assert reading.findings == ()
    right = [reading.effects[s.place] for s in reading.statements if s.place.file.startswith("002")]
    assert not [e for e in right if e.known and (e.rewrites or e.scans) and e.strongest and e.strongest >= Mode.SHARE]


def test_a_timeout_may_stay_set_unless_a_concurrent_build_follows() -> None:
    first = "-- file: 001_a.sql\nSET lock_timeout = '2s';\nALTER TABLE t ADD a int;\n-- file: 002_b.sql\n"
    assert said(as_text(f"{first}ALTER TABLE t ADD b int;\n", "folder"), "MIG25") == []
    assert said(as_text(f"{first}CREATE INDEX CONCURRENTLY i ON t (a);\n", "folder"), "MIG25") == [("MIG25", "001_a.sql:1")]


def test_revisions_of_alembic_are_released_one_by_one(tmp_path: Path) -> None:
    """Alembic runs a whole chain in one transaction on an empty database; in use it gets one revision after another."""
    project = Path(shutil.copytree(PROJECT, tmp_path / "project"))
    revise(project, "0003", "0002", "op.create_table('other', sa.Column('id', sa.Integer, primary_key=True))\nop.execute('SELECT 1')")
    revise(project, "0004", "0003", "op.add_column('users', sa.Column('x', sa.Integer))")
    revise(project, "0005", "0004", "op.add_column('other', sa.Column('y', sa.Integer))\nop.execute('UPDATE other SET y = 1')")
    revise(
        project, "0006", "0005", "op.add_column('other', sa.Column('z', sa.Integer))\nop.add_column('users', sa.Column('z', sa.Integer))"
    )
    found = said(sources.read(str(project)), "MIG22", "MIG24")
    assert found == [("MIG22", "0006_x.py:8"), ("MIG24", "0002_orders.py:13"), ("MIG24", "0005_x.py:8")]


def test_a_file_that_can_be_run_again_clears_the_way_for_what_it_makes_itself() -> None:
    again = "DROP TABLE IF EXISTS zones;\nCREATE TABLE zones (id int);\n"
    base = "-- file: 001_a.sql\nCREATE TABLE t (id int);\n"
    assert said(as_text(f"{base}-- file: 002_b.sql\n{again}", "folder"), "MIG40") == []
    assert said(as_text(f"{base}-- file: 002_b.sql\n{again}-- file: 003_c.sql\n{again}", "folder"), "MIG40") == [("MIG40", "003_c.sql:1")]
    assert said(as_text(f"{base}-- file: 002_b.sql\nDROP TABLE IF EXISTS zones;\n", "folder"), "MIG40") == [("MIG40", "002_b.sql:1")]
