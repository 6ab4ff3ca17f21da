"""Publications, subscriptions, event triggers.

Refused with a ValueError: a new subscription, whose connection string is never read, and what a subscription cannot change of itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pgcharter.catalog.model import EventTrigger, Publication, Subscription
from pgcharter.names import ObjectId, literal, quote
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.ddl_common import addressed
from pgcharter.plan.model import Operation

_TABLE = re.compile(r'("(?:[^"]|"")*"|[^".\s(]+)\.("(?:[^"]|"")*"|[^".\s(]+)')


def _drop(operation: Operation, _: Sides) -> list[str]:
    return [f"DROP {addressed(operation.object)}"]


def _rename(operation: Operation, _: Sides) -> list[str]:
    return [f"ALTER {addressed(operation.object)} RENAME TO {quote(operation.new.name)}"]


def _create_publication(operation: Operation, _: Sides) -> list[str]:
    new: Publication = operation.new
    of = "ALL TABLES" if new.all_tables else ", ".join(_members(new))
    return [f"CREATE PUBLICATION {quote(new.name)}{f' FOR {of}' * bool(of)}{_with(new, Publication(new.name))}"]


def _members(publication: Publication) -> list[str]:
    """Each with its own word; ONLY, because the children of a table are members of their own."""
    tables = [f"TABLE ONLY {table}" for table in publication.tables]
    return tables + [f"TABLES IN SCHEMA {quote(schema)}" for schema in publication.schemas]


def _with(new: Publication, old: Publication) -> str:
    options = []
    if new.operations != old.operations:
        options.append(f"publish = {literal(', '.join(new.operations))}")
    if new.via_root != old.via_root:
        options.append(f"publish_via_partition_root = {str(new.via_root).lower()}")
    if new.generated_columns != old.generated_columns:
        options.append(f"publish_generated_columns = {new.generated_columns or 'none'}")
    return f" WITH ({', '.join(options)})" if options else ""


def _alter_publication(operation: Operation, sides: Sides) -> list[str] | None:
    old, new, alter = operation.old, operation.new, f"ALTER {addressed(operation.object)}"
    if old.all_tables != new.all_tables:
        return None
    found = []
    if (old.tables, old.schemas) != (new.tables, new.schemas):
        members = _members(new)
        found += [f"{alter} SET {', '.join(members)}"] if members else [f"{alter} DROP {m}" for m in _left(old, sides)]
    options = _with(new, old)
    return found + ([f"{alter} SET{options.removeprefix(' WITH')}"] if options else [])


def _left(publication: Publication, sides: Sides) -> list[str]:
    """Members that are not dropped anyway, by which they leave the publication."""
    tables = [m for m in map(_TABLE.match, publication.tables) if m and ObjectId("table", _bare(m[1]), _bare(m[2])) in sides.b.table]
    schemas = {s.name for s in sides.b.schemas}
    return [f"TABLE {m[0]}" for m in tables] + [f"TABLES IN SCHEMA {quote(s)}" for s in publication.schemas if s in schemas]


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _no_subscription(operation: Operation, _: Sides) -> list[str]:
    new: Subscription = operation.new
    raise ValueError(
        f"{operation.object} should be made, but its connection string may hold a password and is never read; make it by hand: "
        f"CREATE SUBSCRIPTION {quote(new.name)} CONNECTION '…' PUBLICATION {', '.join(map(quote, new.publications))}"
    )


def _alter_subscription(operation: Operation, sides: Sides) -> list[str] | None:
    """Disabled first and enabled last, as PostgreSQL changes the slot of a disabled subscription only."""
    old, new, alter = operation.old, operation.new, f"ALTER {addressed(operation.object)}"
    found = [f"{alter} DISABLE"] if old.enabled and not new.enabled else []
    options = _options(old, new, sides.major)
    found += [f"{alter} SET ({', '.join(options)})"] if options else []
    found += [f"{alter} ENABLE"] if new.enabled and not old.enabled else []
    if old.publications != new.publications:
        names = ", ".join(map(quote, new.publications))
        found.append(f"{alter} SET PUBLICATION {names}{' WITH (refresh = false)' * (not new.enabled)}")
    return found


def _options(old: Subscription, new: Subscription, major: int) -> list[str]:
    before, after = _pairs(old.options), _pairs(new.options)
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    if "two_phase" in changed and major < 18:
        raise ValueError(
            f"subscription {quote(new.name)} should have two_phase {changed['two_phase']}, which PostgreSQL {major} settles when a "
            "subscription is made: make another one by hand"
        )
    found = [f"{name} = {literal(value)}" for name, value in changed.items()]
    return found + ([f"slot_name = {literal(new.slot) if new.slot else 'NONE'}"] if old.slot != new.slot else [])


def _pairs(options: tuple[str, ...]) -> Mapping[str, str]:
    return {name: value for name, _, value in (option.partition("=") for option in options)}


_ENABLE = {"origin": "ENABLE", "disabled": "DISABLE", "replica": "ENABLE REPLICA", "always": "ENABLE ALWAYS"}


def _create_event_trigger(operation: Operation, _: Sides) -> list[str]:
    new: EventTrigger = operation.new
    tags = f" WHEN TAG IN ({', '.join(map(literal, new.tags))})" if new.tags else ""
    made = f"CREATE EVENT TRIGGER {quote(new.name)} ON {new.event}{tags} EXECUTE FUNCTION {new.function.sql()}"
    return [made, *_enabled(operation, "origin")]


def _enabled(operation: Operation, old: str) -> list[str]:
    new = operation.new.enabled
    return [f"ALTER {addressed(operation.object)} {_ENABLE[new]}"] if new != old else []


def _alter_event_trigger(operation: Operation, _: Sides) -> list[str] | None:
    return None if {"event", "function", "tags"} & set(operation.fields) else _enabled(operation, operation.old.enabled)


WRITERS = {
    "publication": Writer(_create_publication, _drop, _alter_publication, _rename),
    "subscription": Writer(_no_subscription, _drop, _alter_subscription, _rename),
    "event trigger": Writer(_create_event_trigger, _drop, _alter_event_trigger, _rename),
}
