"""Stored code on top of what is there: the code of a catalog makes room, the files are built, and nothing but code is taken over."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pgcharter.catalog.model import Catalog, Constraint, Function, Table, View
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Place
from pgcharter.migrate import proving
from pgcharter.names import ObjectId, quote
from pgcharter.plan import ddl, diff
from pgcharter.plan.model import Plan
from pgcharter.plan.normal import normalised
from pgcharter.plan.uses import Uses
from pgcharter.render.phrases import plural
from pgcharter.sources import Look
from pgcharter.sources.code import ROUTINE, RULE, TRIGGER, VIEW, Code, build, is_code, load_code
from pgcharter.sources.code_check import faults
from pgcharter.sources.script import Step
from pgcharter.sqltext import parse

if TYPE_CHECKING:
    from pgcharter.servers.scratch import Scratch

_GROUP = {
    "function": ROUTINE,
    "procedure": ROUTINE,
    "aggregate": ROUTINE,
    "view": VIEW,
    "materialized view": VIEW,
    "trigger": TRIGGER,
    "rule": RULE,
}


@dataclass(frozen=True)
class Made:
    """The wanted side of a plan about code."""

    reading: Reading
    """With the catalog of the base, its code as the files have it."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Files:
    """The files of stored code that a plan is to follow."""

    code: Code
    alone: bool
    """Whether they are all that is wanted, although they were named like a whole schema."""


def files(wanted: str, code: str) -> Files | None:
    """The files of stored code among what is asked for: `code`, or else `wanted` when nothing else is in it. None when there are none.

    Raises UsageError for anything in `code` that is no stored code.
    """
    if code:
        return Files(load_code(code), alone=False)
    return Files(load_code(wanted), alone=True) if wanted and is_code(wanted) else None


def make(scratch: Scratch, base: Catalog, files: Files, *, fresh: bool = False, looks: Sequence[Look] = ()) -> Made:
    """Build the files over `base` and return the catalog of both.

    Code of the base in schemas where the files declare code of its kind makes room first: what no file declares is gone from the result.
    What tables use cannot make room and is replaced. With `fresh` nothing makes room: the base is another declaration.
    Raises PgcharterError when the base or a file cannot be built.
    """
    from pgcharter.sources import taken_on

    code = files.code
    room = Room() if fresh else Room.of(base, code)
    with scratch.database() as database:
        proving.build(database, base)
        proving.execute(database, room.drops)
        database.conn.execute("RESET check_function_bodies")
        again = [Step(s, s.text, f"{code.target}: {s.place.file}") for sql, name in room.returns for s in parse(sql, name).statements]
        code.script.steps += again
        reading = taken_on(database, build(database, code), looks)
    assert reading.catalog is not None  # noqa: S101
    catalog = merged(base, normalised(base, reading.catalog)[1], code, room.back)
    only = (f"{code.target} holds only stored code, so everything else stays as it is",) if files.alone else ()
    return Made(replace(reading, catalog=catalog), (*only, *_notes(base, code, room, reading.places)))


@dataclass(frozen=True)
class Room:
    """What must make room for the files, what cannot, and what comes back as it was."""

    stays: frozenset[ObjectId] = frozenset()
    """Declared code that tables or other lasting objects use, or undeclared code uses and no file makes."""
    back: frozenset[ObjectId] = frozenset()
    """Code that is not declared and stood on some that is: made anew on what the files make."""
    drops: tuple[str, ...] = ()
    returns: tuple[tuple[str, str], ...] = ()
    """Statements that make `back`, each with whose it is."""

    @classmethod
    def of(cls, base: Catalog, files: Code) -> Room:
        """Find out what of `base` makes room for code of the schemas and groups that `files` declare."""
        code = frozenset(code_of(base))
        uses = Uses(base)
        asked = {i for i in code if _declared(i, files.declared)}
        made = {(item.schema, item.group, item.name.partition("(")[0]) for item in files.items}
        lost = {i for i in asked if not i.part and (i.schema, _GROUP[i.kind], i.name.partition("(")[0]) not in made}
        moved = _above(uses, asked, code)
        held = {i for i in moved if any(u not in code or (i in lost and u not in asked) for u in _users(uses, i))}
        stays = held | _needed(uses, held, moved)
        gone = moved - stays
        left = without(base, gone)
        back = frozenset(gone - asked)
        return cls(frozenset(stays & asked), back, tuple(_statements(base, left)), tuple(_coming_back(left, base, back)))


def code_of(catalog: Catalog) -> Iterator[ObjectId]:
    """Addresses of all stored code but that of extensions, and triggers that partitions have from above."""
    for function in catalog.functions:
        if not function.extension:
            yield function.id
    for view in catalog.views:
        if not view.extension:
            yield view.id
    relations: tuple[Table | View, ...] = (*catalog.tables, *catalog.views)
    for relation in relations:
        if not relation.extension:
            yield from (relation.part("trigger", t.name) for t in relation.triggers if not t.parent)
            yield from (relation.part("rule", r.name) for r in relation.rules)


