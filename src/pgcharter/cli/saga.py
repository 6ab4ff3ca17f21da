"""`pgcharter saga`: sagas: run them, say where each stands, retry, compensate or resume one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from pgcharter.cli.application import app_option
from pgcharter.cli.migrating import database_options
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.runtime.sagas import Status

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def saga() -> None:
    """Sagas: run them, say where each stands, retry, compensate or resume one."""


LIST = (
    ("pgcharter saga list --stuck", "those that need a person, or that nobody takes; ends in 1 when there are some"),
    ("pgcharter saga list --type order --status compensating --format json", "for a program"),
)


@saga.command("list", cls=Command, examples=LIST)
@click.option("--type", "kind", metavar="NAME", help="Of this definition.")
@click.option("--status", type=click.Choice(["started", "completed", "compensating", "failed"]), help="In this state.")
@click.option("--key", metavar="TEXT", help="With this business key.")
@click.option("--stuck", is_flag=True, help="Only those that need a person, whose definition nobody has, or that nobody takes.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The newest so many.")
@database_options
@format_option
def list_(
    environment: str | None, target: str | None, form: str, kind: str | None, status: str | None, key: str | None, stuck: bool, limit: int
) -> int:  # fmt: skip
    """List sagas, the newest first. With --stuck it ends in 1 when there are any."""
    from pgcharter.cli.saga_timeline import SIGNS, data, doing, name
    from pgcharter.render.page import Page, Styled
    from pgcharter.runtime.sagas import found

    with _connected(environment, target) as conn:
        rows = found(conn, type=kind, status=status, key=key, stuck=stuck, limit=limit)
    if form == "json":
        show_json({"format": "pgcharter-sagas", "version": 1, "sagas": [data(s) for s in rows]})
    else:
        page = Page(screen())
        for s in rows:
            sign, style = ("✘", "error") if s.stuck_at or s.overdue else SIGNS.get(s.status, ("·", "info"))
            page.flow(Styled(f"{sign} ", style), Styled(str(s.saga_id), "strong"), f" {name(s)} {s.status}{doing(s)}", hanging=2)
        if not rows:
            page.flow("no saga is stuck" if stuck else "there are none")
        show(page)
    return Exit.FINDINGS if stuck and rows else Exit.FINE


SHOW = (
    ("pgcharter saga show 7f0c3f6e-0b8e-4b57-9f0e-8a4f7f1c2d3e", "all that happened to it, in order"),
    ("pgcharter saga show order o-17", "by type and business key"),
)


@saga.command("show", cls=Command, examples=SHOW)
@click.argument("which", nargs=-1, required=True, metavar="ID | TYPE KEY")
@database_options
@format_option
def show_(which: tuple[str, ...], environment: str | None, target: str | None, form: str) -> int:
    """Show one saga: how it stands, and its timeline with attempts, errors, signals and what persons asked for."""
    from pgcharter.cli.saga_timeline import data, timeline
    from pgcharter.runtime import sagas

    with _connected(environment, target) as conn:
        at = _found(conn, which)
        steps, history, letters = sagas.steps(conn, at.saga_id), sagas.history(conn, at.saga_id), sagas.signals(conn, at.saga_id)
    if form == "json":
        show_json({"format": "pgcharter-saga", "version": 1, **data(at), "steps": steps, "history": history, "signals": letters})
    else:
        timeline(at, steps, history, letters)
    return Exit.FINE


def _asking(what: str, help_: str, examples: tuple[tuple[str, str], ...], *, step: bool = False) -> None:
    """A command by which a person asks something of a saga."""

    def command(
        which: tuple[str, ...], environment: str | None, target: str | None, form: str, reason: str, actor: str, step: str = ""
    ) -> int:
        from pgcharter.runtime.sagas import ask

        with _connected(environment, target) as conn:
            at = _found(conn, which)
            ask(conn, at.saga_id, what, actor=actor or _me(), reason=reason, step=step)  # type: ignore[arg-type]
        if form == "json":
            show_json({"format": "pgcharter-saga-asked", "version": 1, "saga_id": str(at.saga_id), "asked": what, "step": step or None})
        else:
            click.echo(
                f"asked: the next worker that has saga {at.saga_id} does it; pgcharter saga show {at.saga_id} says what became of it"
            )
        return Exit.FINE

    command.__doc__ = help_
    made: Any = format_option(database_options(command))
    made = click.option("--actor", default="", help="Who asks.  [default: the account on this machine]")(made)
    made = click.option("--reason", required=True, help="Why; written into its history.")(made)
    if step:
        made = click.option("--step", required=True, metavar="NAME", help="The step.")(made)
    made = click.argument("which", nargs=-1, required=True, metavar="ID | TYPE KEY")(made)
    saga.command("skip-step" if what == "skip" else what, cls=Command, examples=examples)(made)


_asking(
    "retry", "Try at once what waits for another attempt, with attempts counted anew.",
    (("pgcharter saga retry order o-17 --reason 'the bank is back'", "without waiting"),),
)  # fmt: skip
_asking(
    "compensate", "Turn a saga round, also one that is completed, unless it is past its pivot.",
    (("pgcharter saga compensate order o-17 --reason returned", "all that was done is taken back, the latest first"),),
)  # fmt: skip
_asking(
    "cancel", "Turn a saga round that is under way, unless it is past its pivot.",
    (("pgcharter saga cancel order o-17 --reason 'the customer called'", "all that was done is taken back, the latest first"),),
)  # fmt: skip
_asking(
    "resume", "Run a saga that has failed once more, from what was compensated; its steps get other idempotency keys.",
    (("pgcharter saga resume order o-17 --reason 'new card'", "forward again"),),
)  # fmt: skip
_asking(
    "skip", "Take a step as done, or as compensated where the saga is going back: somebody did it by hand.",
    (("pgcharter saga skip-step order o-17 --step refund --reason 'paid back in cash'", "the saga goes on after it"),), step=True,
)  # fmt: skip


RUN = (("pgcharter saga run", "a worker with the application's definitions, until Ctrl-C"),)


@saga.command("run", cls=Command, examples=RUN)
@app_option
@database_options
def run(app: str | None, environment: str | None, target: str | None) -> int:
    """Run the application's sagas until Ctrl-C or SIGTERM; steps that are under way come to their checkpoints first."""
    from pgcharter.cli import migrating
    from pgcharter.cli.application import application, serve

    messaging = application(app)
    serve(messaging, migrating.database(environment, target)[1], ("sagas",))
    return Exit.FINE


