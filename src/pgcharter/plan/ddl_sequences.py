"""Sequences. Those of identity columns are made and dropped with their column; those of serial columns go with it.

Order: a sequence comes before the default that draws from it, so its CREATE cannot yet say OWNED BY a column that is new; that is said
with the column (or its table), by `belonging`.
"""

from __future__ import annotations

from collections.abc import Mapping

from pgcharter.catalog.model import Catalog, Sequence
from pgcharter.names import ObjectId, cut, quote
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.model import Operation

_LIMITS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


def _create(operation: Operation, sides: Sides) -> list[str]:
    sequence: Sequence = operation.new
    if sequence.identity:
        return []
    words = " ".join(["CREATE", *["UNLOGGED"] * sequence.unlogged, "SEQUENCE", sequence.id.sql(), *_type(sequence), *words_of(sequence)])
    owned = sequence.owned_by
    return [words] + (_belongs(sequence, sides.a) if owned is not None and has_column(sides.a, owned) else [])


def _type(sequence: Sequence) -> list[str]:
    return [] if sequence.type == "bigint" else [f"AS {sequence.type}"]


def _usual(sequence: Sequence) -> Mapping[str, str]:
    """The options that CREATE SEQUENCE takes when it is told only type and increment."""
    limit = _LIMITS[sequence.type]
    low, high = (1, limit - 1) if sequence.increment > 0 else (-limit, -1)
    first = sequence.minimum if sequence.increment > 0 else sequence.maximum
    return _options(Sequence("", "", sequence.type, first, 1, low, high))


def _options(sequence: Sequence) -> Mapping[str, str]:
    return {
        "increment": f"INCREMENT BY {sequence.increment}",
        "minimum": f"MINVALUE {sequence.minimum}",
        "maximum": f"MAXVALUE {sequence.maximum}",
        "start": f"START WITH {sequence.start}",
        "cache": f"CACHE {sequence.cache}",
        "cycle": "CYCLE" if sequence.cycle else "NO CYCLE",
    }


def words_of(sequence: Sequence) -> list[str]:
    """The options that are not the usual ones: `["START WITH 10", "INCREMENT BY 5"]`."""
    usual = _usual(sequence)
    return [text for name, text in _options(sequence).items() if usual[name] != text]


def _owned(sequence: Sequence) -> str:
    return f"ALTER SEQUENCE {sequence.id.sql()} OWNED BY {sequence.owned_by.sql() if sequence.owned_by else 'NONE'}"


def _belongs(sequence: Sequence, before: Catalog) -> list[str]:
    """OWNED BY; a sequence must first have the owner of a table that was there before."""
    table = before.table.get(sequence.owned_by.owner) if sequence.owned_by else None
    owner = [f"ALTER SEQUENCE {sequence.id.sql()} OWNER TO {quote(table.owner)}"] if table and table.owner else []
    return [*owner, _owned(sequence)]


def has_column(catalog: Catalog, column: ObjectId) -> bool:
    """Whether the catalog has that column of a table."""
    table = catalog.table.get(column.owner)
    return table is not None and column.part in table.column


def identity_sequence(catalog: Catalog, column: ObjectId) -> Sequence | None:
    """The inner sequence of an identity column."""
    return next((s for s in catalog.sequences_of.get(column.owner, ()) if s.identity and s.owned_by == column), None)


def serial_sequence(catalog: Catalog, column: ObjectId) -> Sequence | None:
    """The sequence that belongs to a column and feeds its default."""
    return next((s for s in catalog.sequences_of.get(column.owner, ()) if not s.identity and s.owned_by == column), None)


def identity_words(sequence: Sequence, column: ObjectId, *, unlogged: bool) -> str:
    """What stands in parentheses after AS IDENTITY, with a space before it; empty when all is usual."""
    usual = f"{column.name}_{column.part}_seq"
    words = [] if sequence.name == usual == cut(usual) else [f"SEQUENCE NAME {sequence.id.sql()}"]
    if sequence.unlogged != unlogged:
        words.append("UNLOGGED" if sequence.unlogged else "LOGGED")
    words += words_of(sequence)
    return f" ({' '.join(words)})" if words else ""


