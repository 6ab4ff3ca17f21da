"""`pgcharter audit`: what `[audit]` recorded read, sealed, proven and, when it is old, dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.runtime.audit import Entry

F = TypeVar("F", bound=Callable[..., Any])


class Moment(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A moment: a date, or date and time; UTC where no zone is said."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it."""
        try:
            found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time: write 2027-01-31, or 2027-01-31T18:00+01:00", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


@click.group()
def audit() -> None:
    """The history of rows: who changed what, rows as they were, and proof that nobody changed what is recorded."""


LOG = (
    ("pgcharter audit log --table app.orders --key '{\"id\": 42}'", "the history of one row"),
    ("pgcharter audit log --actor ann --since 2027-01-01", "what somebody did"),
)


@audit.command("log", cls=Command, examples=LOG)
@click.option("--table", default="", metavar="SCHEMA.NAME", help="Of this table.")
@click.option("--key", metavar="JSON", help="Of the row with this primary key, before or afterwards.")
@click.option("--actor", default="", help="By this user of the application.")
@click.option("--correlation", default="", help="With this correlation id.")
@click.option("--transaction", default=0, metavar="ID", help="In this transaction.")
@click.option("--since", type=Moment(), help="From this time on.")
@click.option("--until", type=Moment(), help="Before this time.")
@click.option("--limit", default=100, show_default=True, help="The last so many.")
@database_options
@format_option
def log_(environment: str | None, target: str | None, form: str, key: str | None, **said: Any) -> int:
    """List what was recorded, the oldest first."""
    from pgcharter.runtime import audit as reading

    with _reading(environment, target) as conn:
        found = reading.entries(conn, key=_key(key), **said)
    if form == "json":
        show_json([_data(e) for e in found])
    else:
        _print(found, whole=False)
    return Exit.FINE


SHOW = (("pgcharter audit show 4711", "one entry, column by column"),)


@audit.command("show", cls=Command, examples=SHOW)
@click.argument("number", type=int)
@database_options
@format_option
def show_(number: int, environment: str | None, target: str | None, form: str) -> int:
    """Show one entry whole."""
    from pgcharter.runtime import audit as reading

    with _reading(environment, target) as conn:
        found = reading.entries(conn, number=number)
    if not found:
        raise UsageError(f"there is no entry {number}", hint="pgcharter audit log lists them")
    if form == "json":
        show_json(_data(found[0]))
    else:
        _print(found, whole=True)
    return Exit.FINE


AS_OF = (("pgcharter audit as-of app.orders 2027-01-31T18:00+01:00", "the rows of then, one JSON object a line"),)


@audit.command("as-of", cls=Command, examples=AS_OF)
@click.argument("table", metavar="SCHEMA.NAME")
@click.argument("at", type=Moment(), metavar="TIME")
@database_options
def as_of(table: str, at: datetime, environment: str | None, target: str | None) -> int:
    """Write a table's rows as they were at a time, one JSON object a line, as they come.

    A change counts from when its statement wrote it: what a transaction wrote that was open at that moment is there already.
    """
    with _reading(environment, target) as conn:
        for row in _rows(conn, table, at):
            click.echo(row)
    return Exit.FINE


DIFF = (("pgcharter audit diff app.orders 2027-01-01 2027-02-01", "which rows differ between two moments, and how"),)


