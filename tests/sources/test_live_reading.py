"""How a live server is read: few rights, hostile databases, changes meanwhile, callers' transactions."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from tests.conftest import ServerFactory, every_major

from pgcharter.catalog.model import Catalog
from pgcharter.db import Connection, connect
from pgcharter.errors import PgcharterError
from pgcharter.names import ObjectId
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live
from pgcharter.sources.live_shared import Shared

QUERIES = 30
"""Most queries that reading a catalog may take, whatever its size."""


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement)


def read(dsn: str) -> Catalog:
    with connect(dsn) as conn:
        return live.read_catalog(conn)


@every_major
def test_an_empty_database(database: str, major: int) -> None:
    catalog = read(database)
    assert catalog.major == major
    assert [s.name for s in catalog.schemas] == ["public"]
    assert [e.name for e in catalog.extensions] == ["plpgsql"]
    assert [o.name for o in catalog.others] == ["plpgsql"]
    assert (catalog.tables, catalog.functions, catalog.types, catalog.views, catalog.sequences) == ((), (), (), (), ())
    assert catalog.own_functions == ()
    assert catalog.gaps == ()


@every_major
def test_the_number_of_queries_does_not_grow(database: str, major: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = Shared._ask

    def counting(self: Shared, file: str, name: str) -> list[tuple[object, ...]]:
        asked.append(name)
        return ask(self, file, name)

    monkeypatch.setattr(Shared, "_ask", counting)
    read(database)
    few = len(asked)
    run(database, *(f"CREATE TABLE t{n} (id integer PRIMARY KEY, v text CHECK (v <> ''))" for n in range(50)))
    read(database)
    assert len(asked) == 2 * few
    assert few <= QUERIES
    assert len(set(asked)) == few, "each is asked once"


@every_major
def test_pg_attver_is_never_an_option(database: str, major: int) -> None:
    run(database, "CREATE TABLE t (a integer, b text)", "ALTER TABLE t ALTER a TYPE bigint", "ALTER TABLE t ALTER b SET (n_distinct = 5)")
    options = {c.name: c.options for c in read(database).tables[0].columns}
    assert options == {"a": (), "b": ("n_distinct=5",)}


def test_a_dropped_column_leaves_a_hole(database: str) -> None:
    run(database, "CREATE TABLE t (a integer, b integer, c integer CHECK (c > 0), UNIQUE (c))", "ALTER TABLE t DROP b")
    (table,) = read(database).tables
    assert [(c.name, c.position) for c in table.columns] == [("a", 1), ("c", 3)]
    assert {c.columns for c in table.constraints} == {("c",)}
    assert table.indexes[0].columns == ("c",)


def test_an_invalid_index_is_told(database: str) -> None:
    run(database, "CREATE TABLE t (a integer)", "INSERT INTO t VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(database, "CREATE UNIQUE INDEX CONCURRENTLY broken ON t (a)")
    (index,) = read(database).tables[0].indexes
    assert (index.name, index.valid) == ("broken", False)


def test_temporary_tables_are_not_read(conn: Connection) -> None:
    conn.execute("CREATE TEMPORARY TABLE passing (a integer CHECK (a > 0))")
    conn.execute("CREATE TABLE lasting (a integer)")
    assert [t.name for t in live.read_catalog(conn).tables] == ["lasting"]


def test_a_callers_transaction_is_joined_and_left_as_it_was(conn: Connection) -> None:
    conn.execute("SET LOCAL search_path = pg_temp")
    conn.execute("CREATE TABLE public.uncommitted (a integer)")
    assert [t.name for t in live.read_catalog(conn).tables] == ["uncommitted"]
    assert conn.execute("SHOW search_path").fetchone() == ("pg_temp",)
    assert conn.execute("SHOW transaction_read_only").fetchone() == ("off",)


def test_a_failed_transaction_is_refused(conn: Connection) -> None:
    with pytest.raises(psycopg.Error):
        conn.execute("SELECT 1/0")
    with pytest.raises(PgcharterError, match="transaction has failed"):
        live.read_catalog(conn)


def test_settings_and_row_factory_of_the_connection_do_not_matter(database: str) -> None:
    run(
        database,
        "CREATE TABLE t (at timestamptz DEFAULT '2026-01-02 03:04:05+00', i interval DEFAULT '1 day 2 hours', b bytea DEFAULT '\\xff')",
        "CREATE TABLE p (at timestamptz) PARTITION BY RANGE (at)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00')",
    )
    plain = read(database)
    settings = "-c DateStyle=German -c TimeZone=Asia/Tokyo -c IntervalStyle=iso_8601 -c bytea_output=escape -c quote_all_identifiers=on"
    with psycopg.connect(database, options=settings, row_factory=dict_row, client_encoding="LATIN1", autocommit=True) as conn:
        odd = live.read_catalog(conn)
        shown = conn.execute("SHOW TimeZone").fetchone()
    assert odd == plain
    assert shown == {"TimeZone": "Asia/Tokyo"}
    assert plain.tables[1].partition_bound == "FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00')"


HOSTILE = """
CREATE TABLE public.alarm (what text);
CREATE FUNCTION public.alarm(what text) RETURNS boolean LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'hijacked by %', what; END $$;
CREATE FUNCTION public.eq(a oid, b integer) RETURNS boolean LANGUAGE sql AS $$ SELECT public.alarm('oid = integer') $$;
CREATE FUNCTION public.eq(a oid, b oid) RETURNS boolean LANGUAGE sql AS $$ SELECT public.alarm('oid = oid') $$;
CREATE FUNCTION public.eq(a "char", b text) RETURNS boolean LANGUAGE sql AS $$ SELECT public.alarm('char = text') $$;
CREATE FUNCTION public.ne(a name, b text) RETURNS boolean LANGUAGE sql AS $$ SELECT public.alarm('name !~ text') $$;
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = integer, FUNCTION = public.eq);
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = public.eq);
CREATE OPERATOR public.= (LEFTARG = "char", RIGHTARG = text, FUNCTION = public.eq);
CREATE OPERATOR public.!~ (LEFTARG = name, RIGHTARG = text, FUNCTION = public.ne);
CREATE FUNCTION public.format_type(oid, integer) RETURNS text LANGUAGE sql AS $$ SELECT public.alarm('format_type')::text $$;
CREATE FUNCTION public.pg_get_expr(pg_node_tree, oid) RETURNS text LANGUAGE sql AS $$ SELECT public.alarm('pg_get_expr')::text $$;
CREATE FUNCTION public.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT public.alarm('set_config')::text $$;
CREATE FUNCTION public.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS $$ SELECT public.alarm('unnest')::text $$;
CREATE FUNCTION public."coalesce"(text, text) RETURNS text LANGUAGE sql AS $$ SELECT public.alarm('coalesce')::text $$;
CREATE VIEW public.pg_class AS SELECT public.alarm('pg_class') AS oid;
CREATE VIEW public.pg_namespace AS SELECT public.alarm('pg_namespace') AS nspname;
CREATE TABLE public.watched (id oid CHECK (public.alarm('check') IS NOT NULL), v text DEFAULT public.alarm('default')::text);
CREATE VIEW public.trap AS SELECT public.alarm('view') AS v;
CREATE DOMAIN public.bad AS text CHECK (public.alarm('domain'));
"""


@every_major
def test_nothing_of_a_hostile_database_runs(database: str, major: int) -> None:
    """Functions, operators and relations named like PostgreSQL's own, first in the search path and in pg_temp."""
    run(database, HOSTILE)
    with psycopg.connect(database, options="-c search_path=pg_temp,public,pg_catalog", autocommit=True) as conn:
        with pytest.raises(psycopg.errors.RaiseException, match="hijacked by"):
            conn.execute("SELECT FROM pg_catalog.pg_class WHERE oid = 1259::oid")
        with pytest.raises(psycopg.errors.RaiseException, match="hijacked by pg_class"):
            conn.execute("SELECT oid FROM pg_class")
        conn.execute("CREATE TEMPORARY TABLE pg_attribute (attrelid oid, attname text)")
        conn.execute("CREATE TEMPORARY TABLE pg_roles (oid oid, rolname text)")
        conn.execute("CREATE TEMPORARY TABLE pg_constraint (oid oid)")
        catalog = live.read_catalog(conn)
        cluster = live.read_cluster(conn)
        stats = live.read_stats(conn, catalog)
    assert {t.name for t in catalog.tables} == {"alarm", "watched"}
    assert {v.name for v in catalog.views} == {"pg_class", "pg_namespace", "trap"}
    assert catalog.database.owner
    assert cluster.roles
    assert ObjectId("table", "public", "watched") in stats.relations


