"""The shop: a charter with tenancy, roles and a folder of migrations, tested as the role that its application logs in as."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
from tests.testing.conftest import Inner

INI = {"pgcharter_schema": "migrations", "pgcharter_role": "shop_api"}


@pytest.fixture
def shop(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(Path(str(files("pgcharter.examples.shop"))), folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for case in Path(__file__).with_name("projects").joinpath("shop").iterdir():
        if case.suffix == ".py":
            shutil.copy(case, folder)


@pytest.mark.usefixtures("shop")
def test_as_the_role_of_the_application(inner: Inner) -> None:
    ran = inner("shop", "-n", "0", ini=INI)
    assert (ran.code, ran.count("passed")) == (0, 7), ran.output


@pytest.mark.usefixtures("shop")
def test_on_a_server_that_is_given(inner: Inner, server: object) -> None:
    dsn = server().dsn()  # type: ignore[operator]
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("ALTER DATABASE postgres SET pgcharter.for_tests = on")
    ran = inner("shop", "-n", "0", "--pgcharter-dsn", dsn, ini=INI)
    assert (ran.code, ran.count("passed")) == (0, 7), ran.output


def test_a_role_that_is_not_there(inner: Inner) -> None:
    ran = inner("small", "-n", "0", "-k", "test_a_clone", "-x", ini={"pgcharter_schema": "migrations", "pgcharter_role": "nobody"})
    assert "tests are to run as nobody, and no role of that name is there once the schema is made" in ran.output
    assert "hint: make it in a migration: CREATE ROLE nobody LOGIN" in ran.output
