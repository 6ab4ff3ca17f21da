"""Jobs on encrypted columns: killed at every named point and taken up again, under writers who know of them and writers who do not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import ServerFactory

from pgcharter import faults
from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.migrate import planning, reencrypt
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.migrate.reencrypt import Outcome, Settings
from pgcharter.migrate.reencrypt_rows import Rows
from pgcharter.migrate.terms import Pace
from pgcharter.policy import encryption as policy
from pgcharter.policy.encryption_settings import EncryptedColumn, EncryptionSection
from pgcharter.runtime.encryption import Encryption
from pgcharter.runtime.encryption_format import EncryptionError
from pgcharter.runtime.keys import DATA, INDEX
from pgcharter.runtime.keys_providers import RingFile
from pgcharter.runtime.keys_subjects import destroy_subject, load_subjects

COUNT = 300
SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app."Üsers" (id bigint PRIMARY KEY, tenant_id int NOT NULL, email text);
CREATE TABLE app.notes (name text NOT NULL, no int, person int NOT NULL, body jsonb, PRIMARY KEY (name, no)) PARTITION BY LIST (name);
CREATE TABLE app.notes_a PARTITION OF app.notes FOR VALUES IN ('a%', 'b''c');
CREATE TABLE app.notes_rest PARTITION OF app.notes DEFAULT;
"""
EMAIL, BODY = 'app."Üsers".email', "app.notes.body"
COLUMNS = (
    EncryptedColumn('app."Üsers"', "email", search=("folded", "last-four"), tenant="tenant_id", padding=16),
    EncryptedColumn("app.notes", "body", "json", scope="subject", subject="person", subject_kind="person"),
)
SMALL = Settings(Pace(first=40, largest=40, batch=0.01))
PLAIN = "canary-{}-q7x@example.org"


ROWS = """
INSERT INTO app."Üsers" SELECT i, i %% 3, 'canary-' || i || '-q7x@example.org' FROM generate_series(1, %s) i;
INSERT INTO app."Üsers" VALUES (0, 0, NULL), (-1, 0, '');
INSERT INTO app.notes SELECT (array['a%%', 'b''c', 'x'])[i %% 3 + 1], i, i %% 7, jsonb_build_object('n', i) FROM generate_series(1, 100) i;
"""
UNIQUE = replace(COLUMNS[0], unique=True)
_steps: list[str] = []


@pytest.fixture
def app(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA)
        if not _steps:
            chosen = Chosen((policy.policy(EncryptionSection(column=COLUMNS)),))
            _steps.extend(step.sql for step in planning.make(Wish("", database, chosen=chosen, prove=False)).plan.steps)
        for sql in _steps:
            conn.execute(sql.encode())
        conn.execute((ROWS % COUNT).encode())
    return database


@pytest.fixture
def ring(tmp_path: Path) -> RingFile:
    file = RingFile(tmp_path / "keys" / "ring.json")
    file.change(lambda r: r.create("default"))
    return file


def readable(dsn: str, ring: RingFile) -> dict[int, Any]:
    """Every e-mail address as a reader gets it, each found again by its blind index."""
    email = Encryption(COLUMNS, ring).column(EMAIL)
    with psycopg.connect(dsn) as conn:
        rows = conn.execute('SELECT id, tenant_id, email_encrypted, email_folded FROM app."Üsers" ORDER BY id').fetchall()
    found = {key: email.decrypt(data, row=key, tenant=tenant) for key, tenant, data, _ in rows}
    assert all(blind is None or blind in email.lookups(found[key].upper(), tenant=tenant) for key, tenant, _, blind in rows)
    return found


EXPECTED = {i: PLAIN.format(i) for i in range(1, COUNT + 1)} | {0: None, -1: ""}
JOB = """
import sys
from pathlib import Path
from tests.migrate.test_reencrypt import *
reencrypt.run(sys.argv[1], Encryption(COLUMNS, RingFile(Path(sys.argv[2]))), EMAIL, sys.argv[3], SMALL)
"""


