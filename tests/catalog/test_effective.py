"""Effective privileges are PostgreSQL's own: roles, memberships and grants at random, every answer held against has_*_privilege."""

from __future__ import annotations

import random
from collections.abc import Iterator

import psycopg
import pytest

from pgcharter.catalog.effective import Effective, Way
from pgcharter.db import Connection
from pgcharter.names import quote
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

EDGES = pytest.mark.parametrize("major", [15, 16, 17, 18], ids=lambda major: f"pg{major}")
ROLES = [f"eff{i}" for i in range(14)] + ["Eff Ödd", 'eff"quoted']
SETUP = """
CREATE SCHEMA a; CREATE SCHEMA "B b"; CREATE TYPE a.mood AS ENUM ('x'); CREATE DOMAIN a.positive AS int;
CREATE TABLE a.t1 (id int, c2 text, "C 3" int); CREATE TABLE "B b"."T 2" (id int, c2 text) PARTITION BY LIST (id);
CREATE TABLE a.part PARTITION OF "B b"."T 2" DEFAULT; CREATE VIEW a.v AS SELECT * FROM a.t1; CREATE SEQUENCE a.s;
CREATE MATERIALIZED VIEW a.m AS SELECT 1 AS id; CREATE TABLE public.p (id int);
CREATE FUNCTION a.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE "B b".proc() LANGUAGE sql AS '';
"""
TABLES = ["a.t1", '"B b"."T 2"', "a.part", "a.v", "a.m", "public.p"]
OBJECTS = {
    **{f"TABLE {t}": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "ALL") for t in TABLES},
    "SEQUENCE a.s": ("USAGE", "SELECT", "UPDATE"), "SCHEMA a": ("USAGE", "CREATE"), 'SCHEMA "B b"': ("USAGE", "CREATE"),
    "FUNCTION a.f(int)": ("EXECUTE",), 'PROCEDURE "B b".proc()': ("EXECUTE",), "TYPE a.mood": ("USAGE",), "DOMAIN a.positive": ("USAGE",),
}  # fmt: skip
PREDEFINED = ("pg_read_all_data", "pg_write_all_data")


@pytest.fixture
def crowd(major_server: Server) -> Iterator[Connection]:
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        for name in ROLES:
            admin.execute(f"CREATE ROLE {quote(name)}".encode())
        admin.execute("CREATE DATABASE effective TEMPLATE template0 OWNER eff3")
        with psycopg.connect(major_server.dsn("effective"), autocommit=True) as conn:
            yield conn
        admin.execute("DROP DATABASE effective WITH (FORCE)")
        for name in reversed(ROLES):
            admin.execute(f"DROP ROLE {quote(name)}".encode())


def disorder(conn: Connection, chance: random.Random, major: int) -> None:
    """Memberships and grants as no one would make them by hand."""
    conn.execute(SETUP.encode())

    def one() -> str:
        return quote(chance.choice(ROLES))

    for name in ROLES:
        options = [chance.choice(("INHERIT", "INHERIT", "NOINHERIT")), chance.choice(("LOGIN", "NOLOGIN"))]
        conn.execute(f"ALTER ROLE {quote(name)} {' '.join(options)}{' SUPERUSER' * (name == 'eff7')}".encode())
    predefined = [*PREDEFINED, *(["pg_maintain"] if major >= 17 else [])]
    for _ in range(26):
        low, high = sorted(chance.sample(range(len(ROLES)), 2))
        role = quote(ROLES[high]) if chance.random() < 0.9 else chance.choice(predefined)
        options = f" WITH INHERIT {chance.choice(('TRUE', 'FALSE'))}, SET {chance.choice(('TRUE', 'FALSE'))}" if major >= 16 else ""
        conn.execute(f"GRANT {role} TO {quote(ROLES[low])}{options}".encode())
    for _ in range(60):
        at = chance.choice(list(OBJECTS))
        option = " WITH GRANT OPTION" * (chance.random() < 0.2)
        who, option = (one(), option) if chance.random() < 0.9 else ("PUBLIC", "")
        conn.execute(f"GRANT {chance.choice(OBJECTS[at])} ON {at} TO {who}{option}".encode())
    for _ in range(8):
        at = chance.choice(TABLES)
        conn.execute(f"GRANT {chance.choice(('SELECT', 'UPDATE'))} (id) ON {at} TO {one()}".encode())
    for at in chance.sample(list(OBJECTS), 6):
        conn.execute(f"ALTER {at.replace('TABLE a.m', 'MATERIALIZED VIEW a.m').replace('TABLE a.v', 'VIEW a.v')} OWNER TO {one()}".encode())
    conn.execute(b"REVOKE SELECT ON a.part FROM CURRENT_ROLE; REVOKE ALL ON DATABASE effective FROM PUBLIC")
    conn.execute(f"GRANT CONNECT ON DATABASE effective TO {one()}, {one()}; REVOKE ALL ON FUNCTION a.f(int) FROM PUBLIC".encode())


