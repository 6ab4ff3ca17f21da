"""SQL of unknown origin cannot hurt the machine: every attack fails, and the scratch server works afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from pgcharter.errors import RefusedError, UnavailableError
from pgcharter.servers import binaries
from pgcharter.servers.guard import Limits
from pgcharter.servers.scratch import Scratch, ScratchDatabase, open_scratch

MAJORS = (15, 16, 17, 18)
OLDEST_AND_NEWEST = (15, 18)
LIMITS = Limits(seconds=0.8, disk=600 << 20, memory=1 << 30)

DENIED = "42501"
OUT_OF_MEMORY = "53200"
REFUSALS = {
    DENIED: "permission denied",
    "25001": "not inside a transaction",
    "3F000": "no such schema",
    "42704": "no such object",
    "42883": "no such function",
    "55P02": "cannot be changed now",
    "58P01": "no such file",
    "0A000": "not supported",
    "2200T": "not inside a function",
}
TOO_LARGE = ("54000", "22023", "22003", "53400")
STOPPED = ("57014", "57P01")
ODD = ("54001", "0A000", "2200N")
"""Stack too deep, XML not built in, XML that expands itself."""


@pytest.fixture(scope="module")
def prisons() -> Iterator[Callable[[int], Scratch]]:
    with ExitStack() as stack:
        running: dict[int, Scratch] = {}

        def get(major: int) -> Scratch:
            if major not in running:
                running[major] = stack.enter_context(open_scratch(major, limits=LIMITS))
            return running[major]

        yield get


@pytest.fixture(params=MAJORS, ids=lambda major: f"pg{major}")
def prison(request: pytest.FixtureRequest, prisons: Callable[[int], Scratch]) -> Iterator[ScratchDatabase]:
    """A database to attack; afterwards its server must still be the same one, and work."""
    try:
        binaries.choose(request.param)
    except UnavailableError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    scratch = prisons(request.param)
    server = scratch.server
    assert server is not None
    assert server.process is not None
    with scratch.database() as database:
        yield database
        who = database.conn.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        assert who == ("postgres", False)
        database.conn.execute("CREATE SCHEMA still; CREATE TABLE still.works (id bigint PRIMARY KEY); INSERT INTO still.works VALUES (1)")
        assert database.admin.execute("SELECT count(*) FROM still.works").fetchone() == (1,)
    assert server.process.poll() is None


def refused(database: ScratchDatabase, sql: str, *states: str) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as caught:
        database.conn.execute(sql.encode())
    assert caught.value.sqlstate in states, f"{caught.value.sqlstate} {caught.value}"
    return caught.value


PRIVILEGED = {
    "copy to program": "COPY (SELECT 1) TO PROGRAM 'touch {marker}'",
    "copy from program": "CREATE TABLE t (line text); COPY t FROM PROGRAM 'touch {marker}; echo 1'",
    "copy to file": "COPY (SELECT 1) TO '{marker}'",
    "copy from file": "CREATE TABLE t (line text); COPY t FROM '/etc/passwd'",
    "lo_import": "SELECT lo_import('/etc/passwd')",
    "lo_export": "SELECT lo_export(lo_from_bytea(0, 'x'), '{marker}')",
    "pg_read_file": "SELECT pg_read_file('/etc/passwd')",
    "pg_read_binary_file": "SELECT pg_read_binary_file('/etc/passwd')",
    "pg_ls_dir": "SELECT pg_ls_dir('/')",
    "pg_stat_file": "SELECT pg_stat_file('/etc/passwd')",
    "pg_ls_logdir": "SELECT * FROM pg_ls_logdir()",
    "hba file": "SELECT * FROM pg_hba_file_rules",
    "password verifiers": "SELECT rolpassword FROM pg_authid",
    "alter system": "ALTER SYSTEM SET archive_command = 'touch {marker}'",
    "reload": "SELECT pg_reload_conf()",
    "archive_command": "SET archive_command = 'touch {marker}'",
    "temp_file_limit": "SET temp_file_limit = -1",
    "session_preload_libraries": "SET session_preload_libraries = '/tmp/evil.so'",
    "preload for the database": "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = ''evil''', "
    "current_database()); END $$",
    "preload for the role": "ALTER ROLE postgres SET session_preload_libraries = 'evil'",
    "max_stack_depth": "SET max_stack_depth = '1GB'",
    "log_statement": "SET log_statement = 'all'",
    "load": "LOAD '/usr/lib/x86_64-linux-gnu/libc.so.6'",
    "c function": "CREATE FUNCTION run(text) RETURNS integer LANGUAGE c STRICT AS '/lib/x86_64-linux-gnu/libc.so.6', 'system'",
    "internal function": "CREATE FUNCTION run(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all'",
    "become superuser": "ALTER ROLE postgres SUPERUSER",
    "become creator of roles": "ALTER ROLE postgres CREATEROLE",
    "become replicator": "ALTER ROLE postgres REPLICATION",
    "bypass row security": "ALTER ROLE postgres BYPASSRLS",
    "create superuser": "CREATE ROLE evil SUPERUSER",
    "create role": "CREATE ROLE evil",
    "grant program": "GRANT pg_execute_server_program TO postgres",
    "grant file reading": "GRANT pg_read_server_files TO postgres",
    "set role program": "SET ROLE pg_execute_server_program",
    "event trigger": "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; "
    "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()",
    "write the catalog": "UPDATE pg_authid SET rolsuper = true",
    "system table writes": "SET allow_system_table_mods = on",
    "untrusted extension": "CREATE EXTENSION {untrusted}",
    "replication slot": "SELECT pg_create_logical_replication_slot('s', 'pgoutput')",
    "backup": "SELECT pg_backup_start('x')",
    "tablespace": "CREATE TABLESPACE evil LOCATION '{folder}'",
    "superuser's sessions": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'pgcharter%'",
    "subscription": "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p WITH (connect = false)",
    "give a function to the superuser": "CREATE FUNCTION f() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; "
    "DO $$ BEGIN EXECUTE format('ALTER FUNCTION f() OWNER TO %I', (SELECT rolname FROM pg_roles WHERE rolsuper LIMIT 1)); END $$",
    "create in pg_catalog": "CREATE FUNCTION pg_catalog.evil() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "replace a catalog function": "CREATE OR REPLACE FUNCTION pg_catalog.format_type(oid, integer) RETURNS text "
    "LANGUAGE sql AS 'SELECT null::text'",
    "base type with own output": "CREATE TYPE evil; CREATE TYPE evil (INPUT = textin, OUTPUT = textout)",
}


@pytest.mark.parametrize("hidden", ["plain", "in DO", "in function"])
def test_privileged(prison: ScratchDatabase, hidden: str, open_folder: Path) -> None:
    reachable = open_folder / "reachable"
    reachable.mkdir()
    reachable.chmod(0o777)
    marker = reachable / "marker"
    untrusted = {15: "file_fdw", 16: "plpython3u", 17: "plpython3u", 18: "file_fdw"}[prison.scratch.major]
    outcomes = {}
    for attack, sql in PRIVILEGED.items():
        for name, value in {"marker": marker, "folder": reachable, "untrusted": untrusted}.items():
            sql = sql.replace("{" + name + "}", str(value))
        state = outcome(prison, disguise(sql, hidden))
        if state not in REFUSALS:
            outcomes[attack] = state
        prison.conn.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        assert not marker.exists(), attack
    assert outcomes == {}
    assert prison.admin.execute("SELECT count(*) FROM pg_roles WHERE rolsuper").fetchone() == (1,)


def outcome(database: ScratchDatabase, sql: str) -> str:
    """The SQLSTATE it was refused with, or `done`."""
    try:
        database.conn.execute(sql.encode())
    except psycopg.Error as error:
        return error.sqlstate or str(error)
    return "done"


def disguise(sql: str, hidden: str) -> str:
    """The same statements run from within a DO block or a SECURITY DEFINER function."""
    statements = split(sql)
    if hidden == "plain":
        return sql
    body = "BEGIN " + " ".join(f"EXECUTE {literal(statement)};" for statement in statements) + " END"
    if hidden == "in DO":
        return f"DO $outer$ {body} $outer$"
    return f"CREATE FUNCTION attack() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $outer$ {body} $outer$; SELECT attack()"


def split(sql: str) -> list[str]:
    from pgcharter.sqltext import parse

    return [statement.text for statement in parse(sql, "attack").statements]


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize("target", ["ROLE", "SESSION AUTHORIZATION"])
def test_become_the_bootstrap_superuser(prison: ScratchDatabase, target: str) -> None:
    row = prison.admin.execute("SELECT rolname FROM pg_roles WHERE rolsuper").fetchone()
    assert row is not None
    refused(prison, f"SET {target} {row[0]}", DENIED)
    refused(prison, f"GRANT {row[0]} TO postgres", DENIED)


ENDLESS = {
    "loop": "DO $$ BEGIN LOOP END LOOP; END $$",
    "sleep": "SELECT pg_sleep(3600)",
    "loop that survives cancelling": "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(3600); "
    "EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$",
    "procedure that commits": "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN LOOP COMMIT; END LOOP; END $$; CALL p()",
    "cross join": "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b",
    "recursive query": "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n FROM r) SELECT count(*) FROM r",
    "index expression": "CREATE FUNCTION slow(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE "
    "AS $$ BEGIN PERFORM pg_sleep(3600); RETURN 1; END $$; "
    "CREATE TABLE t (a integer); INSERT INTO t VALUES (1); CREATE INDEX ON t (slow(a))",
    "check constraint": "CREATE FUNCTION slow(integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN LOOP END LOOP; END $$; "
    "CREATE TABLE t (a integer CHECK (slow(a))); INSERT INTO t VALUES (1)",
    "trigger": "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN LOOP END LOOP; END $$; CREATE TABLE t (a integer); "
    "CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow(); INSERT INTO t VALUES (1)",
    "default": "CREATE FUNCTION slow() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN LOOP END LOOP; END $$; "
    "CREATE TABLE t (a integer); INSERT INTO t VALUES (1); ALTER TABLE t ADD b integer DEFAULT slow()",
    "constant folding": "CREATE FUNCTION slow() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN LOOP END LOOP; END $$; "
    "EXPLAIN SELECT slow()",
    "materialized view": "CREATE MATERIALIZED VIEW v AS SELECT a FROM generate_series(1, 1000000) a, pg_sleep(3600)",
}


@pytest.mark.parametrize("attack", ENDLESS)
@pytest.mark.parametrize("prison", OLDEST_AND_NEWEST, indirect=True)
def test_endless(prison: ScratchDatabase, attack: str) -> None:
    prison.conn.execute("SET statement_timeout = 0")
    prison.conn.execute("SET lock_timeout = 0")
    *before, last = split(ENDLESS[attack])
    for statement in before:
        prison.conn.execute(statement.encode())
    refused(prison, last, *STOPPED)
    assert prison.why_stopped() == "it ran longer than 0.8 s"


@pytest.mark.parametrize("settings", ["", "SET statement_timeout = 0"])
def test_limit_of_a_message_of_many_statements(prison: ScratchDatabase, settings: str) -> None:
    if settings:
        prison.conn.execute(settings.encode())
    refused(prison, "SELECT pg_sleep(0.3);" * 10, *STOPPED)


GREEDY = {
    "string doubling": "DO $$ DECLARE s text := repeat('x', 1000000); BEGIN LOOP s := s || s; END LOOP; END $$",
    "many strings": "SELECT count(DISTINCT s.x) FROM (SELECT array_agg(repeat('x', 100000000)) AS x FROM generate_series(1, 1000)) s",
    "array of arrays": "DO $$ DECLARE a text[]; BEGIN FOR i IN 1..100000 LOOP a := a || repeat(i::text, 10000000); END LOOP; END $$",
    "work_mem": "SET work_mem = '2000GB'; "
    "SELECT count(*) FROM (SELECT DISTINCT repeat(g::text, 1000000) FROM generate_series(1, 1000000) g) s",
    "hash table": "SET work_mem = '100GB'; SET hash_mem_multiplier = 1000; "
    "SELECT count(*) FROM (SELECT repeat(g::text, 5000) AS x FROM generate_series(1, 100000000) g GROUP BY 1) s",
    "recursion": "CREATE FUNCTION r(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN r(n + 1); END $$; SELECT r(1)",
    "json nesting": "SELECT repeat('[', 10000000)::jsonb",
    "xml entity": "SELECT ('<!DOCTYPE x [<!ENTITY a \"' || repeat('x', 100000) || '\">]><x>' || repeat('&a;', 1000000) || '</x>')::xml",
    "temporary file": "SET work_mem = '64kB'; "
    "SELECT count(*) FROM (SELECT g, repeat(md5(g::text), 300) AS x FROM generate_series(1, 100000000) g ORDER BY x) s",
    "big table": "CREATE TABLE t AS SELECT g, repeat('x', 1900) AS x FROM generate_series(1, 100000000) g",
    "large object": "DO $$ DECLARE o oid := lo_create(0); BEGIN FOR i IN 1..100000 LOOP "
    "PERFORM lo_put(o, i::bigint * 1000000, decode(repeat(md5(i::text), 30000), 'hex')); END LOOP; END $$",
}


@pytest.mark.parametrize("attack", GREEDY)
@pytest.mark.parametrize("prison", OLDEST_AND_NEWEST, indirect=True)
def test_greedy(prison: ScratchDatabase, attack: str) -> None:
    prison.conn.execute("SET statement_timeout = 0")
    *before, last = split(GREEDY[attack])
    for statement in before:
        outcome(prison, statement)
    refused(prison, last, OUT_OF_MEMORY, *TOO_LARGE, *STOPPED, *ODD)


def test_disk_limit_ends_what_fills_it(prison: ScratchDatabase) -> None:
    slow = "CREATE TABLE t AS SELECT g, repeat('x', 1900) AS x FROM generate_series(1, 100000000) g"
    prison.scratch.guard.limits = Limits(seconds=60, disk=300 << 20)
    try:
        refused(prison, f"SET statement_timeout = 0; {slow}", *STOPPED)
        assert prison.why_stopped() == "the scratch server held more than 300 MB"
    finally:
        prison.scratch.guard.limits = LIMITS


def test_no_network(prison: ScratchDatabase) -> None:
    """Foreign servers and links can be declared, as files do, but nothing is connected."""
    try:
        prison.create_extension("postgres_fdw")
        prison.create_extension("dblink")
    except UnavailableError:
        assert prison.scratch.major == 16
        return
    prison.conn.execute("CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1')")
    prison.conn.execute("CREATE USER MAPPING FOR postgres SERVER elsewhere OPTIONS (user 'x', password 'y')")
    prison.conn.execute("CREATE FOREIGN TABLE far (a integer) SERVER elsewhere")
    refused(prison, "SELECT * FROM far", "55000")
    refused(prison, "IMPORT FOREIGN SCHEMA public FROM SERVER elsewhere INTO public", "0A000", "55000")
    refused(prison, "SELECT dblink_connect('host=127.0.0.1 user=x password=y')", DENIED)
    refused(prison, "SELECT * FROM dblink('host=127.0.0.1 user=x password=y', 'SELECT 1') AS t (a integer)", DENIED)
    refused(prison, "ALTER FOREIGN DATA WRAPPER postgres_fdw HANDLER postgres_fdw_handler", DENIED)
    refused(prison, "CREATE FOREIGN DATA WRAPPER mine HANDLER postgres_fdw_handler", DENIED)
    refused(prison, "GRANT EXECUTE ON FUNCTION dblink_connect(text) TO postgres", DENIED)


def test_no_files_by_file_fdw(prison: ScratchDatabase) -> None:
    try:
        prison.create_extension("file_fdw")
    except UnavailableError:
        assert prison.scratch.major == 16
        return
    prison.conn.execute("CREATE SERVER files FOREIGN DATA WRAPPER file_fdw")
    prison.conn.execute("CREATE FOREIGN TABLE passwd (line text) SERVER files OPTIONS (filename '/etc/passwd')")
    refused(prison, "SELECT * FROM passwd", "55000")


def test_server_listens_on_no_port(prison: ScratchDatabase) -> None:
    assert prison.admin.execute("SELECT current_setting('listen_addresses'), inet_server_port()").fetchone() == ("", None)


@pytest.mark.parametrize("name", ["plpython3u", "plperlu", "plperl", "adminpack", "pageinspect", "pg_surgery", "x; DROP TABLE y"])
def test_extensions_that_are_not_created(prison: ScratchDatabase, name: str) -> None:
    with pytest.raises((RefusedError, UnavailableError)):
        prison.create_extension(name)
    assert prison.admin.execute("SELECT extname FROM pg_extension").fetchall() == [("plpgsql",)]


TRAPS = """
CREATE TABLE caught (who text, super boolean);
GRANT ALL ON caught TO PUBLIC;
CREATE FUNCTION trap() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO public.caught SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user;
  RETURN 'x'; END $$;