@pytest.fixture
def stranger(database: str, major_server: Server) -> Iterator[str]:
    """A DSN of a role that owns nothing and may only connect."""
    run(database, "CREATE ROLE stranger LOGIN PASSWORD 'strange'")
    yield make_conninfo(database, user="stranger", password="strange")
    run(database, "REASSIGN OWNED BY stranger TO CURRENT_USER", "DROP OWNED BY stranger", "DROP ROLE stranger")


@every_major
def test_a_role_with_few_rights_gets_a_catalog_and_stated_gaps(database: str, stranger: str, major: int) -> None:
    run(
        database,
        "CREATE SCHEMA closed",
        "CREATE SEQUENCE closed.s",
        "CREATE TABLE closed.t (id integer PRIMARY KEY DEFAULT nextval('closed.s'), v text CHECK (v <> ''))",
        "CREATE VIEW closed.v AS SELECT id FROM closed.t",
        "CREATE STATISTICS closed.x ON id, v FROM closed.t",
        "CREATE FUNCTION closed.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE FOREIGN DATA WRAPPER w",
        "CREATE SERVER far FOREIGN DATA WRAPPER w OPTIONS (password 'hush-hush')",
        "CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (password 'hush-hush')",
        "CREATE SUBSCRIPTION sub CONNECTION 'password=hush-hush' PUBLICATION p WITH (connect = false, slot_name = NONE)",
    )
    try:
        full, reading = read(database), live.read(stranger)
    finally:
        run(database, "DROP SUBSCRIPTION sub")
    assert reading.catalog == full, "catalogs are open to everybody"
    assert "hush-hush" not in repr(reading)
    assert reading.cluster is not None
    told = {gap.what: gap.why for gap in reading.gaps}
    assert told["how passwords are stored"] == "the role may not read pg_authid"
    assert told["pg_hba.conf"] == "the role may not read pg_hba_file_rules"
    assert "some server settings" in told
    assert {r.password for r in reading.cluster.roles} == {"unknown"}
    assert reading.cluster.hba == ()
    assert reading.stats is not None
    assert reading.stats.relations[ObjectId("sequence", "closed", "s")].last_value is None


