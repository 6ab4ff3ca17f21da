"""What a fix promises, held against a database before and after it (docs/decisions/0008-fixes.md).

Statements that run inside a transaction are rolled back after each look; CONCURRENTLY, and what is measured, runs on a clone in autocommit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import psycopg
import psycopg.conninfo
from tests.rules.casework import Case, OneRule
from tests.rules.rows import Content, contents, lost

from pgcharter.catalog.compare import Difference, compare, describe
from pgcharter.catalog.model import Catalog
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding
from pgcharter.guides.options import Options
from pgcharter.rules import engine
from pgcharter.sources import live, sampling

if TYPE_CHECKING:
    from pgcharter.db import Connection

TWINS = {
    "SEC42": "rights on every table to come are rights on those of one schema too",
}
"""Rules whose fix may clear other findings of the same rule: why."""
BRINGS = {
    ("DES08", "DES07"): "whether a trigger or the application keeps the new column is decided with DES07",
    ("NAM15", "NAM02"): "the column is named after a table that itself needs quotes",
    ("SEC02", "SEC10"): "row security that is off asks for no index; now it does, and SEC10 has the statement",
    ("SEC35", "SEC36"): "in the case nobody but the role had rights on the table",
    ("SEC42", "SEC37"): "the rights are those that the default privileges say; whether they are too many is SEC37's to ask",
    ("CON21", "CON07"): "a key that held nothing could not be told to hold too little; now it does, and CON07 has the statement",
}
"""Rules and other rules whose findings their fixes may bring: why."""

_clones = count(1)


@dataclass(frozen=True)
class State:
    """A database as every rule sees it."""

    catalog: Catalog
    findings: Mapping[str, Finding]
    rows: Mapping[int, Content]


def look(conn: Connection, case: Case, options: Options) -> State:
    catalog = live.read_catalog(conn)
    stats = live.read_stats(conn, catalog)
    reading = Reading("case", "live", catalog=catalog, cluster=live.read_cluster(conn), stats=stats)
    if case.rule.needs == "samples":
        reading = sampling.look(60)(conn, reading)
    result = engine.run(reading, OneRule(case.code, options), only=tuple(engine.load()))
    return State(catalog, {f.key: f for f in result.findings}, contents(conn, catalog))


def mine(case: Case, state: State) -> dict[str, Finding]:
    return {key: f for key, f in state.findings.items() if f.code == case.code}


@contextmanager
def mended(case: Case, dsn: str, fix: tuple[str, ...], *, at_once: bool) -> Iterator[Connection]:
    """A connection that sees the database after the fix; the database itself stays as it was."""
    if at_once:
        fix = tuple(re.sub(r"\A((?:CREATE|DROP|REINDEX) (?:UNIQUE )?INDEX) CONCURRENTLY", r"\1", s) for s in fix)
    if case.rule.needs in ("stats", "samples") or any(" CONCURRENTLY " in s for s in fix):
        with clone(dsn) as copy, psycopg.connect(copy, autocommit=True) as conn:
            run(conn, fix)
            yield conn
    else:
        with psycopg.connect(dsn) as conn:
            run(conn, fix)
            yield conn
            conn.rollback()


def run(conn: Connection, fix: tuple[str, ...]) -> None:
    for statement in fix:
        conn.execute(statement.encode())


@contextmanager
def clone(dsn: str) -> Iterator[str]:
    original = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    name = f"clone_{next(_clones)}"
    with psycopg.connect(dsn, dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {original}".encode())
        yield psycopg.conninfo.make_conninfo(dsn, dbname=name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


Renames = Mapping[str, str]


def renames(fix: tuple[str, ...]) -> Renames:
    """What the fix gives another name, and which index it puts into the place of another."""
    found: dict[str, str] = {}
    built = ""
    for statement in fix:
        if made := re.match(rf"CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?({NAME})", statement):
            built = made[1]
        elif gone := re.search(rf"(?:DROP INDEX (?:CONCURRENTLY )?(?:{NAME}\.)?|DROP CONSTRAINT )({NAME})\Z", statement):
            found |= {gone[1]: built} if built else {}
        elif old := re.match(rf"ALTER \w+ (?:{NAME}\.)?({NAME}) RENAME TO ({NAME})\Z", statement):
            found = {k: old[2] if v == old[1] else v for k, v in found.items()} | {old[1]: old[2]}
        elif old := re.search(rf" RENAME (?:COLUMN|CONSTRAINT) ({NAME}) TO ({NAME})\Z", statement):
            found[old[1]] = old[2]
    return found


NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'


def after(text: str, changed: Renames) -> set[str]:
    """`text` with the new names in the place of the old ones, as SQL writes them and as they are."""
    bare = text
    for old, new in changed.items():
        bare = bare.replace(plain(old), plain(new))
    both = {re.sub(NAME, lambda word: changed.get(word[0], word[0]), one) for one in (text, bare)}
    return both | {bare}


def plain(name: str) -> str:
    """The name itself, without its quotes."""
    return name[1:-1].replace('""', '"') if name[0] == '"' else name


def words(fix: tuple[str, ...]) -> set[str]:
    """Every name that stands in the fix."""
    return {plain(w) for w in re.findall(NAME, " ".join(fix))}


def is_named(difference: Difference, fix: tuple[str, ...], *catalogs: Catalog) -> bool:
    """Whether the difference is on an object or relation that stands in the fix."""
    target, named = difference.object, words(fix)
    names = {target.name.partition("(")[0], target.name, getattr(difference.old or difference.new, "extension", "")}
    for catalog in catalogs:
        for table in catalog.tables:
            if target.owner == table.id or any(i.id == target for i in table.indexes):
                names |= {table.name, *(parent.name for parent in (table.partition_of, *table.inherits) if parent)}
        names |= {s.owned_by.name for s in catalog.sequences if s.id == target and s.owned_by}
        names |= {o.extension for o in (*catalog.others, *catalog.functions) if o.id == target}
    if target.kind == "default privileges":
        names |= {target.schema, target.name.partition(" on ")[0]}
    return bool((names - {""}) & named) or follows(difference, renames(fix))


def follows(difference: Difference, changed: Renames) -> bool:
    """Whether PostgreSQL only wrote the new name where the old one was."""
    return bool(changed) and _text(difference.new) in after(_text(difference.old), changed)


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def faults(case: Case, finding: Finding, old: State, new: State) -> Iterator[str]:
    """Everything in which the fix breaks its promise, a sentence each."""
    changed = renames(finding.fix)
    if finding.key in new.findings:
        yield "the finding is still there"
    expected = {key: {key} | after(key, changed) for key in old.findings}
    for key in mine(case, old) if case.code not in TWINS else ():
        if key != finding.key and not expected[key] & new.findings.keys():
            yield f"{key} is gone with it"
    known = set().union(*expected.values())
    for key, brought in new.findings.items():
        if key not in known and (case.code, brought.code) not in BRINGS:
            yield f"it brings {key} ({brought.message})"
    for difference in compare(old.catalog, new.catalog):
        if not is_named(difference, finding.fix, old.catalog, new.catalog):
            yield f"it changes what it does not name: {describe(difference)}"
    yield from lost(old.rows, new.rows)


def prove(case: Case, dsn: str, old: State, findings: list[Finding], options: Options, *, at_once: bool = True) -> list[str]:
    found: list[str] = []
    for finding in findings:
        try:
            with mended(case, dsn, finding.fix, at_once=at_once) as conn:
                new = look(conn, case, options)
        except psycopg.Error as error:
            found.append(f"{finding.key}: {'; '.join(finding.fix)}: {error}")
            continue
        found += [f"{finding.key}: {'; '.join(finding.fix)}: {fault}" for fault in faults(case, finding, old, new)]
    return found
