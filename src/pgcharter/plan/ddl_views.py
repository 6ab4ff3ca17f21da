"""Views and materialized views. Their columns come with them; comments, defaults and settings of columns are the columns' own."""

from __future__ import annotations

from pgcharter.catalog.model import Column, View
from pgcharter.names import quote
from pgcharter.plan.ddl import Sides, Writer
from pgcharter.plan.ddl_column_parts import attributes
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.ddl_parts import alter, settings, settings_changed
from pgcharter.plan.model import Operation

_METHOD = "access_method="


def _create(operation: Operation, sides: Sides) -> list[str]:
    view: View = operation.new
    found = [_definition(view)]
    for column in view.columns:
        found += _column(view, column, sides)
    return found


def _column(view: View, column: Column, sides: Sides) -> list[str]:
    found = attributes(view, Column(column.name, 0, column.type), column, sides.b)
    if column.default:
        found.append(f"{alter(view)} ALTER COLUMN {quote(column.name)} SET DEFAULT {column.default}")
    return found + metadata(view.part("column", column.name), None, column, sides.major, owner_of=view.owner)


def _definition(view: View, *, replace: bool = False) -> str:
    words = [f"CREATE {'OR REPLACE ' * replace}{view.kind.upper()} {view.id.sql()}"]
    method, stored = _method(view), _stored(view)
    words += [f"USING {quote(method)}"] if method else []
    words += [f"WITH {settings(stored)}"] if stored else []
    words += [f"TABLESPACE {quote(view.tablespace)}"] if view.tablespace else []
    words.append(f"AS {view.definition.removesuffix(';')}")
    return " ".join(words + ["WITH NO DATA"] * (not view.populated))


def _method(view: View) -> str:
    return next((o.removeprefix(_METHOD) for o in view.options if o.startswith(_METHOD)), "")


def _stored(view: View) -> tuple[str, ...]:
    return tuple(o for o in view.options if not o.startswith(_METHOD))


def _drop(operation: Operation, _: Sides) -> list[str]:
    return [f"DROP {operation.old.kind.upper()} {operation.old.id.sql()}"]


def _alter(operation: Operation, _: Sides) -> list[str] | None:
    old, new, fields = operation.old, operation.new, set(operation.fields)
    if new.kind == "materialized view":
        return None if fields & {"definition", "columns"} else _materialized(old, new)
    if fields & {"definition", "columns"}:
        return [_definition(new, replace=True)] if grows(old, new) else None
    return [f"{alter(new)} {words}" for words in settings_changed(old.options, new.options)]


def grows(old: View, new: View) -> bool:
    """Whether CREATE OR REPLACE VIEW may lead from one to the other: all columns remain as they are, new ones stand at the end."""
    before, after = ([(c.name, c.type.sql, c.collation) for c in view.columns] for view in (old, new))
    return after[: len(before)] == before


def _materialized(old: View, new: View) -> list[str]:
    head = alter(new)
    found = [f"{head} {words}" for words in settings_changed(_stored(old), _stored(new))]
    if old.tablespace != new.tablespace:
        found.append(f"{head} SET TABLESPACE {quote(new.tablespace or 'pg_default')}")
    if _method(old) != _method(new):
        found.append(f"{head} SET ACCESS METHOD {quote(_method(new) or 'heap')}")
    if old.populated != new.populated:
        found.append(f"REFRESH MATERIALIZED VIEW {new.id.sql()}{'' if new.populated else ' WITH NO DATA'}")
    return found


def _rename(operation: Operation, _: Sides) -> list[str]:
    return [f"ALTER {operation.object.kind.upper()} {operation.object.sql()} RENAME TO {quote(operation.new.name)}"]


WRITERS = {kind: Writer(_create, _drop, _alter, _rename) for kind in ("view", "materialized view")}
