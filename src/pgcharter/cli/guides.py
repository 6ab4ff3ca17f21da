"""`pgcharter guides`: which guides there are, and what they ask for."""

from __future__ import annotations

import click

from pgcharter.cli.check import complete_guides
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import UsageError

LIST_EXAMPLES = (("pgcharter guides list", "the built-in guides"),)
SHOW_EXAMPLES = (
    ("pgcharter guides show core", "clause by clause"),
    ("pgcharter guides show cloudlab --section naming", "only sections with this word in their heading"),
    ("pgcharter guides show ./house.toml --format json", "your own, for programs"),
)


@click.group()
def guides() -> None:
    """List the guides, or read one clause by clause."""


@guides.command("list", cls=Command, examples=LIST_EXAMPLES)
@format_option
def list_guides(form: str) -> None:
    """List the built-in guides."""
    from pgcharter import guides as library

    known = [library.load(name) for name in library.available()]
    if form == "json":
        from pgcharter.render.json import guide_data

        show_json({"format": "pgcharter-guides", "version": 1, "guides": [guide_data(g) for g in known]})
        return
    from pgcharter.render.guides import write_guides
    from pgcharter.render.page import Page

    page = Page(screen())
    write_guides(page, known)
    show(page)


@guides.command("show", cls=Command, examples=SHOW_EXAMPLES)
@click.argument("guide", metavar="ID|PATH", shell_complete=complete_guides)
@click.option("--section", metavar="WORD", help="Only sections whose heading holds this word.")
@format_option
def show_guide(guide: str, section: str | None, form: str) -> None:
    """Read a guide: its options, then clause by clause with the rules that prove each."""
    from dataclasses import replace

    from pgcharter import guides as library

    chosen = library.load(guide)
    if section:
        clauses = tuple(c for c in chosen.clauses if section.lower() in c.section.lower())
        if not clauses:
            headings = ", ".join(dict.fromkeys(c.section.partition(" / ")[0] for c in chosen.clauses))
            raise UsageError(f"guide {chosen.id} has no section with {section!r} in its heading", hint=f"its sections are {headings}")
        chosen = replace(chosen, clauses=clauses)
    if form == "json":
        from pgcharter.render.json import clause_data, guide_data

        show_json({"format": "pgcharter-guide", "version": 1, **guide_data(chosen), "clauses": [clause_data(c) for c in chosen.clauses]})
        return
    from pgcharter.render.guides import write_guide
    from pgcharter.render.page import Page

    page = Page(screen())
    write_guide(page, chosen, options=not section)
    show(page)
