"""Reading files in tests: built on the session's server through its URL, so that no test starts one of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pgcharter import sources
from pgcharter.catalog.reading import Reading
from pgcharter.servers.lifecycle import Server

Read = Callable[..., Reading]


@pytest.fixture
def read(major_server: Server) -> Read:
    """`read(target)`: what `sources.read` makes of it."""

    def reading(target: str | Path, **options: Any) -> Reading:
        return sources.read(str(target), scratch_url=major_server.dsn(), **options)

    return reading


@pytest.fixture
def read_sql(read: Read, tmp_path: Path) -> Read:
    """`read_sql(text)`: the same for a file of this text, shown as `a.sql`."""

    def reading(text: str, **options: Any) -> Reading:
        (tmp_path / "a.sql").write_text(text, "utf-8")
        return read(tmp_path / "a.sql", **options)

    return reading