def _users(uses: Uses, address: ObjectId) -> Iterator[ObjectId]:
    """Who needs an object or one of its columns; a part of a view is told as the view, where it is no code of its own."""
    view = uses.catalog.relation.get((address.schema, address.name)) if address.kind in ("view", "materialized view") else None
    parts: list[ObjectId] = [view.part("column", c.name) for c in view.columns] if view else []
    for at in (address, *parts):
        for user in uses.by.get(at):
            found = _whole(uses, user)
            if found != address:
                yield found
    if isinstance(view, View):
        yield from (view.part("trigger", t.name) for t in view.triggers)
        yield from (view.part("rule", r.name) for r in view.rules)


def _whole(uses: Uses, address: ObjectId) -> ObjectId:
    """The view whose column or index this is, the trigger whose constraint, or that handed it down; anything else is itself."""
    relation = uses.relation(address)
    if address.kind == "constraint" and relation and any(t.constraint and t.name == address.part for t in relation.triggers):
        return relation.part("trigger", address.part)
    if address.kind == "trigger" and relation:
        return _source(uses.catalog, relation, address.part)
    return relation.id if isinstance(relation, View) and address.kind in ("column", "index") else address


def _above(uses: Uses, asked: Iterable[ObjectId], code: Collection[ObjectId]) -> set[ObjectId]:
    """`asked` and all code that stands on it."""
    found, rest = set(asked), list(asked)
    while rest:
        for user in _users(uses, rest.pop()):
            if user in code and user not in found:
                found.add(user)
                rest.append(user)
    return found


def _needed(uses: Uses, held: Iterable[ObjectId], moved: Collection[ObjectId]) -> set[ObjectId]:
    """What of `moved` the objects `held` stand on, directly or not."""
    needs: dict[ObjectId, set[ObjectId]] = {}
    for needed in moved:
        for user in _users(uses, needed):
            if not (user.part and (user.schema, user.name) == (needed.schema, needed.name)):
                needs.setdefault(user, set()).add(needed)
    found: set[ObjectId] = set()
    rest = list(held)
    while rest:
        more = needs.get(rest.pop(), set()) - found
        found |= more
        rest += more
    return found


def without(catalog: Catalog, gone: Collection[ObjectId]) -> Catalog:
    """The catalog without some of its code."""

    def stripped(relation: Any) -> Any:
        triggers = tuple(t for t in relation.triggers if _source(catalog, relation, t.name) not in gone)
        rules = tuple(r for r in relation.rules if relation.part("rule", r.name) not in gone)
        return _with(relation, triggers, rules)

    return replace(
        catalog,
        functions=tuple(f for f in catalog.functions if f.id not in gone),
        views=tuple(stripped(v) for v in catalog.views if v.id not in gone),
        tables=tuple(stripped(t) for t in catalog.tables),
        dependencies=tuple(d for d in catalog.dependencies if d.dependent not in gone),
    )


def _source(catalog: Catalog, relation: Table | View, name: str) -> ObjectId:
    """Where a trigger was made: on the partitioned table that handed it down, or here."""
    trigger = next(t for t in relation.triggers if t.name == name)
    above = catalog.table.get(relation.partition_of) if trigger.parent and isinstance(relation, Table) and relation.partition_of else None
    if above is None or all(t.name != name for t in above.triggers):
        return relation.part("trigger", name)
    return _source(catalog, above, name)


def _with(relation: Any, triggers: tuple[Any, ...], rules: tuple[Any, ...], constraints: Iterable[Constraint] = ()) -> Any:
    """A relation with these triggers and rules, and of constraint triggers the constraints: its own, or those of `constraints`."""
    if isinstance(relation, View) or not any(t.constraint for t in (*relation.triggers, *triggers)):
        return replace(relation, triggers=triggers, rules=rules)
    known = {c.name: c for c in (*relation.constraints, *constraints) if c.kind == "trigger"}
    kept = [c for c in relation.constraints if c.kind != "trigger"] + [known[t.name] for t in triggers if t.constraint]
    return replace(relation, triggers=triggers, rules=rules, constraints=tuple(sorted(kept, key=lambda c: c.name)))


