"""Where errors become output: every way a command can end, and its exit code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pgcharter.errors import Exit, PgcharterError, UsageError

if TYPE_CHECKING:
    from click import ClickException, Command

COMPLETE = "_PGCHARTER_COMPLETE"
"""Set by the shell's completion script."""
INTERRUPTED = 130
"""128 + SIGINT, what shells expect after Ctrl-C."""
PIPE_CLOSED = 141
"""128 + SIGPIPE, what shells expect when the reader (`head`) went away."""

_SECRETS = (
    re.compile(r"(?P<keep>\b[a-z][a-z0-9+.]*://[^\s:/@]*):[^\s@]*(?=@)", re.IGNORECASE),
    re.compile(r"(?P<keep>\b(?:password|sslpassword|passwd|pgpassword)\s*=)\s*(?:'(?:[^'\\]|\\.)*'|[^\s&'\"]+)", re.IGNORECASE),
)


def redact(text: str) -> str:
    """Return `text` with the passwords of connection strings replaced by `***`."""
    for pattern in _SECRETS:
        text = pattern.sub(lambda m: m["keep"] + ("***" if m["keep"].endswith("=") else ":***"), text)
    return text


def run(arguments: Sequence[str]) -> int:
    """Run the program on `arguments` and return its exit code; every error is told, none is raised."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = _call(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _silence_stdout()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except PgcharterError as error:
        return _tell(error, arguments)
    except Exception as error:
        return _tell(_unexpected(error, arguments), arguments)


def _call(arguments: Sequence[str]) -> int:
    """Run the command called. `click.Group.main` is not used: it ends a closed pipe in 1, which means findings here."""
    import click

    from pgcharter.cli.group import pgcharter

    if COMPLETE in os.environ:
        return _complete(pgcharter)
    try:
        with pgcharter.make_context("pgcharter", list(arguments)) as ctx:
            result = pgcharter.invoke(ctx)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.ctx.get_help() if error.ctx else "", file=sys.stderr)
        return Exit.USAGE
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        raise _usage(error) from None
    return result if isinstance(result, int) else Exit.FINE


def _complete(program: Command) -> int:
    """Answer the shell's completion; whatever goes wrong there stays silent, for a person is in the middle of typing."""
    from click.shell_completion import shell_complete

    try:
        return shell_complete(program, {}, "pgcharter", COMPLETE, os.environ[COMPLETE])
    except Exception:
        return Exit.FAILED


def _usage(error: ClickException) -> UsageError:
    """Click's own complaint in our words."""
    message, _, advice = " ".join(error.format_message().split()).rstrip(".").partition(". ")
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx else "pgcharter"
    help_line = f"`{path} --help` shows how it is used"
    hint = f"{advice[:1].lower()}{advice[1:]} {help_line}" if advice else help_line
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def _unexpected(error: Exception, arguments: Sequence[str]) -> PgcharterError:
    if _debug(arguments):
        import traceback

        print(redact("".join(traceback.format_exception(error))), file=sys.stderr, end="")
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{os.path.relpath(trace.tb_frame.f_code.co_filename, _HOME)}:{trace.tb_lineno}" if trace else ""
    first = str(error).strip().splitlines()[:1]
    what = f"{type(error).__name__}: {first[0]}" if first else type(error).__name__
    command = next((a for a in arguments if not a.startswith("-")), "")
    return PgcharterError(
        f"a mistake inside pgcharter stopped it ({what})",
        place=where if not where.startswith("..") else "",
        hint=f"`pgcharter --debug {command} …` shows the traceback; please report it together with the command",
    )


_HOME = Path(__file__).resolve().parents[2]


def _debug(arguments: Sequence[str]) -> bool:
    return "--debug" in arguments or os.environ.get("PGCHARTER_DEBUG", "") not in ("", "0")


def _wants_json(arguments: Sequence[str]) -> bool:
    return "--format=json" in arguments or ("--format", "json") in pairwise(arguments)


def _tell(error: PgcharterError, arguments: Sequence[str]) -> int:
    """Say `error` on stderr; with `--format json` also as a document on stdout, which is never left empty."""
    from pgcharter.cli.output import screen
    from pgcharter.render.failure import error_page

    try:
        if _wants_json(arguments):
            from pgcharter.render.json import dumps, error_data

            print(redact(dumps(error_data(error))), flush=True)
        print(redact(error_page(error, screen(sys.stderr))), file=sys.stderr, end="", flush=True)
    except BrokenPipeError:
        _silence_stdout()
    return int(error.exit_code)


def _silence_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush stays silent too."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
