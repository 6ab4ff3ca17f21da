"""What every kind of object has: a comment, an owner, privileges.

Who owns a new object. PostgreSQL gives it to the role that runs the statements, which a plan does not know. So the owner is always
written where the wanted catalog names one: for whoever owns it already, ALTER ... OWNER TO itself does nothing and needs no right. A
planner that was not asked about owners leaves `owner` empty in the wanted objects; then they stay with the role that runs the statements,
and `CURRENT_ROLE` stands for the owner where privileges must name one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pgcharter.catalog.model import Acl, DefaultPrivilege, Sequence, Table, UserType
from pgcharter.catalog.privileges import handed
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan.ddl_privileges import ME, Rights, changes, starts, taken_with_the_table

if TYPE_CHECKING:
    from pgcharter.plan.ddl import Sides
    from pgcharter.plan.model import Operation

ATTRIBUTE, DOMAIN_CONSTRAINT = "attribute", "domain constraint"
"""How writers know a `column` of a composite type and a `constraint` of a domain, whose addresses are those of a relation's parts."""
_WORDS = {"foreign-data wrapper": "FOREIGN DATA WRAPPER", ATTRIBUTE: "COLUMN", DOMAIN_CONSTRAINT: "CONSTRAINT"}
"""How a kind is called in COMMENT, ALTER and DROP, where that is not its own name in capitals."""
_UNOWNED = frozenset(("extension", "column", "constraint", "trigger", "policy", "rule", "index", ATTRIBUTE, DOMAIN_CONSTRAINT))
"""Kinds without ALTER ... OWNER TO; an extension stays with the role that created it."""


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
        found += owner(object, before.owner if old else ME, after.owner, kind)
    if old is None:
        begun = [] if _shell(new) else [Rights(after.owner, acl) for acl in starts(object, kind, after.owner, major, defaults)]
        given = changes(object, kind, begun, after, major)
        return found + given + taken_with_the_table(object, given, old, new)
    moved = Rights(after.owner or before.owner, handed(before.acl, before.owner, after.owner or before.owner))
    found += changes(object, kind, [moved], Rights(moved.owner, after.acl), major)
    return found + taken_with_the_table(object, found, old, new)


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
    return changes(object, object.kind, [Rights(owner, old)], Rights(owner, new), major)


def _kind(object: ObjectId, value: Any) -> str:  # noqa: A002
    return value.kind if isinstance(value, Table) and value.kind == "foreign table" else object.kind


def _follows(value: Any) -> bool:
    """Whether its owner is that of the table it belongs to (PostgreSQL refuses to change it)."""
    return isinstance(value, Sequence) and value.owned_by is not None


def _shell(value: Any) -> bool:
    """Whether it is a type without definition, which has no privileges, not even by ALTER DEFAULT PRIVILEGES."""
    return isinstance(value, UserType) and "shell" in value.options
