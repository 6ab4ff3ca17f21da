"""`[pgcrypto]` where the extension is: values bound to their rows and keys, nothing of them in errors or logs; gone without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.policy.planned import applied, catalog

from pgcharter.catalog.compare import compare
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import pgcrypto
from pgcharter.policy.pgcrypto_settings import PgcryptoSection
from pgcharter.runtime.keys import KeyRing
from pgcharter.runtime.pgcrypto import unlock
from pgcharter.servers.lifecycle import Server

MAJORS = pytest.mark.parametrize("major", [15, 17], ids=lambda major: f"pg{major}")
"""Those whose programs here have the extension."""
WISH = PgcryptoSection(users=("pgcc_app",))
SECRET = "+41 79 555 11 22"


@pytest.fixture
def app(database: str) -> Iterator[str]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute('CREATE SCHEMA "Crypto s"; CREATE EXTENSION pgcrypto SCHEMA "Crypto s"; CREATE SCHEMA app')
        conn.execute("CREATE TABLE app.users (id int PRIMARY KEY, phone bytea, phone_index bytea)")
        conn.execute("CREATE ROLE pgcc_app; GRANT USAGE ON SCHEMA app TO pgcc_app; GRANT ALL ON app.users TO pgcc_app; CREATE ROLE pgcc_no")
    yield database
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("DROP OWNED BY pgcc_app, pgcc_no; DROP ROLE pgcc_app, pgcc_no")


def planned(dsn: str, section: PgcryptoSection | None = WISH) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen((pgcrypto.policy(section),) if section else ())))


def apply(dsn: str, section: PgcryptoSection | None = WISH) -> Planned:
    return applied(dsn, planned(dsn, section))


@MAJORS
def test_on_twice_and_off(app: str, major: int) -> None:
    before = catalog(app)
    assert planned(app).proof
    apply(app)
    assert planned(app).plan.empty
    apply(app, None)
    assert [d for d in compare(before, catalog(app)) if "pgcharter" not in (d.object.schema, d.object.name)] == []


@pytest.mark.parametrize("major", [18], ids=["pg18"])
def test_without_the_extension_it_asks(database: str, major: int) -> None:
    (question,) = planned(database).plan.questions
    assert "needs the extension pgcrypto, which is not there" in question


@MAJORS
def test_a_value_is_of_its_row_its_key_and_its_users(app: str, major: int) -> None:
    apply(app)
    ring = KeyRing().create("default")
    with psycopg.connect(app) as conn:
        conn.execute("SET ROLE pgcc_app")
        unlock(conn, ring)
        conn.execute(
            "INSERT INTO app.users VALUES (1, pgcharter.pgcrypto_encrypt(%(v)s, 'phone 1'), pgcharter.pgcrypto_index(%(v)s, 'phone'))",
            {"v": SECRET},
        )
        found = "SELECT id FROM app.users WHERE phone_index = pgcharter.pgcrypto_index(%s, 'phone')"
        assert conn.execute(found, (SECRET,)).fetchall() == [(1,)]
        assert conn.execute(found, ("other",)).fetchall() == []
        assert read(conn, "phone 1") == SECRET
        stored = conn.execute("SELECT phone FROM app.users").fetchone()
        assert stored
        assert SECRET.encode() not in stored[0]
        old = conn.execute("SELECT pgcharter.pgcrypto_key_of(phone) FROM app.users").fetchone()
        refused(conn, "SELECT pgcharter.pgcrypto_decrypt(phone, 'phone 2') FROM app.users", "encrypted for another row or column")
        damaged = "SELECT pgcharter.pgcrypto_decrypt(set_byte(phone, octet_length(phone) - 3, 7), 'phone 1') FROM app.users"
        refused(conn, damaged, "is damaged, or that is another key")
        refused(conn, "SELECT pgcharter.pgcrypto_decrypt('\\x00112233445566', 'x')", "was not encrypted by")
        refused(conn, "SELECT pgcharter.pgcrypto_encrypt('x', NULL)", "must be bound to its row")
        conn.commit()
        refused(conn, "SELECT pgcharter.pgcrypto_decrypt(phone, 'phone 1') FROM app.users", "was given no keys")
        conn.rollback()
        later, _ = ring.rotate("default", "data")
        unlock(conn, later)
        assert read(conn, "phone 1") == SECRET
        conn.execute("UPDATE app.users SET phone = pgcharter.pgcrypto_encrypt(pgcharter.pgcrypto_decrypt(phone, 'phone 1'), 'phone 1')")
        new = conn.execute("SELECT pgcharter.pgcrypto_key_of(phone) FROM app.users").fetchone()
        assert new != old
        conn.rollback()
        unlock(conn, KeyRing().create("default"))
        refused(conn, "SELECT pgcharter.pgcrypto_decrypt(phone, 'phone 1') FROM app.users", "which this transaction was not given")
        conn.execute("RESET ROLE; SET ROLE pgcc_no")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT pgcharter.pgcrypto_key_of('')")


def read(conn: psycopg.Connection[Any], bound_to: str) -> Any:
    row = conn.execute("SELECT pgcharter.pgcrypto_decrypt(phone, %s) FROM app.users", (bound_to,)).fetchone()
    return row and row[0]


def refused(conn: psycopg.Connection[Any], sql: str, sentence: str) -> None:
    with pytest.raises(psycopg.Error, match=sentence) as caught, conn.transaction():
        conn.execute(sql.encode())
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("major", [15], ids=["pg15"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300))
def test_every_text_comes_back(ready: psycopg.Connection[Any], major: int, value: str) -> None:
    row = ready.execute("SELECT pgcharter.pgcrypto_decrypt(pgcharter.pgcrypto_encrypt(%s, 'b'), 'b')", (value,)).fetchone()
    assert row == (value,)


@pytest.fixture
def ready(app: str) -> Iterator[psycopg.Connection[Any]]:
    apply(app)
    with psycopg.connect(app) as conn:
        unlock(conn, KeyRing().create("default"))
        yield conn


@pytest.mark.parametrize("major", [15], ids=["pg15"])
def test_nothing_of_it_is_in_the_servers_log(app: str, major: int, major_server: Server) -> None:
    apply(app)
    ring = KeyRing().create("default")
    start = major_server.log.stat().st_size
    with psycopg.connect(app) as conn:
        conn.execute("SET log_statement = 'all'; SET log_min_error_statement = 'debug5'; SET log_parameter_max_length = 0")
        unlock(conn, ring)
        conn.execute("SELECT pgcharter.pgcrypto_encrypt(%s, 'b')", (SECRET,))
        with pytest.raises(psycopg.Error):
            conn.execute("SELECT pgcharter.pgcrypto_decrypt(%s, 'b')", (b"\xfepg\x02" + bytes(8),))
    with major_server.log.open("rb") as log:
        log.seek(start)
        text = log.read()
    assert b"set_config" in text
    assert SECRET.encode() not in text
    assert ring.document().split('"material": "')[1].split('"')[0].encode() not in text
