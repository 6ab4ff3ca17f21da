"""Where errors become output: every way a command can end, and its exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pgcharter.cli.signals import INTERRUPTED, EndingError
from pgcharter.errors import Exit, PgcharterError, UsageError
from pgcharter.redact import redact

if TYPE_CHECKING:
    from click import ClickException, Command

COMPLETE = "_PGCHARTER_COMPLETE"
"""Set by the shell's completion script."""
PIPE_CLOSED = 141
"""128 + SIGPIPE, what shells expect when the reader (`head`) went away."""


def run(arguments: Sequence[str]) -> int:
    """Run the program on `arguments` and return its exit code; every error is told, none is raised."""
    _standard_streams()
    try:
        code = _call(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _silence(sys.stdout)
        return PIPE_CLOSED
    except KeyboardInterrupt as asked:
        with contextlib.suppress(OSError):
            print("\ninterrupted", file=sys.stderr)
        return asked.code if isinstance(asked, EndingError) else INTERRUPTED
    except PgcharterError as error:
        return _tell(error, arguments)
    except Exception as error:
        return _tell(_environment(error) or _unexpected(error, arguments), arguments)
    finally:
        _leave_quietly()


def _leave_quietly() -> None:
    """Write what is left; where a terminal is gone, drop it, or the interpreter's last flush would fail and make the exit code 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _silence(stream)


def _standard_streams() -> None:
    """Make the three streams usable: those the caller closed lead nowhere, and no character can be refused by an encoding."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - lives as long as the process
        elif mode == "w":
            stream.reconfigure(errors="backslashreplace")


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


def _environment(error: Exception) -> PgcharterError | None:
    """What the surroundings did to the program: the current folder was deleted, what we write to takes no more, or a path is barred."""
    if isinstance(error, OSError):
        try:
            Path.cwd()
        except OSError:
            return PgcharterError(
                "the current folder does not exist any more, so nothing can be found from it", hint="cd to another folder"
            )
        if error.errno in _FULL and not error.filename:
            _silence(sys.stdout)
            return PgcharterError(f"the output cannot be written: {error.strerror}")
        if error.errno in (*_FULL, *_FORBIDDEN) and error.filename:
            return PgcharterError(f"{error.filename} cannot be used: {error.strerror}")
    return None


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE)


def _unexpected(error: Exception, arguments: Sequence[str]) -> PgcharterError:
    if _debug(arguments):
        import traceback

        print(redact("".join(traceback.format_exception(error))), file=sys.stderr, end="")
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = trace.tb_frame.f_code.co_filename if trace else ""
    place = f"{where.removeprefix(_HOME)}:{trace.tb_lineno}" if trace and where.startswith(_HOME) else ""
    first = str(error).strip().splitlines()[:1]
    what = f"{type(error).__name__}: {first[0]}" if first else type(error).__name__
    command = next((a for a in arguments if not a.startswith("-")), "")
    return PgcharterError(
        f"a mistake inside pgcharter stopped it ({what})",
        place=place,
        hint=f"`pgcharter --debug {command} …` shows the traceback; please report it together with the command",
    )


_HOME = str(Path(__file__).resolve().parents[2]) + os.sep


def _debug(arguments: Sequence[str]) -> bool:
    return "--debug" in arguments or os.environ.get("PGCHARTER_DEBUG", "") not in ("", "0")


def _wants_json(arguments: Sequence[str]) -> bool:
    return "--format=json" in arguments or ("--format", "json") in pairwise(arguments)


def _tell(error: PgcharterError, arguments: Sequence[str]) -> int:
    """Say `error` on stderr; with `--format json` also as a document on stdout, which is never left empty."""
    from pgcharter.cli.output import screen
    from pgcharter.render.failure import error_page

    if _wants_json(arguments):
        from pgcharter.render.json import dumps, error_data
        from pgcharter.render.secrets import without_secrets

        try:
            print(dumps(without_secrets(error_data(error))), flush=True)
        except OSError:
            _silence(sys.stdout)
    with contextlib.suppress(OSError):
        print(redact(error_page(error, screen(sys.stderr))), file=sys.stderr, end="", flush=True)
    return int(error.exit_code)


def _silence(stream: TextIO) -> None:
    """Point a stream at nothing, so that the interpreter's last flush stays silent too."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, stream.fileno())
    os.close(sink)
