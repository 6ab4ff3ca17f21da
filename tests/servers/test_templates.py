"""Throwaway data folders are copied from a template, which nobody else can read and which is made anew when it is damaged."""

from __future__ import annotations

import stat
from pathlib import Path

import psycopg
import pytest

from pgcharter.errors import UnavailableError
from pgcharter.servers import account as accounts
from pgcharter.servers import binaries, datafolder, lifecycle


@pytest.fixture
def cache(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = open_folder / "cache"
    folder.mkdir()
    monkeypatch.setattr(accounts, "cache_folder", lambda: folder)
    return folder


def start_and_ask() -> str:
    with lifecycle.start_ephemeral(binaries.choose()) as server, psycopg.connect(server.dsn()) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
        return server.login.user


def test_made_once_and_private(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = start_and_ask()
    template = next(cache.glob("data-*"))
    assert stat.S_IMODE(template.stat().st_mode) == 0o700
    assert stat.S_IMODE((template / "login.json").stat().st_mode) == 0o600
    monkeypatch.setattr(datafolder, "initialise", lambda *_, **__: pytest.fail("initdb ran again"))
    assert start_and_ask() == first
    assert [path.name for path in cache.iterdir()] == [template.name]


def test_damaged_one_is_not_used(cache: Path) -> None:
    first = start_and_ask()
    template = next(cache.glob("data-*"))
    (template / "data" / "global" / "pg_control").unlink()
    assert start_and_ask() != first
    assert not template.exists()
    start_and_ask()
    assert template.exists()


@pytest.mark.parametrize("text", ["", "{}", '{"user": "x"}'])
def test_damaged_login_is_not_used(cache: Path, text: str) -> None:
    start_and_ask()
    (next(cache.glob("data-*")) / "login.json").write_text(text)
    start_and_ask()


def test_works_without_any_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise UnavailableError("no folder for cached files can be made")

    monkeypatch.setattr(accounts, "cache_folder", none)
    start_and_ask()
