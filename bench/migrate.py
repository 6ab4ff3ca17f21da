"""Applying many small migrations: pgcharter against `psql -f` of the same files in three ways, and against Alembic; then how long it takes
to say that there is nothing to do.

`python -m bench.migrate [files]`, 300 unless said. Every contender begins with an empty database on one server; fsync is on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pgcharter.db import connect
from pgcharter.migrate import files, ledger, runner
from pgcharter.migrate.units import parsed
from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server

FILES = 300
BASE, FAIR = "psql -f, one process", "psql, a transaction each"
"""psql as it is used, committing every statement; and committing every file, as the others do (it keeps no ledger)."""


def written(folder: Path, count: int) -> list[Path]:
    """`count` migrations as a project has them: a table, an index and a comment, then a column, a check and some rows."""
    for number in range(1, count + 1):
        table = f"thing_{(number + 1) // 2}"
        text = (
            f"CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, made_at timestamptz);\n"
            f"CREATE INDEX {table}_name_idx ON {table} (name);\nCOMMENT ON TABLE {table} IS 'made by migration {number}';\n"
            if number % 2
            else f"ALTER TABLE {table} ADD COLUMN amount numeric(10, 2) NOT NULL DEFAULT 0;\n"
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_amount_check CHECK (amount >= 0);\nINSERT INTO {table} (name) VALUES ('first');\n"
        )
        (folder / f"{number:04}_step.sql").write_text(text, "utf-8")
    return sorted(folder.glob("*.sql"))


def ours(dsn: str, folder: Path, _sql: list[Path]) -> None:
    outcome = runner.apply(dsn, [parsed(m) for m in files.read(str(folder)).migrations])
    assert outcome.status == "done", outcome


def psql_once(dsn: str, _folder: Path, sql: list[Path]) -> None:
    command = [str(_server.installation.program("psql")), "-X", "-q", "-v", "ON_ERROR_STOP=1", dsn]
    subprocess.run([*command, *[part for file in sql for part in ("-f", str(file))]], check=True)


def psql_transactions(dsn: str, _folder: Path, sql: list[Path]) -> None:
    """One process, one transaction a file: what a careful person would do by hand, and what the other two do."""
    command = [str(_server.installation.program("psql")), "-X", "-q", "-v", "ON_ERROR_STOP=1", dsn]
    subprocess.run([*command, *[part for file in sql for part in ("-c", "BEGIN", "-f", str(file), "-c", "COMMIT")]], check=True)


def psql_each(dsn: str, _folder: Path, sql: list[Path]) -> None:
    command = [str(_server.installation.program("psql")), "-X", "-q", "-v", "ON_ERROR_STOP=1", dsn]
    for file in sql:
        subprocess.run([*command, "-f", str(file)], check=True)


def alembic(dsn: str, folder: Path, _sql: list[Path]) -> None:
    """Revisions that execute the same texts, upgraded by Alembic's own command in this process."""
    from alembic import command
    from alembic.config import Config

    scripts = folder / "alembic"
    config = Config()
    config.set_main_option("script_location", str(scripts))
    os.environ["BENCH_DSN"] = "postgresql+psycopg" + dsn.removeprefix("postgresql")
    command.upgrade(config, "head")


def alembic_project(folder: Path, sql: list[Path]) -> None:
    """What `alembic init` would make, with one revision a file and one transaction a revision."""
    versions = folder / "alembic" / "versions"
    versions.mkdir(parents=True)
    (folder / "alembic" / "env.py").write_text(
        "import os\nfrom alembic import context\nfrom sqlalchemy import create_engine, pool\n"
        "engine = create_engine(os.environ['BENCH_DSN'], poolclass=pool.NullPool)\n"
        "with engine.connect() as connection:\n"
        "    context.configure(connection=connection, transaction_per_migration=True)\n"
        "    with context.begin_transaction():\n        context.run_migrations()\n",
        "utf-8",
    )
    before: str | None = None
    for file in sql:
        statements = "\n".join(f"    op.execute({part.strip()!r})" for part in file.read_text("utf-8").split(";\n") if part.strip())
        text = f"from alembic import op\nrevision = {file.stem!r}\ndown_revision = {before!r}\n\n\ndef upgrade():\n{statements}\n"
        (versions / f"{file.stem}.py").write_text(text, "utf-8")
        before = file.stem


_server: Server


def run(count: int = FILES) -> None:
    """Let each contender apply the same migrations three times, and print the best of each with its ratio to psql."""
    global _server
    settings: dict[str, lifecycle.Setting] = {"fsync": True, "synchronous_commit": True, "full_page_writes": True}
    contenders: dict[str, Callable[[str, Path, list[Path]], None]] = {
        BASE: psql_once, FAIR: psql_transactions, "psql -f, a process each": psql_each, "pgcharter": ours, "Alembic": alembic,
    }  # fmt: skip
    with lifecycle.start_ephemeral(binaries.choose(None), settings=settings) as _server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sql = written(folder, count)
        alembic_project(folder, sql)
        best = dict.fromkeys(contenders, 1e9)
        for turn in range(3):
            for who, work in contenders.items():
                database = f"bench_{turn}_{len(who)}"
                with connect(_server.dsn()) as admin:
                    admin.execute(f"CREATE DATABASE {database}".encode())
                began = time.monotonic()
                work(_server.dsn(database), folder, sql)
                best[who] = min(best[who], time.monotonic() - began)
        for who, seconds in best.items():
            ratios = f"{seconds / best[BASE]:5.2f} x the first, {seconds / best[FAIR]:5.2f} x the second"
            print(f"{who:>24}: {seconds:6.2f} s for {count} migrations, {ratios}")
    recorded()


def recorded(count: int = 1000) -> None:
    """Print what `migrate status` and an `up` with nothing to do take where `count` files are recorded: whole processes, best of five."""
    with lifecycle.start_ephemeral(binaries.choose(None)) as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(folder, count)
        known = files.read(name).migrations
        with connect(server.dsn()) as conn:
            ledger.install(conn)
            for migration in known:
                ledger.record(conn, migration)
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"BENCH_URL": server.dsn(), "PYTHONPYCACHEPREFIX": f"{name}/.pyc"}
        for word in ("status", "up"):
            command = [sys.executable, "-m", "pgcharter", "migrate", word, "--on", "env:BENCH_URL", "--folder", name]
            best, cpu = 1e9, 1e9
            for _ in range(6):
                began, before = time.monotonic(), os.times()
                subprocess.run(command, env=environment, check=True, capture_output=True)
                after = os.times()
                best = min(best, time.monotonic() - began)
                cpu = min(cpu, after.children_user + after.children_system - before.children_user - before.children_system)
            print(f"{'migrate ' + word:>24}: {best:6.2f} s with {count:,} recorded files, {cpu:.2f} s of them on the processor")


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else FILES)
