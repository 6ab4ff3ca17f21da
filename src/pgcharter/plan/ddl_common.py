"""What every kind of object has: a comment, an owner, privileges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgcharter.catalog.model import Acl, Grant
from pgcharter.names import ObjectId, literal, quote

ALL = {
    "table": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"),
    "sequence": ("USAGE", "SELECT", "UPDATE"),
    "function": ("EXECUTE",),
    "type": ("USAGE",),
    "schema": ("USAGE", "CREATE"),
    "database": ("CREATE", "TEMPORARY", "CONNECT"),
    "server": ("USAGE",),
}
"""Privileges that the owner has by PostgreSQL's default (MAINTAIN from 17)."""
PUBLIC = {"function": ("EXECUTE",), "type": ("USAGE",), "database": ("TEMPORARY", "CONNECT")}
"""Privileges that everybody has by PostgreSQL's default (documentation, "Privileges")."""
_CLASS = {
    "table": "table", "view": "table", "materialized view": "table", "sequence": "sequence", "function": "function",
    "procedure": "function", "aggregate": "function", "type": "type", "domain": "type", "schema": "schema", "database": "database",
    "server": "server",
}  # fmt: skip
_GRANT_ON = {"view": "TABLE", "materialized view": "TABLE", "aggregate": "FUNCTION", "server": "FOREIGN SERVER"}
_WORDS = {"server": "SERVER"}
"""How a kind is called in COMMENT and ALTER, where that is not its own name in capitals."""


def metadata(object: ObjectId, old: Any, new: Any, major: int = 18) -> list[str]:  # noqa: A002
    """The statements that bring comment, owner and privileges of `object` from those of `old` to those of `new`.

    Without `old` the object has just been made: it belongs to whoever runs the statements and has PostgreSQL's default privileges.
    """
    found = owner(object, getattr(old, "owner", ""), getattr(new, "owner", ""))
    found += privileges(object, getattr(old, "acl", None), getattr(new, "acl", None), getattr(new, "owner", ""), major)
    return found + comment(object, getattr(old, "comment", ""), getattr(new, "comment", ""))


def comment(object: ObjectId, old: str, new: str) -> list[str]:  # noqa: A002
    """COMMENT ON, when the text changes."""
    return [f"COMMENT ON {addressed(object)} IS {literal(new) if new else 'NULL'}"] if old != new else []


def addressed(object: ObjectId) -> str:  # noqa: A002
    """The object as COMMENT ON names it: `TRIGGER audit ON app.users`."""
    word = _WORDS.get(object.kind, object.kind.upper())
    if object.kind == "column":
        return f"COLUMN {object.sql()}"
    return f"{word} {quote(object.part)} ON {object.owner.sql()}" if object.part else f"{word} {object.sql()}"


def owner(object: ObjectId, old: str, new: str) -> list[str]:  # noqa: A002
    """ALTER ... OWNER TO, when both are known and differ."""
    word = _WORDS.get(object.kind, object.kind.upper())
    return [f"ALTER {word} {object.sql()} OWNER TO {quote(new)}"] if old and new and old != new else []


def privileges(object: ObjectId, old: Acl, new: Acl, owner: str, major: int) -> list[str]:  # noqa: A002
    """GRANT and REVOKE from one set of privileges to the other; None is PostgreSQL's default."""
    before, after = _held(object, old, owner, major), _held(object, new, owner, major)
    gone = {key: grantable for key, grantable in before.items() if key not in after or (grantable and not after[key])}
    come = {key: grantable for key, grantable in after.items() if key not in before or (grantable and not before[key])}
    found = [_revoke(object, key, option=key in after) for key in sorted(gone)]
    return found + [_grant(object, key, option=grantable) for key, grantable in sorted(come.items())]


_Held = tuple[str, str]


def _held(object: ObjectId, acl: Acl, owner: str, major: int) -> Mapping[_Held, bool]:  # noqa: A002
    """(grantee, privilege) → with grant option."""
    if acl is None:
        kind = _CLASS.get(object.kind, "")
        acl = tuple(Grant(owner, p) for p in ALL.get(kind, ()) if p != "MAINTAIN" or major >= 17)
        acl += tuple(Grant("", p) for p in PUBLIC.get(kind, ()))
    return {(g.grantee, g.privilege): g.grantable for g in acl}


def _on(object: ObjectId) -> str:  # noqa: A002
    target = object.owner if object.kind == "column" else object
    return f"ON {_GRANT_ON.get(object.kind, 'TABLE' if object.kind == 'column' else object.kind.upper())} {target.sql()}"


def _right(object: ObjectId, privilege: str) -> str:  # noqa: A002
    return f"{privilege} ({quote(object.part)})" if object.kind == "column" else privilege


def _role(name: str) -> str:
    return quote(name) if name else "PUBLIC"


def _grant(object: ObjectId, held: _Held, *, option: bool) -> str:  # noqa: A002
    return f"GRANT {_right(object, held[1])} {_on(object)} TO {_role(held[0])}{' WITH GRANT OPTION' * option}"


def _revoke(object: ObjectId, held: _Held, *, option: bool) -> str:  # noqa: A002
    return f"REVOKE {'GRANT OPTION FOR ' * option}{_right(object, held[1])} {_on(object)} FROM {_role(held[0])}"
