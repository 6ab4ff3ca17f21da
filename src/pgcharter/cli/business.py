"""`pgcharter business`: what the business promises, measured; how it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.policy.business_settings import BusinessSection, RuleTable
    from pgcharter.watch.business import Result


@click.group()
def business() -> None:
    """Hold the business rules of the charter, SQL with a threshold, against a database; keep and show what was measured."""


def complete_rules(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Ids of rules, for shell completion."""
    return [r.id for r in _section().rule if r.id.startswith(incomplete)]


CHECK = (
    ("pgcharter business check --env production", "every rule; ends in 1 when one is broken or cannot be measured"),
    ("pgcharter business check order_processing --strict", "one of them; no data ends in 1 as well"),
)


@business.command("check", cls=Command, examples=CHECK)
@click.argument("rules", nargs=-1, metavar="[RULE]...", shell_complete=complete_rules)
@click.option("--strict", is_flag=True, help="A rule without data ends it in 1 too.")
@click.option("--no-keep", is_flag=True, help="Keep nothing of what is measured.")
@database_options
@format_option
def check(environment: str | None, target: str | None, form: str, rules: tuple[str, ...], *, strict: bool, no_keep: bool) -> int:
    """Measure the rules, each by its own query that can only read, and say which are COMPLIANT, NON_COMPLIANT, without data, or FAILED.

    What was measured is kept where pgcharter policy apply has made pgcharter.business_results, and as evidence where [evidence] is.
    """
    from pgcharter.cli import migrating
    from pgcharter.cli.progress import progress
    from pgcharter.watch import business as measuring
    from pgcharter.watch.health import utc_now

    chosen = _chosen(rules)
    named, dsn = migrating.database(environment, target)
    with progress("measuring") as advance:
        found = measuring.measure(dsn, chosen, utc_now, advance)
    found = _with_past(dsn, found, keep=not no_keep)
    if form == "json":
        show_json(_data(migrating.called(named, dsn), found))
    else:
        _tell(migrating.called(named, dsn), found)
    bad = {"non_compliant", "failed"} | ({"no_data"} if strict else set())
    return Exit.FINDINGS if any(r.state in bad for r in found) else Exit.FINE


def _chosen(ids: tuple[str, ...]) -> tuple[RuleTable, ...]:
    rules = _section().rule
    if not rules:
        raise UsageError("the charter has no business rule", hint="write [[business.rule]] with id, title, sql and threshold")
    for id_ in ids:
        _rule(id_, rules)
    return tuple(r for r in rules if not ids or r.id in ids)


def _rule(id_: str, rules: tuple[RuleTable, ...]) -> None:
    if id_ not in (known := [r.id for r in rules]):
        from pgcharter.tomlfile import nearest

        raise UsageError(f"the charter has no business rule {id_!r}", hint=nearest(id_, known) or f"known are {', '.join(known)}")


def _section() -> BusinessSection:
    from pgcharter.cli.project import charter_here
    from pgcharter.policy.business_settings import SECTION

    return charter_here().section(SECTION)


def _with_past(dsn: str, found: list[Result], *, keep: bool) -> list[Result]:
    """With what is known of before; recorded, and kept as evidence, where that is wanted. What hinders it is said on the error stream."""
    import psycopg

    from pgcharter.cli import proofs
    from pgcharter.errors import ConnectError
    from pgcharter.watch import business

    told = found
    try:
        told = _recorded(dsn, found, keep=keep)
    except (ConnectError, psycopg.Error) as error:
        click.echo(f"not kept in pgcharter.business_results: {' '.join(str(error).split())}", err=True)
    if keep:
        proofs.keep(dsn, business.evidence(found))
    return told


def _recorded(dsn: str, found: list[Result], *, keep: bool) -> list[Result]:
    from datetime import timedelta

    from pgcharter.measures import seconds
    from pgcharter.watch import business_history

    with _open(dsn) as conn:
        if not business_history.kept(conn):
            return found
        told = business_history.with_past(conn, found)
        if keep:
            business_history.record(conn, found, timedelta(seconds=seconds(_section().keep)))
        return told


def _open(dsn: str) -> Connection:
    from pgcharter.db import connect

    more = "-c statement_timeout=10s -c lock_timeout=2s"
    return connect(dsn, application_name="pgcharter business", options=more, client_encoding="UTF8")


_MARKS = {"compliant": ("✔ ", "good"), "non_compliant": ("✖ ", "error"), "no_data": ("· ", "dim"), "failed": ("✘ ", "bad")}