@every_major
def test_what_is_dropped_meanwhile(database: str, major: int) -> None:
    """Definitions come from the newest state: the snapshot names objects that PostgreSQL can no longer describe."""
    run(
        database,
        "CREATE TABLE going (id integer PRIMARY KEY DEFAULT 3, v text CHECK (v <> ''))",
        "CREATE VIEW gone AS SELECT id FROM going",
        "CREATE FUNCTION lost() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE staying (id integer)",
    )
    drops = iter(["DROP FUNCTION lost()", "DROP VIEW gone", "DROP TABLE going", "SELECT 1", "SELECT 1"])
    ask = Shared._ask

    def dropping(self: Shared, file: str, name: str) -> list[tuple[object, ...]]:
        if name == "schemas":
            rows = ask(self, file, name)
            run(database, next(drops))
            return rows
        return ask(self, file, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shared, "_ask", dropping)
        catalog = read(database)
    assert [t.name for t in catalog.tables] == ["staying"]
    assert (catalog.views, catalog.functions, catalog.gaps) == ((), (), ())


def test_a_locked_table_does_not_hold_the_reader_for_long(database: str) -> None:
    run(database, "CREATE TABLE t (id integer DEFAULT 1, CHECK (id > 0))", "CREATE VIEW v AS SELECT id FROM t")
    with psycopg.connect(database) as holder, connect(database) as conn:
        holder.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(PgcharterError, match="holds a lock on a table for more than 5 s") as refusal:
            live.read_catalog(conn)
    assert "pg_locks" in refusal.value.hint


