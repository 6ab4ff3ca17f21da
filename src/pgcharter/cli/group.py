"""The top of the command line: which commands there are, for whom, and which module to import when one is called."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pgcharter import __version__
from pgcharter.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the table: what `--help` shows without importing the command."""

    person: str
    """Heading it stands under: what someone wants to do."""
    help: str
    home: str = ""
    """`module:attribute` below `pgcharter.cli` where it is not `<name>:<name>`."""


COMMANDS: dict[str, Entry] = {
    "check": Entry("check", "Hold a database, SQL files, models or migrations against a guide."),
    "explain": Entry("check", "Say what a rule flags, why it matters and what to do instead."),
    "guides": Entry("check", "List the guides, read one clause by clause, or write your own."),
    "rules": Entry("check", "List the rules."),
    "lsp": Entry("check", "Be an editor's language server: findings and quick fixes while SQL is written."),
    "init": Entry("change", "Write a charter (pgcharter.toml) for this project."),
    "plan": Entry("change", "Plan the way from what a database is to what it shall be."),
    "code": Entry("change", "Keep functions, views, triggers and rules in files."),
    "fix": Entry("change", "Plan the fixes of a check's findings."),
    "release": Entry("change", "Prove that the old and the new release both work while the database changes."),
    "new": Entry("change", "Write the next migration file."),
    "migrate": Entry("change", "Apply migrations, take them back, say where a database stands."),
    "policy": Entry("protect", "Say, verify and apply what the charter's policies want: roles, tenants, audit, encryption."),
    "tenant": Entry("protect", "Add, suspend, export and delete tenants; say whether each is as it should be."),
    "audit": Entry("protect", "Read the history of rows, seal it, prove it; a table as it was."),
    "security": Entry("protect", "Say who may do what and why, write the rules of logging in, watch for what changes."),
    "keys": Entry("protect", "Make, rotate and retire keys; encrypt columns and hold them to what is declared."),
    "events": Entry("flow", "Read the event store: follow it, show an aggregate, move subscriptions."),
    "projections": Entry("flow", "Run read models, rebuild them beside the live ones, prove them equal."),
    "outbox": Entry("flow", "Deliver messages, say what is waiting, parked or dead, and send it again."),
    "saga": Entry("flow", "Run sagas, say where each stands, retry, compensate or resume one."),
    "sync": Entry("flow", "Keep copies in other stores: begin, run, say how far they are, compare and repair them."),
    "transactions": Entry("operate", "List what transactions over several databases have left prepared, and end it."),
    "up": Entry("operate", "Start PostgreSQL, build an example, fill it, check it and say how to connect."),
    "server": Entry("operate", "Start, stop and use the project's own PostgreSQL."),
    "backup": Entry("operate", "Take, list, verify and restore backups; archive the log; rehearse restoring."),
    "upkeep": Entry("operate", "Plan and do vacuum, freeze, analyze, indexes built anew, views refreshed."),
    "jobs": Entry("operate", "Run what the charter schedules, say when each job is due and how it went."),
    "partitions": Entry("operate", "Make partitions ahead of time, take out what is old, archive it."),
    "retention": Entry("operate", "Let rows leave when their time is over: archived, filed, deleted; legal holds."),
    "health": Entry("operate", "Say how a running server is, what is wrong and what to do; what could not be seen."),
    "metrics": Entry("operate", "Tell Prometheus what is known of a server; write alarms and a dashboard over it."),
    "business": Entry("operate", "Hold business rules, SQL with a threshold, against a database; show how that was before."),
    "advise": Entry("operate", "Say what statements cost, what has become slower, which indexes are for nothing."),
    "doctor": Entry("operate", "Say what this machine can and cannot do."),
    "score": Entry("explain", "Judge every clause of the guide, by rules and by evidence; say what has changed."),
    "catalog": Entry("explain", "Export what a schema holds as JSON, or compare two of them."),
    "completion": Entry("explain", "Print the completion script of a shell."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, listed by person in `--help`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command of that name, or None when there is none."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = (entry.home or f"{cmd_name}:{cmd_name}").partition(":")
        found: click.Command = getattr(importlib.import_module(f"pgcharter.cli.{module}"), attribute)
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command called; for an unknown one, raise UsageError with the nearest name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean `pgcharter {near[0]}`?" if near else "`pgcharter --help` lists the commands"
            raise UsageError(f"there is no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands without importing them."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=entry.help) for name, entry in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands under what someone wants to do."""
        width = max(map(len, COMMANDS))
        for person in dict.fromkeys(entry.person for entry in COMMANDS.values()):
            with formatter.section(person.capitalize()):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in COMMANDS.items() if entry.person == person])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `pgcharter check TARGET`: a folder of SQL, a connection string or module:metadata.",
)
@click.version_option(__version__, "-V", "--version", prog_name="pgcharter", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected error (or set PGCHARTER_DEBUG=1).")
def pgcharter(debug: bool) -> None:
    """Your database guide made executable, for PostgreSQL."""
