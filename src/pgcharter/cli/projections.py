"""`pgcharter projections`: read models: run them, rebuild them beside the live ones, prove them equal."""

from __future__ import annotations

import click


@click.group()
def projections() -> None:
    """Read models: run them, rebuild them beside the live ones, prove them equal."""
