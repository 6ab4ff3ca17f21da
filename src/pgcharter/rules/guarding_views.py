"""Views that stand between a table and its readers, showing each of them his own rows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import View
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import bodies, shapes
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.row_security import foreign_grants, role_sql

_ROLE = re.compile(r"\b(?:current_user|session_user|current_role)\b", re.IGNORECASE)
_ABOUT_FORM = {
    "locale",
    "lang",
    "language",
    "timezone",
    "tz",
    "zone",
    "currency",
    "date",
    "today",
    "now",
    "time",
    "format",
    "version",
    "theme",
    "unit",
    "units",
}
"""Settings that say how rows are shown, not which of them may be seen."""
_WHERE = re.compile(r"[()]|\bWHERE\b|\b(?:GROUP|ORDER) BY\b|\b(?:HAVING|WINDOW|UNION|INTERSECT|EXCEPT|LIMIT|OFFSET|FETCH)\b")


def _guards(ctx: Context) -> Iterator[View]:
    """Views with their owner's rights that choose rows of the user's by who asks, and that others have rights on."""
    for view in ctx.catalog.own_views:
        if view.kind != "view" or view.security_invoker or not foreign_grants(view.acl, view.owner):
            continue
        if any(_asks(ctx, c) for c in _conditions(view.definition)) and bodies.known_relations(ctx.catalog, view.definition):
            yield view


def _conditions(query: str) -> Iterator[str]:
    """What stands after WHERE in the query itself and in the parts of its UNION; not in its sub-selects."""
    masked = bodies.mask(query)
    depth, begin = 0, -1
    for found in _WHERE.finditer(masked):
        word = found.group()
        if word in "()":
            depth += 1 if word == "(" else -1
        elif depth == 0:
            if begin >= 0:
                yield query[begin : found.start()]
            begin = found.end() if word == "WHERE" else -1
    if begin >= 0:
        yield query[begin:]


def _asks(ctx: Context, condition: str) -> bool:
    """Whether the condition looks at who asks, itself or by a function of the user's."""
    known = bodies.functions_by_name(ctx.catalog)
    called = (known.get((schema, name)) for schema, name, _ in bodies.qualified_calls(condition))
    return any(map(_looks_at_asker, (condition, *(f.body for f in called if f is not None))))


def _looks_at_asker(text: str) -> bool:
    if _ROLE.search(bodies.mask(text)):
        return True
    settings = (c.arguments[0] for c in bodies.calls(text, "current_setting") if c.arguments)
    return any("." in s and _ABOUT_FORM.isdisjoint(shapes.words(s)) for s in settings)


@rule("SEC44", "view-without-barrier", Severity.WARNING)
def view_without_barrier(ctx: Context) -> Iterator[Finding]:
    """A view that shows each reader his own rows has no security barrier.

    Why: the planner may run a reader's function before the view's condition. `SELECT * FROM my_orders WHERE tell(total)` with a cheap
    function of the reader's own hands every row of the table to it.

    Instead: `ALTER VIEW my_orders SET (security_barrier = true)`, or row security on the table and `security_invoker`.

    Except: views that nobody else may read, those with `security_invoker`, where the table's policies decide, views over system catalogs,
    and settings that say how rows are shown (`app.locale`).
    """
    for view in _guards(ctx):
        readers = sorted({role_sql(g.grantee) for g in foreign_grants(view.acl, view.owner) if g.privilege == "SELECT"})
        if readers and not view.security_barrier:
            yield ctx.finding(
                view,
                f"view {view.id.sql()} shows {', '.join(readers)} rows by who asks, without a security barrier: a function in the reader's "
                "WHERE can see the others",
                fix=f"ALTER VIEW {view.id.sql()} SET (security_barrier = true)",
            )


_SIMPLE = re.compile(r"\b(?:JOIN|GROUP BY|DISTINCT|UNION|EXCEPT|INTERSECT|LIMIT|OFFSET|HAVING|WITH)\b|,\s*\w+[.\w]*\s+\w+\s+WHERE")


@rule("SEC45", "view-lets-rows-out", Severity.WARNING)
def view_lets_rows_out(ctx: Context) -> Iterator[Finding]:
    """Rows can be written through a view that the view itself would not show.

    Why: the condition of a view holds for what it shows, not for what is written through it. Who may INSERT or UPDATE through a view of
    his own rows can make rows of somebody else's.

    Instead: `ALTER VIEW my_orders SET (check_option = cascaded)`.

    Except: views that nobody else may write, views without the columns that their condition looks at (whose row it is comes from a
    default), and views with INSTEAD OF triggers, which decide for themselves.
    """
    for view in _guards(ctx):
        writers = sorted({role_sql(g.grantee) for g in foreign_grants(view.acl, view.owner) if g.privilege in ("INSERT", "UPDATE")})
        redirected = any(t.timing == "instead of" for t in view.triggers) or any(r.instead for r in view.rules)
        if not writers or view.check_option or redirected or _SIMPLE.search(bodies.mask(view.definition)):
            continue
        asked = frozenset[str]().union(*map(bodies.names_in, _conditions(view.definition)))
        if any(quote(c.name) in asked for c in view.columns):
            yield ctx.finding(
                view,
                f"{', '.join(writers)} may write through view {view.id.sql()}, which has no check option: also rows that it does not show",
                fix=f"ALTER VIEW {view.id.sql()} SET (check_option = cascaded)",
            )
