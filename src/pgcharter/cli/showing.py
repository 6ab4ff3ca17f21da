"""The forms in which `pgcharter check` tells its verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgcharter.cli.output import screen, show, show_json

if TYPE_CHECKING:
    from pgcharter.guides.score import Scorecard
    from pgcharter.render.report import Report

F = TypeVar("F", bound=Callable[..., Any])
FORMS = ("text", "json")


def form_option(function: F) -> F:
    """Add `--format` with every form of a verdict."""
    return click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True, help="How to print the result.")(
        function
    )


def show_verdicts(reports: Sequence[Report], cards: Sequence[Scorecard | None], form: str, *, everything: bool, quiet: bool) -> None:
    """Print the verdict on every target, with its scorecard where there is one, in the form that was asked for."""
    if form == "json":
        from pgcharter.render.json import check_data

        show_json(check_data(reports, cards))
        return
    from pgcharter.render import findings
    from pgcharter.render.page import Page

    page = Page(screen())
    for report, card in zip(reports, cards, strict=True):
        findings.write(page, report, everything=everything, quiet=quiet)
        if card:
            from pgcharter.render import score

            score.write(page, card, everything=everything)
    if not quiet:
        from pgcharter.render.advice import write_advice

        write_advice(page, reports, everything=everything)
    show(page)
