"""Finding PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgcharter.errors import UnavailableError
from pgcharter.servers import binaries


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    binaries.installations.cache_clear()
    yield
    binaries.installations.cache_clear()


def fake(folder: Path, says: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "postgres").write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / "postgres").chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("postgres (PostgreSQL) 18.6", 180006),
        ("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)", 150020),
        ("postgres (PostgreSQL) 19beta1", 190000),
        ("postgres (PostgreSQL) 19devel", 190000),
        ("no version here", None),
    ],
)
def test_version_as_said(tmp_path: Path, says: str, version: int | None) -> None:
    assert binaries._version(fake(tmp_path / "bin", says) / "postgres") == version


def test_override_wins_within_its_major_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = binaries.choose()
    folders = [fake(tmp_path / "a", "postgres (PostgreSQL) 15.1"), fake(tmp_path / "b", "postgres (PostgreSQL) 99.0"), tmp_path / "empty"]
    monkeypatch.setenv(binaries.OVERRIDE, os.pathsep.join(map(str, folders)))
    binaries.installations.cache_clear()
    assert binaries.choose(15).bin == tmp_path / "a"
    assert binaries.choose() == before
    assert binaries.choose(99).bin == tmp_path / "b"
    assert 99 not in binaries.majors()
    assert [(folder, why) for _, folder, why in binaries.broken()] == [(tmp_path / "empty", "there is no postgres program in this folder")]


def test_missing_version_names_remedy() -> None:
    with pytest.raises(UnavailableError, match=r"PostgreSQL 12 was not found .*found: .*18") as caught:
        binaries.choose(12)
    assert binaries.OVERRIDE in caught.value.hint


def test_nothing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_candidates", lambda: iter(()))
    with pytest.raises(UnavailableError, match="no PostgreSQL 15 to 18") as caught:
        binaries.choose()
    assert "pgcharter[embedded]" in caught.value.hint


def test_wheels_are_found_without_being_imported() -> None:
    import subprocess
    import sys

    program = (
        "import sys; from pgcharter.servers import binaries; binaries.installations(); print([m for m in sys.modules if 'postgres' in m])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_missing_program_is_named() -> None:
    with pytest.raises(UnavailableError, match="pg_no_such is not part of PostgreSQL"):
        binaries.choose().program("pg_no_such")
