"""Jobs on encrypted columns, broken at every fault point in every way while people write; then taken up again.

Every value can be read and found afterwards, none stands in clear where the job has been: in the rows, in the table's file, in what the job
itself says, in the server's log of its sessions with every statement and parameter, in pg_stat_activity and pg_stat_statements.
`PGCHARTER_FULL=1` breaks everything everywhere.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import MAJORS, installation
from tests.migrate import harm
from tests.migrate.scenario import _state

from pgcharter import faults
from pgcharter.errors import PgcharterError
from pgcharter.migrate import planning, reencrypt
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.migrate.reencrypt import Settings
from pgcharter.migrate.terms import Pace
from pgcharter.policy import encryption as policy
from pgcharter.policy.encryption_settings import EncryptedColumn, EncryptionSection
from pgcharter.runtime.encryption import Encryption
from pgcharter.runtime.keys import DATA, INDEX
from pgcharter.runtime.keys_providers import RingFile
from pgcharter.runtime.keys_subjects import load_subjects
from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server

FULL = os.environ.get("PGCHARTER_FULL") == "1"
ROWS, PERSONS = 240, 7
CANARY = "canary-q7x"
SCHEMA = f"""
CREATE SCHEMA app;
CREATE TABLE app."Üsers" (id bigint PRIMARY KEY, tenant_id int NOT NULL, n int NOT NULL, email text);
CREATE TABLE app.notes (id bigint PRIMARY KEY, person int NOT NULL, n int NOT NULL, body text);
INSERT INTO app."Üsers" SELECT i, i % 3, i, '{CANARY}-' || i || '-' || i FROM generate_series(1, {ROWS}) i;
INSERT INTO app.notes SELECT i, i % {PERSONS}, i, '{CANARY}-' || i || '-' || i FROM generate_series(1, {ROWS}) i;
"""
COLUMNS = (
    EncryptedColumn('app."Üsers"', "email", search=("folded",), unique=True, tenant="tenant_id"),
    EncryptedColumn("app.notes", "body", scope="subject", subject="person", subject_kind="person"),
)
SETTINGS: dict[str, lifecycle.Setting] = {
    **harm.SETTINGS, "log_statement": "all", "log_min_duration_statement": 0, "log_line_prefix": "<%a> ",
    "log_parameter_max_length_on_error": -1,
}  # fmt: skip
SMALL = Settings(Pace(first=40, largest=40, batch=5.0), wait=30)
KINDS = ("runner", "twice", "server", "server -9", "reset", "answer lost", "cancelled", "terminated")
WORK = {
    "encrypt": ("plain", "first", 0), "encrypt persons": ("plain", "first", 1), "rotate": ("sealed", "second", 0),
    "rotate persons": ("sealed", "second", 1), "clear": ("beside", "first", 0),
}  # fmt: skip
"""Job → the database it begins with, its key ring, its column."""


SAID = re.compile(
    r"connection .*(lost|closed|terminat|shutdown)|terminating connection|canceling statement|no server answers|lock was lost|was cut off",
    re.S,
)
"""What a job says that was broken from outside."""


@dataclass(frozen=True)
class Lab:
    """A server with databases to harm, and the rings from before and after a rotation."""

    server: Server
    rings: dict[str, Path]
    passed: dict[tuple[str, str], int] = field(default_factory=dict)

    def database(self, name: str, template: str) -> str:
        with psycopg.connect(self.server.dsn(), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[arg-type]
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")  # type: ignore[arg-type]
        return self.server.dsn(name)

    def knows(self, ring: str) -> Encryption:
        return Encryption(COLUMNS, RingFile(self.rings[ring]))


@pytest.fixture(scope="module", params=(MAJORS[0], MAJORS[-1]) if FULL else MAJORS[-1:], ids=lambda major: f"pg{major}")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("rings")
    folder.chmod(0o700)
    rings = {name: folder / f"{name}.json" for name in ("first", "second")}
    first = RingFile(rings["first"]).change(lambda r: r.create("default"))
    RingFile(rings["second"]).change(lambda _: first.rotate("default", DATA)[0].rotate("default", INDEX)[0])
    with lifecycle.start_ephemeral(installation(request.param), settings=SETTINGS) as server:
        made = Lab(server, rings)
        _prepare(made)
        yield made


def _prepare(lab: Lab) -> None:
    with psycopg.connect(lab.server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE plain STRATEGY file_copy")
    plain = lab.server.dsn("plain")
    with psycopg.connect(plain, autocommit=True) as conn:
        conn.execute(SCHEMA)
        chosen = Chosen((policy.policy(EncryptionSection(column=COLUMNS)),))
        for step in planning.make(Wish("", plain, chosen=chosen, prove=False)).plan.steps:
            conn.execute(step.sql.encode())
    beside = lab.database("beside", "plain")
    for spec in COLUMNS:
        reencrypt.run(beside, lab.knows("first"), spec.name, "encrypt", SMALL)
    with psycopg.connect(lab.database("sealed", "beside"), autocommit=True) as conn:
        for table, column in (('app."Üsers"', "email"), ("app.notes", "body")):
            conn.execute(f"ALTER TABLE {table} DROP COLUMN {column} CASCADE".encode())
            conn.execute(f"VACUUM FULL {table}".encode())
    for work in WORK:
        os.environ[faults.VARIABLE] = "counted:0"
        faults._passed.clear()
        try:
            run_job(lab.database("calm", WORK[work][0]), lab.rings[WORK[work][1]], work)
        finally:
            del os.environ[faults.VARIABLE]
        lab.passed.update({(work, point): count for point, count in faults._passed.items()})


def run_job(dsn: str, ring: Path, work: str) -> reencrypt.Outcome:
    mode: Any = work.split()[0]
    return reencrypt.run(dsn, Encryption(COLUMNS, RingFile(ring)), COLUMNS[WORK[work][2]].name, mode, SMALL)


def in_process(dsn: str, ring: Path, work: str, fault: str, said: Path) -> None:
    """A job in a process that may die; what it says goes into a file."""
    os.environ[faults.VARIABLE] = fault
    try:
        run_job(dsn, ring, work)
    except (PgcharterError, psycopg.Error) as error:
        said.write_text(f"{type(error).__name__} {error} {getattr(error, 'hint', '')}")
        raise SystemExit(3) from None


def started(lab: Lab, dsn: str, work: str, fault: str, said: Path) -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    made = context.Process(target=in_process, args=(dsn, lab.rings[WORK[work][1]], work, fault, said))
    made.start()
    return made


# ── people who write meanwhile ──


@dataclass
class Writer(harm.Writer):
    """Writes what a release of before and one of now would write: clear alone, both, encrypted alone; under the old key and the new."""

    sealing: Callable[[int, int], tuple[str, tuple[Any, ...]]] = lambda _key, _n: ("", ())

    def _one(self, conn: psycopg.Connection[Any], chosen: random.Random) -> None:
        dice, number = chosen.random(), chosen.randint(0, 1_000_000)
        key = next(self.fresh) if dice < 0.15 else chosen.choice(sorted(self.rows))
        if dice > 0.93:
            self._send(conn, key, None, self.delete, (key,))
            return
        sql, parameters = self.sealing(key, number)
        self._send(conn, key, number, sql if dice >= 0.15 else self._new(sql), parameters)

    def _new(self, update: str) -> str:
        """The INSERT of what an UPDATE sets."""
        found = re.fullmatch(r"UPDATE (\S+) SET (.*) WHERE id = %s", update)
        assert found
        names = [part.split(" = ")[0] for part in found[2].split(", ")]
        return f"INSERT INTO {found[1]} ({', '.join(names)}, id) VALUES ({', '.join(['%s'] * (len(names) + 1))})"


def writer(lab: Lab, dsn: str, work: str) -> Writer:
    rings = [lab.knows(ring) for ring in ("first", WORK[work][1])]
    dice, clear, held = random.Random(3), work.split()[0] == "encrypt", WORK[work][0] != "sealed"
    for one in rings:
        with psycopg.connect(dsn) as conn:
            load_subjects(conn, one, COLUMNS[1].name, range(PERSONS), create=True)

    def email(key: int, n: int) -> tuple[str, tuple[Any, ...]]:
        value, cipher = f"{CANARY}-{key}-{n}", dice.choice(rings).column(COLUMNS[0].name)
        sealed = (cipher.encrypt(value, row=key, tenant=key % 3), cipher.blind(value, tenant=key % 3))
        if clear and dice.random() < 0.5:
            return 'UPDATE app."Üsers" SET tenant_id = %s, n = %s, email = %s WHERE id = %s', (key % 3, n, value, key)
        both = ", email = %s" if held else ""
        sql = f'UPDATE app."Üsers" SET tenant_id = %s, n = %s{both}, email_encrypted = %s, email_folded = %s WHERE id = %s'
        return sql, (key % 3, n, *([value if clear else None] * held), *sealed, key)

    def body(key: int, n: int) -> tuple[str, tuple[Any, ...]]:
        value, cipher = f"{CANARY}-{key}-{n}", dice.choice(rings).column(COLUMNS[1].name)
        if clear and dice.random() < 0.5:
            return "UPDATE app.notes SET person = %s, n = %s, body = %s WHERE id = %s", (key % PERSONS, n, value, key)
        both = ", body = %s" if held else ""
        sealed = cipher.encrypt(value, row=key, subject=key % PERSONS)
        sql = f"UPDATE app.notes SET person = %s, n = %s{both}, body_encrypted = %s WHERE id = %s"
        return sql, (key % PERSONS, n, *([value if clear else None] * held), sealed, key)

    table = COLUMNS[WORK[work][2]].id.sql()
    rows = {i: i for i in range(1, ROWS + 1)}
    return Writer(
        dsn, "", "", f"DELETE FROM {table} WHERE id = %s", f"SELECT n FROM {table} WHERE id = %s", rows, itertools.count(ROWS * 10),
        sealing=body if WORK[work][2] else email,
    )  # fmt: skip


# ── harm, and what is looked for after it ──


SESSIONS = "FROM pg_stat_activity WHERE application_name = 'pgcharter keys' AND datname = current_database()"


def harmed(lab: Lab, dsn: str, kind: str, place: str, work: str, said: Path) -> str:
    """Begin a job and break it at `place` in the way of `kind`; how it ended."""
    if kind in ("runner", "twice"):
        ends = []
        for fault in (place, "keys read:1")[: 1 + (kind == "twice")]:
            begun = started(lab, dsn, work, fault, said)
            begun.join(60)
            ends.append(begun.exitcode)
        return "killed" if ends[0] == -signal.SIGKILL and ends[-1] in (-signal.SIGKILL, 0) else f"ended in {ends}"
    proxy = harm.Proxy(dsn, "pgcharter keys")
    begun = started(lab, proxy.dsn, work, f"{place}:stop", said)
    try:
        until = time.monotonic() + 20
        while _state(begun.pid) != "T" and begun.is_alive() and time.monotonic() < until:
            time.sleep(0.005)
        if not begun.is_alive():
            return f"never came there: {begun.exitcode}"
        _break(lab, dsn, kind, proxy, begun.pid or 0)
        begun.join(60)
        return "over" if begun.exitcode == 0 else "failed" if begun.exitcode == 3 else f"ended in {begun.exitcode}"
    finally:
        proxy.close()
        if begun.is_alive():
            begun.kill()


def _break(lab: Lab, dsn: str, kind: str, proxy: harm.Proxy, pid: int) -> None:
    def for_a_while(sql: str, seconds: float) -> None:
        over = time.monotonic() + seconds
        os.kill(pid, signal.SIGCONT)
        harm.beside(dsn, sql, lambda: time.monotonic() > over)

    match kind:
        case "server" | "server -9":
            harm.kill(lab.server, signal.SIGQUIT if kind == "server" else signal.SIGKILL, SETTINGS)
            os.kill(pid, signal.SIGCONT)
        case "reset":
            proxy.reset()
            os.kill(pid, signal.SIGCONT)
        case "answer lost":
            proxy.reset_at_answer()
            os.kill(pid, signal.SIGCONT)
            proxy.broke.wait(10)
        case "cancelled":
            for_a_while(f"SELECT pg_cancel_backend(pid) {SESSIONS} AND state = 'active'", 0.3)
        case "terminated":
            for_a_while(f"SELECT pg_terminate_backend(pid) {SESSIONS}", 0.1)


def problems(lab: Lab, name: str, kind: str, place: str, work: str, folder: Path) -> list[str]:
    """Harm a job, do it again, and say what is not as it must be."""
    template, ring, _ = WORK[work]
    dsn, said, log = lab.database(name, template), folder / f"{name}.txt", lab.server.log.stat().st_size
    with writer(lab, dsn, work) as writing:
        ended = harmed(lab, dsn, kind, place, work, said)
        seen = _activity(dsn)
        run_job(dsn, lab.rings[ring], work)
    again, twice = run_job(dsn, lab.rings[ring], work), run_job(dsn, lab.rings[ring], work)
    found = list(writing.problems)
    if (kind in ("runner", "twice") and ended != "killed") or ended not in ("killed", "failed", "over"):
        found.append(f"the job {ended}")
    if again.left or twice.changed or twice.left:
        found.append(f"again: {again}; then {twice}")
    if writing.done < 3:
        found.append(f"the writer did only {writing.done}")
    found += _rows(lab, dsn, work, writing.rows)
    told = (said.read_text() if said.exists() else "") + seen + _of_jobs(lab.server.log.read_bytes()[log:].decode(errors="replace"))
    if said.exists() and not SAID.search(said.read_text()):
        found.append(f"it said: {said.read_text()}")
    if CANARY in told:
        found.append(f"in clear: …{told[max(told.index(CANARY) - 200, 0) :][:300]}…")
    with psycopg.connect(lab.server.dsn(), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
    return [f"{place} × {kind} ({work}): {problem}" for problem in found]


def _activity(dsn: str) -> str:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(dsn, autocommit=True) as conn:
        return " ".join(str(row) for row in conn.execute(f"SELECT query {SESSIONS}".encode()).fetchall())
    return ""


def _of_jobs(log: str) -> str:
    """What the server has logged of the jobs' own sessions, with the lines that go on from the one before."""
    kept: list[str] = []
    ours = False
    for line in log.splitlines():
        if line.startswith("<"):
            ours = line.startswith("<pgcharter keys>")
        if ours:
            kept.append(line)
    return "\n".join(kept)


