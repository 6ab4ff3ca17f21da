"""`pgcharter lsp`: findings and quick fixes while SQL is written, for any editor that speaks the Language Server Protocol."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from pgcharter.cli.output import Command
from pgcharter.errors import UnavailableError

if TYPE_CHECKING:
    from pgcharter.catalog.reading import Reading
    from pgcharter.cli.project import Project
    from pgcharter.findings import Finding

EXAMPLES = (
    ("pgcharter lsp", "started by the editor, not by hand; it speaks over stdin and stdout"),
    ("vim.lsp.start({name = 'pgcharter', cmd = {'pgcharter', 'lsp'}})", "Neovim, for a SQL buffer"),
)


@dataclass(frozen=True)
class _Held:
    """A project as the editor's checker wants it (see `editor.checker.Held`)."""

    project: Project
    targets: Sequence[str]

    def judge(self, reading: Reading) -> Sequence[Finding]:
        """The findings that count under the project's charter."""
        from pgcharter.cli.verdict import Wish, judge

        section = self.project.charter.check
        wish = Wish(only=frozenset(section.only), skip=frozenset(section.skip), partial=True)
        return judge(reading, self.project, wish)[0].findings


def _open(path: Path) -> _Held:
    from pgcharter.cli.project import project_of, targets_of
    from pgcharter.errors import UsageError

    project = project_of(str(path if path.exists() else path.parent))
    try:
        targets = targets_of(project.charter, None)
    except UsageError:
        targets = ()
    return _Held(replace(project, chosen=True), targets)


@click.command(cls=Command, examples=EXAMPLES)
def lsp() -> None:
    """Be the language server of an editor: findings, quick fixes and explanations while SQL is written.

    The text alone is looked at with every key stroke. When it has been quiet for a moment it is built on a throwaway server, together with
    the other files of the folder that the charter checks, and held against the whole guide.
    """
    try:
        from pgcharter.editor.server import serve
    except ImportError:
        raise UnavailableError("pygls is not installed, so there is no language server", hint="pip install 'pgcharter[lsp]'") from None
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a thread that waits for the editor cannot be interrupted; the guard ends the server
    with _streams() as (stdin, stdout):
        serve(_open, stdin, stdout)


@contextmanager
def _streams() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The editor's two ends, for the server alone to speak through and to close: what anything prints goes to stderr instead."""
    with open(os.dup(0), "rb") as stdin, open(os.dup(1), "wb") as stdout:  # noqa: PTH123 - descriptors
        os.dup2(2, 1)
        yield stdin, stdout
