"""Schemas that others wrote, as SQL without data and without what psql would do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import pgcharter

SAMPLES = os.environ.get("PGCHARTER_SAMPLES", "")
SHOP = Path(pgcharter.__file__).parent / "examples" / "shop" / "migrations"
needs_samples = pytest.mark.skipif(not SAMPLES, reason="PGCHARTER_SAMPLES names no folder")
_FILES = {"pagila": "pagila-schema.sql", "chinook": "Chinook_PostgreSql.sql"}
NAMES = ("pagila", "chinook", "shop")
_WHERE = {"pagila": (18,)}
CASES = [
    pytest.param(name, major, marks=() if name == "shop" else needs_samples, id=f"{name}-pg{major}")
    for name in NAMES
    for major in _WHERE.get(name, (15, 18))
]
"""Schema and major version; Pagila calls uuidv7(), which comes with 18."""
EVERYWHERE = [*CASES, pytest.param("shop", 16, id="shop-pg16"), pytest.param("shop", 17, id="shop-pg17")]


def sql_of(name: str) -> str:
    """The statements that make a schema: "pagila", "chinook" or "shop". What it says of owners is left out."""
    if name == "shop":
        return "\n".join(f.read_text("utf-8").partition("-- Down Migration")[0] for f in sorted(SHOP.glob("00*.sql")))
    text = (Path(SAMPLES) / _FILES[name]).read_text("utf-8-sig").partition("\nINSERT INTO")[0]
    skipped = ("DROP DATABASE", "CREATE DATABASE", "\\")
    return "\n".join(line for line in text.splitlines() if not (line.startswith(skipped) or " OWNER TO " in line))
