"""What docs/how-to/health.md shows works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from tests.cli.conftest import program  # noqa: F401 (a fixture)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "health.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_works(program: Callable[..., Any], database: str, tmp_path: Path) -> None:  # noqa: F811
    [charter], [sql] = _blocks("toml"), _blocks("sql")
    (tmp_path / "pgcharter.toml").write_text(charter)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(sql.encode())
        conn.execute("DROP ROLE watcher")
    lines = [line for block in _blocks("sh") for line in block.splitlines()]
    assert len(lines) == 5
    for line in lines:
        words = shlex.split(line)[1:]
        done = program(*words, cwd=tmp_path, DATABASE_URL=database, PGBOUNCER_ADMIN_URL="host=127.0.0.1 port=1 dbname=pgbouncer")
        assert done.returncode in (0, 1, 2), done.stderr
        assert not done.stderr
        assert "archive.off" not in done.stdout