@every_major
def test_cluster(server: ServerFactory, major: int) -> None:
    own = server(major=major)
    run(
        own.dsn(),
        "CREATE ROLE app LOGIN PASSWORD 'hush-hush' CONNECTION LIMIT 7 VALID UNTIL '2030-01-01 00:00:00+00'",
        "CREATE ROLE team NOLOGIN",
        "CREATE ROLE silent LOGIN",
        "GRANT team TO app WITH ADMIN OPTION",
        "COMMENT ON ROLE app IS 'the application'",
        "ALTER ROLE app SET statement_timeout = '5s'",
        "ALTER ROLE app SET app.api_key = 'hush-hush'",
        "ALTER ROLE app IN DATABASE postgres SET work_mem = '8MB'",
        "ALTER DATABASE postgres SET app.secret = 'hush-hush'",
        "ALTER SYSTEM SET primary_conninfo = 'host=x password=hush-hush'",
        "SELECT pg_reload_conf()",
    )
    reading = live.read(own.dsn())
    cluster = reading.cluster
    assert cluster is not None
    assert (cluster.server_version // 10000, cluster.in_recovery) == (major, False)
    assert cluster.version_text.startswith(f"PostgreSQL {major}.")
    app = cluster.role["app"]
    assert (app.login, app.superuser, app.connection_limit, app.comment) == (True, False, 7, "the application")
    assert app.valid_until.startswith("2030-01-01")
    assert app.password == "scram-sha-256"
    assert (cluster.role["silent"].password, cluster.role["team"].login) == ("none", False)
    assert "statement_timeout=5s" in app.settings
    membership = next(m for m in cluster.memberships if m.member == "app")
    assert (membership.role, membership.admin, membership.inherit, membership.set) == ("team", True, True, True)
    assert cluster.setting["max_connections"].isdigit()
    assert cluster.setting["search_path"] == '"$user", public', "what a new session has, not what the reader set for itself"
    assert cluster.setting["statement_timeout"] == "0"
    assert {t.name for t in cluster.tablespaces} == {"pg_default", "pg_global"}
    assert "postgres" in cluster.databases
    assert cluster.hba
    assert reading.catalog is not None
    assert "app:work_mem=8MB" in reading.catalog.database.settings
    assert "hush-hush" not in repr(reading)
    assert reading.gaps == ()


@every_major
def test_stats(database: str, major: int) -> None:
    run(
        database,
        "CREATE TABLE t (id integer PRIMARY KEY, v text)",
        "INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 5000) g",
        "CREATE TABLE fresh (id integer)",
        "CREATE SEQUENCE s",
        "SELECT nextval('s'), nextval('s')",
        "CREATE SEQUENCE untouched",
        "VACUUM ANALYZE t",
        "SELECT count(*) FROM t",
    )
    reading = live.read(database)
    assert reading.stats is not None
    relations = reading.stats.relations
    table = relations[ObjectId("table", "public", "t")]
    assert table.rows == 5000
    assert 5000 * 100 < table.bytes < 5000 * 250
    assert relations[ObjectId("index", "public", "t_pkey")].bytes > 8192
    assert relations[ObjectId("table", "public", "fresh")].rows == -1
    assert relations[ObjectId("sequence", "public", "s")].last_value == 2
    assert relations[ObjectId("sequence", "public", "untouched")].last_value is None


def test_a_database_whose_bytes_are_no_text(major_server: Server) -> None:
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE bytes_only ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
        try:
            dsn = major_server.dsn("bytes_only")
            run(dsn, "CREATE TABLE t (a integer DEFAULT 1)", "COMMENT ON TABLE t IS 'plain'")
            assert read(dsn).tables[0].comment == "plain"
            with psycopg.connect(dsn, autocommit=True, client_encoding="SQL_ASCII") as conn:
                conn.execute(b"COMMENT ON TABLE t IS 'caf\xe9'")
            with pytest.raises(PgcharterError, match="SQL_ASCII"):
                read(dsn)
        finally:
            admin.execute("DROP DATABASE bytes_only WITH (FORCE)")
