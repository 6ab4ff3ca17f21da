"""`pgcharter saga`: sagas: run them, say where each stands, retry, compensate or resume one."""

from __future__ import annotations

import click


@click.group()
def saga() -> None:
    """Sagas: run them, say where each stands, retry, compensate or resume one."""
