"""pg_dump's output of a database with every kind of object, built again and compared with what was dumped."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from tests.conftest import MAJORS, installation
from tests.sources.conftest import Read

from pgcharter import sources
from pgcharter.catalog.model import Catalog
from pgcharter.errors import UsageError
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

SAMPLES = os.environ.get("PGCHARTER_SAMPLES", "")

SCHEMA = """
create role dump_reader_{number};
create role dump_owner_{number} superuser;
set role dump_owner_{number};
create schema app;
create type app.status as enum ('new', 'paid');
create domain app.positive as integer constraint above_zero check (value > 0);
create function app.touch() returns trigger language plpgsql set search_path = app, pg_temp as $$
begin
  new.changed_at := now(); -- a comment; with 'quotes'
  return new;
end $$;
create table app.users (
  id bigint generated always as identity primary key,
  email character varying(255) not null unique,
  "Größe" app.positive default 1,
  status app.status not null default 'new',
  changed_at timestamp with time zone default now()
);
create table app.orders (
  id bigserial, user_id bigint references app.users on delete cascade, at date not null, primary key (id, at)
) partition by range (at);
create table app.orders_1 partition of app.orders for values from ('2026-01-01') to ('2027-01-01');
create index orders_user on app.orders (user_id) where at > '2026-02-01';
create trigger touch before update on app.users for each row execute function app.touch();
alter table app.users enable row level security;
create policy own on app.users to dump_reader_{number} using (id = nullif(current_setting('app.user', true), '')::bigint);
create view app.mails as select email from app.users where status = 'paid';
create materialized view app.counts as select count(*) as n from app.users;
grant select on app.users to dump_reader_{number};
alter default privileges in schema app grant select on tables to dump_reader_{number};
comment on table app.users is 'people; who''s who';
insert into app.users (email) values (E'a\\\\b''c'), ('x;y'), (E'tab\\tand\\nline \\\\. end');
create publication pub for table app.users;
create statistics app.both on email, status from app.users;
"""


def dump(server: Server, dsn: str, *options: str) -> str:
    binary = installation(server.major).bin / "pg_dump"
    return subprocess.run([binary, *options, dsn], check=True, capture_output=True, text=True).stdout


def comparable(catalog: Catalog | None) -> dict[str, object]:
    """Everything but owners, grantors and the database itself."""
    import re

    assert catalog is not None
    return {
        i.sql() + " " + i.kind: re.sub(r"(owner|grantor)='[^']*'", r"\1=", repr(item))
        for i, item in catalog.objects()
        if i.kind != "database"
    }


@pytest.mark.parametrize(
    ("major", "options"), [*((major, ()) for major in MAJORS), (18, ("--inserts",)), (18, ("--schema-only", "--quote-all-identifiers"))]
)
def test_a_dump_reads_like_the_database_it_came_from(
    major: int, options: tuple[str, ...], major_server: Server, database: str, tmp_path: Path
) -> None:
    number = f"{major}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.replace("{number}", number))  # type: ignore[arg-type]
        wanted = live.read_catalog(conn)
        (tmp_path / "dump.sql").write_text(dump(major_server, database, *options), "utf-8")
        reading = sources.read(str(tmp_path / "dump.sql"), major=major)
        conn.execute("reset role")
        roles = f"dump_reader_{number}, dump_owner_{number}"
        conn.execute(f"drop owned by {roles} cascade; drop role {roles}")  # type: ignore[arg-type]
    assert [f.message for f in reading.findings] == []
    assert comparable(reading.catalog).keys() == comparable(wanted).keys()
    differing = [k for k, v in comparable(wanted).items() if comparable(reading.catalog)[k] != v and not k.endswith("schema")]
    assert [(g.what, g.why) for g in reading.gaps if not g.what.startswith("roles ")] == []
    assert differing == (["app.counts materialized view"] if "--schema-only" in options else []), "only data fills a materialized view"
    users = next(i for i in reading.places if i.kind == "table" and i.name == "users")
    line = reading.texts[str(tmp_path / "dump.sql")].splitlines()[reading.places[users].line - 1]
    assert line.replace('"', "") == "CREATE TABLE app.users ("


@pytest.mark.skipif(not SAMPLES, reason="PGCHARTER_SAMPLES names no folder")
@pytest.mark.parametrize(("name", "tables"), [("pagila-schema.sql", 16), ("Chinook_PostgreSql.sql", 11)])
def test_real_schemas(name: str, tables: int, read: Read) -> None:
    reading = read(Path(SAMPLES) / name)
    assert [f.message for f in reading.findings if "vector" not in f.message] == []
    assert reading.catalog is not None
    assert len(reading.catalog.root_tables) == tables
    assert all(t.id in reading.places for t in reading.catalog.own_tables)


@pytest.mark.skipif(not SAMPLES, reason="PGCHARTER_SAMPLES names no folder")
def test_other_databases_sql_is_refused() -> None:
    with pytest.raises(UsageError, match="MySQL's SQL"):
        sources.read(str(Path(SAMPLES) / "Chinook_MySql.sql"))
    with pytest.raises(UsageError, match="a SQLite database"):
        sources.read(str(Path(SAMPLES) / "Chinook_Sqlite.sqlite"))
