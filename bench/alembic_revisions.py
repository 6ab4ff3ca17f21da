"""Applying many small revisions of an Alembic project: pgcharter against Alembic itself, in one run.

`python -m bench.alembic_revisions [revisions]`, 300 unless said. Every contender is a process of its own and begins with an empty database
on one server; fsync is on. pgcharter commits each revision with its record, as Alembic does with transaction_per_migration.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.migrate import alembic_project, written
from pgcharter.db import connect
from pgcharter.servers import binaries, lifecycle

REVISIONS = 300
EACH = "transaction_per_migration=True"


def project(folder: Path, count: int) -> None:
    """The project that `bench.migrate` gives Alembic, with an alembic.ini."""
    alembic_project(folder, written(folder, count))
    (folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/alembic\n", "utf-8")


def run(count: int = REVISIONS) -> None:
    """Let each contender apply the same revisions three times, and print the best of each."""
    settings: dict[str, lifecycle.Setting] = {"fsync": True, "synchronous_commit": True, "full_page_writes": True}
    alembic = [sys.executable, "-m", "alembic", "upgrade", "heads"]
    ours = [sys.executable, "-m", "pgcharter", "migrate", "up", "--on", "env:BENCH_URL", "--folder", "."]
    contenders = {"Alembic, one transaction": alembic, "Alembic, one a revision": alembic, "pgcharter migrate up": ours}
    with lifecycle.start_ephemeral(binaries.choose(None), settings=settings) as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, count)
        env = folder / "alembic" / "env.py"
        each = env.read_text("utf-8")
        best = dict.fromkeys(contenders, 1e9)
        for turn in range(3):
            for number, (who, command) in enumerate(contenders.items()):
                env.write_text(each.replace(EACH, "transaction_per_migration=False") if "one transaction" in who else each, "utf-8")
                database = f"bench_{turn}_{number}"
                with connect(server.dsn()) as admin:
                    admin.execute(f"CREATE DATABASE {database}".encode())
                dsn = server.dsn(database)
                known = {**os.environ, "BENCH_URL": dsn, "BENCH_DSN": "postgresql+psycopg" + dsn.removeprefix("postgresql")}
                began = time.monotonic()
                subprocess.run(command, cwd=folder, env=known, check=True, capture_output=True)
                best[who] = min(best[who], time.monotonic() - began)
        fair = best["Alembic, one a revision"]
        for who, seconds in best.items():
            print(f"{who:>26}: {seconds:6.2f} s for {count} revisions, {seconds / fair:5.2f} x the second")


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else REVISIONS)