def _rows(lab: Lab, dsn: str, work: str, wanted: dict[int, int]) -> list[str]:
    """Every row with its number, its value in every place that may be read, and nothing in clear where the work is done."""
    template, ring, number = WORK[work]
    spec, encryption, found = COLUMNS[number], lab.knows(ring), []
    cipher, stored = encryption.column(spec.name), spec.ciphertext
    with psycopg.connect(dsn, autocommit=True) as conn:
        with conn.transaction():
            load_subjects(conn, encryption, spec.name, range(PERSONS))
        blind = "email_folded" if spec.search else "NULL"
        clear = spec.column if template != "sealed" else "NULL"
        rows = conn.execute(f"SELECT id, n, {clear}, {stored}, {blind} FROM {spec.id.sql()}".encode()).fetchall()
        if {key: n for key, n, *_ in rows} != wanted:
            found.append("rows are not as the writer left them")
        for key, n, plain, data, digest in rows:
            bound: dict[str, Any] = {"tenant": key % 3} if spec.tenant else {"subject": key % PERSONS}
            value = f"{CANARY}-{key}-{n}"
            if data is None or cipher.decrypt(data, row=key, **bound) != value:
                found.append(f"row {key} reads {data and 'otherwise'}")
            if digest is not None and digest[: spec.digest] not in cipher.lookups(value, tenant=key % 3):
                found.append(f"row {key} would not be found")
            if plain not in ({"encrypt": (value,), "clear": (None,)}.get(work.split()[0], (None,))):
                found.append(f"row {key} has {plain!r} in clear")
        keys = conn.execute("SELECT count(*) FROM pgcharter.key_jobs").fetchone()
        if keys != (0,):
            found.append(f"{keys} checkpoints are left")
        if template == "sealed":
            conn.execute("CHECKPOINT")
            heap = conn.execute("SELECT pg_read_binary_file(pg_relation_filepath(%s))", (spec.id.sql(),)).fetchone()
            if CANARY.encode() in (heap or (b"",))[0]:
                found.append("in clear: the table's file")
    return found[:5]


