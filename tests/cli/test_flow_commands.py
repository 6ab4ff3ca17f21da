"""What the commands of events, projections, outbox, saga and sync have in common: documents with a version, examples, `--format`."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from pgcharter.cli.group import pgcharter as program

CLI = Path(__file__).parents[2] / "src/pgcharter/cli"
GROUPS = ("events", "projections", "outbox", "saga", "sync")
SERVING = {"run"}
"""Commands that work until they are stopped and print nothing that a program would read."""


def commands() -> list[tuple[str, click.Command]]:
    found = []
    for name in GROUPS:
        group = program.get_command(click.Context(program), name)
        assert isinstance(group, click.Group)
        found += [(f"{name} {c}", group.commands[c]) for c in sorted(group.commands)]
    return found


@pytest.mark.parametrize("file", sorted(f.name for name in GROUPS for f in CLI.glob(f"{name}*.py")))
def test_documents_have_a_version(file: str) -> None:
    text = (CLI / file).read_text()
    assert not re.findall(r'"format": "pgcharter-[a-z-]+"(?!, "version": \d)', text)


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda x: x if isinstance(x, str) else "")
def test_help_has_examples_and_every_result_can_be_json(name: str, command: click.Command) -> None:
    assert command.help
    examples = getattr(command, "examples", ())
    assert examples
    assert all(line.startswith(f"pgcharter {name}") and meaning for line, meaning in examples)
    options = {o for p in command.params for o in p.opts}
    if name.split()[1] not in SERVING:
        assert "--format" in options
    assert all(getattr(p, "help", "-") or p.name == "help" for p in command.params if isinstance(p, click.Option) and not p.hidden)
