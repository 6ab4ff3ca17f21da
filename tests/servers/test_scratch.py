"""The throwaway server does what sources need: databases, stand-in roles, extensions, change of owner; here or on a user's server."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from pgcharter.errors import ConnectError, RefusedError, UnavailableError
from pgcharter.servers.guard import Limits, Session
from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import Scratch, ScratchDatabase, kept, open_scratch

MAJORS = (15, 16, 17, 18)


@pytest.mark.parametrize("major", MAJORS)
def test_owner_builds_and_admin_reads(scratch: Scratch, major: int) -> None:
    assert (scratch.version // 10000, scratch.major) == (major, major)
    with scratch.database() as database:
        database.conn.execute("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY); ALTER TABLE t OWNER TO postgres")
        assert database.admin.execute("SELECT count(*) FROM pg_class WHERE relname = 't'").fetchone() == (1,)
        who = database.conn.execute("SELECT current_user, usesuper FROM pg_user WHERE usename = current_user").fetchone()
        assert who == ("postgres", False)
        with psycopg.connect(database.dsn) as other:
            assert other.execute("SELECT current_database()").fetchone() == (database.name,)


def test_databases_are_apart_and_dropped(scratch: Scratch) -> None:
    with scratch.database() as one, scratch.database() as two:
        one.conn.execute("CREATE TABLE t (a integer)")
        assert two.conn.execute("SELECT to_regclass('t')").fetchone() == (None,)
    with scratch.database() as third:
        names = third.admin.execute("SELECT datname FROM pg_database WHERE datname = ANY(%s)", [[one.name, two.name]]).fetchall()
        assert names == []


def test_copy_of_another_database(scratch: Scratch) -> None:
    with scratch.database() as one:
        one.conn.execute("CREATE TABLE t AS SELECT 7 AS a")
        one.close()
        with scratch.database(template=one.name) as copy:
            assert copy.conn.execute("SELECT a FROM t").fetchone() == (7,)


@pytest.mark.parametrize("major", MAJORS)
def test_stand_in_roles(scratch: Scratch, major: int) -> None:
    """What dumps do with roles that this server does not have."""
    with scratch.database() as database:
        for name in ("app", "Read only", "app"):
            database.create_role(name)
        for sql in (
            "CREATE SCHEMA s AUTHORIZATION app; CREATE TABLE s.t (a integer); ALTER TABLE s.t OWNER TO app",
            'GRANT SELECT ON s.t TO "Read only"',
            'GRANT app TO "Read only"; ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA s GRANT SELECT ON TABLES TO "Read only"',
            "SET ROLE app; CREATE TABLE s.u (a integer); RESET ROLE; ALTER TABLE s.t ADD b integer",
            "CREATE POLICY p ON s.t TO app USING (true)",
        ):
            database.conn.execute(sql.encode())
        owners = database.admin.execute("SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 's' ORDER BY 1").fetchall()
        assert owners == [("t", "app"), ("u", "app")]
        harmless = (
            "SELECT bool_or(rolsuper OR rolcreaterole OR rolcreatedb OR rolcanlogin OR rolreplication OR rolbypassrls) FROM pg_roles "
        )
        assert database.admin.execute((harmless + "WHERE rolname IN ('app', 'Read only')").encode()).fetchone() == (False,)
    with scratch.database() as later:
        assert later.admin.execute("SELECT count(*) FROM pg_roles WHERE rolname IN ('app', 'Read only')").fetchone() == (0,)


def test_stand_in_that_another_database_needs_stays_until_that_goes(scratch: Scratch) -> None:
    with scratch.database() as one:
        one.create_role("shared")
        one.conn.execute("CREATE TABLE t (a integer)")
        with scratch.database() as two:
            two.create_role("shared")
            two.conn.execute("CREATE TABLE t (a integer); GRANT SELECT ON t TO shared")
        one.conn.execute("GRANT SELECT ON t TO shared")
    with scratch.database() as later:
        assert later.admin.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'shared'").fetchone() == (0,)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE s.t OWNER TO app",
        "alter table t owner to app;",
        "ALTER SCHEMA s OWNER TO app",
        "ALTER FUNCTION s.f(integer) OWNER TO app",
        "ALTER TYPE s.colour OWNER TO app",
        "-- why\nALTER SEQUENCE s.q OWNER TO app",
        "ALTER VIEW s.v OWNER TO app",
        "ALTER DOMAIN s.d OWNER TO app",
    ],
)
def test_change_of_owner_that_the_owner_was_refused(scratch: Scratch, statement: str) -> None:
    with scratch.database() as database:
        database.conn.execute(
            "CREATE SCHEMA s; CREATE TABLE s.t (a integer); CREATE FUNCTION s.f(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'; "
            "CREATE TYPE s.colour AS ENUM ('red'); CREATE SEQUENCE s.q; CREATE VIEW s.v AS SELECT 1; CREATE DOMAIN s.d AS text; "
            "SET search_path = s"
        )
        database.create_role("app")
        if "SCHEMA" not in statement:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                database.conn.execute(statement.encode())
        database.change_owner(statement)
        owned = "SELECT count(*) FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid WHERE r.rolname = 'app' AND d.deptype = 'o'"
        assert database.admin.execute(owned.encode()).fetchone() == (1,)
        assert database.admin.execute("SHOW search_path").fetchone() == ("pg_catalog,pg_temp",)


@pytest.mark.parametrize("major", MAJORS)
def test_extensions(scratch: Scratch, major: int) -> None:
    """Of each kind what this installation has: trusted, harmless, disarmed."""
    with scratch.database() as database:
        database.conn.execute('CREATE SCHEMA "Ext"')
        available = {row[0] for row in database.admin.execute("SELECT name FROM pg_available_extensions").fetchall()}
        wanted = {"citext", "pg_trgm", "earthdistance", "pg_stat_statements", "vector", "postgres_fdw"} & available
        assert wanted
        for name in sorted(wanted):
            database.create_extension(name, "Ext" if name == "pg_trgm" else None)
            database.create_extension(name)
        places = dict(
            database.admin.execute(
                "SELECT e.extname, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname <> 'plpgsql'"
            ).fetchall()
        )
        assert wanted <= set(places)
        assert {name: place for name, place in places.items() if place != "public"} == ({"pg_trgm": "Ext"} if "pg_trgm" in wanted else {})
        name = sorted(wanted)[0]
        database.comment_on_extension(name, "it's")
        assert database.admin.execute(
            "SELECT obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname = %s", [name]
        ).fetchone() == ("it's",)


def test_extension_that_is_not_here_says_so(scratch: Scratch) -> None:
    with scratch.database() as database, pytest.raises(UnavailableError, match=r"extension no_such is not part of the PostgreSQL \d+"):
        database.create_extension("no_such")


def test_guard_says_why_and_the_next_statement_works(server: Callable[..., Server]) -> None:
    with open_scratch(limits=Limits(seconds=0.4)) as scratch, scratch.database() as database:
        with pytest.raises(psycopg.errors.QueryCanceled):
            database.conn.execute("SET statement_timeout = 0; SELECT pg_sleep(60)")
        assert database.why_stopped() == "it ran longer than 0.4 s"
        assert database.why_stopped() == ""
        assert database.conn.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.slow
def test_process_that_answers_to_nothing_is_killed(server: Callable[..., Server]) -> None:
    """A stopped process stands in for one that loops in C code without looking at its signals."""
    with open_scratch(limits=Limits(seconds=0.3)) as scratch, scratch.database() as database:
        pid = database.conn.info.backend_pid
        stop = threading.Timer(0.2, os.kill, (pid, signal.SIGSTOP))
        stop.start()
        with pytest.raises(psycopg.OperationalError):
            database.conn.execute("SELECT pg_sleep(60)")
        stop.join()
        assert database.why_stopped() == "it ran longer than 0.3 s"
        assert database.conn.execute("SELECT pg_backend_pid() <> %s", [pid]).fetchone() == (True,)
        assert database.admin.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.errors.QueryCanceled):
            database.conn.execute("SELECT pg_sleep(60)")


def test_session_that_was_ended_while_idle_is_replaced(scratch: Scratch) -> None:
    with scratch.database() as database:
        pid = database.conn.info.backend_pid
        database.admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert database.conn.execute("SELECT pg_backend_pid() <> %s", [pid]).fetchone() == (True,)


def test_guard_leaves_the_next_statement_alone(scratch: Scratch) -> None:
    """What it saw running may have ended when it acts."""
    with scratch.database() as database:
        began = database.conn.execute("SELECT statement_timestamp()").fetchone()
        assert began is not None
        session = Session(database.conn.info.backend_pid, database.name, began[0], 1e6)
        scratch.guard._judge(session, database.admin)
        assert database.why_stopped() == ""
        assert database.conn.execute("SELECT pg_backend_pid()").fetchone() == (session.pid,)


def test_secrets_stay_out_of_representations(scratch: Scratch) -> None:
    with scratch.database() as database:
        password = re.search(r"postgres:([^@]+)@", database.dsn)
        assert password
        assert password[1] not in repr(scratch)
        assert password[1] not in repr(database)


@pytest.fixture
def elsewhere(server: Callable[..., Server]) -> Iterator[Server]:
    """A server of the user's, with a role that may make databases and one that may not."""
    running = server()
    with psycopg.connect(running.dsn(), autocommit=True) as conn:
        conn.execute("CREATE ROLE maker LOGIN CREATEDB PASSWORD 'm'; CREATE ROLE nobody_much LOGIN PASSWORD 'n'")
        conn.execute("CREATE ROLE reader LOGIN CREATEDB PASSWORD 'r' IN ROLE pg_read_server_files")
    yield running
    with psycopg.connect(running.dsn(), autocommit=True) as conn:
        assert conn.execute("SELECT datname FROM pg_database WHERE datname ~ 'scratch'").fetchall() == []
        assert conn.execute("SELECT rolname FROM pg_roles WHERE rolname ~ 'scratch|stand_in'").fetchall() == []


