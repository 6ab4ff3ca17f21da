"""`pgcharter events`: events: follow the store, show an aggregate, see and move subscriptions."""

from __future__ import annotations

import click


@click.group()
def events() -> None:
    """Events: follow the store, show an aggregate, see and move subscriptions."""
