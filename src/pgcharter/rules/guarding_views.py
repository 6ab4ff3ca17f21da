"""Views that stand between a table and its readers, showing each of them his own rows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import View
from pgcharter.findings import Finding, Severity
from pgcharter.rules import bodies
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.row_security import foreign_grants, role_sql

_WHO_ASKS = re.compile(r"\b(?:current_user|session_user|current_role)\b|\bcurrent_setting\s*\(", re.IGNORECASE)


def _guards(ctx: Context) -> Iterator[View]:
    """Views with their owner's rights that choose rows by who asks, and that others have rights on."""
    for view in ctx.catalog.own_views:
        if view.kind == "view" and not view.security_invoker and foreign_grants(view.acl, view.owner):
            text = bodies.mask(view.definition)
            where = re.search(r"\bWHERE\b", text)
            if where and (_WHO_ASKS.search(text, where.end()) or _asks_by_function(ctx, view.definition[where.end() :])):
                yield view


def _asks_by_function(ctx: Context, condition: str) -> bool:
    """Whether the condition calls a function of the user's that looks at who asks."""
    known = bodies.functions_by_name(ctx.catalog)
    called = (known.get((schema, name)) for schema, name, _ in bodies.qualified_calls(condition))
    return any(f is not None and _WHO_ASKS.search(bodies.mask(f.body)) is not None for f in called)


@rule("SEC44", "view-without-barrier", Severity.WARNING)
def view_without_barrier(ctx: Context) -> Iterator[Finding]:
    """A view that shows each reader his own rows has no security barrier.

    Why: the planner may run a reader's function before the view's condition. `SELECT * FROM my_orders WHERE tell(total)` with a cheap
    function of the reader's own hands every row of the table to it.

    Instead: `ALTER VIEW my_orders SET (security_barrier = true)`, or row security on the table and `security_invoker`.

    Except: views that nobody else may read, and those with `security_invoker`, where the table's policies decide.
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

    Except: views that nobody else may write, and views with INSTEAD OF triggers, which decide for themselves.
    """
    for view in _guards(ctx):
        writers = sorted({role_sql(g.grantee) for g in foreign_grants(view.acl, view.owner) if g.privilege in ("INSERT", "UPDATE")})
        redirected = any(t.timing == "instead of" for t in view.triggers) or any(r.instead for r in view.rules)
        if writers and not view.check_option and not redirected and not _SIMPLE.search(bodies.mask(view.definition)):
            yield ctx.finding(
                view,
                f"{', '.join(writers)} may write through view {view.id.sql()}, which has no check option: also rows that it does not show",
                fix=f"ALTER VIEW {view.id.sql()} SET (check_option = cascaded)",
            )
