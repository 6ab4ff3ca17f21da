"""What a fix promises (docs/decisions/0008-fixes.md), proven for every finding of every case by itself.

Applied alone, the statements of a fix clear their finding and no other of the rule, bring no finding of any rule, change no object
but those they name, and leave the rows as they were. A fix that names new objects is proven again in a house with templates of its own.

And again after everything was given names that are hard to write.

Statements that run inside a transaction are rolled back after each look; CONCURRENTLY, and what is measured, runs on a clone in autocommit.
The second and third time CONCURRENTLY is left out, so that a clone is not needed.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import psycopg.conninfo
import pytest
from tests.conftest import ServerFactory
from tests.rules import strange
from tests.rules.casework import FOLDERS, Case, OneRule, as_text, execute
from tests.rules.rows import Content, contents, fill, lost

from pgcharter.catalog.compare import Difference, compare, describe
from pgcharter.catalog.model import Catalog, Setting
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding
from pgcharter.guides.options import Options
from pgcharter.rules import engine
from pgcharter.sources import live, sampling

if TYPE_CHECKING:
    from pgcharter.db import Connection

HOUSE = {
    "index_name": "ix_{table}_{columns}", "index_name_strict": True, "unique_name": "ux_{singular}_{columns}",
    "foreign_key_name": "ref_{table}_{columns}", "check_name": "ck_{table}_{description}", "primary_key_constraint_name": "pk_{table}",
    "sequence_name": "sq_{table}_{column}", "on_delete_required": True,
}  # fmt: skip
"""Templates that nobody has by default."""

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
EMPTY = {"DES01": "the fix drops a table without columns, whose rows hold nothing"}
"""Rules that are proven without rows of ours: why."""
KNOWN = {"CON22", "DES07", "DES09", "DES11", "DES13", "KEY03", "NAM14", "SEC45", "TYP26"}
"""Rules that know columns by their names, or a view's column by that of its table: these stay."""
UNSEEN = {
    "CST04": "its tables are listed in the options",
    "KEY11": "the new name needs a noun whose singular is certain",
    "NAM15": "the new name needs a noun whose singular is certain",
    "SEC32": "a trail is known by the end of its name",
    "NAM19": "a name of 63 bytes has no room for a prefix",
    "NAM20": "a name of 63 bytes has no room for a prefix",
}
"""Rules that have no fix for objects with strange names: why. Their cases have milder ones."""


def has_fix(folder: Path) -> bool:
    expected = folder / "expected.json"
    return expected.exists() and '"fix"' in expected.read_text(encoding="utf-8")


MENDABLE = [f for f in FOLDERS if has_fix(f)]
WRITTEN = [f for f in MENDABLE if Case(f).text_only]
BUILT = [f for f in MENDABLE if f not in WRITTEN]

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


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("folder", BUILT, ids=lambda p: p.name)
def test_each_fix_keeps_its_promise(folder: Path, database: str) -> None:
    case = Case(folder)
    case.require_version(database)
    execute(database, case.sql("bad.sql"))
    if case.rule.needs not in ("stats", "samples") and case.code not in EMPTY:
        with psycopg.connect(database, autocommit=True) as conn:
            fill(conn, live.read_catalog(conn))
    found = [*as_it_is(case, database), *in_a_house(case, database), *with_strange_names(case, database)]
    assert not found, "\n".join(found)


def as_it_is(case: Case, dsn: str) -> list[str]:
    with psycopg.connect(dsn) as conn:
        old = look(conn, case, case.options)
    mendable = [f for f in mine(case, old).values() if f.fix]
    expected = json.loads((case.folder / "expected.json").read_text(encoding="utf-8"))
    assert sorted(f.fix for f in mendable) == sorted(tuple(e["fix"]) for e in expected if "fix" in e)
    return prove(case, dsn, old, mendable, case.options, at_once=False)


def in_a_house(case: Case, dsn: str) -> list[str]:
    options = housed(case.options)
    with psycopg.connect(dsn) as conn:
        old = look(conn, case, options)
    return [f"in the house: {f}" for f in prove(case, dsn, old, [f for f in mine(case, old).values() if makes(f.fix)], options)]


def with_strange_names(case: Case, dsn: str) -> list[str]:
    """The last one: the database keeps the names."""
    options = housed(case.options)
    keep = (options.tenant_column, options.soft_delete_column)
    with psycopg.connect(dsn, autocommit=True) as conn:
        strange.make(conn, live.read_catalog(conn), keep, columns=case.code not in KNOWN)
        old = look(conn, case, options)
    mendable = [f for f in mine(case, old).values() if f.fix]
    assert bool(mendable) == (case.code not in UNSEEN)
    return prove(case, dsn, old, mendable, options)


