"""The blog keeps its promises at run time: addresses, versions, search, answers, the trail, rights, partitions."""

from __future__ import annotations

import psycopg
import pytest
from tests.examples.conftest import Copy, Open, acting, one, refused

from pgcharter.db import Connection, connect


@pytest.fixture
def conn(opened: Open) -> Connection:
    """A connection to a blog with its seeds in it, as superuser; every test rolls back."""
    return opened("blog")


def test_an_address_is_taken_whatever_its_case_and_free_when_its_account_is_closed(conn: Connection) -> None:
    add = "INSERT INTO users (email, password_hash) VALUES ('READER1@example.org', '$x')"
    refused(conn, psycopg.errors.UniqueViolation, add)
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
    conn.execute("SET LOCAL enable_seqscan = off")
    assert "idx_posts_search" in "".join(row[0] for row in conn.execute(f"EXPLAIN {query}"))


def test_an_answer_stands_under_the_post_of_what_it_answers(conn: Connection) -> None:
    answer = (
        "INSERT INTO comments (post_id, user_id, parent_comment_id, content) SELECT p.id, p.user_id, c.id, 'x' "
        "FROM posts AS p, comments AS c WHERE (p.id = c.post_id) = %s LIMIT 1"
    )
    conn.execute(answer, (True,))
    refused(conn, psycopg.errors.ForeignKeyViolation, answer, False)


def test_the_trail_tells_who_did_it_and_hides_secrets(copy: Copy) -> None:
    with connect(copy("blog")) as conn:
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
    with acting(conn, role):
        refused(conn, psycopg.errors.InsufficientPrivilege, sql)
        conn.execute("SELECT id, username FROM users")


def test_a_month_has_its_partition_once(conn: Connection) -> None:
    make = "SELECT create_month_partitions('events', '2031-11-30', '2032-01-01')"
    assert [one(conn, make), one(conn, make)] == [3, 0]
    bound = str(one(conn, "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'events_2031_12'"))
    assert "2031-12-01 00:00:00" in bound
    assert "2032-01-01 00:00:00" in bound
