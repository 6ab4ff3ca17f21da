"""The same schema through a file, a live database and a snapshot gets the same verdict, as far as the catalog gives it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from pgcharter import guides, sources
from pgcharter.catalog import codec
from pgcharter.catalog.reading import Reading
from pgcharter.rules import engine
from pgcharter.servers.lifecycle import Server

SAMPLES = os.environ.get("PGCHARTER_SAMPLES", "")
EXAMPLES = Path(__file__).parents[2] / "examples"
CATALOG_RULES = tuple(code for code, rule in engine.load().items() if rule.needs == "catalog")

SEEN_IN_FILES = {("KEY24", "Chinook_PostgreSql.sql")}
"""A catalog cannot tell NO ACTION written out, as this file has it throughout, from nothing said."""

needs_samples = pytest.mark.skipif(not SAMPLES, reason="PGCHARTER_SAMPLES names no folder")


@pytest.fixture
def load(server: Callable[..., Server]) -> Callable[[Path, str], str]:
    """Runs a file through psql as its user would, and gives the DSN of the database it ends in."""
    running = server()

    def run(file: Path, database: str) -> str:
        if database not in ("postgres", "chinook"):
            with psycopg.connect(running.dsn(), autocommit=True) as conn:
                conn.execute(f"CREATE DATABASE {database}")  # type: ignore[arg-type]
        start = running.dsn("postgres" if database == "chinook" else database)
        psql = [str(running.installation.program("psql")), "-q", "-X", start, "-f", str(file)]
        subprocess.run(psql, check=True, capture_output=True, timeout=120)
        return urlunsplit(urlsplit(start)._replace(path=f"/{database}"))

    return run


def verdict(reading: Reading, guide: str) -> set[tuple[str, str, str]]:
    catalog_only = replace(reading, cluster=None, stats=None)
    found = engine.run(catalog_only, guides.load(guide), only=[c for c in guides.load(guide).rules if c in CATALOG_RULES]).findings
    return {(f.code, str(f.object), f.message) for f in found if not f.code.startswith("SRC")}


@pytest.mark.parametrize("guide", ["core", "cloudlab"])
@pytest.mark.parametrize(
    ("folder", "name", "database"),
    [
        pytest.param(SAMPLES, "Chinook_PostgreSql.sql", "chinook", marks=needs_samples),
        pytest.param(SAMPLES, "pagila-schema.sql", "pagila", marks=needs_samples),
        pytest.param(str(EXAMPLES), "legacy/schema.sql", "legacy"),
    ],
)
def test_file_live_and_snapshot_agree(
    folder: str, name: str, database: str, guide: str, load: Callable[[Path, str], str], tmp_path: Path
) -> None:
    file = Path(folder) / name
    from_file = sources.read(str(file))
    live = sources.read(load(file, database))
    assert live.catalog is not None
    snapshot = tmp_path / "today.json"
    snapshot.write_text(codec.dumps(live.catalog), encoding="utf-8")
    expected = verdict(live, guide)
    assert expected
    assert verdict(sources.read(str(snapshot)), guide) == expected
    assert verdict(from_file, guide) == {f for f in expected if (f[0], name) not in SEEN_IN_FILES}
