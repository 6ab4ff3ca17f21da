"""`pgcharter init`: a charter for this project."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import click

from pgcharter.cli.check import complete_guides
from pgcharter.cli.output import Command, screen, show
from pgcharter.errors import PgcharterError, RefusedError

EXAMPLES = (
    ("pgcharter init", "here, with what is found in this folder as targets"),
    ("pgcharter init services/billing --guide cloudlab", "for a part of a repository, under a whole guide"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--guide", default="core", metavar="ID|PATH", shell_complete=complete_guides, show_default=True, help="Guide to follow.")
@click.option("--force", is_flag=True, help="Overwrite a charter that is there.")
def init(folder: Path, guide: str, force: bool) -> None:
    """Write a commented charter (pgcharter.toml), with the targets that are found in the folder."""
    from pgcharter import charter as charters
    from pgcharter import guides
    from pgcharter.cli.discover import discover
    from pgcharter.rules import engine

    path = folder / "pgcharter.toml"
    _refuse_second(folder, path, force)
    chosen = guides.load(str(folder / guide) if guide.endswith(".toml") else guide, codes=engine.load().keys())
    found = discover(folder)
    text = _with_targets(charters.dump_default(replace(chosen, id=guide)), [target for target, _ in found])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PgcharterError(f"the charter cannot be written: {(error.strerror or 'unknown error').lower()}", place=str(path)) from error
    _tell(path, guide, found)


def _with_targets(text: str, targets: list[str]) -> str:
    """The charter's text with its commented example of targets replaced by real ones."""
    if not targets:
        return text
    written = ", ".join(json.dumps(target) for target in targets)
    return re.sub(r"^# targets = .*$", lambda _: f"targets = [{written}]", text, count=1, flags=re.MULTILINE)


def _refuse_second(folder: Path, path: Path, force: bool) -> None:
    """Never overwrite a charter unasked, never put a second one beside it."""
    from pgcharter import charter as charters

    there = charters.find(folder) if folder.is_dir() else None
    if there is None or there.parent != folder.resolve():
        return
    if there.name != path.name:
        raise RefusedError(f"this folder has a charter already, and a second one would contradict it: {there.name}", place=str(folder))
    if not force:
        raise RefusedError(f"{path} is there already", hint="pgcharter init --force overwrites it")


def _tell(path: Path, guide: str, found: tuple[tuple[str, str], ...]) -> None:
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    page.flow(Styled("✔", "good"), " wrote ", Styled(str(path), "strong"), Styled(f"  guide {guide}", "dim"))
    for target, what in found:
        page.flow(f"target {target}", Styled(f"  {what}", "dim"), indent=2)
    if not found:
        page.flow("nothing here looks like a schema: add a target under [check], or name one on the command line", indent=2)
    page.blank()
    page.line(Styled("next", "strong"))
    page.line(Styled("pgcharter check" if found else "pgcharter check TARGET", "command"), indent=2)
    show(page)
