"""`pgcharter explain`: what a rule flags, why, what to do instead, and when it is right after all."""

from __future__ import annotations

import click

from pgcharter.cli.check import complete_rules
from pgcharter.cli.output import Command, format_option, screen, show, show_json

EXAMPLES = (
    ("pgcharter explain KEY01", "by code"),
    ("pgcharter explain no-primary-key", "by slug"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("word", metavar="CODE|SLUG", shell_complete=complete_rules)
@format_option
def explain(word: str, form: str) -> None:
    """Say what a rule flags, why it matters, what to do instead, and which clauses of which guides ask for it."""
    from pgcharter import guides
    from pgcharter.render.source_codes import find

    rule = find(word)
    known = [guides.load(name) for name in guides.available()]
    if form == "json":
        from pgcharter.render.json import rule_data

        show_json({"format": "pgcharter-rule", "version": 1, **rule_data(rule, known)})
        return
    from pgcharter.render.page import Page
    from pgcharter.render.rules import write_rule

    page = Page(screen())
    write_rule(page, rule, known)
    show(page)
