"""Schemas, extensions, the database itself, default privileges, security labels.

Refused with a ValueError: making or dropping a database, its encoding and locale, settings whose value was not read because it may be a
secret, another schema for an extension that cannot move.
"""

from __future__ import annotations

import re

from pgcharter.catalog.model import HIDDEN, Acl, Catalog, DefaultPrivilege, SecurityLabel
from pgcharter.catalog.privileges import default
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan import ddl_settings
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.ddl_common import addressed, named
from pgcharter.plan.ddl_privileges import default_privileges
from pgcharter.plan.model import Operation

_SETTING = re.compile(r"(?:(?P<role>.*):)?(?P<name>[\w.$]+)=(?P<value>.*)", re.DOTALL)


def _create_schema(operation: Operation, _: Sides) -> list[str]:
    return [f"CREATE {addressed(operation.object)}"]


def _drop(operation: Operation, _: Sides) -> list[str]:
    return [f"DROP {addressed(operation.object)}"]


def _rename(operation: Operation, _: Sides) -> list[str]:
    return [f"ALTER {addressed(operation.object)} RENAME TO {quote(operation.new.name)}"]


def _nothing(_: Operation, __: Sides) -> list[str]:
    return []


def _create_extension(operation: Operation, sides: Sides) -> list[str]:
    """With its schema, unless it makes its own, and its version, unless that is what its server would install by itself."""
    new = operation.new
    own = any(s.name == new.schema and s.extension == new.name for s in sides.b.schemas)
    schema = "" if own or not new.schema else f" SCHEMA {quote(new.schema)}"
    version = f" VERSION {literal(new.version)}" if new.version not in ("", new.default_version) else ""
    return [f"CREATE EXTENSION {quote(new.name)}{schema}{version}"]


def _alter_extension(operation: Operation, _: Sides) -> list[str] | None:
    """Version and schema; what the server's packages offer (`default_version`, ...) is not the database's to change."""
    old, new, found = operation.old, operation.new, []
    alter = f"ALTER {addressed(operation.object)}"
    if "version" in operation.fields and new.version:
        found.append(f"{alter} UPDATE TO {literal(new.version)}")
    if "schema" in operation.fields and new.schema:
        if not old.relocatable:
            raise ValueError(
                f"extension {quote(new.name)} should move from schema {quote(old.schema)} to {quote(new.schema)}, but it cannot "
                "move; dropping and creating it anew would drop what uses it"
            )
        found.append(f"{alter} SET SCHEMA {quote(new.schema)}")
    return found


def _no_database(operation: Operation, sides: Sides) -> list[str]:
    raise ValueError(f"{named(operation.object, sides)} cannot be created or dropped from within itself")


def _alter_database(operation: Operation, sides: Sides) -> list[str] | None:
    at, old, new = named(operation.object, sides), operation.old, operation.new
    for fixed in ("encoding", "collation", "character_type", "locale_provider"):
        if fixed in operation.fields:
            raise ValueError(
                f"{at} has {fixed.replace('_', ' ')} {getattr(old, fixed)!r} and should have {getattr(new, fixed)!r}, which is settled "
                "when a database is made: create another one and move the data"
            )
    if "settings" not in operation.fields:
        return []
    before, after = _settings(old.settings), _settings(new.settings)
    found = [f"ALTER {_whose(at, key)} RESET {ddl_settings.named(key[1])}" for key in before if key not in after]
    return found + [_set(at, key, value) for key, value in after.items() if before.get(key) != value]


def _settings(texts: tuple[str, ...]) -> dict[tuple[str, str], str]:
    """(role or empty, name) → value."""
    found = {}
    for text in texts:
        parts = re.match(r"(?P<role>)(?P<name>[\w.$]+)=(?P<value>.*)", text, re.DOTALL) or _SETTING.fullmatch(text)
        if parts is None:
            raise ValueError(f"the setting {text!r} of the database has no name")
        found[parts["role"] or "", parts["name"]] = parts["value"]
    return found


def _whose(database: ObjectId, key: tuple[str, str]) -> str:
    return f"ROLE {quote(key[0])} IN {addressed(database)}" if key[0] else addressed(database)


def _set(database: ObjectId, key: tuple[str, str], value: str) -> str:
    if value == HIDDEN:
        raise ValueError(
            f"the value of setting {key[1]} of {database} may be a secret, so it was not read and cannot be written; set it by hand"
        )
    return f"ALTER {_whose(database, key)} {ddl_settings.assigned(key[1], value)}"


def _default(operation: Operation, sides: Sides) -> list[str]:
    """From one set of default privileges to the other, where none stands for PostgreSQL's own."""
    known: DefaultPrivilege = operation.new or operation.old

    def grants(given: DefaultPrivilege | None) -> Acl:
        if given is not None:
            return given.grants
        return default(known.objects, known.role, sides.major) if not known.schema else ()

    return default_privileges(known, grants(operation.old), grants(operation.new), sides.major)


def _label(operation: Operation, sides: Sides) -> list[str]:
    label: SecurityLabel = operation.new or operation.old
    text = literal(operation.new.label) if operation.new else "NULL"
    return [f"SECURITY LABEL FOR {quote(label.provider)} ON {_labelled(label.object, sides.b if operation.new else sides.a)} IS {text}"]


def _labelled(object: ObjectId, catalog: Catalog) -> str:  # noqa: A002
    table = catalog.table.get(object)
    return addressed(object, "foreign table" if table is not None and table.kind == "foreign table" else "")


WRITERS = {
    "schema": Writer(_create_schema, _drop, _nothing, _rename),
    "extension": Writer(_create_extension, _drop, _alter_extension),
    "database": Writer(_no_database, _no_database, _alter_database),
    "default privileges": Writer(_default, _default, _default),
    "security label": Writer(_label, _label, _label),
}
