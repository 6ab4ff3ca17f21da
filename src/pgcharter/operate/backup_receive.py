"""The log received over a replication connection, for servers that cannot run our archive_command.

PostgreSQL's pg_receivewal writes segments into a folder beside the repository, and keeps a replication slot, so that nothing is lost while
it does not run; each whole segment is then archived as `archive_command` does it. Managed services that allow no replication connection
allow no base backup either: there only `take logical` works.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgcharter.errors import PgcharterError
from pgcharter.operate import backup_files as files
from pgcharter.operate import backup_server, backup_wal
from pgcharter.operate.backup_repository import Repository
from pgcharter.redact import SECRET_WORDS
from pgcharter.servers import binaries

if TYPE_CHECKING:
    from pgcharter.operate.backup_native import Native

SLOT = "pgcharter_backup"


def receive(engine: Native, *, once: bool = False, pause: float = 0.2) -> None:
    """Receive until stopped, or up to where the server is now. Raises PgcharterError with pg_receivewal's own words when it ends."""
    with backup_server.opened(engine.dsn) as conn:
        facts = backup_server.facts(conn, engine.dsn)
        there = backup_server.ask(conn, "slot", SLOT)
        end = str(backup_server.ask(conn, "position")[0][0])
    repository = engine.ready(facts)
    folder = files.make(repository.root / "incoming")
    program = binaries.choose(facts.major).program("pg_receivewal")
    if not there:
        _run([program, "--create-slot", "--if-not-exists"], engine.dsn).communicate()
    arguments = [program, "--no-loop", "--directory", folder, *(["--endpos", end] if once else [])]
    with _run(arguments, engine.dsn) as process:
        try:
            while process.poll() is None:
                move(repository, folder)
                time.sleep(pause)
        finally:
            if process.poll() is None:
                process.terminate()
            said = process.communicate()[1]
    move(repository, folder)
    if process.returncode:
        raise PgcharterError(f"pg_receivewal ended: {' '.join(said.split())[-400:]}", hint="start `pgcharter backup receive` again")


def move(repository: Repository, folder: Path) -> int:
    """Archive each whole segment, then remove it here; how many there were. Interrupted, it is done again, which changes nothing."""
    count = 0
    for path in sorted(folder.iterdir()):
        if path.name.endswith((".partial", ".tmp")):
            continue
        backup_wal.archive(repository, path, path.name)
        path.unlink()
        count += 1
    return count


def _run(command: list[object], dsn: str) -> subprocess.Popen[str]:
    where = {n: str(v) for n, v in conninfo_to_dict(dsn).items() if v is not None}
    hidden = {n: where.pop(n) for n in list(where) if n in SECRET_WORDS}
    secret = {"PGPASSWORD": hidden["password"]} if "password" in hidden else {}
    where.pop("dbname", None)
    return subprocess.Popen(
        [*(str(c) for c in command), "--no-password", "--slot", SLOT, f"--dbname={make_conninfo('', **where)}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **secret},
    )  # fmt: skip