def run(dsn: str, ring: RingFile, mode: Any, column: str = EMAIL) -> Outcome:
    return reencrypt.run(dsn, Encryption(COLUMNS, ring), column, mode, SMALL)


def killed(dsn: str, ring: RingFile, mode: str, fault: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, faults.VARIABLE: fault}
    return subprocess.run(
        [sys.executable, "-c", JOB, dsn, str(ring.path), mode],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("mode", ["encrypt", "rotate", "clear"])
def test_killed_at_every_point_and_taken_up_again(app: str, ring: RingFile, mode: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        if mode != "encrypt":
            run(app, ring, "encrypt")
        if mode == "rotate":
            ring.change(lambda r: r.rotate("default", DATA)[0].rotate("default", INDEX)[0])
        for n, point in enumerate(point for point in reencrypt.POINTS if "rewrap" not in point):
            done = killed(app, ring, mode, f"{point}:{1 if 'finish' in point else n + 1}")
            assert done.returncode == -signal.SIGKILL, (point, done.stderr)
            assert "canary" not in done.stdout + done.stderr
            if mode == "rotate":
                assert readable(app, ring) == EXPECTED
        outcome = run(app, ring, mode)
        assert (outcome.changed, outcome.left) == (0, 0)
        assert readable(app, ring) == EXPECTED
        assert conn.execute("SELECT count(*) FROM pgcharter.key_jobs").fetchone() == (0,)
        if mode == "rotate":
            old = [k for k in ring.read().keys if k.state != "active"]
            for key in old:
                ring.change(lambda r, key=key: r.end(key.id, destroy=True))
            assert readable(app, ring) == EXPECTED
        if mode == "clear":
            assert conn.execute('SELECT count(*) FROM app."Üsers" WHERE email IS NOT NULL').fetchone() == (0,)


def test_under_writers_of_both_releases(app: str, ring: RingFile) -> None:
    """The old release writes only clear values, the new one both: nobody's write is lost, and none is overwritten by the job."""
    encryption, over = Encryption(COLUMNS, ring), threading.Event()
    email = encryption.column(EMAIL)
    wrote: dict[int, str] = {}

    def write() -> None:
        with psycopg.connect(app, autocommit=True) as conn:
            number = 0
            while not over.is_set():
                number += 1
                key, value = number * 7 % COUNT + 1, f"New-{number}@example.org"
                if number % 2:
                    conn.execute('UPDATE app."Üsers" SET email = %s WHERE id = %s', (value, key))
                else:
                    sealed = (
                        value,
                        email.encrypt(value, row=key, tenant=key % 3),
                        email.blind(value, "folded", tenant=key % 3),
                        email.blind(value, "last-four", tenant=key % 3),
                    )
                    conn.execute(
                        'UPDATE app."Üsers" SET email = %s, email_encrypted = %s, email_folded = %s, email_last4 = %s WHERE id = %s',
                        (*sealed, key),
                    )
                wrote[key] = value

    writer = threading.Thread(target=write)
    writer.start()
    try:
        run(app, ring, "encrypt")
        ring.change(lambda r: r.rotate("default", DATA)[0])
        run(app, ring, "rotate")
    finally:
        over.set()
        writer.join()
    assert run(app, ring, "encrypt").left == 0
    assert wrote
    assert readable(app, ring) == EXPECTED | wrote
    with psycopg.connect(app) as conn:
        clear = dict(conn.execute('SELECT id, email FROM app."Üsers"').fetchall())
    assert readable(app, ring) == clear


def test_partitions_of_persons(app: str, ring: RingFile) -> None:
    assert run(app, ring, "encrypt", BODY).changed == 100
    encryption = Encryption(COLUMNS, ring)
    body = encryption.column(BODY)

    def read(conn: Any) -> list[Any]:
        load_subjects(conn, encryption, BODY, range(7))
        rows = conn.execute("SELECT name, no, person, body_encrypted, body FROM app.notes ORDER BY no").fetchall()
        return [(body.decrypt(data, row=(name, no), subject=person), clear) for name, no, person, data, clear in rows]

    with psycopg.connect(app) as conn:
        assert all(value == clear for value, clear in read(conn))
        with pytest.raises(RefusedError, match="still stands in clear beside body_encrypted"):
            destroy_subject(conn, encryption, "person", 3)
        conn.rollback()
    ring.change(lambda r: r.rotate("default", DATA)[0])
    assert run(app, ring, "rotate", BODY).changed == 0
    for key in ring.read().keys:
        if key.state != "active":
            ring.change(lambda r, key=key: r.end(key.id, destroy=True))
    encryption = Encryption(COLUMNS, ring)
    body = encryption.column(BODY)
    with psycopg.connect(app) as conn:
        assert len(read(conn)) == 100
    assert run(app, ring, "clear", BODY).changed == 100
    with psycopg.connect(app) as conn:
        conn.execute("ALTER TABLE app.notes DROP COLUMN body CASCADE")
        assert destroy_subject(conn, encryption, "person", 3)
        assert not destroy_subject(conn, encryption, "person", 3)
        conn.execute("ALTER TABLE app.notes ADD COLUMN body jsonb")
        with pytest.raises(EncryptionError, match="was destroyed"):
            read(conn)


def test_what_a_job_refuses(app: str, ring: RingFile) -> None:
    with pytest.raises(UsageError, match="is no encrypted column"):
        run(app, ring, "encrypt", "app.x.y")
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute('UPDATE app."Üsers" SET email = $$x$$ WHERE email IS NULL; ALTER TABLE app."Üsers" ALTER COLUMN email SET NOT NULL')
        with pytest.raises(RefusedError, match="is NOT NULL, so it cannot be emptied"):
            run(app, ring, "clear")
        run(app, ring, "encrypt")
        conn.execute('UPDATE app."Üsers" a SET email_encrypted = b.email_encrypted FROM app."Üsers" b WHERE a.id = 5 AND b.id = 6')
        ring.change(lambda r: r.rotate("default", DATA)[0])
        with pytest.raises(
            EncryptionError, match=r"row 5: a value of .* under key [0-9a-f]{16} is damaged, or was written for another row"
        ):
            run(app, ring, "rotate")
        conn.execute("DROP TABLE pgcharter.key_jobs")
        with pytest.raises(UsageError, match="is encrypted here"):
            run(app, ring, "encrypt")


def test_a_refusal_of_the_server_shows_no_row(app: str, ring: RingFile) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute('ALTER TABLE app."Üsers" ADD CHECK (email_folded IS NULL)')
    with pytest.raises(PgcharterError, match="violates check constraint") as error:
        run(app, ring, "encrypt")
    told = "".join(traceback.format_exception(error.value))
    assert "canary" not in told.replace(str(Path(__file__)), "")
    assert "Failing row" not in told
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute(
            "CREATE TABLE app.days (id int PRIMARY KEY, born date, born_encrypted bytea); INSERT INTO app.days VALUES (1, 'infinity')"
        )
    spec = EncryptedColumn("app.days", "born", "date")
    with pytest.raises(PgcharterError, match="holds a value that Python cannot hold"):
        reencrypt.run(app, Encryption([spec], ring), "app.days.born", "encrypt", SMALL)


def test_writing_goes_by_place_not_by_scan(app: str, ring: RingFile) -> None:
    with reencrypt.connected(app) as conn:
        rows = Rows(conn, COLUMNS[0])
        conn.execute('ANALYZE app."Üsers"')
        assert len(rows.read('app."Üsers"', ("10",), 5, "true", {})) == 5
        plan = "\n".join(
            line
            for (line,) in conn.execute(
                'EXPLAIN UPDATE ONLY app."Üsers" t SET email = NULL FROM unnest(%s::tid[], %s::xid[]) u (at, seen)'
                " WHERE t.ctid = u.at AND t.xmin = u.seen",
                (["(0,1)"] * 50, ["1"] * 50),
            )
        )
    assert "Tid Scan" in plan, plan


def test_after_the_switch_nothing_is_in_clear(server: ServerFactory, ring: RingFile) -> None:
    """Not in the table's file, the WAL and what is decoded from it, the server's log with every statement, parameter and refusal in it,
    pg_stat_activity or pg_stat_statements.

    What was written before the switch is in the WAL of before, in old backups, and in the table's file until it is written anew.
    """
    made = server(settings={
        "log_statement": "all", "log_min_duration_statement": 0, "log_parameter_max_length_on_error": -1, "fsync": True,
        "synchronous_commit": True, "wal_level": "logical", "shared_preload_libraries": "pg_stat_statements",
    })  # fmt: skip
    dsn = made.dsn()
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(SCHEMA)
        chosen = Chosen((policy.policy(EncryptionSection(column=(UNIQUE,))),))
        for step in planning.make(Wish("", dsn, chosen=chosen, prove=False)).plan.steps:
            conn.execute(step.sql.encode())
        conn.execute("INSERT INTO app.\"Üsers\" VALUES (1, 1, 'canary-before')")
        for mode in ("encrypt", "clear"):
            reencrypt.run(dsn, Encryption((UNIQUE,), ring), EMAIL, mode, SMALL)  # type: ignore[arg-type]
        assert b"canary-before" in on_disk(conn)
        before = made.log.stat().st_size
        for sql in ('ALTER TABLE app."Üsers" DROP COLUMN email CASCADE', 'VACUUM FULL app."Üsers"', "CHECKPOINT", "SELECT pg_switch_wal()"):
            conn.execute(sql.encode())
        start = conn.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
        conn.execute("SELECT pg_create_logical_replication_slot('after', 'test_decoding'); CREATE EXTENSION pg_stat_statements")
        email = Encryption((UNIQUE,), ring).column(EMAIL)
        for key in range(2, 50):
            sealed = (key, 1, email.encrypt(f"canary-after-{key}", row=key, tenant=1), email.blind(f"canary-after-{key}", tenant=1))
            conn.execute('INSERT INTO app."Üsers" (id, tenant_id, email_encrypted, email_folded) VALUES (%s, %s, %s, %s)', sealed)
        where, parameters = email.where("CANARY-after-7", tenant=1)
        assert len(conn.execute(f'SELECT FROM app."Üsers" WHERE {where}'.encode(), parameters).fetchall()) == 1
        with pytest.raises(psycopg.errors.UniqueViolation) as refused:
            conn.execute('UPDATE app."Üsers" SET email_folded = %s WHERE id = 8', (email.blind("canary-after-7", tenant=1),))
        ring.change(lambda r: r.rotate("default", DATA)[0].rotate("default", INDEX)[0])
        assert reencrypt.run(dsn, Encryption((UNIQUE,), ring), EMAIL, "rotate", SMALL).changed == 49
        conn.execute("CHECKPOINT")
        written, rewritten = on_disk(conn, start[0] if start else ""), on_disk(conn, "G")
        said = made.log.read_bytes()[before:] + str(refused.value).encode()
        for sql in ("pg_logical_slot_get_changes('after', NULL, NULL)", "pg_stat_statements", "pg_stat_activity"):
            said += str(conn.execute(f"SELECT * FROM {sql}".encode()).fetchall()).encode()
    assert b"INSERT INTO app" in said
    assert b"email_encrypted[bytea]" in said
    assert b"key_jobs" in written
    for canary in (b"canary-after", b"canary-after".hex().encode(), b"canary-after".title()):
        assert canary not in written
        assert canary not in said
    assert b"canary" not in rewritten


def on_disk(conn: Any, after: str = "") -> bytes:
    """The bytes of the table's file and of the WAL from a segment on; older WAL may stand behind its end, in segments used again."""
    wal = conn.execute("SELECT name FROM pg_ls_waldir() WHERE name >= %s AND name ~ '^[0-9A-F]{24}$'", (after,)).fetchall()
    files = [f"pg_wal/{name}" for (name,) in wal]
    files += [path for (path,) in conn.execute("SELECT pg_relation_filepath('app.\"Üsers\"')")]
    return b"".join(conn.execute("SELECT pg_read_binary_file(%s)", (name,)).fetchone()[0] for name in files)
