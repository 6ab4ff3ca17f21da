"""`check --sample SECONDS`: what samples of the rows show, with figures, and excused like every finding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

VISITS = """
CREATE TABLE visits (id bigint PRIMARY KEY, postal_code text NOT NULL, city text NOT NULL);
INSERT INTO visits SELECT n, 'code ' || n % 300, 'city ' || n % 300 / 10 FROM generate_series(1, 3000) AS n;
ANALYZE visits;
"""
COMMAND = ("--only", "NRM03", "--fail-on", "info")


@pytest.fixture
def visits(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(VISITS.encode())
    return database


def test_a_dependency_is_told_with_figures(visits: str, program: Callable[..., Any], tmp_path: Path) -> None:
    done = program("check", visits, *COMMAND, "--sample", "30", cwd=tmp_path)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "city follows from postal_code in all 3,000 sampled rows (300 values of postal_code, 30 of city)" in said


def test_without_the_option_nobody_looks_at_rows_and_it_says_so(visits: str, program: Callable[..., Any], tmp_path: Path) -> None:
    done = program("check", visits, *COMMAND, cwd=tmp_path)
    assert done.returncode == 0
    assert "--sample SECONDS" in done.stdout


def test_a_waiver_excuses_it(visits: str, program: Callable[..., Any], tmp_path: Path) -> None:
    waiver = '[[waiver]]\nrule = "NRM03"\nobject = "public.visits.city"\nreason = "read far more often than written"\n'
    (tmp_path / "pgcharter.toml").write_text(f'guide = "core"\n{waiver}')
    done = program("check", visits, *COMMAND, "--sample", "30", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "city follows" not in done.stdout


@pytest.mark.parametrize("seconds", ["0", "-1", "soon"])
def test_a_budget_is_a_positive_number(seconds: str, program: Callable[..., Any], tmp_path: Path) -> None:
    assert program("check", "x.sql", "--sample", seconds, cwd=tmp_path).returncode == 2