CREATE FUNCTION format_type(oid, integer) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION format_type(oid, bigint) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION pg_get_expr(pg_node_tree, oid) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION pg_get_expr(pg_node_tree, integer) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION pg_get_constraintdef(oid) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION current_schemas() RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION lower(name) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE FUNCTION same(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT public.trap() = ''x''';
CREATE FUNCTION same(name, text) RETURNS boolean LANGUAGE sql AS 'SELECT public.trap() = ''x''';
CREATE FUNCTION same(oid, integer) RETURNS boolean LANGUAGE sql AS 'SELECT public.trap() = ''x''';
CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = name, FUNCTION = same);
CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = text, FUNCTION = same);
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = integer, FUNCTION = same);
CREATE OPERATOR public.|| (LEFTARG = name, RIGHTARG = name, FUNCTION = same);
CREATE TABLE pg_class (oid oid, relname name);
CREATE VIEW pg_attribute AS SELECT trap();
CREATE VIEW pg_namespace AS SELECT trap() AS nspname, 1::oid AS oid;
CREATE FUNCTION now_trap() RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.trap(); RETURN now(); END $$;
CREATE TYPE pair AS (a text);
CREATE FUNCTION pair_text(pair) RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE CAST (pair AS text) WITH FUNCTION pair_text(pair) AS IMPLICIT;
CREATE FUNCTION dflt() RETURNS text LANGUAGE sql AS 'SELECT public.trap()';
CREATE DOMAIN dom AS text DEFAULT dflt() CHECK (dflt() = VALUE);
CREATE TABLE victim (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  a text DEFAULT dflt() CHECK (dflt() <> a),
  d dom,
  p pair
);
CREATE INDEX ON victim ((now_trap())) WHERE now_trap() IS NOT NULL;
CREATE VIEW seen AS SELECT dflt() AS x, id FROM victim WHERE dflt() = 'x';
CREATE FUNCTION tg() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap(); RETURN NEW; END $$;
CREATE TRIGGER tg BEFORE INSERT OR UPDATE OR DELETE ON victim FOR EACH ROW WHEN (dflt_bool()) EXECUTE FUNCTION tg();
ALTER TABLE victim ENABLE ROW LEVEL SECURITY;
CREATE POLICY pol ON victim USING (dflt() = a) WITH CHECK (dflt() = a);
CREATE RULE r AS ON UPDATE TO victim DO ALSO SELECT trap();
CREATE STATISTICS st ON (now_trap()), id FROM victim;
CREATE TEMPORARY TABLE pg_constraint (oid oid);
COMMENT ON TABLE victim IS 'x';
""".replace("WHEN (dflt_bool()) ", "")

SETTINGS_OF_THE_OWNER = """
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog, pg_temp', current_database());
  EXECUTE format('ALTER DATABASE %I SET row_security = on', current_database());
  EXECUTE format('ALTER DATABASE %I SET role = postgres', current_database());
  EXECUTE format('ALTER DATABASE %I SET standard_conforming_strings = off', current_database());
  EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
  EXECUTE format('ALTER DATABASE %I SET statement_timeout = 1', current_database());
