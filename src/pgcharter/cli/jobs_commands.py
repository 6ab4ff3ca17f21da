"""What runs for a job: its program, pgcharter itself with the job's words, or its SQL."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from pgcharter.errors import UsageError

if TYPE_CHECKING:
    from pgcharter.policy.jobs_settings import JobTable

DSN = "PGCHARTER_JOB_DSN"
"""Environment variable of a run with the connection string of the database."""


def command(job: JobTable, environment: str) -> Sequence[str]:
    """Program and arguments of a job. pgcharter's commands are given the database of the scheduler unless their words name one.

    Raises UsageError for words that are no command.
    """
    if job.program:
        return job.program
    if job.sql:
        return (sys.executable, "-m", "pgcharter.operate.jobs_sql")
    words = shlex.split(job.pgcharter)
    found = _found(words, job.name)
    named = {"--env", "--on"} & {w.partition("=")[0] for w in words}
    takes = {o for p in found.params for o in p.opts}
    if not named and environment and "--env" in takes:
        words += ["--env", environment]
    elif not named and "--on" in takes:
        words += ["--on", f"env:{DSN}"]
    return (sys.executable, "-m", "pgcharter", *words)


def environment(job: JobTable) -> Mapping[str, str]:
    """Variables of the run of a job's SQL."""
    return {"PGCHARTER_JOB_SQL": job.sql, "PGCHARTER_JOB_WHOLE": str(int(job.transaction))} if job.sql else {}


def _found(words: Sequence[str], name: str) -> click.Command:
    """The command that words call."""
    from pgcharter.cli.group import pgcharter

    found: click.Command = pgcharter
    for word in words:
        if not isinstance(found, click.Group):
            break
        inner = found.get_command(click.Context(found), word)
        if inner is None:
            if found is pgcharter or not found.invoke_without_command:
                raise UsageError(f"job {name}: pgcharter has no command {shlex.join(words)!r}", hint="pgcharter --help")
            break
        found = inner
    return found