ASKED = """
WITH r AS (SELECT rolname, oid FROM pg_roles WHERE rolname ~* '^eff'),
     n AS (SELECT oid, nspname FROM pg_namespace WHERE nspname IN ('a', 'B b', 'public'))
SELECT r.rolname, c.relname, p, has_table_privilege(r.oid, c.oid, p), has_table_privilege(r.oid, c.oid, p || ' WITH GRANT OPTION')
  FROM r, n JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm'), unnest(%(table)s::text[]) p
UNION ALL SELECT r.rolname, c.relname, p, has_sequence_privilege(r.oid, c.oid, p), has_sequence_privilege(r.oid, c.oid, p || ' WITH GRANT OPTION')
  FROM r, n JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'S', unnest(%(sequence)s::text[]) p
UNION ALL SELECT r.rolname, n.nspname, p, has_schema_privilege(r.oid, n.oid, p), has_schema_privilege(r.oid, n.oid, p || ' WITH GRANT OPTION')
  FROM r, n, unnest(%(schema)s::text[]) p
UNION ALL SELECT r.rolname, f.proname, p, has_function_privilege(r.oid, f.oid, p), has_function_privilege(r.oid, f.oid, p || ' WITH GRANT OPTION')
  FROM r, n JOIN pg_proc f ON f.pronamespace = n.oid, unnest(%(function)s::text[]) p
UNION ALL SELECT r.rolname, t.typname, p, has_type_privilege(r.oid, t.oid, p), has_type_privilege(r.oid, t.oid, p || ' WITH GRANT OPTION')
  FROM r, n JOIN pg_type t ON t.typnamespace = n.oid AND t.typtype IN ('e', 'd'), unnest(%(type)s::text[]) p
UNION ALL SELECT r.rolname, d.datname, p, has_database_privilege(r.oid, d.oid, p), has_database_privilege(r.oid, d.oid, p || ' WITH GRANT OPTION')
  FROM r, pg_database d, unnest(%(database)s::text[]) p WHERE d.datname = current_database()
"""  # noqa: E501


@EDGES
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_answer_is_postgresqls_own(crowd: Connection, major: int, seed: int) -> None:
    from pgcharter.catalog.privileges import ALL

    disorder(crowd, random.Random(seed), major)
    found = Effective(live.read_catalog(crowd), live.read_cluster(crowd))
    kinds = {of: [p for p in names if p != "MAINTAIN" or major >= 17] for of, names in ALL.items()}
    asked = {(role, name, p): (yes, option) for role, name, p, yes, option in crowd.execute(ASKED.encode(), kinds)}
    reckoned = {}
    for role in found.cluster.roles:
        for o in found.objects:
            if o.of != "column":
                name = o.object.name.partition("(")[0]
                reckoned |= {(role.name, name, p): any(w.grantable for w in ways) for p, ways in found.ways(role.name, o).items()}
    yes = {key for key, (may, _) in asked.items() if may}
    assert {key for key in reckoned if key in asked} == yes
    assert {key for key in yes if reckoned[key]} == {key for key in yes if asked[key][1]}
    assert len(asked) > 800


@EDGES
def test_columns_memberships_and_taking_on_roles_too(crowd: Connection, major: int) -> None:
    disorder(crowd, random.Random(9), major)
    found = Effective(live.read_catalog(crowd), live.read_cluster(crowd))
    rows = crowd.execute(
        "SELECT r.rolname, c.relname, a.attname, has_column_privilege(r.oid, c.oid, a.attnum, 'SELECT')"
        " FROM pg_roles r, pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE r.rolname ~* '^eff' AND NOT r.rolsuper AND c.relname IN ('t1', 'T 2', 'v', 'p')"
    ).fetchall()
    whole = {(r.role, r.object.name, r.object.part) for r in found.rights() if r.privilege == "SELECT"}
    assert {(a, b, c) for a, b, c, yes in rows if yes} == {(a, b, c) for a, b, c, _ in rows if (a, b, c) in whole or (a, b, "") in whole}
    how = "SET" if major >= 16 else "MEMBER"
    pairs = crowd.execute(
        "SELECT a.rolname, b.rolname, pg_has_role(a.oid, b.oid, 'USAGE'), pg_has_role(a.oid, b.oid, %s)"
        " FROM pg_roles a, pg_roles b WHERE a.rolname ~* '^eff' AND NOT a.rolsuper",
        [how],
    ).fetchall()
    assert {(a, b) for a, b, yes, _ in pairs if yes} == {(a, b) for a, b, *_ in pairs if b in found.has(a)}
    assert {(a, b) for a, b, _, yes in pairs if yes and a != b} == {(a, b) for a, b, *_ in pairs if b in found.becomes(a)}


def test_reasons_are_told_and_worthless_grants_are_called_so(crowd: Connection) -> None:
    crowd.execute(
        "CREATE SCHEMA a; CREATE TABLE a.t (id int); CREATE TABLE public.u (id int); GRANT eff2 TO eff1; GRANT eff4 TO eff2;"
        " GRANT SELECT ON a.t TO eff4; GRANT INSERT ON public.u TO PUBLIC; GRANT pg_read_all_data TO eff5; ALTER ROLE eff6 LOGIN;"
        " GRANT UPDATE ON public.u TO eff6; REVOKE ALL ON DATABASE effective FROM PUBLIC"
    )
    found = Effective(live.read_catalog(crowd), live.read_cluster(crowd))
    rights = {(r.role, str(r.object), r.privilege): r for r in found.rights()}
    nested = rights["eff1", "table a.t", "SELECT"]
    assert nested.ways == (Way("grant", "eff4", ("eff2",)),)
    assert nested.ways[0].told("eff1") == "granted to eff4, of which it is a member through eff2"
    assert nested.worthless == "no USAGE on schema a"
    assert rights["eff5", "table a.t", "SELECT"].worthless == ""
    assert rights["eff5", "table a.t", "SELECT"].ways[0].told("eff5") == ("what pg_read_all_data may everywhere, of which it is a member")
    assert rights["eff6", "table public.u", "UPDATE"].worthless == "no CONNECT on database effective"
    assert rights["eff0", "table public.u", "INSERT"].ways[0].told("eff0") == "granted to PUBLIC"
