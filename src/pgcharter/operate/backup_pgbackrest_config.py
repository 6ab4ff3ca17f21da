"""pgBackRest's configuration, made from the charter and the live server: `<repository>/pgbackrest/pgbackrest.conf`, mode 0600."""

from __future__ import annotations

import base64
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pgcharter.db.queries import query
from pgcharter.errors import RefusedError, UsageError
from pgcharter.measures import seconds
from pgcharter.operate import backup_files as files

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.operate.backup_settings import BackupSection

PASS = "PGBACKREST_REPO{}_CIPHER_PASS"  # noqa: S105  (the name of a variable)


@dataclass(frozen=True)
class Place:
    """Where the server is, as pgBackRest reaches it."""

    data: Path
    port: int
    socket: str
    user: str
    archive_command: str = ""


@dataclass(frozen=True)
class Home:
    """The folder of pgBackRest in a repository of ours."""

    root: Path

    @property
    def folder(self) -> Path:
        """All of it."""
        return self.root / "pgbackrest"

    @property
    def repository(self) -> Path:
        """repo-path: what pgBackRest itself lays out."""
        return self.folder / "repo"

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.folder / "pgbackrest.conf"


def place(conn: Connection) -> Place:
    """Ask the server where it is. Raises RefusedError when its data folder is not to be seen from here."""
    sql = query("pgcharter.operate", "backup_pgbackrest.sql", "where", conn.info.server_version // 10000)
    row = conn.execute(sql.encode()).fetchone()
    data, port, sockets, command = row or ("", 0, "", "")
    if not data:
        raise RefusedError(
            f"{conn.info.user} may not see where the server's data lies, which pgBackRest must know",
            hint=f"GRANT pg_read_all_settings TO {conn.info.user}",
        )
    if not Path(data).is_dir():
        raise RefusedError(
            f"the server's data folder {data} is not on this machine, and pgBackRest reads it as files",
            hint='run pgcharter where the server is, or write [backup] engine = "native"',
        )
    socket = conn.info.host if conn.info.host.startswith("/") else str(sockets).split(",")[0].strip()
    return Place(Path(data), int(port), socket, conn.info.user, command or "")


def refuse_receiving(section: BackupSection) -> None:
    """Raise UsageError for what the charter says but this engine cannot do."""
    if section.log != "archive":
        raise UsageError("pgBackRest does not receive log, it only archives it", hint='[backup] log = "archive", or engine = "native"')


def render(section: BackupSection, at: Place, roots: tuple[Path, ...], own: Path, key: str) -> str:
    """The file for the repository in `own`; `roots` are those of repo1 and repo2. `key` is empty where the environment holds it."""
    told = section.pgbackrest
    kind, level = compression(section)
    lines = ["# made by pgcharter backup check from [backup] of the charter: change it there", "[global]"]
    for number, root in enumerate(roots, 1):
        lines += [f"repo{number}-path={Home(root).repository}", *_retention(section, number)]
        if section.key_env or section.key_file:
            lines += [f"repo{number}-cipher-type=aes-256-cbc", *([f"repo{number}-cipher-pass={key}"] if key else [])]
    home = Home(own).folder
    lines += [f"{word}-path={home / word}" for word in ("lock", "log", "spool")]
    lines += [
        f"compress-type={kind}", f"compress-level={level}", f"process-max={told.processes or max(1, min(4, (os.cpu_count() or 1) // 2))}",
        f"archive-async={'y' if told.asynchronous else 'n'}", f"archive-timeout={max(1, int(seconds(section.wait)))}", "start-fast=y",
        "expire-auto=n", "delta=n", "resume=n", "log-level-file=warn", "log-level-console=warn",
        "", f"[{told.stanza}]", f"pg1-path={at.data}", f"pg1-port={at.port}", f"pg1-socket-path={at.socket}", f"pg1-user={at.user}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _retention(section: BackupSection, number: int) -> list[str]:
    """What a person's own `pgbackrest expire` keeps at least; ours knows of holds too, so it is not left to that."""
    days = int(-(-seconds(section.keep) // 86400))
    if days:
        return [f"repo{number}-retention-full-type=time", f"repo{number}-retention-full={days}"]
    return [f"repo{number}-retention-full={section.keep_full}"] if section.keep_full else [f"repo{number}-retention-full=9999999"]


def compression(section: BackupSection) -> tuple[str, int]:
    """compress-type and compress-level."""
    chosen = files.usual() if section.compression == "auto" else section.compression
    return ("zst", section.level) if chosen == "zstd" else ("gz", min(9, section.level))


def passphrase(material: bytes) -> str:
    """The key as pgBackRest takes it."""
    return base64.b64encode(material).decode()


def secrets(key: str, password: str) -> Mapping[str, str]:
    """What the program is told by its environment."""
    keys = {PASS.format(n): key for n in (1, 2)} if key else {}
    return keys | ({"PGPASSWORD": password} if password else {})


def archive_command(program: str, config: Path, stanza: str) -> str:
    """The server's archive_command; % is doubled, for PostgreSQL replaces what stands behind one."""
    words = f"{shlex.quote(program)} --config={shlex.quote(str(config))} --stanza={stanza} archive-push"
    return words.replace("%", "%%") + " %p"
