"""`pgcharter init`: a charter for this project."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgcharter.cli.check import complete_guides
from pgcharter.cli.output import Command, screen, show
from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.tomlfile import quoted

if TYPE_CHECKING:
    from pgcharter.rules.nearest import Candidate

NEAREST = "nearest"
"""Written as a guide: the one that the project follows most."""

EXAMPLES = (
    ("pgcharter init", "here, with what is found in this folder as targets"),
    ("pgcharter init services/billing --guide cloudlab", "for a part of a repository, under a whole guide"),
    ("pgcharter init --from postgresql://me@host/shop --guide nearest", "under the guide that a database follows most"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--guide", default="core", metavar="ID|PATH", shell_complete=complete_guides, show_default=True, help="Guide to follow, or `nearest`."
)
@click.option("--from", "source", metavar="TARGET", help="What to judge the nearest guide by, instead of what the folder holds.")
@click.option("--no-look", is_flag=True, help="Propose no guide: build and read nothing.")
@click.option("--force", is_flag=True, help="Overwrite a charter that is there.")
def init(folder: Path, guide: str, source: str | None, no_look: bool, force: bool) -> None:
    """Write a commented charter (pgcharter.toml), with the targets that are found in the folder, and propose the nearest guide.

    What is there is read like `pgcharter check` does and held against the house style of every guide.
    """
    from pgcharter import charter as charters
    from pgcharter import guides
    from pgcharter.cli.discover import database_variable, discover
    from pgcharter.cli.outputs import write
    from pgcharter.cli.proposal import propose
    from pgcharter.rules import engine

    path = folder / "pgcharter.toml"
    _refuse_second(folder, path, force)
    if guide == NEAREST and no_look:
        raise UsageError("--guide nearest needs a look at the project, which --no-look forbids")
    if source and no_look:
        raise UsageError("--from names what to look at, which --no-look forbids")
    chosen = (
        None if guide == NEAREST else guides.load(str(folder / guide) if guide.endswith(".toml") else guide, codes=engine.load().keys())
    )
    found = discover(folder)
    judged = source or next((_inside(folder, target) for target, _ in found), "")
    nearest, why = ([], "") if no_look or not judged else propose(judged)
    if chosen is None:
        if not nearest:
            raise UsageError(f"no guide can be proposed: {why or 'nothing here looks like a schema'}", hint="name one: --guide core")
        chosen = nearest[0].guide
        guide = chosen.id
    text = _with_targets(charters.dump_default(replace(chosen, id=guide)), [target for target, _ in found])
    variable = database_variable(folder)
    text = _with_environment(text, variable) if variable else text
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PgcharterError(f"the charter cannot be written: {(error.strerror or 'unknown error').lower()}", place=str(path)) from error
    write(path, [text])
    _tell(path, guide, found, variable, (judged, nearest, why))


def _inside(folder: Path, target: str) -> str:
    """A target found in `folder`, as it is named from here; modules are found from where one stands."""
    return target if ":" in target else str(folder / target)


def _with_environment(text: str, variable: str) -> str:
    """The charter's text with its commented environment replaced by one that takes its DSN from `variable`."""
    written = f'[environments.development]\ndsn_env = "{variable}"\nproduction = false\n'
    return re.sub(r"^# \[environments\.production\]\n(?:# .*\n)+", lambda _: written, text, count=1, flags=re.MULTILINE)


def _with_targets(text: str, targets: list[str]) -> str:
    """The charter's text with its commented example of targets replaced by real ones."""
    if not targets:
        return text
    written = ", ".join(quoted(target) for target in targets)
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


def _tell(
    path: Path, guide: str, found: tuple[tuple[str, str], ...], variable: str, proposal: tuple[str, Sequence[Candidate], str]
) -> None:
    from pgcharter.cli.proposal import write_proposal
    from pgcharter.render.page import Page, Styled

    page = Page(screen())
    page.flow(Styled("✔", "good"), " wrote ", Styled(str(path), "strong"), Styled(f"  guide {guide}", "dim"))
    for target, what in found:
        page.flow(f"target {target}", Styled(f"  {what}", "dim"), indent=2)
    if not found:
        page.flow("nothing here looks like a schema: add a target under [check], or name one on the command line", indent=2)
    if variable:
        page.flow(f"environment development, its DSN from {variable}", indent=2)
    judged, nearest, why = proposal
    if nearest or why:
        write_proposal(page, judged, nearest, why, chosen=guide)
    page.blank()
    page.line(Styled("next", "strong"))
    page.line(Styled("pgcharter check" if found else "pgcharter check TARGET", "command"), indent=2)
    show(page)
