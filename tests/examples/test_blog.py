"""The blog passes its guide and `core`, as files and live; its sections lead back; it keeps its promises at run time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from pgcharter import examples, sources
from pgcharter.cli.project import open_project
from pgcharter.db import Connection, connect
from pgcharter.examples import build
from pgcharter.rules import engine

MAJORS = [15, 16, 17, 18]
FOLDER = examples.folder("blog")
ROLES = ("blog_reader", "blog_writer")
EVERYTHING = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'i', 'S', 'v')"


def codes_of(target: str, guide: str, major: int | None = None) -> Counter[str]:
    project = open_project(FOLDER, guide)
    reading = replace(sources.read(target, major=major), cluster=None)  # the settings of the tests' server are not the blog's
    result = engine.run(reading, project.guide)
    assert len(result.ran) > 30
    assert not result.suppressed
    return Counter(f"{f.code}: {f.message}" for f in result.findings)


@pytest.fixture
def blog(database: str) -> Iterator[str]:
    """DSN of a blog with its seeds in it."""
    with connect(database) as conn:
        build.install(conn)
        build.build(conn, build.read_files(FOLDER, ["migrations", "seeds"]))
    yield database
    with connect(database) as conn:
        for role in ROLES:
            conn.execute(f"DROP OWNED BY {role}".encode())
            conn.execute(f"DROP ROLE {role}".encode())


@pytest.fixture
def conn(blog: str) -> Iterator[Connection]:
    """A connection to it, as superuser."""
    with connect(blog) as connection:
        yield connection


def one(conn: Connection, sql: str, *parameters: object) -> object:
    row = conn.execute(sql.encode(), parameters or None).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("guide", ["default", "core"])
@pytest.mark.parametrize("major", MAJORS)
def test_it_passes_as_files(majors: tuple[int, ...], major: int, guide: str) -> None:
    if major not in majors:
        pytest.skip(f"PostgreSQL {major} is not on this machine")
    assert not codes_of(str(FOLDER), guide, major)


@pytest.mark.parametrize("major", MAJORS)
def test_it_passes_live(blog: str, major: int) -> None:
    assert not codes_of(blog, "default")


def test_nothing_is_waived() -> None:
    assert open_project(FOLDER).guide.id == "default"
    assert open_project(FOLDER).charter.waivers == ()
    assert "pgcharter: allow" not in "".join(p.read_text() for p in FOLDER.rglob("*.sql"))


@pytest.mark.parametrize("major", MAJORS)
def test_every_migration_can_be_undone_and_done_again(blog: str, major: int) -> None:
    files = build.read_files(FOLDER, ["migrations", "seeds"])
    with connect(blog) as conn:
        whole = one(conn, EVERYTHING)
        for file in reversed(files):
            back = [s for s in file.parsed.statements if s.direction == "down" and s.kind != "transaction_stmt"]
            assert back, file.shown
            with conn.transaction():
                for statement in back:
                    conn.execute(statement.text.encode())
        assert one(conn, EVERYTHING) == 0
        assert one(conn, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace") == 0
        assert one(conn, "SELECT count(*) FROM pg_default_acl") == 0
        conn.execute("DELETE FROM pgcharter.schema_migrations")
        assert build.build(conn, files) == len(files)
        assert one(conn, EVERYTHING) == whole


def test_the_seeds_fill_every_table(conn: Connection) -> None:
    tables = conn.execute(
        "SELECT oid::regclass::text FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
    ).fetchall()
    counts = {name: one(conn, f"SELECT count(*) FROM {name}") for (name,) in tables}
    assert set(counts) == {
        "users", "roles", "user_roles", "sessions", "posts", "comments", "donations", "events", "audit_entries",
    }  # fmt: skip
    assert all(counts.values()), counts
    assert 300 <= sum(int(str(n)) for n in counts.values()) < 1000


def test_an_address_is_taken_whatever_its_case_and_free_when_its_account_is_closed(conn: Connection) -> None:
    add = "INSERT INTO users (email, password_hash) VALUES ('READER1@example.org', '$x')"
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute(add)
    conn.execute("UPDATE users SET status = 'closed', deleted_at = now() WHERE email = 'reader1@example.org'")
    conn.execute(add)


def test_who_was_overtaken_hits_no_row(conn: Connection) -> None:
    save = "UPDATE posts SET title = %s WHERE slug = 'post-1' AND version = %s"
    before = one(conn, "SELECT updated_at FROM posts WHERE slug = 'post-1'")
    assert [conn.execute(save, ("mine", 1)).rowcount, conn.execute(save, ("theirs", 1)).rowcount] == [1, 0]
    row = conn.execute("SELECT title, version, updated_at > %s FROM posts WHERE slug = 'post-1'", (before,)).fetchone()
    assert row == ("mine", 2, True)


def test_a_post_is_found_by_its_words_through_the_index(conn: Connection) -> None:
    query = "SELECT slug FROM posts WHERE search_vector @@ websearch_to_tsquery('english', 'garden')"
    assert conn.execute(query).fetchall()
    conn.execute("SET enable_seqscan = off")
    assert "idx_posts_search" in "".join(row[0] for row in conn.execute(f"EXPLAIN {query}".encode()))


def test_an_answer_stands_under_the_post_of_what_it_answers(conn: Connection) -> None:
    answer = (
        "INSERT INTO comments (post_id, user_id, parent_comment_id, content) SELECT p.id, p.user_id, c.id, 'x' "
        "FROM posts AS p, comments AS c WHERE (p.id = c.post_id) = %s LIMIT 1"
    )
    conn.execute(answer, (True,))
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        conn.execute(answer, (False,))


def test_the_trail_tells_who_did_it_and_hides_secrets(conn: Connection) -> None:
    user = one(conn, "SELECT id FROM users WHERE username = 'reader_3'")
    with conn.transaction():
        conn.execute("SELECT set_config('app.current_user_id', %s, true)", (str(user),))
        conn.execute("SET LOCAL ROLE blog_writer")
        conn.execute("UPDATE users SET status = 'suspended', phone_ciphertext = '\\x01' WHERE id = %s", (user,))
    conn.execute("TRUNCATE donations")
    last = conn.execute(
        "SELECT table_name, action, actor_user_id, login_role = session_user FROM audit_entries ORDER BY created_at DESC LIMIT 2"
    )
    assert last.fetchall() == [("donations", "truncate", None, True), ("users", "update", user, True)]
    assert one(conn, "SELECT count(*) FROM audit_entries WHERE coalesce(old_row, new_row) ?| '{password_hash,phone_ciphertext}'") == 0


@pytest.mark.parametrize(
    ("role", "sql"),
    [
        ("blog_reader", "SELECT email FROM users"),
        ("blog_reader", "SELECT FROM sessions"),
        ("blog_reader", "INSERT INTO roles (name, description) VALUES ('x', 'x')"),
        ("blog_reader", "SELECT FROM audit_entries"),
        ("blog_writer", "INSERT INTO audit_entries (table_name, action) VALUES ('users', 'delete')"),
        ("blog_writer", "DELETE FROM audit_entries"),
        ("blog_writer", "UPDATE donations SET amount = 1"),
        ("blog_writer", "DELETE FROM events"),
        ("blog_writer", "SELECT record_change()"),
        ("blog_writer", "CREATE TABLE mine (id uuid PRIMARY KEY)"),
    ],
)
def test_nobody_has_more_rights_than_needed(conn: Connection, role: str, sql: str) -> None:
    with conn.transaction(force_rollback=True):
        conn.execute(f"SET LOCAL ROLE {role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute(sql.encode())
        conn.execute("SELECT id, username FROM users")


def test_a_month_has_its_partition_once(conn: Connection) -> None:
    make = "SELECT create_month_partitions('events', '2031-11-30', '2032-01-01')"
    assert [one(conn, make), one(conn, make)] == [3, 0]
    bound = str(one(conn, "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'events_2031_12'"))
    assert "2031-12-01 00:00:00" in bound
    assert "2032-01-01 00:00:00" in bound