def belonging(table: ObjectId, sides: Sides, column: str = "") -> list[str]:
    """OWNED BY for the sequences of a table, or of one column, that has just been made."""
    sequences = sides.b.sequences_of.get(table, ())
    mine = (s for s in sequences if not s.identity and s.owned_by and column in ("", s.owned_by.part))
    return [text for s in mine for text in _belongs(s, sides.a)]


def _drop(operation: Operation, sides: Sides) -> list[str]:
    sequence: Sequence = operation.old
    gone = sequence.owned_by is not None and not has_column(sides.b, sequence.owned_by)
    return [] if gone or sequence.identity else [f"DROP SEQUENCE {sequence.id.sql()}"]


def _alter(operation: Operation, sides: Sides) -> list[str] | None:
    old, new, fields = operation.old, operation.new, set(operation.fields)
    if "identity" in fields:
        return []
    found: list[str] = []
    if "unlogged" in fields:
        found.append(f"ALTER SEQUENCE {new.id.sql()} SET {'UNLOGGED' if new.unlogged else 'LOGGED'}")
    found += _bounded(old, new)
    if "owned_by" in fields and not new.identity and (new.owned_by is None or has_column(sides.a, new.owned_by)):
        found += _belongs(new, sides.a) if new.owned_by else [_owned(new)]
    return found


def _bounded(old: Sequence, new: Sequence) -> list[str]:
    """New options. Where the bounds get narrower the position is moved inside them, which PostgreSQL would not do by itself."""
    before, after = _options(old), _options(new)
    changed = [text for name, text in after.items() if before[name] != text or (old.type != new.type and name in ("minimum", "maximum"))]
    if old.type != new.type:
        changed.insert(0, f"AS {new.type}")
    if not changed:
        return []
    apart = new.minimum > old.maximum or new.maximum < old.minimum
    name = new.id.sql()
    narrower = new.minimum > old.minimum or new.maximum < old.maximum
    found = [_moved_inside(new)] if narrower and not apart else []
    return [*found, " ".join(["ALTER SEQUENCE", name, *changed, *["RESTART"] * apart])]


def _moved_inside(new: Sequence) -> str:
    inside = f"least(greatest(last_value, {new.minimum}), {new.maximum})"
    within = f"last_value BETWEEN {new.minimum} AND {new.maximum}"
    return f"SELECT {setval(new.id, inside, f'is_called AND {within}')} FROM {new.id.sql()}"


def setval(sequence: ObjectId, value: str, called: str) -> str:
    """The call that puts a sequence at `value`."""
    from pgcharter.names import literal

    return f"pg_catalog.setval({literal(sequence.sql())}, {value}, {called})"


def _same_position(target: ObjectId, source: ObjectId) -> str:
    return f"SELECT {setval(target, 'last_value', 'is_called')} FROM {source.sql()}"


def serial_to_identity(serial: Sequence, inner: Sequence, drop_default: str, add_identity: str) -> list[str]:
    """The statements from a serial column to an identity column that goes on where it was."""
    if serial.id != inner.id:
        return [drop_default, add_identity, _same_position(inner.id, serial.id)]
    aside = _aside(serial)
    rename = f"ALTER SEQUENCE {serial.id.sql()} RENAME TO {quote(aside.name)}"
    return [drop_default, rename, add_identity, _same_position(inner.id, aside), f"DROP SEQUENCE {aside.sql()}"]


def identity_to_serial(inner: Sequence, serial: Sequence, drop_identity: str, set_default: str) -> list[str]:
    """The way back."""
    if serial.id != inner.id:
        return [_same_position(serial.id, inner.id), drop_identity, set_default]
    aside = _aside(serial)
    create = " ".join(["CREATE SEQUENCE", aside.sql(), *_type(serial), *words_of(serial)])
    rename = f"ALTER SEQUENCE {aside.sql()} RENAME TO {quote(serial.name)}"
    return [create, _same_position(aside, inner.id), drop_identity, rename, _owned(serial), set_default]


def _aside(sequence: Sequence) -> ObjectId:
    return ObjectId("sequence", sequence.schema, cut(f"{cut(sequence.name)[:50]}_aside"))


def _rename(operation: Operation, _: Sides) -> list[str]:
    return [f"ALTER SEQUENCE {operation.object.sql()} RENAME TO {quote(operation.new.name)}"]


WRITERS = {"sequence": Writer(_create, _drop, _alter, _rename)}
