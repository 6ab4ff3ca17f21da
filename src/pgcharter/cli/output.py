"""What every command shares about its output: the screen it writes to, the `--format` option, examples in `--help`, JSON."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import Any, TextIO, TypeVar

import click

from pgcharter.render.page import Page, Screen

F = TypeVar("F", bound=Callable[..., Any])

WIDEST = 120
"""Columns beyond which prose gets hard to read."""


def screen(stream: TextIO | None = None) -> Screen:
    """The screen behind `stream` (stdout): colour only on a terminal and without NO_COLOR; width from COLUMNS or the terminal, else 80."""
    stream = stream or sys.stdout
    return Screen(width=max(40, min(shutil.get_terminal_size((80, 24)).columns, WIDEST)), colour=_colour(stream), plain=_plain(stream))


def _colour(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR") or os.environ.get("CLICOLOR_FORCE", "0") != "0":
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _plain(stream: TextIO) -> bool:
    try:
        "✖▲•│…".encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return True
    return False


def show(page: Page) -> None:
    """Write a page to stdout."""
    sys.stdout.write(page.text())


def show_json(data: object) -> None:
    """Write one JSON document to stdout."""
    from pgcharter.render.json import pieces

    sys.stdout.writelines(pieces(data))
    sys.stdout.write("\n")


def format_option(function: F) -> F:
    """Add `--format text|json`."""
    return click.option(
        "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print the result."
    )(function)


class Command(click.Command):
    """A command with examples at the end of its `--help`."""

    def __init__(self, *args: Any, examples: tuple[tuple[str, str], ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        """Pairs of command and what it does."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the epilog."""
        if self.examples:
            with formatter.section("Examples"):
                for line, meaning in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n{'':{formatter.current_indent + 4}}{meaning}\n")
        super().format_epilog(ctx, formatter)
