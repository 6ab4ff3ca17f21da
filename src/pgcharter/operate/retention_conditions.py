"""Which rows leave and which stay, as SQL about a row `t`: time, holds, rows of other tables. Pure, but for the count of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgcharter.db import Connection
from pgcharter.operate import retention_holds
from pgcharter.operate.retention_model import Ground, Job, Kid, Relation

MOST = 1_000_000
"""Rows up to which is counted what is due."""


def held(job: Job, relation: Relation, ground: Ground) -> str:
    """Rows `t` that must stay because they are held, or go with held ones, or belong to them."""
    found = [h.sql("t") for h in retention_holds.of(ground.holds, relation.id)]
    found += _held_below(job.kids, "t", ground)
    return " OR ".join((*found, *held_above(relation.oid, "t", ground, frozenset((relation.oid,)))))


def referred(job: Job, relation: Relation, ground: Ground) -> str:
    """Rows `t` that cannot leave as long as rows of other tables refer to them, or to what would go with them."""
    found = []
    for n, reference in enumerate(ground.children.get(relation.oid, ())):
        child = ground.relations.get(reference.child)
        if child is None or reference.on_delete in ("n", "d"):
            continue
        alias = f"c{n}"
        mine = reference.child == relation.oid
        if reference.on_delete != "c" or job.in_files or mine:
            apart = f" AND {alias}.ctid <> t.ctid" if mine else ""
            found.append(f"EXISTS (SELECT FROM {child.id.sql()} {alias} WHERE {reference.joined(alias, 't')}{apart})")
    taken = frozenset(k.relation.oid for k in every(job.kids))
    return " OR ".join((*found, *_referred_below(job.kids, "t", ground, taken)))


def _referred_below(kids: Sequence[Kid], above: str, ground: Ground, taken: frozenset[int]) -> list[str]:
    found = []
    for n, kid in enumerate(kids):
        alias = f"{above}_r{n}"
        inner = [
            f"EXISTS (SELECT FROM {ground.relations[r.child].id.sql()} {alias}_x WHERE {r.joined(f'{alias}_x', alias)})"
            for r in ground.children.get(kid.relation.oid, ())
            if r.on_delete in ("a", "r") and r.child not in taken and r.child in ground.relations
        ]
        inner += _referred_below(kid.kids, alias, ground, taken)
        if inner:
            rows = f"SELECT FROM {kid.relation.id.sql()} {alias} WHERE {kid.reference.joined(alias, above)}"
            found.append(f"EXISTS ({rows} AND ({' OR '.join(inner)}))")
    return found


def _held_below(kids: Sequence[Kid], above: str, ground: Ground) -> list[str]:
    found = []
    for n, kid in enumerate(kids):
        alias = f"{above}_{n}"
        kept = [h.sql(alias) for h in retention_holds.of(ground.holds, kid.relation.id)] + _held_below(kid.kids, alias, ground)
        if kept:
            rows = f"SELECT FROM {kid.relation.id.sql()} {alias} WHERE {kid.reference.joined(alias, above)}"
            found.append(f"EXISTS ({rows} AND ({' OR '.join(kept)}))")
    return found


def held_above(oid: int, below: str, ground: Ground, path: frozenset[int]) -> list[str]:
    """Rows that belong to a held one: what belongs to a case stays with it."""
    found: list[str] = []
    if not ground.holds or len(path) > 4:
        return found
    for n, reference in enumerate(r for r in ground.parents.get(oid, ()) if r.parent not in path):
        parent = ground.relations.get(reference.parent)
        if parent is None:
            continue
        alias = f"{below}_a{n}"
        kept = [h.sql(alias) for h in retention_holds.of(ground.holds, parent.id)]
        kept += held_above(parent.oid, alias, ground, path | {parent.oid})
        if kept:
            found.append(f"EXISTS (SELECT FROM {parent.id.sql()} {alias} WHERE {reference.joined(below, alias)} AND ({' OR '.join(kept)}))")
    return found


def free(job: Job) -> str:
    """The condition that a row `t` leaves."""
    return f"{job.condition} AND ({job.blocked}) IS NOT TRUE" if job.blocked else job.condition


def count(conn: Connection, job: Job) -> int:
    """Rows whose time is over and that are not held, up to `MOST`: those that others refer to count too."""
    where = f"{job.condition} AND ({job.held}) IS NOT TRUE" if job.held else job.condition
    row = conn.execute(f"SELECT count(*) FROM (SELECT FROM {job.table.sql()} t WHERE {where} LIMIT {MOST}) d".encode()).fetchone()
    return int(row[0]) if row else 0


def every(kids: Sequence[Kid]) -> Iterator[Kid]:
    """All tables below, those above first."""
    for kid in kids:
        yield kid
        yield from every(kid.kids)