@audit.command("diff", cls=Command, examples=DIFF)
@click.argument("table", metavar="SCHEMA.NAME")
@click.argument("since", type=Moment(), metavar="TIME")
@click.argument("until", type=Moment(), metavar="[TIME]", required=False)
@database_options
@format_option
def diff(table: str, since: datetime, until: datetime | None, environment: str | None, target: str | None, form: str) -> int:
    """Say which rows of a table differ between two times; without a second one, between then and now."""
    import json

    from pgcharter.render.page import Page, Styled

    with _reading(environment, target) as conn:
        found = _recorded(conn, table)
        one, other = set(_rows(conn, table, since)), set(_rows(conn, table, until or datetime.max.replace(tzinfo=UTC)))
    rows: dict[str, list[dict[str, Any] | None]] = {}
    for side, texts in enumerate((one - other, other - one)):
        for image in map(json.loads, sorted(texts)):
            rows.setdefault(json.dumps([image.get(k) for k in found.key] or image), [None, None])[side] = image
    changed = [{"before": before, "after": after} for before, after in rows.values()]
    if form == "json":
        show_json(changed)
        return Exit.FINE
    page = Page(screen())
    for before, after in rows.values():
        sign, image = ("-", before) if after is None else ("+", after) if before is None else ("~", {})
        text = json.dumps(image, ensure_ascii=False) if image else _named(found.key, after) + "  " + _changes(before or {}, after or {})
        page.flow(Styled(f"{sign} ", "strong"), text, hanging=2)
    if not rows:
        page.flow("no row differs")
    show(page)
    return Exit.FINE


def _reading(environment: str | None, target: str | None) -> Any:
    """A connection with one transaction, whose text is the same everywhere."""
    from contextlib import contextmanager

    from pgcharter.cli import migrating
    from pgcharter.db import connect
    from pgcharter.runtime.audit import CANONICAL

    @contextmanager
    def opened() -> Any:
        with connect(migrating.database(environment, target)[1], autocommit=False) as conn:
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            conn.execute(CANONICAL.encode())
            yield conn

    return opened()


def _recorded(conn: Connection, table: str) -> Any:
    from pgcharter.db.flows import flow
    from pgcharter.runtime.audit import recorded

    return flow(recorded)(conn, table)


def _rows(conn: Connection, table: str, at: datetime) -> Any:
    """The rows of then as text, streamed."""
    from pgcharter.runtime.audit import as_of_query

    query = as_of_query(_recorded(conn, table), at)
    with conn.cursor(name="pgcharter_as_of") as cursor:
        cursor.execute(f"SELECT r::text FROM ({query.sql}) q(r)".encode(), query.parameters)
        for (row,) in cursor:
            yield row


def _key(text: str | None) -> Mapping[str, Any] | None:
    import json

    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{text!r} is no key", hint="write it as JSON: --key '{\"id\": 42}'")
    return found


def _data(entry: Entry) -> dict[str, Any]:
    data = asdict(entry)
    return {**data, "changed_at": entry.changed_at.isoformat(), "transaction_at": entry.transaction_at.isoformat()}


def _print(entries: list[Entry], *, whole: bool) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    for e in entries:
        who = e.actor or e.session_role
        head = f" {e.operation} {e.table_schema}.{e.table_name}" if e.operation != "SCHEMA" else f" {e.statement} {e.table_name}"
        key = f" {_json(e.key)}" if e.key is not None else ""
        page.flow(
            Styled(f"{e.number}", "dim"),
            f" {e.changed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z ",
            Styled(who, "strong"),
            head + key,
            hanging=2,
        )
        if e.operation == "UPDATE":
            page.flow(_changes(e.old or {}, e.new or {}), indent=4, hanging=2)
        if whole:
            for name, value in _data(e).items():
                page.flow(Styled(f"{name}: ", "dim"), _json(value) if not isinstance(value, str) else value, indent=4, hanging=2)
    if not entries:
        page.flow("nothing was recorded")
    show(page)


def _changes(old: dict[str, Any], new: dict[str, Any]) -> str:
    names = [n for n in dict.fromkeys((*old, *new)) if n not in old or n not in new or old[n] != new[n]]
    return ", ".join(f"{n}: {_json(old.get(n))} → {_json(new.get(n))}" for n in names)


def _named(key: tuple[str, ...], row: dict[str, Any] | None) -> str:
    return ", ".join(f"{k} {_json((row or {}).get(k))}" for k in key)


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, default=str)


from pgcharter.cli import audit_trail  # noqa: E402, F401 - its commands join the group
