"""`pgcharter guides`: which guides there are, and what they ask for."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from pgcharter.cli.check import complete_guides
from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import PgcharterError, RefusedError, UsageError

LIST_EXAMPLES = (("pgcharter guides list", "the built-in guides"),)
SHOW_EXAMPLES = (
    ("pgcharter guides show core", "clause by clause"),
    ("pgcharter guides show cloudlab --section naming", "only sections with this word in their heading"),
    ("pgcharter guides show ./house.toml --format json", "your own, for programs"),
)
NEW_EXAMPLES = (
    ("pgcharter guides new standards.toml", "a guide of your own on top of core"),
    ("pgcharter guides new db/standards.toml --extends thinkalike --title 'Acme standards'", "on top of a whole one"),
)
SCHEMA_EXAMPLES = (
    ("pgcharter guides schema > guide.schema.json", "for an editor: #:schema ./guide.schema.json as the guide's first line"),
    ("pgcharter guides schema --charter > charter.schema.json", "the same for pgcharter.toml"),
)


@click.group()
def guides() -> None:
    """List the guides, read one clause by clause, or write your own."""


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


@guides.command("new", cls=Command, examples=NEW_EXAMPLES)
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--extends", default="core", metavar="ID|PATH", shell_complete=complete_guides, show_default=True, help="Guide to build on.")
@click.option("--title", metavar="TEXT", help="Name of the document.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def new_guide(file: Path, extends: str, title: str | None, force: bool) -> None:
    """Write a guide of your own (FILE, ending in .toml): a clause of every kind and every house option as a comment."""
    from pgcharter import guides as library
    from pgcharter.cli.outputs import write
    from pgcharter.guides.starter import starter

    if file.suffix != ".toml":
        raise UsageError(
            f"a guide is a TOML file, and {file} does not end in .toml", hint=f"pgcharter guides new {file.with_suffix('.toml')}"
        )
    if file.exists() and not force:
        raise RefusedError(f"{file} is there already", hint=f"pgcharter guides new {file} --force overwrites it")
    parent = library.load(_beside(file, extends))
    guide_id = re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-") or "own"
    if guide_id in library.available():
        raise UsageError(
            f"there is a built-in guide called {guide_id}, so yours needs another name", hint=f"pgcharter guides new our-{file.name}"
        )
    text = starter(guide_id, title or f"{file.stem} database standards", parent, extends=extends)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PgcharterError(f"the guide cannot be written: {(error.strerror or 'unknown error').lower()}", place=str(file)) from error
    write(file, [text])
    _tell_new(file, extends)


def _beside(file: Path, extends: str) -> str:
    """The guide that `file` is to extend, as it is found from here. Raises UsageError when a path does not lead there from `file`."""
    if not extends.endswith(".toml"):
        return extends
    found = file.parent / extends
    if not found.is_file() and Path(extends).is_file():
        there = os.path.relpath(extends, file.parent)
        raise UsageError(f"{extends} is not found from the folder of {file}, where the path of a guide starts", hint=f"--extends {there}")
    return str(found)


def _tell_new(file: Path, extends: str) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    page.flow(Styled("✔", "good"), " wrote ", Styled(str(file), "strong"), Styled(f"  extends {extends}", "dim"))
    page.blank()
    page.line(Styled("next", "strong"))
    page.flow(Styled(f"pgcharter guides show {file}", "command"), Styled("  read it back", "dim"), indent=2)
    page.flow(Styled(f"pgcharter check TARGET --guide {file} --score", "command"), Styled("  hold something against it", "dim"), indent=2)
    show(page)


@guides.command("schema", cls=Command, examples=SCHEMA_EXAMPLES)
@click.option("--charter", is_flag=True, help="That of the charter, pgcharter.toml, instead.")
def print_schema(charter: bool) -> None:
    """Print the JSON Schema of a guide's file, for completion and checking in an editor."""
    from pgcharter import charter as charters
    from pgcharter import guides as library
    from pgcharter.cli.project import sections
    from pgcharter.guides.schema import charter_schema, guide_schema
    from pgcharter.render.source_codes import all_described

    codes, known = all_described().keys(), library.available()
    if charter:
        tables = {s.name: s.model for s in (charters.CHECK, *sections())}
        lists = {"waiver": charters.Waiver, "path": charters.PathSetting}
        show_json(charter_schema(codes, known, tables, lists, {"environments": charters.Environment}))
        return
    show_json(guide_schema(codes, known))
