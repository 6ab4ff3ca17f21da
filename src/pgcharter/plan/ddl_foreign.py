"""Foreign servers with their user mappings, and foreign-data wrappers.

Refused with a ValueError: options whose value was not read because it may be a secret, and new user mappings, whose options are never read.
"""

from __future__ import annotations

import re

from pgcharter.catalog.model import HIDDEN, ForeignServer, OtherObject
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.ddl_common import addressed
from pgcharter.plan.model import Operation


def _drop(operation: Operation, _: Sides) -> list[str]:
    return [f"DROP {addressed(operation.object)}"]


def _rename(operation: Operation, _: Sides) -> list[str]:
    return [f"ALTER {addressed(operation.object)} RENAME TO {quote(operation.new.name)}"]


def _create_server(operation: Operation, _: Sides) -> list[str]:
    new: ForeignServer = operation.new
    _no_mapping(new, new.users)
    of_type = f" TYPE {literal(new.type)}" if new.type else ""
    version = f" VERSION {literal(new.version)}" if new.version else ""
    options = _given(new.id, new.options)
    return [f"CREATE SERVER {quote(new.name)}{of_type}{version} FOREIGN DATA WRAPPER {quote(new.wrapper)}{options}"]


def _no_mapping(server: ForeignServer, users: tuple[str, ...]) -> None:
    if users:
        whom = "PUBLIC" if users[0] == "public" else quote(users[0])
        raise ValueError(
            f"{server.id} should have a user mapping for {whom}, whose options may hold a password and are never read; make it by hand: "
            f"CREATE USER MAPPING FOR {whom} SERVER {quote(server.name)} OPTIONS (…)"
        )


def _drop_server(operation: Operation, sides: Sides) -> list[str]:
    return [*_unmapped(operation.old, operation.old.users), *_drop(operation, sides)]


def _unmapped(server: ForeignServer, users: tuple[str, ...]) -> list[str]:
    return [f"DROP USER MAPPING FOR {'PUBLIC' if u == 'public' else quote(u)} SERVER {quote(server.name)}" for u in users]


def _alter_server(operation: Operation, _: Sides) -> list[str] | None:
    """PostgreSQL can change a version, but not take it away."""
    old, new = operation.old, operation.new
    if {"type", "wrapper"} & set(operation.fields) or (old.version and not new.version):
        return None
    _no_mapping(new, tuple(u for u in new.users if u not in old.users))
    version = f" VERSION {literal(new.version)}" if old.version != new.version else ""
    altered = version + _changed(new.id, old.options, new.options)
    gone = tuple(u for u in old.users if u not in new.users)
    return _unmapped(old, gone) + ([f"ALTER {addressed(operation.object)}{altered}"] if altered else [])


def _create_wrapper(operation: Operation, _: Sides) -> list[str]:
    new: OtherObject = operation.new
    handlers = f" {new.definition}" if new.definition else ""
    return [f"CREATE FOREIGN DATA WRAPPER {quote(new.name)}{handlers}{_given(new.id, new.options)}"]


def _alter_wrapper(operation: Operation, _: Sides) -> list[str]:
    old, new = operation.old, operation.new
    altered = ""
    for word in ("HANDLER", "VALIDATOR"):
        before, after = _function(old, word), _function(new, word)
        if before != after:
            altered += f" {word} {after}" if after else f" NO {word}"
    altered += _changed(new.id, old.options, new.options)
    return [f"ALTER {addressed(operation.object)}{altered}"] if altered else []


def _function(wrapper: OtherObject, word: str) -> str:
    found = re.search(rf'\b{word} ((?:"(?:[^"]|"")*"|[^"\s])+)', wrapper.definition)
    return found[1] if found else ""


def _given(object: ObjectId, options: tuple[str, ...]) -> str:  # noqa: A002
    items = [f"{quote(name)} {_value(object, name, value)}" for name, value in _pairs(options).items()]
    return f" OPTIONS ({', '.join(items)})" if items else ""


def _changed(object: ObjectId, old: tuple[str, ...], new: tuple[str, ...]) -> str:  # noqa: A002
    before, after = _pairs(old), _pairs(new)
    items = [f"DROP {quote(name)}" for name in before if name not in after]
    for name, value in after.items():
        if before.get(name) != value:
            items.append(f"{'SET' if name in before else 'ADD'} {quote(name)} {_value(object, name, value)}")
    return f" OPTIONS ({', '.join(items)})" if items else ""


def _pairs(options: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, _, value in (option.partition("=") for option in options)}


def _value(object: ObjectId, name: str, value: str) -> str:  # noqa: A002
    if value == HIDDEN:
        raise ValueError(
            f"the value of option {name} of {object} may be a secret, so it was not read and cannot be written; set it by hand"
        )
    return literal(value)


WRITERS = {
    "server": Writer(_create_server, _drop_server, _alter_server, _rename),
    "foreign-data wrapper": Writer(_create_wrapper, _drop, _alter_wrapper, _rename),
}
