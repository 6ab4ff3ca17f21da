"""What every kind of object has: a comment, an owner, privileges.

Who owns a new object. PostgreSQL gives it to the role that runs the statements, which a plan does not know. So the owner is always
written where the wanted catalog names one: for whoever owns it already, ALTER ... OWNER TO itself does nothing and needs no right. A
planner that was not asked about owners leaves `owner` empty in the wanted objects; then they stay with the role that runs the statements,
and `CURRENT_ROLE` stands for the owner where privileges must name one.

Privileges are written by the role that granted them: those of another grantor than the owner between SET ROLE and RESET ROLE, because
PostgreSQL takes GRANTED BY only for the current role. ALTER DEFAULT PRIVILEGES may have given a new object more or less than PostgreSQL's
own default: what any of them could have done is made good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgcharter.catalog.model import Acl, Column, DefaultPrivilege, Grant, Sequence, Table, UserType
from pgcharter.catalog.privileges import Held, Key, class_of, default, handed, held, owner_in
from pgcharter.names import ObjectId, literal, quote

if TYPE_CHECKING:
    from pgcharter.plan.ddl import Sides
    from pgcharter.plan.model import Operation

ATTRIBUTE, DOMAIN_CONSTRAINT = "attribute", "domain constraint"
"""How writers know a `column` of a composite type and a `constraint` of a domain, whose addresses are those of a relation's parts."""
_WORDS = {"foreign-data wrapper": "FOREIGN DATA WRAPPER", ATTRIBUTE: "COLUMN", DOMAIN_CONSTRAINT: "CONSTRAINT"}
"""How a kind is called in COMMENT, ALTER and DROP, where that is not its own name in capitals."""
_GRANT_ON = {
    "view": "TABLE", "materialized view": "TABLE", "foreign table": "TABLE", "column": "TABLE", "aggregate": "FUNCTION",
    "server": "FOREIGN SERVER",
}  # fmt: skip
_UNOWNED = frozenset(("extension", "column", "constraint", "trigger", "policy", "rule", "index", ATTRIBUTE, DOMAIN_CONSTRAINT))
"""Kinds without ALTER ... OWNER TO; an extension stays with the role that created it."""
_DEFAULTS = {"table": "tables", "sequence": "sequences", "function": "functions", "type": "types", "schema": "schemas"}
_ME = "\0"
"""Stands for an owner of whom only is known that it is the role that runs the statements."""
_BY_COLUMN = frozenset(("SELECT", "INSERT", "UPDATE", "REFERENCES"))


def metadata(
    object: ObjectId,  # noqa: A002
    old: Any,
    new: Any,
    major: int = 18,
    *,
    kind: str = "",
    defaults: Iterable[DefaultPrivilege] = (),
    owner_of: str = "",
    owner_was: str = "",
) -> list[str]:
    """The statements that bring owner, privileges and comment of `object` from those of `old` to those of `new`.

    Without `old` the object has just been made, while `defaults` were in force. `kind` is needed where the address does not tell it:
    `foreign table` (seen by itself when `new` is the table), `attribute`, `domain constraint`. `owner_of` is the owner of the table that a
    column is in, `owner_was` the one before, when it changes.
    """
    kind = kind or _kind(object, new)
    before = Rights(getattr(old, "owner", "") or owner_was or owner_of, getattr(old, "acl", None))
    after = Rights(getattr(new, "owner", "") or owner_of, getattr(new, "acl", None))
    said = getattr(old, "comment", "") if old is not None else getattr(new, "default_comment", "")
    found = comment(object, said, getattr(new, "comment", ""), kind)
    if not _follows(new) and kind not in _UNOWNED:
        found += owner(object, before.owner if old else _ME, after.owner, kind)
    if old is None and _shell(new):
        return found
    if old is None:
        starts = [Rights(after.owner, acl) for acl in _starts(object, kind, after.owner, major, defaults)]
    else:
        moved = handed(before.acl, before.owner, after.owner) if after.owner else before.acl
        starts = [Rights(after.owner or before.owner, moved)]
    found += _privileges(object, kind, starts, Rights(after.owner or starts[0].owner, after.acl), major)
    return found + _taken_with_the_table(object, found, old, new)


def of(operation: Operation, sides: Sides) -> list[str]:
    """`metadata` of an operation, with what its sides know around it."""
    at, kind = operation.object, kind_of(operation, sides)
    tables = [side.relation.get((at.schema, at.name)) if at.kind == "column" else None for side in (sides.a, sides.b)]
    old, new = (table.owner if table else "" for table in tables)
    defaults = {*sides.a.default_privileges, *sides.b.default_privileges} if operation.change == "create" else ()
    kind = "" if kind == at.kind else kind
    address = named(at, sides)
    return metadata(address, operation.old, operation.new, sides.major, kind=kind, defaults=defaults, owner_of=new or old, owner_was=old)


