"""The law of plans: what leads from one catalog to another, done to a database that has the one, leaves the other, and leads back.

Pairs are blocks of the files in `pairs/` (see `blocks`), whole schemas, and what `generate` makes up. A database is built for either side,
the operations are written out and run one statement at a time by the owner, the database is read back and held against the other: nothing
may differ. Then the same is done the other way round. What does not hold yet stands in `pairs/not_yet.txt`, and must fail.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from tests.conftest import MAJORS
from tests.plan import attributes, generate
from tests.plan.court import Court, law, lead
from tests.sources.sink import HERE as SINK

import pgcharter
from pgcharter.catalog.model import Catalog
from pgcharter.servers.scratch import Scratch, ScratchDatabase
from pgcharter.sources import live
from pgcharter.sources.build import Builder
from pgcharter.sqltext import parse

ScratchOf = Callable[[int | None], Scratch]
CourtOf = Callable[[int | None], Court]
PAIRS = Path(__file__).parent / "pairs"


@dataclass(frozen=True)
class Block:
    """One pair of schemas in SQL."""

    name: str
    old: str
    new: str
    since: int = 0
    superuser: bool = False


def blocks() -> Iterator[Block]:
    """The blocks of all files: `-- pair: NAME (superuser, since 17)`, SQL of both sides, `-- old` with its SQL, `-- new` with its SQL."""
    for file in sorted(PAIRS.glob("*.sql")):
        for text in file.read_text("utf-8").split("-- pair: ")[1:]:
            title, _, body = text.partition("\n")
            both, _, rest = body.partition("-- old\n")
            old, _, new = rest.partition("-- new\n")
            words = title.partition(" (")
            since = int(words[2].partition("since ")[2][:2] or 0) if "since" in words[2] else 0
            yield Block(f"{file.stem}: {words[0]}", both + old, both + new, since, "superuser" in words[2])


def not_yet() -> frozenset[str]:
    """Names of the pairs for which the law does not hold: the text before ` # reason`."""
    lines = (PAIRS / "not_yet.txt").read_text("utf-8").splitlines()
    return frozenset(line.partition(" # ")[0].strip() for line in lines if line.strip() and not line.startswith("#"))


BLOCKS = [*blocks()]
CLAIMS = {pair: {a for a, p in attributes.listed()[0].items() if p == pair} for pair in {*attributes.listed()[0].values()}}
"""What a pair is said to change."""


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.name)
def test_pair(block: Block, court_of: CourtOf) -> None:
    """The law holds for the pair, and it changes what `attributes.txt` says it does."""

    def trial(court: Court) -> None:
        a, b = law(court, block.old, block.new, superuser=block.superuser)
        assert CLAIMS.get(block.name, set()) <= {*attributes.changed(a, b)}

    holds(court_of, block.name, trial, block.since)


def test_every_attribute_is_changed_by_a_pair() -> None:
    """A new attribute of the model needs a pair that changes it, and a new kind one that makes it: named in `pairs/attributes.txt`."""
    by_pair, exempt = attributes.listed()
    assert attributes.required() - {*by_pair, *exempt} == set()
    assert {*by_pair.values()} - {block.name for block in BLOCKS} == set()
    assert {*by_pair} & {*exempt} == set()


def holds(court_of: CourtOf, name: str, trial: Callable[[Court], None], since: int = 0, major: int | None = None) -> None:
    """The law holds for a pair, unless it is listed as one for which it does not yet; then it must not."""
    court = court_of(major)
    if court.server.major < since:
        pytest.skip(f"needs PostgreSQL {since}")
    if name not in not_yet():
        trial(court)
        return
    with pytest.raises((AssertionError, pytest.fail.Exception, psycopg.Error)):
        trial(court)


# --- whole schemas


EXAMPLES = Path(pgcharter.__file__).parent / "examples"
SAMPLES = os.environ.get("PGCHARTER_SAMPLES", "")


def upwards(example: str, upto: str = "") -> str:
    """The way up of an example's migrations, to the file whose name begins with `upto`."""
    files = [f for f in sorted((EXAMPLES / example / "migrations").glob("*.sql")) if not upto or f.name[: len(upto)] <= upto]
    return "\n".join(f.read_text("utf-8").partition("-- Down Migration")[0] for f in files)


def versions() -> Iterator[tuple[str, str, str]]:
    """Name, schema before and schema after, for every step of every shipped example, and for its whole from nothing."""
    for example in ("blog", "shop", "clinic", "stock", "teams"):
        files = sorted((EXAMPLES / example / "migrations").glob("*.sql"))
        cuts = [f.name.split("_")[0] for f in files]
        yield f"{example}: from nothing", "", upwards(example)
        for before, after in itertools.pairwise(cuts):
            yield f"{example}: {before} to {after}", upwards(example, before), upwards(example, after)


VERSIONS = [*versions()]


