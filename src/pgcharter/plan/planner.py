"""The whole way from one catalog to another: what differs, in which order, in which steps, and the way back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from pgcharter.catalog import codec
from pgcharter.catalog.model import Catalog, Stats
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.names import ObjectId
from pgcharter.plan import diff, labels, renames
from pgcharter.plan.blocks import numbered
from pgcharter.plan.ddl import Sides
from pgcharter.plan.model import Operation, Plan, Step
from pgcharter.plan.renames import Intent
from pgcharter.plan.safe_ground import Safe, Style
from pgcharter.plan.safe_names import Names
from pgcharter.plan.unravel import unravelled
from pgcharter.plan.way import Way

MAJORS_DIFFER = "the wanted schema was read from PostgreSQL {b} and the database is {a}: what they write back cannot be compared"


def plan(
    a: Catalog, b: Catalog, *, sizes: Stats | None = None, style: Style | None = None, intents: Iterable[Intent] = (),
    renamed: Catalog | None = None, apart: Collection[ObjectId] = (),
) -> Plan:  # fmt: skip
    """Return the way from `a` to `b` and back.

    `sizes` are the statistics of the database that `a` was read from: without them every table counts as large. `style` is `Safe` with its
    thresholds (the default), or `Plain` for a database that nobody else uses. `intents` are the declared renames; `renamed` is then the
    catalog of `a` read back after `renames.rename_statements`. `apart` are addresses of `a` that are known not to be renamed. Both
    catalogs must come from servers of one major version and be normalised. Raises UsageError for intents without `renamed` or that fit
    neither side, PgcharterError for catalogs of two major versions.
    """
    if a.major and b.major and a.major != b.major:
        raise PgcharterError(
            MAJORS_DIFFER.format(a=a.major, b=b.major), hint=f"build the wanted schema on a scratch server of PostgreSQL {a.major}"
        )
    forth = renames.operations(a, b, intents)
    if forth and renamed is None:
        raise UsageError("renames are declared, and the catalog after them was not handed in", hint="read it back after rename_statements")
    between = renamed if forth and renamed is not None else a
    changes, returns = diff.operations(between, b, apart=apart), diff.operations(b, between, apart=_all(b))
    back = _back(forth)
    careful = style or Safe()
    names = Names(between, b)
    there = Way(Sides(between, b), careful, sizes, (*forth, *unravelled(changes.operations, names)), a)
    home = Way(Sides(b, between), careful, sizes, (*unravelled(returns.operations, names), *back), between)
    steps, reverse = numbered(there.pieces()), numbered(home.pieces())
    missing = () if there.questions else (f"the way back is not whole: {q}" for q in home.questions)
    notes = tuple(dict.fromkeys((*changes.notes, *there.notes, *missing)))
    return Plan(
        steps=_said_once(steps, notes),
        reverse=_said_once(reverse, ()),
        operations=there.operations,
        questions=tuple(dict.fromkeys((*changes.questions, *there.questions, *labels.gone(changes.operations, between, sizes, apart)))),
        notes=notes,
        major=b.major or a.major,
        before=fingerprint(a),
        after=fingerprint(b),
    )


def _said_once(steps: tuple[Step, ...], notes: tuple[str, ...]) -> tuple[Step, ...]:
    """The steps without reasons that an earlier one, or a note, has told."""
    told, found = set(notes), []
    for step in steps:
        found.append(replace(step, why="") if step.why in told else step)
        told.add(step.why)
    return tuple(found)


def _back(forth: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """The way back of renames, from their addresses under the new names: parts before the relations they live in, as on the way there."""
    finally_: dict[tuple[str, str], str] = {}
    for operation in forth:
        if not operation.object.part:
            at = (operation.object.schema, operation.object.name)
            first = next((old for old, now in finally_.items() if (old[0], now) == at), at)
            finally_[first] = operation.new.name

    def after(at: ObjectId, name: str) -> ObjectId:
        return replace(at, name=finally_.get((at.schema, at.name), at.name), part=name) if at.part else replace(at, name=name)

    turned = [replace(o, object=after(o.object, o.new.name), old=o.new, new=o.old) for o in reversed(forth)]
    return tuple(sorted(turned, key=lambda o: not o.object.part))


def _all(catalog: Catalog) -> frozenset[ObjectId]:
    """Every address: on the way back nothing is asked about renames."""
    return frozenset(address for address, _ in catalog.objects())


_NOT_COMPARED = ("server_version", "gaps", "dependencies")


def fingerprint(catalog: Catalog) -> str:
    """SHA-256, in hexadecimal, of what `compare` compares: without the database's name, gaps, and holes that dropped columns leave."""
    data: dict[str, Any] = codec.to_data(catalog)
    for name in _NOT_COMPARED:
        data.pop(name, None)
    data["database"] = {k: v for k, v in data.get("database", {}).items() if k != "name"}
    for group in ("tables", "views", "types"):
        data[group] = [_without_places(whole) for whole in data.get(group, ())]
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _without_places(whole: dict[str, Any]) -> dict[str, Any]:
    found = dict(whole)
    for name in ("columns", "attributes"):
        if name in found:
            found[name] = [{k: v for k, v in column.items() if k != "position"} for column in found[name]]
    return found
