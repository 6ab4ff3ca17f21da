"""The forms in which `pgcharter check` tells its verdict."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgcharter.cli.output import screen

if TYPE_CHECKING:
    from pgcharter.cli.outputs import Output
    from pgcharter.guides.score import Scorecard
    from pgcharter.render.locations import Root
    from pgcharter.render.page import Screen
    from pgcharter.render.report import Report

F = TypeVar("F", bound=Callable[..., Any])
FORMS = ("text", "json", "sarif", "github", "gitlab", "junit", "markdown", "html")


def form_option(function: F) -> F:
    """Add `--format` and `--output` with every form of a verdict, and `--schema`."""
    options = (
        click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True, help="How to print the result."),
        click.option(
            "--output",
            multiple=True,
            expose_value=False,
            metavar="FORM=FILE",
            callback=_outputs,
            help="Also write it to a file in another form; as often as you like.",
        ),
        click.option(
            "--schema", is_flag=True, is_eager=True, expose_value=False, callback=_schema, help="Print the JSON Schema of --format json."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


OUTPUTS = "pgcharter.outputs"
"""Where a command's context keeps what `--output` asked for."""


def _outputs(ctx: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> None:
    if words:
        from pgcharter.cli.outputs import parse

        ctx.meta[OUTPUTS] = tuple(parse(word, FORMS) for word in words)


def _schema(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from pgcharter.render.schemas import schema_text

        sys.stdout.write(schema_text("pgcharter-check"))
        ctx.exit(0)


def show_verdicts(reports: Sequence[Report], cards: Sequence[Scorecard | None], form: str, *, everything: bool, quiet: bool) -> None:
    """Print the verdict on every target, with its scorecard where there is one, in the form that was asked for, and write the files."""
    ctx = click.get_current_context(silent=True)
    outputs: Sequence[Output] = ctx.meta.get(OUTPUTS, ()) if ctx else ()
    if outputs:
        from pgcharter.cli.outputs import write

        for output in outputs:
            write(output.file, _pieces(reports, cards, output.form, _paper()))
    if form == "text":
        sys.stdout.write(_text(reports, cards, screen(), everything=everything, quiet=quiet))
    else:
        sys.stdout.writelines(_pieces(reports, cards, form, screen()))
    if form == "github":
        _summarize(reports, cards)


def _paper() -> Screen:
    from pgcharter.render.page import Screen

    return Screen(width=100)


def _pieces(reports: Sequence[Report], cards: Sequence[Scorecard | None], form: str, paper: Screen) -> Iterator[str]:
    """The verdict in one form, piece by piece."""
    if form == "text":
        yield _text(reports, cards, paper, everything=True, quiet=False)
    elif form == "json":
        from pgcharter.render.json import check_data, pieces

        yield from pieces(check_data(reports, cards))
        yield "\n"
    elif form == "html":
        from pgcharter.render import html

        yield from html.write(reports, root(), cards)
    else:
        from importlib import import_module

        yield from import_module(f"pgcharter.render.{form}").write(reports, root())


def root() -> Root:
    """Where paths are told from: the checkout that the CI names or that lies around the current folder, else that folder itself."""
    from pgcharter.render.locations import Root

    here = Path.cwd()
    named = [Path(os.environ[name]) for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR") if os.environ.get(name)]
    around = [folder for folder in (here, *here.parents) if (folder / ".git").exists()]
    folder = next((f for f in (*(n.resolve() for n in named), *around) if here.is_relative_to(f)), here)
    return Root(here=str(here), folder=str(folder))


def _summarize(reports: Sequence[Report], cards: Sequence[Scorecard | None]) -> None:
    """Append the verdict in Markdown to the summary of the job, where GitHub asks for one."""
    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if file:
        with Path(file).open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.writelines(_pieces(reports, cards, "markdown", _paper()))


def _text(reports: Sequence[Report], cards: Sequence[Scorecard | None], paper: Screen, *, everything: bool, quiet: bool) -> str:
    from pgcharter.render import findings
    from pgcharter.render.page import Page

    page = Page(paper)
    for report, card in zip(reports, cards, strict=True):
        findings.write(page, report, everything=everything, quiet=quiet)
        if card:
            from pgcharter.render import score

            score.write(page, card, everything=everything)
    if not quiet:
        from pgcharter.render.advice import write_advice

        write_advice(page, reports, everything=everything)
    return page.text()