def kind_of(operation: Operation, sides: Sides) -> str:
    """The kind by which the object is written: that of its address, or `attribute` or `domain constraint`."""
    at = operation.object
    side = sides.a if operation.change in ("drop", "rename") else sides.b
    if at.kind not in ("column", "constraint") or (at.schema, at.name) not in side.type:
        return at.kind
    return ATTRIBUTE if at.kind == "column" else DOMAIN_CONSTRAINT


def named(object: ObjectId, sides: Sides) -> ObjectId:  # noqa: A002
    """The address; that of the database, which catalogs compare without its name, with the name it has before."""
    name = object.name or sides.a.database.name or sides.b.database.name
    return ObjectId("database", "", name) if object.kind == "database" else object


def comment(object: ObjectId, old: str, new: str, kind: str = "") -> list[str]:  # noqa: A002
    """COMMENT ON, when the text changes."""
    return [f"COMMENT ON {addressed(object, kind)} IS {literal(new) if new else 'NULL'}"] if old != new else []


def addressed(object: ObjectId, kind: str = "") -> str:  # noqa: A002
    """The object as COMMENT, ALTER and DROP name it: `TRIGGER audit ON app.users`, `FOREIGN TABLE app.far`, `CAST (integer AS app.mood)`.

    `kind` as for `metadata`.
    """
    kind = kind or object.kind
    word = _WORDS.get(kind, kind.upper())
    if kind in ("column", ATTRIBUTE) or not object.part:
        return f"{word} {object.sql()}"
    return f"{word} {quote(object.part)} ON {'DOMAIN ' * (kind == DOMAIN_CONSTRAINT)}{object.owner.sql()}"


def owner(object: ObjectId, old: str, new: str, kind: str = "") -> list[str]:  # noqa: A002
    """ALTER ... OWNER TO, when both are known and differ."""
    return [f"ALTER {addressed(object, kind)} OWNER TO {quote(new)}"] if old and new and old != new else []


def privileges(object: ObjectId, old: Acl, new: Acl, owner: str, major: int) -> list[str]:  # noqa: A002
    """GRANT and REVOKE from one set of privileges to the other, `owner` having them already; None is PostgreSQL's default."""
    return _privileges(object, object.kind, [Rights(owner, old)], Rights(owner, new), major)


@dataclass(frozen=True, slots=True)
class Rights:
    """An owner (empty: not known) and what is granted."""

    owner: str
    acl: Acl

    def keys(self, kind: str, major: int) -> Held:
        """Grantee, privilege and grantor → with grant option; an unknown owner goes by `_ME`."""
        if self.owner:
            return held(kind, self.acl, self.owner, major)
        return held(kind, handed(self.acl, owner_in(self.acl), _ME), _ME, major)


def _kind(object: ObjectId, value: Any) -> str:  # noqa: A002
    return value.kind if isinstance(value, Table) and value.kind == "foreign table" else object.kind


def _follows(value: Any) -> bool:
    """Whether its owner is that of the table it belongs to (PostgreSQL refuses to change it)."""
    return isinstance(value, Sequence) and value.owned_by is not None


def _shell(value: Any) -> bool:
    """Whether it is a type without definition, which has no privileges, not even by ALTER DEFAULT PRIVILEGES."""
    return isinstance(value, UserType) and "shell" in value.options


def _starts(object: ObjectId, kind: str, owner: str, major: int, defaults: Iterable[DefaultPrivilege]) -> list[tuple[Grant, ...]]:  # noqa: A002
    """The privileges with which a new object may begin: PostgreSQL's default, and what each of the `defaults` would make of it.

    Those for all schemas stand in the place of PostgreSQL's default, those for one schema are added (documentation, ALTER DEFAULT
    PRIVILEGES). Whose defaults are in force is not known, as it is the role that runs the statements.
    """
    who = owner or _ME
    wanted = _DEFAULTS.get(class_of(kind))
    applying = [d for d in defaults if d.objects == wanted and d.schema in ("", object.schema)]
    found = [default(kind, who, major)]
    found += [handed(d.grants, d.role, who) or () for d in applying if not d.schema]
    extra = [handed(d.grants, d.role, who) or () for d in applying if d.schema]
    return found + [tuple({*start, *more}) for start in list(found) for more in extra]


