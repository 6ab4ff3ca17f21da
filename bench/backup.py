"""Backup: a native full backup beside bare pg_basebackup, and a drill of it.

`python -m bench.backup [megabytes]`, 2048 unless said: tables of pgbench on a server with fsync; pg_basebackup writes a plain copy without
log, ours compresses (zstd, level 1) into a repository, waits for the log, and lists it. Both on the same disk, in turn. The
drill restores a second after some work, compares all rows with the mark, and runs amcheck.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.operate import backups

from pgcharter.operate import backup_mark, backup_render, backup_server, drill
from pgcharter.operate.backup_native import Native
from pgcharter.operate.backup_settings import BackupSection, DrillSection
from pgcharter.servers import account, binaries, lifecycle
from pgcharter.servers.lifecycle import Server

ROUNDS = 3
MEGABYTE_PER_SCALE = 15


def took(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def program(server: Server, name: str, *words: object) -> None:
    tool = account.readable(server.installation, server.account).program(name)
    where = ["-h", str(server.socket_dir), "-p", str(server.port), "-U", server.login.user]
    environment = {"PGPASSWORD": server.login.password, "PATH": "/usr/bin:/bin"}
    subprocess.run([str(tool), *map(str, words), *where], env=environment, check=True, capture_output=True)


def run(megabytes: int = 2048) -> None:
    """Print the table."""
    home = Path(tempfile.mkdtemp(prefix="bench-backup-", dir="/var/tmp"))
    home.chmod(0o755)
    who = account.current()
    try:
        root, data = who.make_folder(home / "repository"), who.make_folder(home / "server")
        settings: dict[str, lifecycle.Setting] = {
            "wal_level": "replica", "archive_mode": "on", "archive_command": backup_render.archive_command(backups.program(), root),
            "shared_buffers": "512MB", "max_wal_size": "4GB", "max_wal_senders": 6,
        }  # fmt: skip
        with lifecycle.start(data, binaries.choose(), settings=settings) as server:
            section = BackupSection(repository=str(root), wait="10min", drill=DrillSection(folder=str(home / "drills")))
            measure(server, Native(section, server.dsn()), home, megabytes)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def measure(server: Server, engine: Native, home: Path, megabytes: int) -> None:
    with backup_server.opened(server.dsn()) as conn:
        engine.ready(backup_server.facts(conn, server.dsn()))
    program(server, "pgbench", "-i", "-q", "-s", max(1, megabytes // MEGABYTE_PER_SCALE), "postgres")
    bare, ours = [], []
    for number in range(ROUNDS):
        target = home / f"plain{number}"
        bare.append(took(lambda t=target: program(server, "pg_basebackup", "-D", t, "-X", "none", "-c", "fast")))  # type: ignore[misc]
        shutil.rmtree(target)
        ours.append(took(lambda: engine.take("full")))
    made = engine.backups()[-1]
    marking = took(lambda: backup_mark.take(engine))
    program(server, "pgbench", "-n", "-c", 2, "-T", 5, "postgres")
    program(server, "pgbench", "-n", "-c", 1, "-t", 1, "postgres")
    with backup_server.opened(server.dsn()) as conn:
        backup_server.ask(conn, "switch")
    time.sleep(2)  # until it is archived
    shown: list[drill.Drill] = []
    drilling = took(lambda: shown.append(drill.drill(engine, seed=1)))
    one, other = statistics.median(bare), statistics.median(ours)
    print(f"PostgreSQL {server.installation.release}, {made.size >> 20} MB, {made.stored >> 20} MB stored")
    print(f"{'pg_basebackup, plain':32} {one:7.2f} s   {' '.join(f'{t:.2f}' for t in bare)}")
    print(f"{'backup take full':32} {other:7.2f} s   {' '.join(f'{t:.2f}' for t in ours)}   {other / one:.2f} times")
    print(f"{'backup mark':32} {marking:7.2f} s")
    print(f"{'backup drill':32} {drilling:7.2f} s   " + ", ".join(f"{n} {t:.1f}" for n, t in shown[0].times.items()))
    for check in shown[0].checks:
        if check.holds is False:
            print(f"  {check.name}: {check.seen}")


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 2048)
