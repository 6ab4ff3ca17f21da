"""Audit: what recording costs beside an unaudited table and beside the usual jsonb trigger, sealing as it goes.

`python -m bench.audit [seconds]`, 8 a round unless said. 16 sessions of pgbench, single rows of a million picked at random, commits durable
and not; then the CPU time of one session's server process for a row, which other load on the machine disturbs least (Linux alone tells it);
then 100,000 rows by one statement. The variants take turns, and the ratios are of the medians of one run.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg

from pgcharter.db import connect
from pgcharter.migrate import audit_seals, planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import audit
from pgcharter.policy.audit_settings import AuditSection
from pgcharter.servers import binaries, lifecycle

ROWS, BULK, UPDATES, SESSIONS, ROUNDS = 1_000_000, 100_000, 2_000, 16, 3
SETTINGS: dict[str, lifecycle.Setting] = {
    "shared_buffers": "512MB", "max_wal_size": "8GB", "fsync": True, "synchronous_commit": True, "full_page_writes": True,
    "autovacuum": True,
}  # fmt: skip
PLAIN = """
CREATE TABLE public.usual_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz, t text, op text, who text, old jsonb, new jsonb
);
CREATE FUNCTION public.usual() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO public.usual_log (at, t, op, who, old, new)
  VALUES (now(), TG_TABLE_NAME, TG_OP, session_user, CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
          CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
  RETURN NULL;
END $$;
"""
TABLES = {"unaudited": "bare", "jsonb trigger": "usual", "audited": "whole", "audited, differences": "difference"}


def prepare(dsn: str) -> None:
    """Four tables alike: one without triggers, one with the usual one, two of ours."""
    with connect(dsn) as conn:
        conn.execute(PLAIN.encode())
        for name in TABLES.values():
            conn.execute(f"CREATE TABLE {name} (id bigint PRIMARY KEY, owner text, balance numeric, note text, at timestamptz)".encode())
            conn.execute(
                f"INSERT INTO {name} SELECT i, 'owner ' || i, i % 1000, 'nothing', now() FROM generate_series(1, {ROWS}) i".encode()
            )
        conn.execute("CREATE TRIGGER u AFTER INSERT OR UPDATE OR DELETE ON usual FOR EACH ROW EXECUTE FUNCTION usual()")
    for content in ("full", "difference"):
        section = AuditSection(tables=("public.whole",) if content == "full" else ("public.difference",), content=content)  # type: ignore[arg-type]
        _install(dsn, section)
    with connect(dsn) as conn:
        conn.execute("VACUUM (ANALYZE)")


def _install(dsn: str, section: AuditSection) -> None:
    """The policy's own statements. The second section adds its trigger to what the first has made."""
    made = planning.make(Wish("", dsn, chosen=Chosen((audit.policy(section),)), prove=False))
    with connect(dsn) as conn:
        for step in made.plan.steps:
            if not step.sql.startswith("DROP"):
                conn.execute(step.sql.encode())


def single(pgbench: str, dsn: str, table: str, seconds: int) -> float:
    """Transactions per second of single-row updates."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "one.sql"
        script.write_text(f"\\set id random(1, {ROWS})\nUPDATE {table} SET balance = balance + 1 WHERE id = :id;\n")
        words = [pgbench, "-n", "-M", "prepared", "-c", str(SESSIONS), "-j", "2", "-T", str(seconds), "-f", str(script), dsn]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    return float(next(line for line in done.stdout.splitlines() if line.startswith("tps")).split()[2])


def bulk(dsn: str, table: str) -> tuple[float, float]:
    """Seconds of an INSERT and of an UPDATE of many rows by one statement, rolled back."""
    with psycopg.connect(dsn) as conn:
        began = time.perf_counter()
        conn.execute(f"INSERT INTO {table} SELECT i, 'x', 1, 'y', now() FROM generate_series({ROWS + 1}, {ROWS + BULK}) i".encode())
        between = time.perf_counter()
        conn.execute(f"UPDATE {table} SET note = 'seen' WHERE id <= {BULK}".encode())
        end = time.perf_counter()
        conn.rollback()
    return between - began, end - between


def cpu(dsn: str) -> dict[str, list[float]]:
    """Microseconds of the server process for a single-row update, commits not waited for; of each variant several."""
    found: dict[str, list[float]] = {name: [] for name in TABLES}
    with connect(dsn) as conn:
        conn.prepare_threshold = 0
        conn.execute("SET synchronous_commit = off")
        at = Path(f"/proc/{conn.info.backend_pid}/schedstat")
        for turn in range(3 * ROUNDS):
            for name, table in TABLES.items():
                picked, before = random.Random(turn), int(at.read_text().split()[0])
                for _ in range(UPDATES):
                    conn.execute(f"UPDATE {table} SET balance = balance + 1 WHERE id = %s".encode(), (picked.randint(1, ROWS),))
                found[name].append((int(at.read_text().split()[0]) - before) / UPDATES / 1000)
    return found


def sealing(dsn: str, over: threading.Event, sealed: list[int]) -> None:
    """What a service does: seal once a second."""
    with connect(dsn) as conn:
        while not over.wait(1):
            sealed.append(audit_seals.seal(conn).rows)


def run() -> None:
    seconds = int(sys.argv[-1]) if sys.argv[-1].isdigit() else 8
    installation = binaries.choose(None)
    pgbench = str(installation.program("pgbench"))
    with lifecycle.start_ephemeral(installation, settings=SETTINGS) as server:
        dsn = server.dsn("postgres")
        prepare(dsn)
        for durable in (True, False):
            with connect(dsn) as conn:
                conn.execute(f"ALTER SYSTEM SET synchronous_commit = {'on' if durable else 'off'}".encode())
                conn.execute("SELECT pg_reload_conf()")
            report_single(pgbench, dsn, seconds, durable=durable)
        if Path("/proc/self/schedstat").exists():
            report_cpu(dsn)
        report_bulk(dsn)


def report_cpu(dsn: str) -> None:
    print("CPU of the server process, single-row update, one session, microseconds")
    found = cpu(dsn)
    base = statistics.median(found["unaudited"])
    for name, times in found.items():
        print(f"  {name:22} {statistics.median(times):6.1f}  +{statistics.median(times) - base:5.1f}   (least {min(times):.1f})")


def report_single(pgbench: str, dsn: str, seconds: int, *, durable: bool) -> None:
    over, sealed = threading.Event(), list[int]()
    sealer = threading.Thread(target=sealing, args=(dsn, over, sealed))
    sealer.start()
    times: dict[str, list[float]] = {name: [] for name in TABLES}
    for _ in range(ROUNDS):
        for name, table in TABLES.items():
            times[name].append(single(pgbench, dsn, table, seconds))
    over.set()
    sealer.join()
    base = statistics.median(times["unaudited"])
    print(
        f"single-row updates, {SESSIONS} sessions, synchronous_commit {'on' if durable else 'off'}; {sum(sealed):,} rows sealed meanwhile"
    )
    for name, found in times.items():
        tps = statistics.median(found)
        print(f"  {name:22} {tps:9,.0f}/s  {tps / base:6.1%}   ({', '.join(f'{t:,.0f}' for t in found)})")


def report_bulk(dsn: str) -> None:
    print(f"{BULK:,} rows by one statement: INSERT and UPDATE, seconds")
    for name, table in TABLES.items():
        inserts, updates = zip(*(bulk(dsn, table) for _ in range(ROUNDS)), strict=True)
        print(f"  {name:22} {statistics.median(inserts):6.2f}  {statistics.median(updates):6.2f}")


if __name__ == "__main__":
    run()