def _privileges(object: ObjectId, kind: str, starts: list[Rights], wanted: Rights, major: int) -> list[str]:  # noqa: A002
    """From whichever of `starts` it is to what is wanted: what one of them lacks is granted, what one of them has too much is revoked.

    In this order nobody is without a privilege meanwhile, and what a grantee passed on outlives the grant it came by if there is another.
    """
    after = wanted.keys(kind, major)
    befores = [start.keys(kind, major) for start in starts]
    gone, come = _difference(befores, after)
    holder = wanted.owner or _ME
    found = [(key[2], _grant(object, kind, key, option=option)) for key, option in _in_turn(come, holder)]
    found += [(key[2], _revoke(object, kind, key, option=option)) for key, option in reversed(_in_turn(gone, holder))]
    return [text for grantor, statement in found for text in _as(grantor, holder, statement)]


def _difference(befores: Iterable[Held], after: Held) -> tuple[dict[Key, bool], dict[Key, bool]]:
    """What must be revoked (True: only the grant option), what granted (True: with grant option)."""
    befores = list(befores)
    gone = {key: key in after for b in befores for key, option in b.items() if key not in after or (option and not after[key])}
    return gone, {key: option for key, option in after.items() if any(key not in b or (option and not b[key]) for b in befores)}


def default_privileges(of: DefaultPrivilege, old: Acl, new: Acl, major: int) -> list[str]:
    """ALTER DEFAULT PRIVILEGES from one set of grants to the other; None is PostgreSQL's default."""
    head = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(of.role)}" + (f" IN SCHEMA {quote(of.schema)}" if of.schema else "")
    on = f"ON {of.objects.upper()}"
    gone, come = _difference([held(of.objects, old, of.role, major)], held(of.objects, new, of.role, major))
    found = [f"{head} REVOKE {'GRANT OPTION FOR ' * only}{key[1]} {on} FROM {_role(key[0])}" for key, only in sorted(gone.items())]
    return found + [f"{head} GRANT {key[1]} {on} TO {_role(key[0])}{' WITH GRANT OPTION' * o}" for key, o in sorted(come.items())]


def _in_turn(grants: Held, owner: str) -> list[tuple[Key, bool]]:
    """Grants in an order in which every grantor holds what it passes on: those of the owner first."""
    waiting, found, reached = sorted(grants.items()), [], {owner}
    while waiting:
        ready = [item for item in waiting if item[0][2] in reached] or waiting
        found += ready
        waiting = [item for item in waiting if item not in ready]
        reached |= {key[0] for key, _ in ready}
    return found


def _as(grantor: str, owner: str, statement: str) -> Iterator[str]:
    if grantor in (owner, _ME):
        yield statement
    else:
        yield from (f"SET ROLE {quote(grantor)}", statement, "RESET ROLE")


def _on(object: ObjectId, kind: str) -> str:  # noqa: A002
    target = object.owner.sql() if kind == "column" else object.sql()
    word = _GRANT_ON.get(kind, _WORDS.get(kind, kind.upper()))
    return f"ON {word} {target.replace('(*)', '()') if kind == 'aggregate' else target}"


def _right(object: ObjectId, kind: str, privilege: str) -> str:  # noqa: A002
    return f"{privilege} ({quote(object.part)})" if kind == "column" else privilege


def _role(name: str) -> str:
    return "CURRENT_ROLE" if name == _ME else quote(name) if name else "PUBLIC"


def _grant(object: ObjectId, kind: str, key: Key, *, option: bool) -> str:  # noqa: A002
    return f"GRANT {_right(object, kind, key[1])} {_on(object, kind)} TO {_role(key[0])}{' WITH GRANT OPTION' * option}"


def _revoke(object: ObjectId, kind: str, key: Key, *, option: bool) -> str:  # noqa: A002
    return f"REVOKE {'GRANT OPTION FOR ' * option}{_right(object, kind, key[1])} {_on(object, kind)} FROM {_role(key[0])}"


def _taken_with_the_table(object: ObjectId, written: list[str], old: Any, new: Any) -> list[str]:  # noqa: A002
    """What REVOKE on a whole table or view takes away with it although it is wanted: the same privilege on single columns."""
    if old is None or not any(text.startswith("REVOKE") for text in written):
        return []
    there = {c.name for c in getattr(old, "columns", ())}
    columns: list[Column] = [c for c in getattr(new, "columns", ()) if c.acl and c.name in there]
    found: list[str] = []
    for column in columns:
        part = ObjectId("column", object.schema, object.name, column.name)
        lost = tuple(g for g in column.acl or () if g.privilege in _BY_COLUMN and _revoked(written, object, g))
        found += _privileges(part, "column", [Rights(new.owner, None)], Rights(new.owner, lost), 0)
    return found


def _revoked(written: list[str], object: ObjectId, grant: Grant) -> bool:  # noqa: A002
    key = grant.grantee, grant.privilege, grant.grantor
    return any(_revoke(object, "table", key, option=option) in written for option in (False, True))
