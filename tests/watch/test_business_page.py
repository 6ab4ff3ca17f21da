"""The blocks of docs/how-to/business-rules.md run, in order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import psycopg
import pytest

from pgcharter.cli import failures

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "business-rules.md"


def test_the_page_runs(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    [charter] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "pgcharter.toml").write_text(charter)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE orders (created_at timestamptz, shipped_at timestamptz)")
        conn.execute("INSERT INTO orders VALUES (now() - interval '2 h', now() - interval '1 h 40 min'), (now(), NULL)")
    said = []
    for line in filter(None, "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()):
        program, *words = shlex.split(line)
        assert program == "pgcharter"
        assert failures.run(words) == 0, line
        said.append(capsys.readouterr().out)
    assert "COMPLIANT     1,200 s over 24 hours, must be below 3,600 s" in said[1]
    assert "below 3,600 s over 24 hours" in " ".join(said[2].split())
    assert "1,200 s" in said[3]
