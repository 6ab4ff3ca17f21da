"""Logical copies: pg_dump of each database, by the programs of the server's own version, streamed into the repository."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as percent

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgcharter import faults
from pgcharter.errors import PgcharterError
from pgcharter.operate import backup_files as files
from pgcharter.operate import backup_server
from pgcharter.operate.backup_model import Advance, Backup
from pgcharter.operate.backup_repository import Repository
from pgcharter.redact import SECRET_WORDS
from pgcharter.servers import binaries

if TYPE_CHECKING:
    from pgcharter.operate.backup_native import Native

POINTS = ("backup logical dumped",)
"""Places at which a test kills."""


def take(engine: Native, advance: Advance | None = None) -> Backup:
    """Dump the roles, the environment's database, and those that `databases` names. Raises PgcharterError with the program's own words."""
    from datetime import UTC

    from pgcharter.operate.backup_native import list_everywhere, new_folder, places

    with backup_server.opened(engine.dsn) as conn:
        facts = _facts(conn, engine)
        tools = binaries.choose(facts.major)
        repository = engine.ready(facts)
        with repository.writing(), files.refusing():
            for at in places(repository):
                at.clean()
            backup_id, folder = new_folder(repository, facts.now, "logical")
            names = list(dict.fromkeys((facts.database, *engine.section.databases)))
            try:
                stored = [_dump(repository, backup_id, engine.dsn, tools, n, advance) for n in names]
                stored.append(_roles(repository, backup_id, engine.dsn, tools))
                faults.point(POINTS[0])
                ended = backup_server.ask(conn, "position")[0][1].astimezone(UTC)
                told = [{"name": s.name, "raw": s.raw, "stored": s.stored, "sha256": s.sha256} for s in stored]
                made = Backup(
                    backup_id, "logical", "pg_dump", facts.system, facts.version, facts.now.astimezone(UTC), ended,
                    size=sum(s.raw for s in stored), stored=sum(s.stored for s in stored), timeline=facts.timeline,
                    facts={"files": told, "databases": names, "key": repository.about.key_id, "superuser": facts.superuser},
                )  # fmt: skip
                files.settle(folder)
                list_everywhere(repository, made)
            except BaseException:
                import shutil

                shutil.rmtree(folder, ignore_errors=True)
                raise
    return made


def _facts(conn: Any, engine: Native) -> backup_server.Facts:
    """Like `backup_server.facts`, also where no replication connection is allowed: pg_control_system tells the identifier."""
    from pgcharter.errors import ConnectError

    try:
        return backup_server.facts(conn, engine.dsn)
    except ConnectError:
        row = conn.execute("SELECT system_identifier::text FROM pg_catalog.pg_control_system()").fetchone()
        return backup_server.facts_of(conn, str(row[0]), 1)


def _dump(
    repository: Repository, backup_id: str, dsn: str, tools: binaries.Installation, database: str, advance: Advance | None
) -> files.Stored:
    command = [tools.program("pg_dump"), "--format=custom", "--compress=0", "--no-password"]
    return _streamed(repository, backup_id, f"{percent(database, '')}.dump", [str(c) for c in command], dsn, database, advance)


def _roles(repository: Repository, backup_id: str, dsn: str, tools: binaries.Installation) -> files.Stored:
    """Roles and tablespaces, without what only a superuser may read: passwords."""
    command = [str(tools.program("pg_dumpall")), "--globals-only", "--no-role-passwords", "--no-password"]
    return _streamed(repository, backup_id, "globals.sql", command, dsn, "", None)


def _streamed(
    repository: Repository, backup_id: str, name: str, command: Sequence[str], dsn: str, database: str, advance: Advance | None
) -> files.Stored:
    form = repository.form
    where = {n: str(v) for n, v in conninfo_to_dict(dsn, **({"dbname": database} if database else {})).items() if v is not None}
    hidden = {n: where.pop(n) for n in list(where) if n in SECRET_WORDS}
    secret = {"PGPASSWORD": hidden["password"]} if "password" in hidden else {}
    output = files.Output(repository.folder(backup_id) / (name + form.ending()), f"backups/{backup_id}/{name}", form)
    try:
        with tempfile.TemporaryFile() as words:
            argument = f"--dbname={make_conninfo('', **where)}"
            with subprocess.Popen(
                [*command, argument], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words, env={**os.environ, **secret}
            ) as process:
                assert process.stdout is not None  # noqa: S101
                while piece := process.stdout.read(files.PIECE):
                    output.write(piece)
                    if advance:
                        advance(f"dumping {name}", output.raw, 0)
            if process.returncode:
                words.seek(0)
                said = " ".join(words.read().decode(errors="replace").split())[-400:]
                raise PgcharterError(f"{Path(command[0]).name} failed: {said}", hint="grant the role pg_read_all_data, or name another one")
        return output.finish()
    except BaseException:
        output.abandon()
        raise


def problem(repository: Repository, backup: Backup, name: str) -> str:
    """Read a dump whole: what is wrong with it, by its own table of contents; empty: nothing. Raises PgcharterError for a damaged file."""
    inner = name.partition(".dump")[0] + ".dump" if ".dump" in name else "globals.sql"
    size = 0
    wanted = next(int(f["raw"]) for f in backup.facts["files"] if f["name"] == name)
    with files.Input(repository.folder(backup.id) / name, f"backups/{backup.id}/{inner}", repository.form) as source:
        head = source.read(5)
        size = len(head)
        while piece := source.read(files.PIECE):
            size += len(piece)
    if ".dump" in name and head != b"PGDMP":
        return f"{name} of backup {backup.id} is no dump of pg_dump"
    return "" if size == wanted else f"{name} of backup {backup.id} has {size} bytes of content instead of {wanted}"
