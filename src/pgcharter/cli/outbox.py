"""`pgcharter outbox`: messages to others: deliver them, say what waits, what is parked and what is dead, and send it again."""

from __future__ import annotations

import click


@click.group()
def outbox() -> None:
    """Messages to others: deliver them, say what waits, what is parked and what is dead, and send it again."""