def _tell(called: str, found: list[Result]) -> None:
    from pgcharter.render.page import Page, Styled
    from pgcharter.watch.business import says

    page = Page(screen())
    page.flow(Styled(called, "strong"), f" · {_summary(found)}")
    width = max((len(r.rule.id) for r in found), default=0) + 2
    for one in found:
        mark, style = _MARKS[one.state]
        since = f", since {one.since:%Y-%m-%d %H:%M} UTC" if one.since and one.since != one.at else ""
        trend = f", {one.trend}" if one.trend else ""
        name = Styled(one.rule.id.ljust(width), "strong")
        page.flow(Styled(mark, style), name, Styled(one.word.ljust(14), style), says(one), Styled(trend + since, "dim"), hanging=width + 2)
        if one.state in ("non_compliant", "failed"):
            page.flow(Styled(one.rule.title + (f"; ask {one.rule.owner}" if one.rule.owner else ""), "dim"), indent=width + 2)
    show(page)


def _summary(found: list[Result]) -> str:
    counted = {state: sum(r.state == state for r in found) for state in _MARKS}
    words = {"compliant": "compliant", "non_compliant": "not compliant", "no_data": "without data", "failed": "could not be measured"}
    return ", ".join(f"{n} {words[state]}" for state, n in counted.items() if n)


def _data(called: str, found: list[Result]) -> dict[str, Any]:
    return {"format": "pgcharter-business", "version": 1, "database": called, "rules": [_result(r) for r in found]}


def _result(result: Result) -> dict[str, Any]:
    rule = result.rule
    return {
        "rule": rule.id, "title": rule.title, "state": result.word, "value": result.value, "threshold": rule.threshold,
        "direction": rule.direction, "unit": rule.unit, "window": rule.window, "owner": rule.owner, "at": result.at.isoformat(),
        "since": result.since.isoformat() if result.since else None, "trend": result.trend or None, "mean_before": result.mean,
        "problem": result.problem or None, "facts": dict(result.facts), "seconds": round(result.seconds, 4),
    }  # fmt: skip


HISTORY = (
    ("pgcharter business history order_processing --env production", "what it has measured, the newest first"),
    ("pgcharter business history order_processing --most 500 --format json", "the same for a program"),
)


@business.command("history", cls=Command, examples=HISTORY)
@click.argument("rule", shell_complete=complete_rules)
@click.option("--most", default=30, show_default=True, metavar="NUMBER", type=click.IntRange(1), help="Results that are shown.")
@database_options
@format_option
def history(environment: str | None, target: str | None, form: str, rule: str, most: int) -> int:
    """Show what a rule has measured, the newest first; also one that the charter has no more."""
    from pgcharter.cli import migrating
    from pgcharter.errors import PgcharterError
    from pgcharter.watch import business_history

    named, dsn = migrating.database(environment, target)
    with _open(dsn) as conn:
        if not business_history.kept(conn):
            raise PgcharterError("nothing is kept: there is no table pgcharter.business_results", hint="pgcharter policy apply")
        found = business_history.history(conn, rule, most)
    if not found:
        _rule(rule, _section().rule)
    if form == "json":
        data = {"format": "pgcharter-business-history", "version": 1, "database": migrating.called(named, dsn), "rule": rule}
        show_json(data | {"results": [_result(r) for r in found]})
    else:
        _tell_history(rule, found)
    return Exit.FINE


def _tell_history(rule: str, found: list[Result]) -> None:
    from pgcharter.render.page import Page, Styled
    from pgcharter.watch.business import says, with_unit

    page = Page(screen())
    page.flow(Styled(rule, "strong"), f" · {found[0].rule.title}" if found else " · never measured")
    values = [with_unit(r.value, r.rule.unit) if r.value is not None else "–" for r in found]
    width = max(map(len, values), default=0)
    for one, value in zip(found, values, strict=True):
        style = _MARKS[one.state][1]
        limit = says(one).partition(", ")[2] if one.state != "failed" else one.problem
        page.flow(
            f"{one.at:%Y-%m-%d %H:%M:%S}  ", Styled(one.word.ljust(14), style), value.rjust(width), "  ", Styled(limit, "dim"), hanging=37
        )
    show(page)


LIST = (("pgcharter business list", "rules, thresholds, who sees to them"),)


@business.command("list", cls=Command, examples=LIST)
@format_option
def list_(form: str) -> int:
    """List the rules of the charter."""
    from dataclasses import asdict

    from pgcharter.render.page import Page, Styled
    from pgcharter.watch.business import with_unit

    rules = _section().rule
    if form == "json":
        show_json({"format": "pgcharter-business-rules", "version": 1, "rules": [asdict(r) for r in rules]})
        return Exit.FINE
    page = Page(screen())
    width = max((len(r.id) for r in rules), default=0) + 2
    for one in rules:
        limit = f"{one.direction} {with_unit(one.threshold, one.unit)}" + (f" over {one.window}" if one.window else "")
        owner = f" · {one.owner}" if one.owner else ""
        page.flow(Styled(one.id.ljust(width), "strong"), one.title, Styled(f"  {limit}{owner}", "dim"), hanging=width)
    if not rules:
        page.flow("the charter has no business rule: write [[business.rule]] with id, title, sql and threshold")
    show(page)
    return Exit.FINE
