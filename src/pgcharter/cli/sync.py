"""`pgcharter sync`: copies in other stores: begin, run, say how far they are, compare and repair them."""

from __future__ import annotations

import click


@click.group()
def sync() -> None:
    """Copies in other stores: begin, run, say how far they are, compare and repair them."""
