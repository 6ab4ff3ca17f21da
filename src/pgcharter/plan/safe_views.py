"""Materialized views of another form: the new one is filled beside the old one, which answers until then."""

from __future__ import annotations

from dataclasses import replace

from pgcharter.catalog.model import View
from pgcharter.names import ObjectId, quote
from pgcharter.plan.ddl_common import metadata
from pgcharter.plan.ddl_indexes import written
from pgcharter.plan.model import Operation
from pgcharter.plan.safe_ground import Ground, Sequence, dressing
from pgcharter.plan.safe_indexes import renamed


def replaced(old: Operation, new: Operation, ground: Ground) -> Sequence | None:
    """A materialized view made anew: only the exchange of names stops its readers."""
    view: View = new.new
    if view.kind != "materialized view" or old.old.kind != view.kind:
        return None
    fresh = replace(view, name=ground.names.relation(view.schema, view.name, "new"), indexes=(), triggers=(), rules=())
    plain = ground.plain(replace(new, object=fresh.id, new=replace(fresh, owner="", acl=None, comment="")))
    why = "filled beside the old one, which answers meanwhile"
    before = [ground.step(sql, f"create {fresh.id}", fresh.id, why=why) for sql in plain]
    names = [(ObjectId("materialized view", view.schema, fresh.name), view.name)]
    rest = metadata(view.id, None, view, ground.major)
    for index in view.indexes:
        name = ground.names.relation(index.schema, index.name, "new")
        build, *more = written(index, ground.b)
        sql = renamed(build, name, f"{fresh.id.sql()} ")
        before.append(ground.step(sql, f"build {ObjectId('index', index.schema, name)} on {fresh.id.sql()}", index.id))
        names.append((ObjectId("index", index.schema, name), index.name))
        rest += [*more, *metadata(index.id, None, index, ground.major)]
        ground.done.add(index.id)
    core = [ground.step(f"DROP MATERIALIZED VIEW {view.id.sql()}", f"drop the old {view.id}", view.id)]
    for address, name in names:
        sql = f"ALTER {address.kind.upper()} {address.sql()} RENAME TO {quote(name)}"
        core.append(ground.step(sql, f"rename {address} to {quote(name)}", view.id))
    core += [ground.step(sql, dressing(sql, view.id), view.id) for sql in rest]
    return Sequence((tuple(core),), before=tuple((step,) for step in before))


def filled_later(operation: Operation, made: Sequence, ground: Ground) -> Sequence:
    """A materialized view that comes in one transaction with locks on tables: it is filled after that, and answers nothing until then."""
    view = operation.new
    fills = any(step.sql.startswith("CREATE MATERIALIZED VIEW ") for piece in made.core for step in piece)
    if not fills or not isinstance(view, View) or not view.populated:
        return made
    empty = ground.plain(replace(operation, new=replace(view, populated=False)))
    titles = [f"create {view.id}", *(dressing(sql, view.id) for sql in empty[1:])]
    core = tuple((ground.step(sql, title, view.id),) for sql, title in zip(empty, titles, strict=True))
    fill = ground.step(f"REFRESH MATERIALIZED VIEW {view.id.sql()}", f"fill {view.id}", view.id)
    fill = replace(fill, effect=replace(fill.effect, locks=()))
    note = f"{view.id} answers nothing until it is filled again, so that nobody else waits for that"
    return replace(made, core=core, after=((fill,), *made.after), notes=(*made.notes, note))
