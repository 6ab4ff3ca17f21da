"""`pgcharter security`: who may do what, how clients get in, and what has changed behind our back."""

from __future__ import annotations

import importlib

import click

_COMMANDS = {
    "privileges": "privileges:privileges",
    "render": "transport:render",
    "watch": "security_watch:watch",
    "probe": "probe:probe",
}
"""Where each command is, `module:attribute` below `pgcharter.cli`, so that none is imported for another."""


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        found: click.Command = getattr(importlib.import_module(f"pgcharter.cli.{module}"), attribute)
        return found


@click.group(cls=_Group)
def security() -> None:
    """Effective privileges, rules of logging in, and what has changed since the last look."""
