"""`pgcharter explain`: what a rule flags, why, what to do instead, and when it is right after all; or what a clause asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgcharter.cli.check import complete_rules
from pgcharter.cli.output import Command, format_option, screen, show, show_json

if TYPE_CHECKING:
    from pgcharter.guides.model import Clause, Guide

EXAMPLES = (
    ("pgcharter explain KEY01", "by code"),
    ("pgcharter explain no-primary-key", "by slug"),
    ("pgcharter explain C3.1.1", "a clause of the project's guide or a built-in one"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("word", metavar="CODE|SLUG|CLAUSE", shell_complete=complete_rules)
@format_option
def explain(word: str, form: str) -> None:
    """Say what a rule flags, why it matters, what to do instead, and which clauses of which guides ask for it; or what a clause asks."""
    from pgcharter import guides
    from pgcharter.errors import UsageError
    from pgcharter.guides.model import OWN
    from pgcharter.render.source_codes import find

    known = [guides.load(name) for name in guides.available()]
    own = word.strip().upper().startswith(OWN)
    try:
        rule = find(word)
    except UsageError:
        rule = None
    if rule is None or own:
        clause = _clause(word.strip()[len(OWN) if own else 0 :], known)
        if clause:
            _show_clause(*clause, form)
            return
        rule = rule or find(word)
    if form == "json":
        from pgcharter.render.json import rule_data

        show_json({"format": "pgcharter-rule", "version": 1, **rule_data(rule, known)})
        return
    from pgcharter.render.page import Page
    from pgcharter.render.rules import write_rule

    page = Page(screen())
    write_rule(page, rule, known)
    show(page)


def _clause(clause_id: str, known: Sequence[Guide]) -> tuple[Clause, Guide] | None:
    """The clause with this id: of the project's guide before a built-in one."""
    from pgcharter.cli.project import open_project

    guides = [open_project(Path()).guide, *known]
    return next(((c, g) for g in guides for c in g.clauses if c.id.lower() == clause_id.lower() and c.guide == g.id), None)


def _show_clause(clause: Clause, guide: Guide, form: str) -> None:
    if form == "json":
        from pgcharter.render.json import clause_data, guide_data

        show_json({"format": "pgcharter-guide", "version": 1, **guide_data(guide), "clauses": [clause_data(clause)]})
        return
    from pgcharter.render.guides import write_one_clause
    from pgcharter.render.page import Page

    page = Page(screen())
    write_one_clause(page, clause, guide)
    show(page)
