"""`pgcharter transactions`: what is prepared and not ended on the servers of transactions over several databases, and its end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.runtime.twophase_recover import Prepared, Recovery

F = TypeVar("F", bound=Callable[..., Any])
_STATES = {
    "commit": "decided: commit",
    "rollback": "decided: roll back",
    "live": "its coordinator is at work",
    "orphan": "its coordinator is gone and has decided nothing: roll back",
    "other log": "another log decides about it",
    "foreign": "not of this system",
}


@click.group()
def transactions() -> None:
    """Transactions over several databases: what is prepared, and recovery of what a coordinator has left behind."""


def _age(_ctx: click.Context, _parameter: click.Parameter, value: str) -> timedelta:
    from pgcharter.measures import seconds

    return timedelta(seconds=seconds(value, "--older"))


def _options(usual: str, help_: str) -> Callable[[F], F]:
    def add(function: F) -> F:
        for option in (
            click.option("--older", callback=_age, default=usual, show_default=True, metavar="TIME", help=help_),
            click.option(
                "--participant", "named", multiple=True, metavar="NAME=DSN", help="Database that takes part, beside those of [two_phase]."
            ),
        ):
            function = option(function)
        return database_options(format_option(function))

    return add


LIST = (
    ("pgcharter transactions list --env production", "all that is prepared; ends in 1 when something is for more than five minutes"),
    ("pgcharter transactions list --on env:LOG_DB --participant stock=env:STOCK_DB", "without a charter"),
)


@transactions.command("list", cls=Command, examples=LIST)
@_options("5min", "What is prepared for longer is wrong.")
def list_(environment: str | None, target: str | None, form: str, older: timedelta, named: tuple[str, ...]) -> int:
    """List prepared transactions on the servers of the log and of the participants, ours and others, the oldest first.

    Each holds its locks, and keeps dead rows from being removed in the whole of its server. Ends in 1 when one is older than --older, or a
    server cannot be asked.
    """
    from pgcharter.runtime.twophase_recover import look, old

    log, participants, system = _where(environment, target, named)
    found = look(log, participants, system=system)
    late = old(found.left, older)
    if form == "json":
        show_json({"prepared": [{**_data(p), "late": p in late} for p in found.left], "unreachable": dict(found.unreachable)})
    else:
        _tell(found, late)
    return Exit.FINDINGS if late or found.unreachable else Exit.FINE


RECOVER = (
    ("pgcharter transactions recover --env production", "from a timer, every minute"),
    ("pgcharter transactions recover --env production --older 0s", "also what was prepared just now by a coordinator that is gone"),
)


@transactions.command("recover", cls=Command, examples=RECOVER)
@_options("1min", "What nobody has decided is rolled back only when it is prepared for longer.")
def recover_(environment: str | None, target: str | None, form: str, older: timedelta, named: tuple[str, ...]) -> int:
    """End what is decided, and roll back what nobody can decide any more. Any number of these may run at a time.

    What its coordinator is still at work on is left alone, and so is what others have prepared. Ends in 1 when something of ours could not
    be ended, or a server could not be asked: the next run goes on there.
    """
    from pgcharter.runtime.twophase_recover import recover

    log, participants, system = _where(environment, target, named)
    done = recover(log, participants, system=system, older=older)
    stuck = [p for p in done.left if p.state in ("commit", "rollback", "orphan") and p.age > older]
    if form == "json":
        show_json(
            {
                "committed": done.committed, "rolled_back": done.rolled_back, "left": [_data(p) for p in done.left],
                "unreachable": dict(done.unreachable), "waiting": done.waiting,
            }
        )  # fmt: skip
    else:
        click.echo(f"{len(done.committed)} committed, {len(done.rolled_back)} rolled back")
        for one in done.waiting:
            click.echo(f"decision {one} is kept: a database that takes part was not asked, or is another one now")
        _tell(done, tuple(stuck))
    return Exit.FINDINGS if stuck or done.unreachable or done.waiting else Exit.FINE


def _where(environment: str | None, target: str | None, named: tuple[str, ...]) -> tuple[str, dict[str, str], str]:
    """Connection strings of the log and of those who take part, and the system's name."""
    import os

    from pgcharter.cli import migrating
    from pgcharter.cli.project import charter_here
    from pgcharter.db import connect
    from pgcharter.policy.two_phase_settings import SECTION, fits
    from pgcharter.sources import address

    section = charter_here().section(SECTION)
    log = migrating.database(environment, target)[1]
    participants = {}
    for one in section.participant:
        if not os.environ.get(one.dsn_env):
            raise UsageError(
                f"participant {one.name} takes its connection string from the variable {one.dsn_env}, which is not set",
                hint=f"export {one.dsn_env}=postgresql://user@host/database",
            )
        participants[one.name] = address(f"env:{one.dsn_env}")
    for text in named:
        name, _, dsn = text.partition("=")
        if not fits(name) or not dsn:
            raise UsageError(f"{text.partition('=')[0]!r} names no participant", hint="--participant stock=env:STOCK_DB")
        participants[name] = address(dsn)
    connect(log).close()
    return log, participants, section.system


def _tell(found: Recovery, late: tuple[Prepared, ...]) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    for p in sorted(found.left, key=lambda p: p.age, reverse=True):
        sign = Styled("✘ ", "error") if p in late else "  "
        said = f" in {p.database} by {p.owner}, for {_for(p.age)}: {_STATES[p.state]}" + (f" ({p.why})" if p.why else "")
        page.flow(sign, Styled(p.gid, "strong"), said, hanging=4)
    for name, why in found.unreachable.items():
        page.flow(Styled("✘ ", "error"), f"{name} could not be asked: {why}", hanging=4)
    if not found.left and not found.unreachable:
        page.flow("nothing is prepared")
    show(page)


def _for(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _data(prepared: Prepared) -> dict[str, Any]:
    return {
        "gid": prepared.gid, "participant": prepared.server, "database": prepared.database, "owner": prepared.owner,
        "since": prepared.since.isoformat(), "seconds": prepared.age.total_seconds(), "state": prepared.state, "why": prepared.why,
    }  # fmt: skip
