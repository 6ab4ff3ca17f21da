"""What is asked of a restored copy beside its rows: pages, indexes, what the project says must hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from pgcharter.operate.drill_server import Copy
from pgcharter.servers import account as accounts
from pgcharter.servers import binaries
from pgcharter.servers.account import Account


@dataclass(frozen=True)
class Check:
    """One thing that was asked, and the answer."""

    name: str
    holds: bool | None
    """None: it could not be asked."""
    seen: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Invariant:
    """SQL that must return no rows."""

    name: str
    sql: str
    database: str


def pages(data: Path, tools: binaries.Installation, who: Account) -> Check:
    """pg_checksums on the stopped copy: every page against its checksum."""
    done = who.run([accounts.readable(tools, who).program("pg_checksums"), "--check", "-D", data])
    said = " ".join((done.stderr or done.stdout).split())
    if "data checksums are not enabled" in said:
        return Check("checksums", None, "the server has no data checksums, so pages prove nothing by themselves")
    if done.returncode:
        wrong = [line.strip() for line in done.stderr.splitlines() if "checksum verification failed" in line]
        return Check("checksums", False, f"{max(1, len(wrong))} pages do not fit their checksum", tuple(wrong[:20] or [said[-300:]]))
    blocks = next((line.split(":")[1].strip() for line in done.stdout.splitlines() if line.startswith("Blocks scanned")), "all")
    return Check("checksums", True, f"{blocks} pages fit their checksums")


def structure(copy: Copy, databases: Sequence[str], *, heap_all_indexed: bool, jobs: int = 2) -> Check:
    """pg_amcheck: the form of tables, and the order of indexes; `heap_all_indexed`: also that no row is missing in one."""
    server = copy.server
    if not server.installation.has("pg_amcheck"):
        return Check("amcheck", None, f"PostgreSQL {server.installation.release} here has no pg_amcheck")
    options = [
        "--install-missing=public",
        f"--jobs={jobs}",
        "--host",
        str(server.socket_dir),
        "--port",
        str(server.port),
        "--username",
        copy.user,
    ]
    options += ["--heapallindexed"] if heap_all_indexed else []
    for name in databases:  # objects of amcheck go where nothing else is named like them
        with copy.connect(name) as conn:
            conn.execute("CREATE SCHEMA IF NOT EXISTS pgcharter_drill")
    options[0] = "--install-missing=pgcharter_drill"
    done = server.account.run([server.installation.program("pg_amcheck"), *options, *(f"--database={_exact(n)}" for n in databases)])
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode == 0:
        return Check(
            "amcheck", True, f"tables and indexes of {', '.join(databases)} are whole" + (", every row indexed" if heap_all_indexed else "")
        )
    if "could not open extension control file" in done.stderr or "is not available" in done.stderr:
        return Check("amcheck", None, "the extension amcheck is not installed on this machine", tuple(lines[:3]))
    return Check("amcheck", False, f"amcheck found damage: {lines[0] if lines else 'it does not say what'}", tuple(lines[:40]))


def _exact(name: str) -> str:
    """A database's name as a pattern of psql's that only it is like."""
    return '"' + name.replace('"', '""') + '"'


def invariants(copy: Copy, wanted: Sequence[Invariant]) -> tuple[Check, ...]:
    """Ask each; it holds when no row comes back."""
    return tuple(_invariant(copy, one) for one in wanted)


def _invariant(copy: Copy, one: Invariant) -> Check:
    name = f"invariant {one.name}"
    try:
        with copy.connect(one.database) as conn:
            conn.execute("SET default_transaction_read_only = on; SET statement_timeout = '10min'")
            rows = conn.execute(one.sql.encode()).fetchmany(5)
    except psycopg.Error as error:
        return Check(name, False, f"it could not be asked: {(error.diag.message_primary or str(error)).strip()}")
    if rows:
        return Check(name, False, f"{len(rows) if len(rows) < 5 else '5 or more'} rows break it", tuple(str(r) for r in rows))
    return Check(name, True, "no row breaks it")
