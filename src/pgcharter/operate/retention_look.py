"""What is there for retention: tables that rules mean, what refers to them, archive tables. A fixed number of queries."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import psycopg

from pgcharter.db import Connection
from pgcharter.errors import RefusedError
from pgcharter.names import ObjectId, literal, quote
from pgcharter.operate import retention_holds
from pgcharter.operate.retention_conditions import count, every, held, held_above, referred
from pgcharter.operate.retention_holds import SQL, Hold
from pgcharter.operate.retention_model import IN_FILE, ROWS, Ground, Job, Kid, Reference, Relation, archive_of, before
from pgcharter.policy.retention_settings import FILES, RetentionSection
from pgcharter.policy.soft_delete_settings import SoftDeleteSection

_TYPES = ("date", "timestamp", "timestamptz")
_LARGE = 100_000
"""Rows from which on an index is missed."""


def look(
    conn: Connection, section: RetentionSection, deleted: SoftDeleteSection, now: datetime | None = None
) -> tuple[tuple[Job, ...], Ground]:
    """Jobs in the order in which they are done, children first; those that cannot be done say why. And what that was decided by.

    Raises RefusedError on a replica.
    """
    conn.execute("SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET search_path = pg_catalog, pg_temp")
    row = conn.execute("SELECT pg_is_in_recovery(), clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101
    if row[0]:
        raise RefusedError("this server is a replica, so nothing can be changed here", hint="name the primary: --on DSN")
    moment = retention_holds.believed(row[1], now)
    ground = _ground(conn)
    jobs = [*_rules(section, ground, moment), *_purges(section, deleted, ground, moment)]
    ground = _known(conn, ground, jobs)
    return tuple(_sorted([_counted(conn, _made(job, ground)) for job in jobs], ground)), ground


def with_holds(job: Job, ground: Ground, holds: tuple[Hold, ...]) -> Job:
    """A job as holds are by now. Raises RefusedError when one forbids all of it."""
    if holds == ground.holds or job.relation is None:
        return job
    fresh = replace(ground, holds=holds)
    if whole := next((h for h in retention_holds.of(holds, job.table) if not h.column), None):
        raise RefusedError(whole.said)
    return replace(job, held=held(job, job.relation, fresh))


def _ground(conn: Connection) -> Ground:
    tables = [_relation(r) for r in conn.execute(SQL["tables"]).fetchall()]
    keys = conn.execute(SQL["references"]).fetchall()
    return Ground({r.oid: r for r in tables}, tuple(Reference(a, b, how, tuple(own), tuple(to)) for a, b, how, own, to in keys))


def blocking(conn: Connection, holds: Sequence[Hold], parent: ObjectId, part: ObjectId) -> str:
    """Why a partition must stay whole, because of what is held in it or what belongs to something held; empty: nothing is."""
    for hold in retention_holds.of(holds, parent, part):
        if not hold.column or _any(conn, part, hold.sql("t")):
            return hold.said
    if not holds:
        return ""
    ground = replace(_ground(conn), holds=tuple(holds))
    whole = ground.named.get(parent) or ground.named.get(part)
    above = held_above(whole.oid, "t", ground, frozenset((whole.oid,))) if whole else []
    return f"rows of {part.sql()} belong to what is held" if above and _any(conn, part, " OR ".join(above)) else ""


def _any(conn: Connection, table: ObjectId, condition: str) -> bool:
    row = conn.execute(f"SELECT EXISTS (SELECT FROM {table.sql()} t WHERE {condition})".encode()).fetchone()
    return bool(row and row[0])


def _relation(r: Sequence[object]) -> Relation:
    oid, schema, name, kind, owner, rows, allowed, hidden, part, key = r
    return Relation(oid, ObjectId("table", schema, name), kind, owner, rows, allowed, hidden, part, tuple(key or ()))  # type: ignore[arg-type]


def _rules(section: RetentionSection, ground: Ground, now: datetime) -> Iterator[Job]:
    seen: set[ObjectId] = set()
    for rule in section.rule:
        keep = section.kept(rule.keep)
        assert keep is not None  # noqa: S101
        found = [r for r in ground.relations.values() if rule.means(r.id) and not r.part and r.id not in seen]
        if rule.how == "archive":
            archives = {archive_of(r.id, rule.to) for r in found}
            found = [r for r in found if r.id not in archives]
        seen |= {r.id for r in found}
        rows = rule.batch or (IN_FILE if rule.how in FILES else ROWS)
        for relation in found:
            yield Job(relation.id, "rule", rule.column, rule.keep, rule.how, rule.to, rule.where, rows, keep.before(now), relation)
        if not found:
            at = ObjectId("table", "", rule.tables[0])
            yield Job(at, "rule", rule.column, rule.keep, rule.how, rule.to, rule.where, rows, keep.before(now),
                      problem=f"no table is meant by {', '.join(rule.tables)}", hint="see [[retention.rule]] tables")  # fmt: skip


def _purges(section: RetentionSection, deleted: SoftDeleteSection, ground: Ground, now: datetime) -> Iterator[Job]:
    keep = section.kept(section.purge.keep)
    if keep is None:
        return
    one = section.purge
    rows = one.batch or (IN_FILE if one.how in FILES else ROWS)
    for relation in ground.relations.values():
        if not relation.part and deleted.marks(f"{relation.id.schema}.{relation.id.name}"):
            yield Job(relation.id, "purge", deleted.column, one.keep, one.how, one.to, "", rows, keep.before(now), relation)


def _known(conn: Connection, ground: Ground, jobs: Sequence[Job]) -> Ground:
    """With the columns and indexes of all tables that matter, and the holds."""
    wanted = {j.relation.oid for j in jobs if j.relation}
    while more := {r.child for r in ground.references if r.parent in wanted and r.on_delete == "c"} - wanted:
        wanted |= more
    places = {place for j in jobs if j.how == "archive" for place in (j.to, j.to if "." not in j.to else "")}
    names = {archive_of(ground.relations[oid].id, place) for place in places for oid in wanted}
    wanted |= {r.oid for r in ground.relations.values() if r.id in names}
    columns: dict[int, dict[str, tuple[str, str, bool, bool]]] = {}
    for oid, name, kind, basic, not_null, default in conn.execute(SQL["columns"], {"tables": list(wanted)}):
        columns.setdefault(oid, {})[name] = (kind, basic, not_null, default)
    leading = frozenset((r[0], r[1]) for r in conn.execute(SQL["leading"], {"tables": list(wanted)}))
    return replace(ground, columns=columns, leading=leading, holds=retention_holds.read(conn))


def _made(job: Job, ground: Ground) -> Job:
    """A job with all that it needs, or with why it cannot be done."""
    relation = job.relation
    if job.problem or relation is None:
        return job
    said, hint = _refused(job, relation, ground)
    if said:
        return replace(job, problem=said, hint=hint)
    try:
        kids = () if job.in_files else _kids(job, relation, ground, (relation.oid,))
    except RefusedError as error:
        return replace(job, problem=error.message, hint=error.hint)
    job = replace(job, kids=kids, archive=archive_of(job.table, job.to) if job.how == "archive" else None)
    prepare, problem = _prepare(job, ground)
    basic = ground.columns[relation.oid][job.column][1]
    condition = f"t.{quote(job.column)} < {before(basic, job.cut_off)}" + (f" AND ({job.where})" if job.where else "")
    ordered = (relation.oid, job.column) in ground.leading
    notes = tuple(_notes(job, ground, ordered=ordered))
    return replace(
        job,
        prepare=prepare,
        problem=problem,
        condition=condition,
        held=held(job, relation, ground),
        referred=referred(job, relation, ground),
        ordered=ordered,
        notes=notes,
    )


def _refused(job: Job, relation: Relation, ground: Ground) -> tuple[str, str]:
    name, columns = relation.id.sql(), ground.columns.get(relation.oid, {})
    if job.column not in columns:
        near = ", ".join(quote(c) for c, k in columns.items() if k[1] in _TYPES)
        hint = f"columns of time are {near}" if near else "leave the table out of the rule"
        return f"{name} has no column {quote(job.column)}, so nobody knows which rows are over", hint
    if columns[job.column][1] not in _TYPES:
        return f"{name}.{quote(job.column)} is {columns[job.column][0]}, and no date or time", "see [[retention.rule]] column"
    if not relation.allowed:
        return f"this role may not read and delete rows of {name}", f"GRANT SELECT, DELETE ON {name} TO CURRENT_USER"
    if relation.hidden:
        return f"row policies hide rows of {name} from this role, so what stays would not be seen", "work as a role with BYPASSRLS"
    if relation.kind == "p" and not relation.key:
        return (
            f"{name} is partitioned and has no primary key, so its rows cannot be told apart",
            "[[retention.partition]] takes out whole ones",
        )
    if whole := next((h for h in retention_holds.of(ground.holds, relation.id) if not h.column), None):
        return whole.said, f"pgcharter retention release {whole.id}"
    return "", ""


def _kids(job: Job, above: Relation, ground: Ground, path: tuple[int, ...]) -> tuple[Kid, ...]:
    """What ON DELETE CASCADE takes along. Raises RefusedError where it goes in a circle, or rows could not be taken."""
    found = []
    for reference in ground.children.get(above.oid, ()):
        child = ground.relations.get(reference.child)
        if reference.on_delete != "c" or child is None or reference.child == above.oid == path[0]:
            continue
        if reference.child in path:
            raise RefusedError(
                f"ON DELETE CASCADE goes from {job.table.sql()} by {child.id.sql()} back to where it was: what goes first?",
                hint="ON DELETE NO ACTION for one of them",
            )
        if not child.allowed or child.hidden:
            raise RefusedError(
                f"rows of {child.id.sql()} go with those of {job.table.sql()} by ON DELETE CASCADE, and this role may not take them",
                hint=f"GRANT SELECT, DELETE ON {child.id.sql()} TO CURRENT_USER",
            )
        archive = archive_of(child.id, job.to if "." not in job.to else "") if job.how == "archive" else None
        found.append(Kid(child, reference, _kids(job, child, ground, (*path, child.oid)), archive))
    return tuple(found)


def _prepare(job: Job, ground: Ground) -> tuple[tuple[str, ...], str]:
    """Statements that make archive tables what they must be, and why that is impossible."""
    if job.archive is None or job.relation is None:
        return (), ""
    found: dict[str, None] = {}
    for relation, archive in ((job.relation, job.archive), *((k.relation, k.archive) for k in every(job.kids))):
        assert archive is not None  # noqa: S101
        there = ground.named.get(archive)
        if there is None:
            found |= dict.fromkeys(_archive(relation, archive))
            continue
        if there.oid == relation.oid:
            return (), f"{relation.id.sql()} would be archived to itself"
        have, want = ground.columns[there.oid], ground.columns[relation.oid]
        for name, (kind, *_) in want.items():
            if name not in have:
                found[f"ALTER TABLE {archive.sql()} ADD COLUMN {quote(name)} {kind}"] = None
            elif have[name][0] != kind:
                change = f"ALTER TABLE {archive.sql()} ALTER COLUMN {quote(name)} TYPE {kind}"
                return (), f"{archive.sql()}.{quote(name)} is {have[name][0]}, and {kind} in {relation.id.sql()}: {change}"
        alone = next((n for n, (_, _, needed, default) in have.items() if n not in want and needed and not default), "")
        if alone:
            drop = f"ALTER TABLE {archive.sql()} ALTER COLUMN {quote(alone)} DROP NOT NULL"
            return (), f"{archive.sql()}.{quote(alone)} needs a value, and {relation.id.sql()} has no such column: {drop}"
    return tuple(found), ""


def _archive(relation: Relation, archive: ObjectId) -> Iterator[str]:
    """An archive table: columns and key of the table, without defaults; nobody but the owner may read it."""
    key = f", PRIMARY KEY ({', '.join(map(quote, relation.key))})" if relation.key else ""
    yield f"CREATE TABLE {archive.sql()} (LIKE {relation.id.sql()} INCLUDING COMMENTS INCLUDING STORAGE{key})"
    yield f"ALTER TABLE {archive.sql()} OWNER TO {quote(relation.owner)}"
    yield f"COMMENT ON TABLE {archive.sql()} IS {literal(f'Archive of {relation.id.sql()}: rows whose time is over')}"


def _notes(job: Job, ground: Ground, *, ordered: bool) -> Iterator[str]:
    assert job.relation is not None  # noqa: S101
    for kid in every(job.kids):
        yield f"rows of {kid.relation.id.sql()} go with them" + (f", to {kid.archive.sql()}" if kid.archive else "")
    for reference in ground.children.get(job.relation.oid, ()):
        child = ground.relations.get(reference.child)
        if child and reference.on_delete in ("n", "d"):
            becomes = "NULL" if reference.on_delete == "n" else "its default"
            yield f"{', '.join(map(quote, reference.columns))} of {child.id.sql()} becomes {becomes}"
    if not ordered and job.relation.rows >= _LARGE:
        yield f"no index begins with {quote(job.column)}, so every batch reads {job.table.sql()}: CREATE INDEX CONCURRENTLY"


def _counted(conn: Connection, job: Job) -> Job:
    if job.problem:
        return job
    try:
        return replace(job, due=count(conn, job))
    except psycopg.Error as error:
        return replace(job, problem=f"{job.table.sql()}: {str(error.diag.message_primary or error).partition(chr(10))[0]}")


def _sorted(jobs: Collection[Job], ground: Ground) -> list[Job]:
    """Children before those they refer to."""
    below: dict[int, set[int]] = {}
    for r in ground.references:
        below.setdefault(r.parent, set()).add(r.child)
    depth: dict[int, int] = {}

    def deep(oid: int, path: frozenset[int]) -> int:
        if oid not in depth:
            depth[oid] = max((deep(c, path | {oid}) + 1 for c in below.get(oid, ()) if c not in path and c != oid), default=0)
        return depth[oid]

    return sorted(jobs, key=lambda j: deep(j.relation.oid, frozenset()) if j.relation else -1)