def makes(fix: tuple[str, ...]) -> bool:
    """Whether the fix makes something that must have a name."""
    return any(re.search(r"\b(?:CREATE|ADD)\b", statement) for statement in fix)


def housed(options: Options) -> Options:
    """The options with the templates of a house where the case has none."""
    return replace(options, **{k: v for k, v in HOUSE.items() if not getattr(options, k)})


@pytest.mark.parametrize("folder", WRITTEN, ids=lambda p: p.name)
def test_statements_put_behind_clear_what_was_written(folder: Path) -> None:
    case = Case(folder)
    sql = case.sql("bad.sql")
    mendable = [f for f in case.said_of_text("bad.sql") if f.fix]
    for finding in mendable:
        more = sql + "".join(f"\n{statement};" for statement in finding.fix)
        left = engine.run(as_text(more, "bad.sql"), OneRule(case.code, case.options), only=(case.code,)).findings
        assert [f.place for f in left] == [f.place for f in case.said_of_text("bad.sql") if f.place != finding.place]


# the server


CARELESS = (
    "full_page_writes = off", "autovacuum = off", "password_encryption = md5", "idle_in_transaction_session_timeout = 0",
    "log_statement = 'all'", "log_min_duration_statement = 0", "zero_damaged_pages = on", "ssl_min_protocol_version = 'TLSv1'",
    "ssl_ciphers = 'ALL'",
)  # fmt: skip


def test_fixes_of_a_server_clear_one_finding_each(server: ServerFactory) -> None:
    dsn = server(settings={"fsync": "off"}).dsn()
    with psycopg.connect(dsn, autocommit=True) as conn:
        run(conn, tuple(f"ALTER SYSTEM SET {setting}" for setting in CARELESS))
        run(conn, ('CREATE ROLE "Second ""Super" LOGIN SUPERUSER', "CREATE ROLE loader LOGIN BYPASSRLS", "SELECT pg_reload_conf()"))
        run(conn, ("GRANT pg_execute_server_program TO loader", "CREATE TABLE secrets (id bigint PRIMARY KEY)"))
        run(conn, ("ALTER TABLE secrets ENABLE ROW LEVEL SECURITY", "ALTER ROLE loader SET session_replication_role = replica"))
    old = of_server(dsn)
    assert {f.code for f in old.values() if f.fix} >= {"SRV02", "SRV05", "SRV06", "SRV07", "SRV09", "SRV11", "SRV14", "SRV15", "SRV16"}
    for key, finding in old.items():
        if finding.fix:
            with psycopg.connect(dsn, autocommit=True) as conn:
                run(conn, finding.fix)
            new = of_server(dsn)
            assert (set(old) - set(new), set(new) - set(old)) == ({key}, set()), finding.fix
            old = new


def of_server(dsn: str) -> dict[str, Finding]:
    """What is said of the server as if it had TLS, which not every build has; settings are read when they have come into force."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SELECT pg_sleep(0.3)")
    reading = live.read(dsn)
    assert reading.cluster is not None
    settings = (*(s for s in reading.cluster.settings if s.name != "ssl"), Setting("ssl", "on"))
    reading = replace(reading, cluster=replace(reading.cluster, settings=settings))
    rules = tuple(code for code in engine.load() if code.startswith("SRV"))
    return {f.key: f for f in engine.run(reading, OneRule("SRV"), only=rules).findings}


def test_every_rule_that_can_have_a_fix_is_proven() -> None:
    """A rule whose source has a fix has a case with one, or stands in the test of the server."""
    proven = {Case(f).code for f in MENDABLE} | {"SRV02", "SRV05", "SRV09", "SRV14", "SRV15", "SRV16"}
    assert sorted(rules_with_fixes() - proven) == []


def rules_with_fixes() -> set[str]:
    """Codes of the rules that pass `fix=` themselves or through functions of their module."""
    found: set[str] = set()
    for file in Path(engine.__file__).parent.glob("*.py"):
        functions = {n.name: n for n in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(n, ast.FunctionDef)}
        for function in functions.values():
            code = next((c for d in function.decorator_list if (c := _code(d))), "")
            if code and any(isinstance(n, ast.keyword) and n.arg == "fix" for f in _reached(function, functions) for n in ast.walk(f)):
                found.add(code)
    return found


def _code(decorator: ast.expr) -> str:
    """The code in `@rule("KEY01", ...)`."""
    if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "rule":
        return str(ast.literal_eval(decorator.args[0]))
    return ""


def _reached(function: ast.FunctionDef, functions: Mapping[str, ast.FunctionDef]) -> list[ast.FunctionDef]:
    reached, waiting = [function], [function]
    while waiting:
        named = {n.id for n in ast.walk(waiting.pop()) if isinstance(n, ast.Name)}
        new = [f for name, f in functions.items() if name in named and f not in reached]
        reached += new
        waiting += new
    return reached
