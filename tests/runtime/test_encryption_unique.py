"""A unique blind index while its key is rotated: never two rows with one value, whatever a writer knows of the key ring by then."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from tests.db.test_flows import url
from tests.runtime.test_encryption import Fixed

from pgcharter.migrate import key_status, planning, reencrypt
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.migrate.reencrypt import Settings
from pgcharter.migrate.terms import Pace
from pgcharter.policy import encryption as policy
from pgcharter.policy.encryption_settings import EncryptedColumn, EncryptionSection
from pgcharter.runtime.encryption import Encryption
from pgcharter.runtime.encryption_sqlalchemy import Encrypted
from pgcharter.runtime.keys import INDEX, KeyRing

EMAIL = EncryptedColumn("app.users", "email", search=("folded",), unique=True)
NAME = EMAIL.name
SMALL = Settings(Pace(first=2, largest=2, batch=0.001))
INSERT = b"INSERT INTO app.users (id, email_encrypted, email_folded) VALUES (%s, %s, %s)"


def rings() -> dict[str, KeyRing]:
    """The ring at every step of a rotation."""
    first = KeyRing().create("default")
    old = first.active("default", INDEX)
    announced, new = first.rotate("default", INDEX, announce=True)
    active = announced.activate(new.id)
    return {"first": first, "announced": announced, "active": active, "back": active.activate(old.id), "retired": active.end(old.id)}


RINGS = rings()
TOGETHER = [
    *itertools.combinations_with_replacement(("first", "announced", "active", "back"), 2),
    *itertools.combinations_with_replacement(("active", "retired"), 2),
]
"""Rings that two processes may hold at one time: a key is retired when no process has a ring in which it is written with."""
_steps: list[str] = []


jobs = pytest.mark.direct("jobs of the runner, whose lock is of its session: refused through a pooler, by name")


@pytest.fixture
def app(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.users (id bigint PRIMARY KEY, email text)")
        if not _steps:
            chosen = Chosen((policy.policy(EncryptionSection(column=(EMAIL,))),))
            _steps.extend(step.sql for step in planning.make(Wish("", database, chosen=chosen, prove=False)).plan.steps)
        for sql in _steps:
            conn.execute(sql.encode())
    return database


def knows(ring: str) -> Encryption:
    return Encryption((EMAIL,), Fixed(*RINGS[ring].keys))


def row(ring: str, key: int, value: str = "Ada@example.org") -> tuple[Any, ...]:
    email = knows(ring).column(NAME)
    return key, email.encrypt(value, row=key), email.blind(value)


def found(conn: Any, ring: str, value: str = "ADA@example.org") -> list[Any]:
    condition, parameters = knows(ring).column(NAME).where(value)
    return [key for (key,) in conn.execute(f"SELECT id FROM app.users WHERE {condition} ORDER BY id".encode(), parameters).fetchall()]


def rotated(dsn: str, ring: str) -> int:
    return reencrypt.run(dsn, knows(ring), NAME, "rotate", SMALL).changed


@pytest.mark.parametrize(("one", "other"), [pair for a, b in TOGETHER for pair in dict.fromkeys([(a, b), (b, a)])])
def test_two_writers_at_any_step(app: str, one: str, other: str) -> None:
    """Both in open transactions: the second waits for the first, and is refused."""
    with psycopg.connect(app) as first, psycopg.connect(app) as second:
        first.execute(INSERT, row(one, 1))
        refused: list[str] = []

        def insert() -> None:
            try:
                second.execute(INSERT, row(other, 2))
            except psycopg.errors.UniqueViolation as error:
                refused.append(str(error))

        writer = threading.Thread(target=insert)
        writer.start()
        first.commit()
        writer.join(10)
        assert refused
        assert "ada" not in refused[0].lower()
        second.rollback()
        assert found(second, one) == [1]


@jobs
def test_nobody_gets_in_twice_from_the_first_step_to_the_last(app: str) -> None:
    """Twelve values of the first key, the whole way to the second; at each step whoever may be there tries all of them again."""
    values = [f"user{n}@example.org" for n in range(12)]
    with psycopg.connect(app, autocommit=True) as conn:
        for n, value in enumerate(values):
            conn.execute(INSERT, row("first", n, value))

        def all_refused(*writers: str) -> None:
            for number, (ring, value) in enumerate(itertools.product(writers, values)):
                with pytest.raises(psycopg.errors.UniqueViolation):
                    conn.execute(INSERT, row(ring, 1000 + number, value.upper()))
                assert len(found(conn, ring, value)) == 1 or ring == "first"

        all_refused("first", "announced", "active", "back")
        while behind(conn, "active"):
            stop_after_one(app, "active")
            all_refused("first", "announced", "active", "back")
        assert rotated(app, "active") == 0
        assert behind(conn, "retired") == 12  # the digest of the old key is still beside
        all_refused("active", "retired")
        while behind(conn, "retired"):
            stop_after_one(app, "retired")
            all_refused("active", "retired")
        assert conn.execute("SELECT DISTINCT octet_length(email_folded) FROM app.users").fetchall() == [(20,)]
        status = key_status.usage(conn, EMAIL)
        assert [(leak.distinct, leak.rows, leak.beside) for leak in status.leaks] == [(12, 12, {})]


def behind(conn: Any, ring: str) -> int:
    """Rows that a job with this ring would still write."""
    job = reencrypt.wanting(knows(ring), NAME, "rotate")
    return int(conn.execute(f"SELECT count(*) FROM app.users WHERE {job[0]}".encode(), job[1]).fetchone()[0])


def stop_after_one(dsn: str, ring: str) -> None:
    """Two rows further, then stopped."""
    calls = itertools.count()
    with pytest.raises(reencrypt.PgcharterError, match="was stopped"):
        reencrypt.run(dsn, knows(ring), NAME, "rotate", Settings(SMALL.pace, stop=lambda: next(calls) > 0))


@jobs
def test_going_back_and_forth(app: str) -> None:
    """Back to the first key in the middle, on again, the first retired, and activated again later as if it were new."""
    with psycopg.connect(app, autocommit=True) as conn:
        for n in range(6):
            conn.execute(INSERT, row("first", n, f"u{n}"))
        stop_after_one(app, "active")
        stop_after_one(app, "back")
        for ring in ("first", "active", "back"):
            for n in range(6):
                with pytest.raises(psycopg.errors.UniqueViolation):
                    conn.execute(INSERT, row(ring, 99, f"U{n}"))
        rotated(app, "active")
        rotated(app, "retired")
        old = RINGS["first"].active("default", INDEX)
        RINGS["again"] = RINGS["retired"].activate(old.id)
        assert RINGS["again"].keys[-1].id == old.id
        for ring in ("retired", "again"):
            for n in range(6):
                with pytest.raises(psycopg.errors.UniqueViolation):
                    conn.execute(INSERT, row(ring, 99, f"U{n}"))
        assert rotated(app, "again") == 6


@jobs
def test_many_writers_while_the_job_works(app: str) -> None:
    """Five writers of four rings fight for the same values while jobs run back and forth: in the end each value is there once."""
    over = threading.Event()

    def write(number: int, ring: str) -> None:
        email, key = knows(ring).column(NAME), number * 1_000_000
        with psycopg.connect(app, autocommit=True) as conn:
            while not over.is_set():
                key += 1
                value = f"user{key % 50}"
                sealed = (key, email.encrypt(value, row=key), email.blind(value))
                conn.execute(INSERT + b" ON CONFLICT DO NOTHING", sealed)
                if key % 7 == 0:
                    conn.execute("DELETE FROM app.users WHERE id %% 50 = %s", ((key * 13) % 50,))

    writers = [
        threading.Thread(target=write, args=(n, ring)) for n, ring in enumerate(("first", "announced", "active", "active", "back"), 1)
    ]
    for writer in writers:
        writer.start()
    try:
        for ring in ("active", "back", "active", "back", "active"):
            time.sleep(0.1)
            rotated(app, ring)
    finally:
        over.set()
        for writer in writers:
            writer.join()
    reader = knows("active").column(NAME)
    with psycopg.connect(app) as conn:
        rows = conn.execute("SELECT id, email_encrypted FROM app.users").fetchall()
    values = [reader.decrypt(data, row=key) for key, data in rows]
    assert len(values) == len(set(values)) > 10


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__, __table_args__ = "users", {"schema": "app"}
    id: Mapped[int] = mapped_column(primary_key=True)
    email_encrypted: Mapped[bytes | None]
    email_folded: Mapped[bytes | None]
    email = Encrypted(Encryption((EMAIL,), Fixed(*RINGS["active"].keys)), NAME)


@pytest.mark.direct("plans of a session's prepared statements, with its settings")
def test_lookups_go_by_the_unique_index(app: str) -> None:
    """By `where` as by SQLAlchemy, while the key is rotated, in plans that know the values and in those that do not."""
    engine = create_engine(url(app), connect_args={"options": "-c plan_cache_mode=force_generic_plan"})
    plans: list[str] = []
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("INSERT INTO app.users (id) SELECT generate_series(100, 3000)")
        conn.execute(INSERT, row("first", 1))
        conn.execute("ANALYZE app.users")
        condition, parameters = knows("active").column(NAME).where("ADA@example.org")
        for mode in ("force_generic_plan", "force_custom_plan"):
            conn.execute(f"SET plan_cache_mode = {mode}".encode())
            found = conn.execute(f"EXPLAIN SELECT id FROM app.users WHERE {condition}".encode(), parameters, prepare=True).fetchall()
            plans.append("\n".join(line for (line,) in found))
    with Session(engine) as session:
        query = select(User.id).where(User.email == "ADA@example.org")
        assert session.scalars(query).all() == [1]
        compiled = query.compile(engine, compile_kwargs={"render_postcompile": True})
        found = session.connection().exec_driver_sql(f"EXPLAIN {compiled}", compiled.params).all()  # type: ignore[assignment]
        plans.append("\n".join(line for (line,) in found))
    engine.dispose()
    assert all("users_email_folded_key" in plan and "Seq Scan" not in plan for plan in plans), plans