END $$
"""


def test_reading_the_catalog_as_superuser_runs_nothing_of_the_owners(prison: ScratchDatabase) -> None:
    for statement in split(TRAPS):
        prison.conn.execute(statement.encode())
    prison.conn.execute(SETTINGS_OF_THE_OWNER.encode())
    prison.admin.close()  # the next session is opened after the settings above
    session = prison.admin.execute(
        "SELECT current_setting('search_path'), current_user = session_user, current_setting('standard_conforming_strings')"
    ).fetchone()
    assert session == ("pg_catalog,pg_temp", True, "on")
    from pgcharter.sources.live import read_catalog

    catalog = read_catalog(prison.admin)
    assert {"victim", "pg_class"} <= {str(table.id.name) for table in catalog.tables}
    prison.create_role("app")
    prison.create_extension("vector" if prison.scratch.major in (16, 18) else "pgstattuple")
    prison.admin.execute("DROP EXTENSION IF EXISTS vector, pgstattuple CASCADE")
    assert prison.admin.execute("SELECT count(*) FROM public.caught WHERE super").fetchone() == (0,)


def test_trap_itself_works(prison: ScratchDatabase) -> None:
    """The traps above would record a superuser: the test that they stay empty can fail."""
    for statement in split(TRAPS):
        prison.conn.execute(statement.encode())
    prison.admin.execute("SELECT public.format_type(1::oid, 1)")
    assert prison.admin.execute("SELECT count(*) FROM public.caught WHERE super").fetchone() == (1,)


def test_extension_scripts_pick_up_nothing_of_the_owners(prison: ScratchDatabase) -> None:
    name = "vector" if prison.scratch.major in (16, 18) else "bloom"
    for statement in split(TRAPS):
        prison.conn.execute(statement.encode())
    prison.create_extension(name, "public")
    where = prison.admin.execute(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = %s", [name]
    ).fetchone()
    assert where == ("public",)
    assert prison.admin.execute("SELECT count(*) FROM public.caught WHERE super").fetchone() == (0,)
    assert prison.admin.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'pgcharter_extension'").fetchone() == (0,)


def test_own_password_cannot_lock_us_out(prison: ScratchDatabase) -> None:
    prison.conn.execute("ALTER ROLE postgres PASSWORD 'mine'")
    prison.conn.execute("ALTER ROLE postgres SET search_path = nowhere")
    prison.conn.close()
    assert prison.conn.execute("SHOW search_path").fetchone() == ('"$user", public',)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE t",
        "ALTER TABLE t OWNER TO app; SELECT pg_read_file('/etc/passwd')",
        "ALTER TABLE t OWNER TO app, ALTER a TYPE text USING pg_read_file('/etc/passwd')",
        "ALTER TABLE t OWNER TO CURRENT_USER",
        "ALTER TABLE t OWNER TO pg_monitor",
        "ALTER FUNCTION f() OWNER TO {superuser}",
        "ALTER EVENT TRIGGER e OWNER TO app",
    ],
)
def test_change_of_owner_runs_nothing_else(prison: ScratchDatabase, statement: str) -> None:
    row = prison.admin.execute("SELECT rolname FROM pg_roles WHERE rolsuper").fetchone()
    assert row is not None
    prison.conn.execute("CREATE TABLE t (a integer); CREATE FUNCTION f() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'")
    prison.create_role("app")
    with pytest.raises(RefusedError):
        prison.change_owner(statement.replace("{superuser}", str(row[0])))
    assert prison.admin.execute("SELECT tableowner FROM pg_tables WHERE tablename = 't'").fetchone() == ("postgres",)


@pytest.mark.parametrize("name", ["pg_execute_server_program", "public", ""])
def test_reserved_roles_are_not_made(prison: ScratchDatabase, name: str) -> None:
    with pytest.raises(RefusedError):
        prison.create_role(name)
