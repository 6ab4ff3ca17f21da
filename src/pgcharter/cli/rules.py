"""`pgcharter rules`: which rules there are."""

from __future__ import annotations

import click

from pgcharter.cli.check import complete_guides
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import UsageError

EXAMPLES = (
    ("pgcharter rules list", "all rules"),
    ("pgcharter rules list --guide core", "those that a guide uses, with its severities"),
    ("pgcharter rules list --family keys --format json", "one family, for programs"),
)


@click.group()
def rules() -> None:
    """List the rules."""


@rules.command("list", cls=Command, examples=EXAMPLES)
@click.option("--guide", metavar="ID|PATH", shell_complete=complete_guides, help="Only rules that this guide uses.")
@click.option("--family", metavar="NAME", help="Only rules of this family (keys, indexes, security, ...).")
@format_option
def list_rules(guide: str | None, family: str | None, form: str) -> None:
    """List the rules by family: severity, code, slug and what each flags."""
    from dataclasses import replace

    from pgcharter import guides
    from pgcharter.rules import engine

    listed = list(engine.load().values())
    if guide:
        chosen = guides.load(guide, codes=engine.load().keys())
        listed = [replace(r, severity=chosen.severity(r.code, r.severity)) for r in listed if r.code in chosen.rules]
    if family:
        families = sorted({r.family for r in engine.load().values()})
        if family not in families:
            raise UsageError(f"there is no rule family {family!r}", hint=f"the families are {', '.join(families)}")
        listed = [r for r in listed if r.family == family]
    if form == "json":
        from pgcharter.render.json import rule_data

        known = [guides.load(name) for name in guides.available()]
        show_json({"format": "pgcharter-rules", "version": 1, "rules": [rule_data(r, known) for r in listed]})
        return
    from pgcharter.render.page import Page
    from pgcharter.render.rules import write_rules

    page = Page(screen())
    write_rules(page, listed)
    show(page)
