"""The plugin as projects see it: each test runs pytest on one of them."""

from __future__ import annotations

import re

from tests.testing.conftest import Inner


def test_a_project(inner: Inner) -> None:
    ran = inner("small", "-n", "0", "-v")
    assert re.search(r"^pgcharter: PostgreSQL 18\.\d+ \(embedded\), schema from migrations/ \(2 files\)$", ran.output, re.MULTILINE), (
        ran.output
    )
    assert (ran.code, ran.count("failed"), ran.count("error")) == (0, 0, 0), ran.output
    assert ran.count("passed") == 38, ran.output


def test_a_project_in_two_processes(inner: Inner) -> None:
    ran = inner("small", "-n", "2", "-k", "clone or session or rows")
    assert ran.code == 0, ran.output
    assert ran.count("passed") > 10, ran.output


def test_what_fails_is_told(inner: Inner) -> None:
    ran = inner("failing", "-n", "0", ini={"pgcharter_no_repeats": "true"})
    assert (ran.count("failed"), ran.count("error"), ran.count("passed")) == (2, 1, 2), ran.output
    assert "the test has ended the transaction that its fixture rolls back" in ran.output
    assert "hint: commit by the connection or session, or take the fixture pg_database" in ran.output
    assert re.search(r"seed \d+: again with --pgcharter-seed=\d+", ran.output)
    assert "the same statement runs again and again" in ran.output


def test_a_project_without_databases_is_not_touched(inner: Inner) -> None:
    ran = inner("untouched", "-n", "0", "-v")
    assert (ran.code, ran.count("passed")) == (0, 1), ran.output
    assert "pgcharter:" not in ran.output
