"""Servers that archive into a repository by our own command, for tests of backups."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import psycopg
import pytest
from tests.conftest import installation, lacking

from pgcharter.operate import backup_engines, backup_render
from pgcharter.operate.backup_native import Native
from pgcharter.operate.backup_settings import BackupSection
from pgcharter.servers import account, folders, lifecycle
from pgcharter.servers.lifecycle import Server

SOURCES = Path(__file__).parents[2] / "src"


@cache
def program() -> str:
    """How the account that servers run as calls pgcharter: by an interpreter of our version that it may run."""
    who = account.current()
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        packages = [p for p in sys.path if p.endswith("site-packages")]
        path = ":".join([str(SOURCES), *packages])
        try:
            done = who.run(["/usr/bin/env", f"PYTHONPATH={path}", python, "-m", "pgcharter", "--version"], timeout=30)
        except OSError:
            continue
        if done.returncode == 0:
            return f"/usr/bin/env PYTHONPATH={path} {python} -m pgcharter"
    pytest.skip(f"account {who.name}, which servers run as, can run no Python of version {sys.version_info[:2]} here")


@dataclass
class Ground:
    """A server with its repository."""

    server: Server
    root: Path
    section: BackupSection

    @property
    def engine(self) -> Native:
        return backup_engines.engine(self.section, self.server.dsn(), Path())

    @property
    def second(self) -> Native:
        return replace(self.engine, second=True)

    def run(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements one by one; the rows of the last."""
        with psycopg.connect(self.server.dsn(database), autocommit=True) as conn:
            cursor = None
            for statement in statements:
                cursor = conn.execute(statement.encode())
            return cursor.fetchall() if cursor and cursor.description else []

    def switch(self) -> None:
        """Have what was written so far archived."""
        self.run("SELECT pg_logical_emit_message(true, 'test', 'x')", "SELECT pg_switch_wal()")
        wait_for(self)

    def program(self, name: str) -> Path:
        return account.readable(self.server.installation, self.server.account).program(name)

    def bench(self, *arguments: str) -> None:
        """Run pgbench."""
        subprocess.run(
            [self.program("pgbench"), *arguments, "-h", str(self.server.socket_dir), "-U", self.server.login.user, "postgres"],
            env={"PGPASSWORD": self.server.login.password, "PATH": "/usr/bin:/bin"}, check=True, capture_output=True,
        )  # fmt: skip


def wait_for(ground: Ground, seconds: float = 30) -> None:
    """Wait until the archiver has nothing left."""
    import time

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        folder = ground.server.data / "pg_wal" / "archive_status"
        if not list(folder.glob("*.ready")):
            return
        time.sleep(0.02)
    raise AssertionError("the archiver did not finish")


def _command(section: BackupSection, root: Path) -> str:
    if section.engine == "native":
        return backup_render.archive_command(program(), root)
    from pgcharter.errors import UnavailableError
    from pgcharter.operate.backup_pgbackrest import PgBackRest

    try:
        return PgBackRest(section, "").archive_command()
    except UnavailableError as error:
        lacking(str(error))


@contextmanager
def ground(
    major: int | None = None, *, quick: bool = True, settings: dict[str, lifecycle.Setting] | None = None, **section: object
) -> Iterator[Ground]:
    """A server of its own that archives into a repository of its own."""
    who = account.current()
    chosen = installation(major)
    home = folders.private(who)
    root = who.make_folder(home / "repository")
    values = {"repository": str(root), "wait": "20s", "incremental": "hourly" if chosen.major >= 17 else "never", **section}
    wanted_section = BackupSection(**values)  # type: ignore[arg-type]
    command = _command(wanted_section, root)
    wanted: dict[str, lifecycle.Setting] = {
        "wal_level": "replica", "archive_mode": "on", "archive_command": command, "archive_timeout": "60s",
        "full_page_writes": True, "max_wal_senders": 6,
        **({"summarize_wal": True} if chosen.major >= 17 else {}), **(settings or {}),
    }  # fmt: skip
    try:
        with lifecycle.start_ephemeral(chosen, settings=wanted) as server:
            made = Ground(server, root, wanted_section)
            if quick:
                from pgcharter.operate import backup_server

                with backup_server.opened(server.dsn()) as conn:
                    made.engine.ready(backup_server.facts(conn, server.dsn()))
            yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


def empty(ground: Ground, name: str = "restored") -> Path:
    """A folder into which nothing was restored yet, that the servers' account may enter."""
    return ground.root.parent / name
