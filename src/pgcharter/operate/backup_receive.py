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
from pgcharter.operate.backup_wal import Segment, lsn_number
from pgcharter.redact import SECRET_WORDS
from pgcharter.servers import binaries

if TYPE_CHECKING:
    from pgcharter.operate.backup_native import Native

SLOT = "pgcharter_backup"


_GUARDED = """
exec 3<&0
"$@" 3<&- & pid=$!
{ read -r word; kill "$pid"; } <&3 2>/dev/null & guard=$!
wait "$pid"; code=$?
kill "$guard" 2>/dev/null
exit "$code"
"""
"""Ends the program when our end of its pipe closes, even by kill -9: it would hold the slot, and nobody would take what it brings."""


def receive(engine: Native, *, once: bool = False, pause: float = 0.2) -> None:
    """Receive until stopped, or up to where the server is now. Raises PgcharterError with pg_receivewal's own words when it ends."""
    with backup_server.opened(engine.dsn) as conn:
        facts = backup_server.facts(conn, engine.dsn)
        if not backup_server.ask(conn, "slot", SLOT):
            backup_server.ask(conn, "make_slot", SLOT)  # pg_receivewal would make one that holds nothing until it is read
        held = lsn_number(str(backup_server.ask(conn, "slot", SLOT)[0][1]))
        end = lsn_number(str(backup_server.ask(conn, "position")[0][0]))
    repository = engine.ready(facts)
    folder = files.make(repository.root / "incoming")
    program = binaries.choose(facts.major).program("pg_receivewal")
    arguments = [program, "--no-loop", "--status-interval=1", "--directory", folder]
    last = Segment(facts.timeline, end // facts.segment - 1, facts.segment) if once else None
    if last and held >= last.end:
        move(repository, folder)
        return
    with _run(arguments, engine.dsn) as process:
        try:
            while process.poll() is None:
                move(repository, folder)
                if last and backup_wal.stored(repository, last.name):
                    return
                time.sleep(pause)
        finally:
            said = process.communicate()[1]
    move(repository, folder)
    _fine(process, said)


def _fine(process: subprocess.Popen[str], said: str) -> None:
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
    words = [*(str(c) for c in command), "--no-password", "--slot", SLOT, f"--dbname={make_conninfo('', **where)}"]
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARDED, "sh", *words],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **secret},
    )  # fmt: skip