def attack(database: ScratchDatabase) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.conn.execute("COPY (SELECT 1) TO PROGRAM 'true'")
    assert database.conn.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)


def test_scratch_url_of_an_ordinary_role(elsewhere: Server) -> None:
    with open_scratch(url=elsewhere.dsn(user="maker", password="m")) as scratch:
        assert (scratch.major, scratch.owner) == (elsewhere.major, "maker")
        with scratch.database() as database:
            attack(database)
            assert database.conn.execute("CREATE TABLE t AS SELECT 1").rowcount == 1
            assert database.admin.execute("SELECT current_user, current_database()").fetchone() == ("maker", database.name)


def test_scratch_url_of_a_superuser_runs_nothing_as_superuser(elsewhere: Server) -> None:
    with open_scratch(url=elsewhere.dsn(), limits=Limits(seconds=0.5)) as scratch, scratch.database() as database:
        attack(database)
        database.create_role("stand_in")
        database.conn.execute("CREATE TABLE t (a integer); GRANT SELECT ON t TO stand_in; SET statement_timeout = 0")
        with pytest.raises(psycopg.errors.QueryCanceled):
            database.conn.execute("SELECT pg_sleep(60)")


def test_scratch_url_as_keywords(elsewhere: Server) -> None:
    words = f"host={elsewhere.socket_dir} port={elsewhere.port} dbname=postgres user=maker password=m"
    with open_scratch(url=words) as scratch, scratch.database() as database:
        assert database.conn.execute("SELECT current_database()").fetchone() == (database.name,)


@pytest.mark.parametrize(("role", "words"), [("nobody_much", "may not create databases"), ("reader", "pg_read_server_files")])
def test_scratch_url_of_an_unfit_role(elsewhere: Server, role: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as caught, open_scratch(url=elsewhere.dsn(user=role, password=role[0])):
        pass
    assert caught.value.place == "scratch URL"


def test_scratch_url_that_leads_nowhere() -> None:
    with pytest.raises(ConnectError), open_scratch(url="postgresql://x:secret@127.0.0.1:1/x"):
        pass


def test_a_kept_server_is_given_out_again_and_ends_with_the_keeping() -> None:
    with kept():
        with open_scratch() as first, first.database() as database:
            database.conn.execute("CREATE TABLE t (id int)")
        with open_scratch() as second, second.database() as database:
            assert database.conn.execute("SELECT to_regclass('t')").fetchone() == (None,)
        assert second is first
        assert first.server is not None
        folder = first.server.data
        assert folder.exists()
    assert not folder.exists()
    with open_scratch() as other:
        assert other is not first
