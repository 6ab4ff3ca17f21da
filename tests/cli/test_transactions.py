"""`pgcharter transactions` as an operator calls it, on real servers with coordinators that died."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.runtime.test_twophase_crash import Ground, ground

Program = Callable[..., Any]
CHARTER = """
[environments.dev]
dsn_env = "LOG_DB"

[two_phase]
system = "test"

[[two_phase.participant]]
name = "a"
dsn_env = "A_DB"

[[two_phase.participant]]
name = "b"
dsn_env = "B_DB"
"""


@pytest.fixture(scope="module")
def servers() -> Iterator[Ground]:
    with ground() as found:
        yield found


@pytest.fixture
def here(servers: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    monkeypatch.chdir(tmp_path)
    for name, dsn in (("LOG_DB", servers.log), ("A_DB", servers.dsns()["a"]), ("B_DB", servers.dsns()["b"])):
        monkeypatch.setenv(name, dsn)
    return servers


def test_listed_recovered_gone(here: Ground, program: Program) -> None:
    said = program("transactions", "list", "--env", "dev")
    assert (said.returncode, said.stdout.strip()) == (0, "nothing is prepared")
    here.run("after decision", ("a", "b"))
    here.run("before decision", ("a", "b"))
    here.settled()
    said = program("transactions", "list")
    assert said.returncode == 0
    assert said.stdout.count("decided: commit") == 2
    assert " ".join(said.stdout.split()).count("its coordinator is gone and has decided nothing") == 2
    said = program("transactions", "list", "--older", "0s", "--format", "json")
    assert said.returncode == 1
    data = json.loads(said.stdout)
    assert [(p["late"], p["state"], p["database"]) for p in data["prepared"]].count((True, "orphan", "a")) == 1
    said = program("transactions", "recover")
    assert said.returncode == 0
    assert "2 committed, 0 rolled back" in said.stdout
    assert "it is not old enough" in " ".join(said.stdout.split())
    said = program("transactions", "recover", "--older", "0s", "--format", "json")
    assert said.returncode == 0
    assert len(json.loads(said.stdout)["rolled_back"]) == 2
    here.check(("a", "b"))


def test_what_cannot_be_asked_or_ended_is_said(here: Ground, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    here.run("after decision", ("a", "b"))
    here.settled()
    monkeypatch.setenv("B_DB", "postgresql://me:hush-hush@127.0.0.1:1/b")
    for what in ("list", "recover"):
        said = program("transactions", what)
        assert said.returncode == 1
        assert "b could not be asked" in said.stdout
        assert "hush-hush" not in said.stdout
    assert "is kept" in said.stdout
    assert program("transactions", "recover", "--participant", f"b={here.dsns()['b']}").returncode == 0
    here.check(("a", "b"))


def test_wrong_words(here: Ground, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    said = program("transactions", "list", "--participant", "b")
    assert (said.returncode, "names no participant" in said.stderr) == (2, True)
    monkeypatch.delenv("B_DB")
    said = program("transactions", "list")
    assert (said.returncode, "B_DB, which is not set" in said.stderr) == (2, True)
    monkeypatch.setenv("B_DB", here.dsns()["b"])
    said = program("transactions", "recover", "--on", here.dsns()["a"])
    assert (said.returncode, "two_phase_log" in said.stderr) == (3, True)


def test_a_log_that_is_not_there(here: Ground, program: Program) -> None:
    with psycopg.connect(here.dsns()["a"]) as conn:
        conn.execute("SELECT 1")
        conn.execute("PREPARE TRANSACTION 'by hand'")
    said = program("transactions", "list", "--older", "0s")
    assert said.returncode == 1
    assert "not of this system" in " ".join(said.stdout.split())
    with psycopg.connect(here.dsns()["a"], autocommit=True) as conn:
        conn.execute("ROLLBACK PREPARED 'by hand'")
    said = program("transactions", "list", "--on", "postgresql://127.0.0.1:1/x")
    assert said.returncode == 3