# ── the tests ──


def places(lab: Lab, work: str) -> list[str]:
    """Every point that the job passes: the first time, the second, the last but one (writers take rows away)."""
    times = {point: lab.passed.get((work, point), 0) for point in reencrypt.POINTS}
    return [f"{point}:{n}" for point, last in times.items() for n in sorted({1, 2, last - 1}) if 0 < n <= last]


def test_every_fault_point_is_passed(lab: Lab) -> None:
    assert {point for _, point in lab.passed} >= set(reencrypt.POINTS)
    assert places(lab, "rotate")[:2] == ["keys read:1", "keys read:2"]


SOME = (
    ("rotate", "keys in batch:2", "runner"), ("rotate", "keys before commit:2", "answer lost"), ("rotate", "keys in batch:1", "server"),
    ("rotate", "keys after batch:2", "terminated"), ("rotate", "keys read:2", "cancelled"),
    ("encrypt", "keys before commit:1", "server -9"),
    ("encrypt", "keys in batch:2", "reset"), ("encrypt", "keys before finish:1", "twice"), ("clear", "keys before commit:2", "answer lost"),
    ("clear", "keys in batch:1", "runner"), ("encrypt persons", "keys in batch:2", "server"),
    ("rotate persons", "keys in rewrap:1", "runner"),
    ("rotate persons", "keys in rewrap:1", "answer lost"),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(7200 if FULL else 300)
@pytest.mark.parametrize("kind", KINDS if FULL else ("some",))
def test_whatever_breaks_a_job_is_taken_up_again(lab: Lab, tmp_path: Path, kind: str) -> None:
    chosen = [(work, place, kind) for work in WORK for place in places(lab, work)] if FULL else SOME
    found: list[str] = []
    for number, (work, place, how) in enumerate(chosen):
        bad = problems(lab, f"harmed_{number}", how, place, work, tmp_path)
        found += bad
        if FULL and sys.__stderr__:
            sys.__stderr__.write("\n".join([*bad, f"{work}: {place} × {how}{' bad' if bad else ''}\n"]))
    assert found == []