@pytest.mark.parametrize(("name", "old", "new"), VERSIONS, ids=[v[0] for v in VERSIONS])
def test_example(name: str, old: str, new: str, scratch_of: ScratchOf, court_of: CourtOf) -> None:
    holds(court_of, name, lambda _: scratch_law(scratch_of(None), old, new))


def built(database: ScratchDatabase, sql: str) -> Catalog:
    """A schema with all the roles it names, as pgcharter builds SQL files."""
    builder = Builder(database)
    for statement in parse(sql, "a.sql").statements:
        builder.run(statement)
    assert [r.message for r in builder.refusals] == []
    database.conn.execute("RESET ALL")
    return live.read_catalog(database.conn)


def sample(name: str) -> str:
    """The schema of a sample, without data and what psql would do."""
    text = (Path(SAMPLES) / name).read_text("utf-8-sig").partition("INSERT INTO")[0]
    return "\n".join(line for line in text.splitlines() if not line.startswith(("DROP DATABASE", "CREATE DATABASE", "\\c")))


EDITS = (
    "ALTER TABLE public.customer ADD COLUMN phone text; ALTER TABLE public.film ALTER COLUMN length TYPE integer",
    "ALTER TYPE public.mpaa_rating ADD VALUE 'X'; COMMENT ON TYPE public.mpaa_rating IS 'rating'",
    "DROP VIEW public.customer_list; CREATE INDEX ON public.film (title, release_year)",
    "ALTER TABLE public.payment ADD CONSTRAINT positive CHECK (amount >= 0); ALTER TABLE public.payment ALTER amount SET DEFAULT 0",
    "ALTER TABLE public.language ALTER name TYPE varchar(40)",
    "CREATE OR REPLACE FUNCTION public.last_updated() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "ALTER TABLE public.staff DROP COLUMN picture; ALTER TABLE public.staff ADD COLUMN hired date NOT NULL DEFAULT now()",
    "ALTER TABLE public.film DROP CONSTRAINT film_language_id_fkey; DROP TRIGGER last_updated ON public.actor",
)
"""What is done to Pagila, one after another."""


@pytest.mark.skipif(not SAMPLES, reason="PGCHARTER_SAMPLES names no folder")
@pytest.mark.parametrize("name", ["Chinook_PostgreSql.sql", "pagila-schema.sql"])
def test_sample_from_nothing(name: str, court_of: CourtOf, scratch_of: ScratchOf) -> None:
    holds(court_of, f"{name}: from nothing", lambda _: scratch_law(scratch_of(None), "", sample(name)))


@pytest.mark.skipif(not SAMPLES, reason="PGCHARTER_SAMPLES names no folder")
@pytest.mark.parametrize("edit", EDITS, ids=[e[:40] for e in EDITS])
def test_pagila(edit: str, court_of: CourtOf, scratch_of: ScratchOf) -> None:
    pagila = sample("pagila-schema.sql")
    holds(court_of, f"pagila: {edit}", lambda _: scratch_law(scratch_of(None), pagila, f"{pagila};\n{edit}"))


def scratch_law(scratch: Scratch, old: str, new: str) -> None:
    """There and back on a scratch server, for schemas that name roles and extensions."""
    with scratch.database() as one, scratch.database() as other:
        a, b = built(one, old), built(other, new)
        one.conn.execute("SET check_function_bodies = off; SET client_min_messages = error")
        found = lead(one.conn, a, b)
        lead(one.conn, found, a)


def test_kitchen_sink(court_of: CourtOf) -> None:
    """Every kind of object from nothing, and back."""
    sql = (SINK / "kitchen_sink.sql").read_text("utf-8")
    sql = re.sub(r"(?m)^create (user mapping|subscription) [^;]*;$", "", sql).replace(", password 'hush-hush'", "")
    holds(court_of, "kitchen sink", lambda court: law(court, "", sql, superuser=True))


SEEDS = range(150)


@pytest.mark.parametrize("seed", SEEDS)
def test_generated(seed: int, court_of: CourtOf) -> None:
    """Schemas that nobody wrote, on every version in turn. Of one that fails, the smallest part that still fails is told."""
    old, new = generate.pair(seed)
    holds(court_of, f"seed {seed}", lambda court: _shrinking(court, old, new), major=MAJORS[seed % len(MAJORS)])


def _shrinking(court: Court, old: generate.Made, new: generate.Made) -> None:
    try:
        law(court, old.sql(), new.sql())
    except (pytest.fail.Exception, psycopg.Error) as error:
        failure, smaller = error, True
        while smaller:
            smaller = False
            for one, other in generate.smaller(old, new):
                found = _failure(court, one, other)
                if found is not None:
                    old, new, failure, smaller = one, other, found, True
                    break
        pytest.fail(f"{failure}\nold:\n{old.sql()}\nnew:\n{new.sql()}", pytrace=False)


def _failure(court: Court, old: generate.Made, new: generate.Made) -> BaseException | None:
    try:
        law(court, old.sql(), new.sql())
    except (pytest.fail.Exception, psycopg.Error) as error:
        return error
    return None
