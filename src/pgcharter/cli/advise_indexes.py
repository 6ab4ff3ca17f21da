"""`pgcharter advise indexes`: proposals, each with facts, SQL and the way back; nothing is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.advise import advise, session, span
from pgcharter.cli.advise_show import gaps_data, size, write_gaps
from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit

if TYPE_CHECKING:
    from pgcharter.render.page import Page
    from pgcharter.watch.advise_indexes import Advice, Advised

INDEXES = (
    ("pgcharter advise indexes --env production --node env:REPLICA_URL", "with the counters of a standby as well"),
    ("pgcharter advise indexes --window 90d --smallest 10MB", "unused for a quarter, and large"),
)


@advise.command("indexes", cls=Command, examples=INDEXES)
@click.option("--node", "nodes", multiple=True, metavar="DSN", help="Another node of the cluster, or env:VARIABLE; as often as you like.")
@click.option("--window", default="35d", show_default=True, metavar="TIME", help="How long an index must have been unread on every node.")
@click.option("--smallest", default="1MB", show_default=True, metavar="SIZE", help="An unread index smaller than that is left alone.")
@database_options
@format_option
def indexes(environment: str | None, target: str | None, form: str, nodes: tuple[str, ...], window: str, smallest: str) -> int:
    """Propose what to do about indexes: invalid, duplicate, redundant and unused ones, and foreign keys without one where that matters.

    An index is only called unused when every node of the cluster says so, and has counted for long enough. Ends in 1 when something is
    proposed. Nothing is done: run what you agree with, one by one.
    """
    from pgcharter.measures import size as bytes_of
    from pgcharter.sources import address, live
    from pgcharter.watch import advise_indexes, advise_nodes

    with session(environment, target) as (called, conn):
        catalog = live.read_catalog(conn)
        stats = live.read_stats(conn, catalog)
        seen = [advise_nodes.read(conn, called)]
    for dsn in nodes:
        with session(None, address(dsn)) as (called_node, conn):
            seen.append(advise_nodes.read(conn, called_node))
    advise_nodes.same_cluster(seen)
    found = advise_indexes.advise(catalog, stats, seen, span(window, "--window"), bytes_of(smallest, "--smallest"))
    if form == "json":
        show_json(_data(called, found))
    else:
        show(_page(called, found))
    return Exit.FINDINGS if any(a.sql for a in found.advice) else Exit.FINE


_STYLES = {"invalid": "error", "duplicate": "warning", "redundant": "warning", "unused": "info", "missing": "warning"}


def _page(called: str, found: Advised) -> Page:
    from pgcharter.render.page import Page, Styled
    from pgcharter.render.phrases import plural

    page = Page(screen())
    proposed = sum(bool(a.sql) for a in found.advice)
    page.flow(Styled(called, "strong"), f" · {plural(proposed, 'proposal')} · {plural(len(found.nodes), 'node')}")
    for one in found.advice:
        page.blank()
        bytes_ = one.facts.get("bytes")
        more = f", {size(int(bytes_))}" if bytes_ else ""
        code = f" ({one.rule})" if one.rule else ""
        page.flow(Styled(one.kind, _STYLES[one.kind]), f": {one.says}", Styled(more + code, "dim"), hanging=2)
        for sql in one.sql:
            page.flow(Styled("→ ", "dim"), Styled(f"{sql};", "command"), indent=2, hanging=2)
        for sql in one.undo if one.sql else ():
            page.flow(Styled("back: ", "dim"), Styled(f"{sql};", "dim"), indent=2, hanging=2)
        if one.hint:
            page.flow(Styled(one.hint, "dim"), indent=2, hanging=2)
    page.blank()
    if found.small:
        page.flow(Styled(f"{plural(found.small, 'foreign key')} of small tables without an index: it does not matter yet", "dim"))
    write_gaps(page, found.gaps)
    return page


def _data(called: str, found: Advised) -> dict[str, Any]:
    return {
        "format": "pgcharter-advise-indexes", "version": 1, "database": called,
        "nodes": [{"node": n.called, "standby": n.standby, "counted_since": n.since.isoformat()} for n in found.nodes],
        "advice": [_advice(a) for a in found.advice], "small_foreign_keys": found.small, "not_seen": gaps_data(found.gaps),
    }  # fmt: skip


def _advice(one: Advice) -> dict[str, Any]:
    from pgcharter.render.json import object_data

    return {
        "kind": one.kind, "object": object_data(one.index), "says": one.says, "sql": list(one.sql), "undo": list(one.undo),
        "rule": one.rule or None, "hint": one.hint or None, "facts": dict(one.facts),
    }  # fmt: skip