def merged(base: Catalog, read: Catalog, files: Code, back: Collection[ObjectId] = ()) -> Catalog:
    """`base` with its code of the schemas and groups that `files` declare exchanged for that of `read`, and nothing else changed.

    What had to come `back` is taken from `read` too: a column of a view may have become another type with the function it calls.

    Privileges on what the files do not speak of stay as they are.
    """
    declared = files.declared

    def chosen(group: str, mine: Sequence[Any], theirs: Sequence[Any]) -> tuple[Any, ...]:
        old = [i for i in mine if i.extension or ((i.schema, group) not in declared and i.id not in back)]
        new = [
            i if files.granted & {(i.schema, i.name), (i.schema, "")} else _dressed(i, held)
            for i in theirs
            if not i.extension and ((i.schema, group) in declared or i.id in back)
        ]
        return tuple(sorted((*old, *new), key=_id))

    def parts(relation: Any) -> Any:
        other = read.relation.get((relation.schema, relation.name))
        if other is None or relation.extension:
            return relation
        own = other if (relation.schema, TRIGGER) in declared else relation
        triggers = {t.name: t for t in (*(t for t in own.triggers if not t.parent), *(t for t in other.triggers if t.parent))}
        rules = other.rules if (relation.schema, RULE) in declared else relation.rules
        return _with(relation, tuple(t for _, t in sorted(triggers.items())), rules, getattr(other, "constraints", ()))

    held: dict[ObjectId, Any] = {f.id: f for f in base.functions} | {v.id: v for v in base.views}
    names = {s.name for s in base.schemas}
    return replace(
        base,
        schemas=(*base.schemas, *(s for s in read.schemas if s.name not in names)),
        functions=chosen(ROUTINE, base.functions, read.functions),
        views=tuple(parts(v) for v in chosen(VIEW, base.views, read.views)),
        tables=tuple(parts(t) for t in base.tables),
        dependencies=tuple(
            sorted(
                {d for d in base.dependencies if not _declared(d.dependent, declared) and d.dependent not in back}
                | {d for d in read.dependencies if _declared(d.dependent, declared) or d.dependent in back},
                key=lambda d: (d.dependent, d.referenced),
            )
        ),
    )


def _id(item: Any) -> ObjectId:
    found: ObjectId = item.id
    return found


def _declared(address: ObjectId, declared: Collection[tuple[str, str]]) -> bool:
    return (address.schema, _GROUP.get(address.kind, "")) in declared


def _dressed(item: Any, held: Mapping[ObjectId, Any]) -> Any:
    """A routine or view with the privileges that it has; one that comes is as the default privileges make it."""
    before = held.get(item.id)
    if before is None:
        return item
    item = replace(item, acl=before.acl)
    if not isinstance(item, View):
        return item
    given = {c.name: c.acl for c in before.columns}
    return replace(item, columns=tuple(replace(c, acl=given.get(c.name)) for c in item.columns))


def questioned(plan: Plan, wanted: Reading) -> Plan:
    """The plan with a question for every fault in the body of a routine that comes or changes, and a note of what looked for them.

    Faults in other routines are only told: the change may have brought them, or they were there before.
    """
    changed = {o.object: o.new for o in plan.operations if o.change in ("create", "alter") and isinstance(o.new, Function)}
    written = [i for i, routine in changed.items() if routine.language == "plpgsql"]
    found = [f for several in faults(wanted.findings).values() for f in several]
    mine = [f for f in found if f.object in changed]
    questions = [f"{_where(f)}{f.message}: mend it, or plan with --no-code-check" for f in mine]
    others = [f"{_where(f)}{f.message}; this routine is not changed" for f in found if f.object not in changed] if not plan.empty else []
    gaps = [f"{g.what}: {g.why}" for g in wanted.gaps if "plpgsql_check" in g.why]
    said = gaps or ["bodies of PL/pgSQL were checked by plpgsql_check"]
    notes = (*plan.notes, *others[:_MANY], *(said if written else ()))
    return replace(plan, questions=(*plan.questions, *questions), notes=notes)


def _where(finding: Finding) -> str:
    return f"{finding.place}: " if finding.place else ""


_MANY = 5
"""Faults in routines that a plan does not change, of which is told."""


def _notes(base: Catalog, code: Code, room: Room, places: Mapping[ObjectId, Place]) -> Iterator[str]:
    """What is left alone, and why."""
    schemas = {schema for schema, _ in code.declared}
    counted: dict[tuple[str, str], int] = {}
    for address in code_of(base):
        key = (address.schema, _GROUP[address.kind])
        if address.schema in schemas and key not in code.declared:
            counted[key] = counted.get(key, 0) + 1
    for (schema, group), count in sorted(counted.items()):
        yield f"left alone: {plural(count, group)} of schema {quote(schema)}, because no file of {code.target} declares a {group} there"
    for address in sorted(room.stays - places.keys()):
        yield f"left alone: {address}, which no file of {code.target} declares, because tables, or code that is not planned, use it"


def _statements(a: Catalog, b: Catalog) -> Iterator[str]:
    sides = ddl.Sides(a, b)
    for operation in diff.operations(a, b).operations:
        yield from ddl.statements(operation, sides)


def _coming_back(a: Catalog, b: Catalog, wanted: Collection[ObjectId]) -> Iterator[tuple[str, str]]:
    """Statements that make what is `wanted` of what `b` has more than `a`, each with whose it is; without owners and privileges."""
    if not wanted:
        return
    a, b = bare(a), bare(b)
    sides, uses = ddl.Sides(a, b), Uses(b)
    for operation in diff.operations(a, b).operations:
        if _whole(uses, operation.object) in wanted:
            yield from ((sql, f"{operation.object}, which no file declares") for sql in ddl.statements(operation, sides))


def bare(catalog: Catalog) -> Catalog:
    """The catalog with code that belongs to nobody in particular and that nobody was given or denied."""
    return replace(
        catalog,
        default_privileges=(),
        functions=tuple(replace(f, owner="", acl=None) for f in catalog.functions),
        views=tuple(replace(v, owner="", acl=None, columns=tuple(replace(c, acl=None) for c in v.columns)) for v in catalog.views),
    )