DIAGRAM = (
    ("pgcharter saga diagram order", "of the application that [messaging] app names"),
    ("pgcharter saga diagram shop.sagas:order", "of a definition by its place"),
)


@saga.command("diagram", cls=Command, examples=DIAGRAM)
@click.argument("name", metavar="NAME | MODULE:NAME")
@app_option
@format_option
def diagram(name: str, app: str | None, form: str) -> int:
    """Print a definition as a state diagram, in Mermaid."""
    from pgcharter.render.saga import mermaid

    found = _definition(name, app)
    text = mermaid(str(found), _parts(found))
    if form == "json":
        show_json(
            {"format": "pgcharter-saga-diagram", "version": 1, "name": found.name, "definition_version": found.version, "mermaid": text}
        )
    else:
        click.echo(text, nl=False)
    return Exit.FINE


def _definition(name: str, app: str | None) -> Any:
    from pgcharter.cli.application import application
    from pgcharter.runtime.sagas_define import Saga
    from pgcharter.sources.models import imported

    if ":" not in name:
        return application(app).saga(name)
    found = imported(name)
    if not isinstance(found, Saga):
        raise UsageError(f"{name} is a {type(found).__name__}, and no Saga", hint="from pgcharter.runtime.sagas import Saga")
    return found


def _parts(found: Any) -> list[Any]:
    from pgcharter.render.saga import State
    from pgcharter.runtime.sagas_define import Parallel

    def state(node: Any) -> State:
        return State(node.name, node.kind, bool(node.undo), node.pivot, node.when is not None)

    def branch(nodes: Any) -> tuple[State, ...]:
        return tuple(map(state, nodes)) if isinstance(nodes, list | tuple) else (state(nodes),)

    return [tuple(map(branch, n.branches)) if isinstance(n, Parallel) else state(n) for n in found.steps]


@contextmanager
def _connected(environment: str | None, target: str | None) -> Iterator[Connection]:
    """A connection with one transaction."""
    from pgcharter.cli import migrating
    from pgcharter.db import connect

    with connect(migrating.database(environment, target)[1], autocommit=False) as conn:
        yield conn


def _found(conn: Connection, which: tuple[str, ...]) -> Status:
    from pgcharter.runtime.sagas import UnknownSagaError, found, status

    if len(which) == 1:
        try:
            return status(conn, UUID(which[0]))
        except ValueError:
            raise UsageError(
                f"{which[0]!r} is no id of a saga", hint="name it by its id, or by type and business key: order o-17"
            ) from None
    if len(which) != 2:
        raise UsageError("a saga is named by its id, or by type and business key", hint="pgcharter saga show order o-17")
    several = found(conn, type=which[0], key=which[1], limit=2)
    if len(several) > 1:
        raise UsageError(
            f"several tenants have a saga {which[0]} {which[1]}", hint=f"pgcharter saga list --type {which[0]} --key {which[1]}"
        )
    if not several:
        raise UnknownSagaError(f"there is no saga {which[0]} {which[1]}", hint="pgcharter saga list shows those that there are")
    return several[0]


def _me() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"
