"""`pgcharter completion`: the completion script of a shell."""

from __future__ import annotations

import sys

import click

from pgcharter.cli.failures import COMPLETE
from pgcharter.cli.output import Command

EXAMPLES = (
    ('eval "$(pgcharter completion bash)"', "in ~/.bashrc"),
    ('eval "$(pgcharter completion zsh)"', "in ~/.zshrc"),
    ("pgcharter completion fish > ~/.config/fish/completions/pgcharter.fish", "once, for fish"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: commands, options, rule codes and guide ids."""
    from click.shell_completion import get_completion_class

    from pgcharter.cli.group import pgcharter

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101
    sys.stdout.write(found(pgcharter, {}, "pgcharter", COMPLETE).source() + "\n")
