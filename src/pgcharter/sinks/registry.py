"""Which module is the sink of a kind, and a sink of a `[[sync.sink]]` table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from pgcharter.errors import CharterError, UnavailableError
from pgcharter.policy.sync_settings import Kind, SinkTable
from pgcharter.stream.model import Sink

EXTRAS: Mapping[Kind, str] = {"redis": "redis", "nats": "nats", "webhook": "webhook", "clickhouse": "clickhouse", "parquet": "arrow"}
"""Kind → the extra of pgcharter that it needs; the others need none."""
FILES: tuple[Kind, ...] = ("jsonl", "parquet")
"""Kinds that write into a folder instead of going to an address."""


def make(table: SinkTable, folder: Path = Path(), environ: Mapping[str, str] = os.environ) -> Sink:
    """The sink of a table of the charter, not opened yet; `folder` is the charter's.

    Each kind is `pgcharter.sinks.<kind>` with `make(table, url, folder) -> Sink`. Raises CharterError for an address or folder that is not
    given, UnavailableError where the extra of its kind is missing.
    """
    url = "" if table.kind in FILES else _url(table, environ)
    if table.kind in FILES and not table.folder:
        raise CharterError(f"sink {table.name} writes files and names no folder", hint='folder = "copies"', place="[[sync.sink]]")
    try:
        module = import_module(f"pgcharter.sinks.{table.kind}")
        return module.make(table, url, folder / table.folder)  # type: ignore[no-any-return]
    except ImportError as error:
        if (error.name or "").startswith("pgcharter"):
            raise
        hint = f"pip install 'pgcharter[{EXTRAS[table.kind]}]'" if table.kind in EXTRAS else ""
        raise UnavailableError(f"{error.name} is not installed, and sink {table.name} ({table.kind}) needs it", hint=hint) from None


def _url(table: SinkTable, environ: Mapping[str, str]) -> str:
    """The address of a store out of the environment."""
    if not table.url_env:
        raise CharterError(f"sink {table.name} ({table.kind}) names no address", hint='url_env = "COPY_URL"', place="[[sync.sink]]")
    if not environ.get(table.url_env):
        raise CharterError(
            f"environment variable {table.url_env} is not set, so sink {table.name} has no address",
            hint=f"export {table.url_env}=…",
            place="[[sync.sink]]",
        )
    return environ[table.url_env]
