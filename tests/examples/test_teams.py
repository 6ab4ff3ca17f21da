"""The teams keep their promises at run time: tenants, audit, comments, pages, rights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.examples import conftest
from tests.examples.conftest import Copy, Open, oldest_and_newest, one, refused

from pgcharter import examples
from pgcharter.db import Connection, connect

GROUPS = ("app_readonly", "app_readwrite", "app_admin")
LOGINS = ("app_api_user", "reporting_user")
ASTER, BIRCH = (UUID(f"00000000-0000-4000-8000-00000000000{n}") for n in (1, 2))


@pytest.fixture
def teams(opened: Open) -> Connection:
    """A connection to the teams with their seed, as superuser; every test rolls back."""
    return opened("teams")


@contextmanager
def acting(conn: Connection, role: str, tenant: UUID | None = None) -> Iterator[None]:
    """Inside, be `role`, perhaps for this tenant; undone afterwards."""
    with conftest.acting(conn, role):
        if tenant is not None:
            conn.execute("SELECT app.set_tenant_context(%s)", (tenant,))
        yield


def test_rows_stand_in_the_seed_only() -> None:
    migrations = [line for p in (examples.folder("teams") / "migrations").glob("*.sql") for line in p.read_text().splitlines()]
    assert not [line for line in migrations if line.startswith(("INSERT", "UPDATE", "COPY"))]


def test_the_seed_is_a_few_hundred_rows(teams: Connection) -> None:
    tables = (
        "users",
        "profiles",
        "user_preferences",
        "teams",
        "users_teams",
        "content_items",
        "comments",
        "user_activities",
        "tenant_users",
    )
    counts = [one(teams, f"SELECT count(*) FROM app.{table}") for table in tables]
    assert counts == [60, 60, 90, 10, 120, 80, 140, 196, 30]
    assert one(teams, "SELECT count(*) FROM app.content_items WHERE view_count > 0") == 56


@oldest_and_newest
def test_a_tenant_sees_only_its_own_rows(teams: Connection, major: int) -> None:
    for role in GROUPS:
        with acting(teams, role, ASTER):
            assert teams.execute("SELECT DISTINCT tenant_id FROM app.tenant_users").fetchall() == [(ASTER,)]
            assert teams.execute("SELECT id FROM app.tenants").fetchall() == [(ASTER,)]


def test_without_a_tenant_nothing_is_seen_and_nothing_raises(teams: Connection) -> None:
    with acting(teams, "app_readwrite"):
        assert one(teams, "SELECT count(*) FROM app.tenant_users") == 0
    teams.execute("SELECT set_config('app.current_tenant_id', '', true)")  # how it reads after a transaction that had one
    with acting(teams, "app_readwrite"):
        assert one(teams, "SELECT count(*) FROM app.tenant_users") == 0
        refused(teams, psycopg.errors.InsufficientPrivilege, ADD, ASTER, "x", match="row-level security")


def test_the_tenant_ends_with_the_transaction(copy: Copy) -> None:
    with connect(copy("teams")) as conn:
        with conn.transaction():
            conn.execute("SELECT app.set_tenant_context(%s)", (ASTER,))
            assert one(conn, "SELECT app.current_tenant_id()") == ASTER
        assert one(conn, "SELECT app.current_tenant_id()") is None


ADD = "INSERT INTO app.tenant_users (tenant_id, username, email) VALUES (%s, %s, 'someone@example.org')"


@oldest_and_newest
def test_rows_cannot_be_written_for_or_moved_to_another_tenant(teams: Connection, major: int) -> None:
    with acting(teams, "app_readwrite", ASTER):
        teams.execute(ADD, (ASTER, "new"))  # type: ignore[arg-type]
        refused(teams, psycopg.errors.InsufficientPrivilege, ADD, BIRCH, "new", match="row-level security")
        moved = "UPDATE app.tenant_users SET tenant_id = %s"
        refused(teams, psycopg.errors.InsufficientPrivilege, moved, BIRCH, match="row-level security")
        for statement in ("UPDATE app.tenant_users SET username = 'z'", "DELETE FROM app.tenant_users"):
            assert teams.execute(f"{statement} WHERE tenant_id = %s", (BIRCH,)).rowcount == 0  # type: ignore[arg-type]
        refused(teams, psycopg.errors.InsufficientPrivilege, "TRUNCATE app.tenant_users", match="permission denied")


def test_the_owner_is_held_by_the_policies(teams: Connection) -> None:
    teams.execute("CREATE ROLE teams_test_owner")
    teams.execute("GRANT app_admin TO teams_test_owner")
    for table in ("tenants", "tenant_users"):
        teams.execute(f"ALTER TABLE app.{table} OWNER TO teams_test_owner")  # type: ignore[arg-type]
    with acting(teams, "teams_test_owner", BIRCH):
        assert teams.execute("SELECT id FROM app.tenants").fetchall() == [(BIRCH,)]
        assert teams.execute("SELECT DISTINCT tenant_id FROM app.tenant_users").fetchall() == [(BIRCH,)]


def test_two_tenants_may_have_users_of_one_name_and_one_tenant_may_not(teams: Connection) -> None:
    assert one(teams, "SELECT count(*) FROM app.tenant_users WHERE username = 'reader1'") == 3
    with acting(teams, "app_readwrite", ASTER):
        refused(teams, psycopg.errors.UniqueViolation, ADD, ASTER, "READER1")


@oldest_and_newest
def test_an_administrator_sets_up_and_removes_a_tenant(teams: Connection, major: int) -> None:
    tenant = uuid4()
    with acting(teams, "app_admin", tenant):
        teams.execute("INSERT INTO app.tenants (id, name) VALUES (%s, 'Dogwood')", (tenant,))
        teams.execute(ADD, (tenant, "first"))  # type: ignore[arg-type]
        teams.execute("DELETE FROM app.tenants")
        trail = "SELECT table_name, operation, record_key ->> 'id' = %s FROM audit.audit_entries WHERE tenant_id = %s ORDER BY id"
        rows = teams.execute(trail, (str(tenant), tenant)).fetchall()
        assert [(t, o) for t, o, _ in rows] == [
            ("tenants", "INSERT"), ("tenant_users", "INSERT"), ("tenants", "DELETE"), ("tenant_users", "DELETE")
        ]  # fmt: skip
        assert [same for table, _, same in rows if table == "tenants"] == [True, True]
    with acting(teams, "app_readwrite", tenant):
        refused(teams, psycopg.errors.InsufficientPrivilege, "INSERT INTO app.tenants (id, name) VALUES (%s, 'Elm')", tenant)


@oldest_and_newest
def test_the_trail_holds_keys_of_every_kind_and_no_secret(teams: Connection, major: int) -> None:
    teams.execute("TRUNCATE audit.audit_entries")
    with acting(teams, "app_readwrite"):
        teams.execute("SELECT set_config('app.current_user', 'ada1', true)")
        teams.execute("UPDATE app.users SET first_name = 'New' WHERE id = 1")
        teams.execute(
            "DELETE FROM app.users_teams WHERE (user_id, team_id) = (SELECT user_id, team_id FROM app.users_teams ORDER BY 1, 2 LIMIT 1)"
        )
        teams.execute("SELECT set_config('app.current_user', '', true)")
        teams.execute("INSERT INTO app.teams (name) VALUES ('Kites')")
        teams.execute("RESET ROLE")
        teams.execute("TRUNCATE app.users_teams")
        rows = teams.execute(
            "SELECT table_name, operation, record_key, old_data ->> 'first_name', new_data ->> 'first_name', changed_by = session_user "
            "FROM audit.audit_entries ORDER BY id"
        ).fetchall()
        assert [row[:2] for row in rows] == [
            ("users", "UPDATE"),
            ("users_teams", "DELETE"),
            ("teams", "INSERT"),
            ("users_teams", "TRUNCATE"),
        ]
        assert rows[0][2:] == ({"id": 1}, "Ben", "New", False)
        assert rows[1][2].keys() == {"user_id", "team_id"}
        assert rows[2][5] is True
        assert rows[3][2:] == (None, None, None, True)
        assert one(teams, "SELECT count(*) FROM audit.audit_entries WHERE coalesce(old_data, new_data) ? 'password_hash'") == 0
        assert one(teams, "SELECT changed_by FROM audit.audit_entries ORDER BY id LIMIT 1") == "ada1"


def test_the_trail_is_written_by_nobody_else(teams: Connection) -> None:
    for change in (
        "DELETE FROM audit.audit_entries",
        "UPDATE audit.audit_entries SET changed_by = 'me'",
        "TRUNCATE audit.audit_entries",
        "INSERT INTO audit.audit_entries (schema_name, table_name, operation, changed_by) VALUES ('a', 'b', 'TRUNCATE', 'c')",
        "SELECT audit.record_change()",
    ):
        for role in GROUPS:
            with acting(teams, role):
                refused(teams, psycopg.errors.InsufficientPrivilege, change)
    with acting(teams, "app_readwrite"):
        refused(teams, psycopg.errors.InsufficientPrivilege, "SELECT FROM audit.audit_entries")


def test_an_administrator_reads_the_trail_of_the_platform_and_of_one_tenant(teams: Connection) -> None:
    with acting(teams, "app_admin", ASTER):
        tenants = teams.execute("SELECT DISTINCT tenant_id FROM audit.audit_entries ORDER BY 1").fetchall()
    assert tenants == [(ASTER,), (None,)]


def test_the_audit_trigger_cannot_be_led_astray_by_a_temporary_table(teams: Connection) -> None:
    with acting(teams, "app_readwrite"):
        teams.execute("CREATE TEMPORARY TABLE audit_entries (id bigint)")
        teams.execute("UPDATE app.users SET last_name = 'D' WHERE id = 2")
        assert one(teams, "SELECT count(*) FROM pg_temp.audit_entries") == 0
        teams.execute("RESET ROLE")
        assert one(teams, "SELECT count(*) FROM audit.audit_entries WHERE operation = 'UPDATE'") == 1


@oldest_and_newest
def test_an_answer_outlives_what_it_answers_and_stays_with_its_content(teams: Connection, major: int) -> None:
    row = teams.execute(
        "SELECT id, parent_comment_id, content_item_id FROM app.comments WHERE parent_comment_id IS NOT NULL LIMIT 1"
    ).fetchone()
    assert row
    answer, parent, item = row
    other = one(teams, "SELECT id FROM app.content_items WHERE id <> %s LIMIT 1", item)
    refused(teams, psycopg.errors.ForeignKeyViolation, "UPDATE app.comments SET content_item_id = %s WHERE id = %s", other, answer)
    refused(teams, psycopg.errors.CheckViolation, "UPDATE app.comments SET parent_comment_id = id WHERE id = %s", answer)
    with acting(teams, "app_readwrite"):
        teams.execute("DELETE FROM app.comments WHERE id = %s", (parent,))
        left = teams.execute("SELECT parent_comment_id, content_item_id FROM app.comments WHERE id = %s", (answer,)).fetchone()
        assert left == (None, item)


def test_names_and_addresses_are_one_person_s_whatever_their_case(teams: Connection) -> None:
    add = "INSERT INTO app.users (username, email, password_hash) VALUES (%s, %s, '*')"
    refused(teams, psycopg.errors.UniqueViolation, add, "ben1".upper(), "nobody@example.org")
    refused(teams, psycopg.errors.UniqueViolation, add, "nobody", "BEN1@example.org")
    refused(teams, psycopg.errors.CheckViolation, add.replace("'*'", "'secret'"), "nobody", "nobody@example.org")
    refused(teams, psycopg.errors.UniqueViolation, "INSERT INTO app.profiles (user_id) VALUES (1)")


def test_updated_at_moves_in_every_table_that_has_it(teams: Connection) -> None:
    without = """
        SELECT c.oid::regclass::text FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'updated_at'
        WHERE c.relkind = 'r' AND c.relnamespace = 'app'::regnamespace
        AND NOT EXISTS (
            SELECT FROM pg_trigger AS t
            WHERE t.tgrelid = c.oid AND t.tgfoid = 'app.set_updated_at'::regproc AND t.tgenabled = 'O'
        )
    """
    assert teams.execute(without).fetchall() == []
    teams.execute("UPDATE app.teams SET updated_at = '2000-01-01Z', description = 'x' WHERE id = 1")
    assert one(teams, "SELECT updated_at = now() FROM app.teams WHERE id = 1") is True


def test_activities_are_only_appended(teams: Connection) -> None:
    for role in ("app_readwrite", "app_admin"):
        with acting(teams, role):
            teams.execute("INSERT INTO app.user_activities (user_id, activity_type) VALUES (1, 'logout')")
            for change in ("UPDATE app.user_activities SET data = '{}'", "DELETE FROM app.user_activities", "TRUNCATE app.user_activities"):
                refused(teams, psycopg.errors.InsufficientPrivilege, change)


def test_reports_see_neither_hashes_nor_addresses_nor_documents(teams: Connection) -> None:
    with acting(teams, "app_readonly"):
        assert one(teams, "SELECT count(username) FROM app.users") == 60
        for query in ("SELECT password_hash FROM app.users", "SELECT email FROM app.users", "SELECT FROM app.identity_documents"):
            refused(teams, psycopg.errors.InsufficientPrivilege, query)
        refused(teams, psycopg.errors.InsufficientPrivilege, "UPDATE app.teams SET name = 'x'")


@oldest_and_newest
def test_those_who_log_in_have_the_rights_of_their_group_and_no_password(teams: Connection, major: int) -> None:
    rows = teams.execute(
        "SELECT rolname, rolpassword, rolsuper OR rolbypassrls FROM pg_authid WHERE rolname = ANY(%s) ORDER BY 1", ([*LOGINS],)
    )
    assert rows.fetchall() == [(name, None, False) for name in LOGINS]
    member = "SELECT pg_has_role(%s, %s, 'USAGE')"
    assert [one(teams, member, "app_api_user", group) for group in GROUPS] == [False, True, False]
    assert [one(teams, member, "reporting_user", group) for group in GROUPS] == [True, False, False]


def test_a_new_table_is_granted_when_it_is_made(teams: Connection) -> None:
    teams.execute("CREATE TABLE app.later (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)")
    with acting(teams, "app_readwrite"):
        teams.execute("INSERT INTO app.later (note) VALUES ('x')")
    with acting(teams, "app_readonly"):
        assert one(teams, "SELECT count(*) FROM app.later") == 0
        refused(teams, psycopg.errors.InsufficientPrivilege, "INSERT INTO app.later (note) VALUES ('x')")


def test_pages_show_every_published_item_once_also_when_times_are_equal(teams: Connection) -> None:
    teams.execute("UPDATE app.content_items SET published_at = '2026-06-01Z' WHERE status = 'published' AND view_count > 2")
    with acting(teams, "app_readonly"):
        seen: list[UUID] = []
        page = teams.execute("SELECT * FROM app.list_published(p_limit => 7)").fetchall()
        while page:
            seen += [row[0] for row in page]
            page = teams.execute("SELECT * FROM app.list_published(%s, %s, 7)", (page[-1][3], page[-1][0])).fetchall()
    assert len(seen) == len(set(seen)) == one(teams, "SELECT count(*) FROM app.content_items WHERE status = 'published'")


INDEXED = [
    ("SELECT id FROM app.content_items WHERE status = 'published' AND (published_at, id) < (now(), gen_random_uuid()) "
     "ORDER BY published_at DESC, id DESC LIMIT 20", "idx_content_items_published"),
    ("SELECT id FROM app.content_items WHERE metadata @> '{\"topics\": [\"chess\"]}'", "idx_content_items_metadata"),
    ("SELECT user_id FROM app.users_teams WHERE team_id = 1", "idx_users_teams_team_id"),
    ("SELECT id FROM app.users WHERE lower(email) = 'ben1@example.org'", "idx_users_email"),
    ("SELECT user_id FROM app.user_preferences WHERE preference_key = 'digest.frequency' AND preference_value = '\"weekly\"'",
     "idx_user_preferences_preference_key_preference_value"),
    ("SELECT id FROM app.user_activities WHERE user_id = 1 ORDER BY created_at", "idx_user_activities_user_id_created_at"),
    ("SELECT id FROM app.user_activities WHERE entity_type = 'content_item' AND entity_id = 'x'",
     "idx_user_activities_entity_type_entity_id"),
    ("SELECT id FROM app.user_activities WHERE activity_type = 'login' AND ip_address = '2001:db8::1'", "idx_user_activities_logins"),
    ("SELECT id FROM app.user_activities WHERE data ->> 'source' = 'web'", "idx_user_activities_data_source"),
    ("SELECT id FROM app.comments WHERE content_item_id = gen_random_uuid() AND parent_comment_id = 1",
     "idx_comments_content_item_id_parent_comment_id"),
    ("SELECT id FROM audit.audit_entries WHERE table_name = 'users' AND record_key = '{\"id\": 1}'",
     "idx_audit_entries_table_name_record_key"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "index"), INDEXED, ids=[index for _, index in INDEXED])
def test_every_index_serves_the_question_it_is_for(teams: Connection, query: str, index: str) -> None:
    teams.execute("SET LOCAL enable_seqscan = off")
    plan = "\n".join(str(line) for (line,) in teams.execute(f"EXPLAIN {query}").fetchall())  # type: ignore[arg-type]
    assert f" {index} " in plan + " ", plan


def test_a_period_of_many_activities_is_found_by_its_pages(teams: Connection) -> None:
    teams.execute(
        "INSERT INTO app.user_activities (user_id, activity_type, created_at) "
        "SELECT 1 + n % 60, 'view', timestamptz '2027-01-01Z' + n * interval '1 minute' FROM generate_series(1, 50000) AS n"
    )
    teams.execute("SELECT brin_summarize_new_values('app.idx_user_activities_created_at')")
    teams.execute("ANALYZE app.user_activities")
    query = "EXPLAIN SELECT id FROM app.user_activities WHERE created_at BETWEEN '2027-01-10Z' AND '2027-01-11Z'"
    assert "idx_user_activities_created_at" in str(teams.execute(query).fetchall())
