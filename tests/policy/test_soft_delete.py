"""`[soft_delete]` on real servers: what is made, what is asked, that it goes without a trace, and no deleted row comes to life by it."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from tests.conftest import every_major
from tests.policy.by_hand import lose
from tests.policy.planned import applied, catalog

from pgcharter.catalog.compare import compare
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import soft_delete
from pgcharter.policy.model import State
from pgcharter.policy.soft_delete_settings import LivingKey, SoftDeleteSection

SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app."Üsers" (id bigint PRIMARY KEY, "E-Mail" text, tenant_id int, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE app.orders (id bigint PRIMARY KEY, no int, deleted_at timestamptz, user_id bigint REFERENCES app."Üsers" ON DELETE CASCADE);
CREATE TABLE app.events (id bigint, at date NOT NULL, note text, updated_at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE app.events_2 PARTITION OF app.events FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
CREATE TABLE app.above (id bigint PRIMARY KEY, updated_at timestamptz);
CREATE TABLE app.below (more text) INHERITS (app.above);
CREATE TABLE app.other (id bigint PRIMARY KEY);
INSERT INTO app."Üsers" VALUES (1, 'a', 1);
INSERT INTO app.events VALUES (1, '2026-05-01', 'x');
"""
USERS = 'app."Üsers"'
WISH = SoftDeleteSection(
    tables=("app.Üsers", "app.orders", "app.events*", "app.above"),
    unique=(
        LivingKey(USERS, ("tenant_id", "E-Mail")),
        LivingKey("app.orders", ("no",), name="one_no"),
        LivingKey("app.events", ("note", "at")),
    ),
    touch=("app.*",),
)


@pytest.fixture
def app(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA)
    return database


def planned(dsn: str, section: SoftDeleteSection | None = WISH) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen((soft_delete.policy(section),) if section else ())))


def apply(dsn: str, section: SoftDeleteSection | None = WISH) -> Planned:
    return applied(dsn, planned(dsn, section))


@every_major
def test_applied_once_is_applied_and_given_up_is_gone(app: str, major: int) -> None:
    before = catalog(app)
    assert apply(app).proof
    assert planned(app).plan.empty
    state = State(before)
    once = soft_delete.policy(WISH).apply(state)
    assert soft_delete.policy(WISH).apply(once) == once
    assert lose(app, planned(app, None))
    apply(app, None)
    assert [d for d in compare(before, catalog(app)) if d.object.schema != "pgcharter" and "pgcharter" not in (d.object.name,)] == []


def test_what_is_made(app: str) -> None:
    apply(app)
    made = catalog(app)
    indexes = {i.name: i.definition.partition(" ON ")[2] for i in made.index.values() if "deleted_at" in i.definition}
    assert indexes["uq_Üsers_tenant_id_E-Mail"] == f'{USERS} USING btree (tenant_id, "E-Mail") WHERE (deleted_at IS NULL)'
    assert indexes["one_no"] == "app.orders USING btree (no) WHERE (deleted_at IS NULL)"
    assert indexes["idx_orders_deleted_at"] == "app.orders USING btree (deleted_at) WHERE (deleted_at IS NOT NULL)"
    assert sum("(note, at)" in one for one in indexes.values()) == 3  # partitions have theirs
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute(f"INSERT INTO {USERS} VALUES (2, 'b', 1)".encode())
        with pytest.raises(psycopg.errors.UniqueViolation):
            conn.execute(f"INSERT INTO {USERS} VALUES (3, 'b', 1)".encode())
        conn.execute(f"UPDATE {USERS} SET deleted_at = now() WHERE id = 2".encode())
        conn.execute(f"INSERT INTO {USERS} VALUES (3, 'b', 1)".encode())
        conn.execute(
            f"""INSERT INTO {USERS} VALUES (4, 'b', 1) ON CONFLICT (tenant_id, "E-Mail") WHERE deleted_at IS NULL DO NOTHING""".encode()
        )


@every_major
def test_whoever_updates_a_row_its_time_is_kept(app: str, major: int) -> None:
    """In tables, partitions and heirs; by the same clock as applications, the transaction's."""
    apply(app)
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("INSERT INTO app.below VALUES (1, '2020-01-01', 'x')")
        with conn.transaction():
            conn.execute("SELECT pg_sleep(0.01)")
            for sql in (
                f"UPDATE {USERS} SET tenant_id = 2, updated_at = '2020-01-01'",
                "UPDATE app.events SET note = 'y'",
                "UPDATE app.above SET id = 2",
            ):
                assert conn.execute(f"{sql} RETURNING updated_at = now()".encode()).fetchall() == [(True,)]


def test_nobody_loses_marks_by_leaving_a_table_out(app: str) -> None:
    apply(app)
    found = planned(app, SoftDeleteSection(tables=("app.orders",)))
    asked = " ".join(found.plan.questions)
    assert 'app."Üsers".deleted_at says which rows are deleted' in asked
    assert "app.events.deleted_at" in asked
    assert "app.events_1" not in asked
    assert "app.orders.deleted_at" not in asked  # the project's own, which stays
    assert not found.plan.steps


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ('ALTER TABLE app."Üsers" ADD CONSTRAINT k UNIQUE (tenant_id, "E-Mail")',
         r'counts deleted rows, so .* used again: ALTER TABLE app."Üsers" DROP CONSTRAINT k$'),
        ('CREATE UNIQUE INDEX k ON app."Üsers" ("E-Mail", tenant_id)', r"used again: DROP INDEX app\.k$"),
        ("CREATE UNIQUE INDEX k ON app.orders (no) WHERE deleted_at IS NOT NULL",
         r"k of app.orders holds where .*IS NOT NULL.*DROP INDEX app\.k"),
        ("ALTER TABLE app.orders ADD UNIQUE (no); CREATE TABLE app.x (no int REFERENCES app.orders (no))",
         "app.x .* refers to it: take the key out"),
        ("ALTER TABLE app.orders ALTER COLUMN deleted_at SET NOT NULL", "no row could be alive"),
        ("ALTER TABLE app.orders ALTER COLUMN deleted_at TYPE bool USING true", "is boolean, and a time of deletion is timestamptz"),
        ("ALTER TABLE app.events RENAME COLUMN note TO said", "which has no column 'note'"),
        ("DROP TABLE app.events", "app.events, which is not there"),
    ],
)  # fmt: skip
def test_what_only_a_person_can_settle(app: str, sql: str, sentence: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute(sql.encode())
    state = State(catalog(app))
    found = soft_delete.policy(WISH).apply(state)
    assert re.search(sentence, found.questions[0]), found.questions
    assert found.catalog == state.catalog


def test_what_is_asked_for_settles_it(app: str) -> None:
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("ALTER TABLE app.orders ADD CONSTRAINT k UNIQUE (no)")
        plan = planned(app).plan
        assert not plan.steps
        question = plan.questions[0]
        conn.execute(question.rpartition(": ")[2].encode())
    assert apply(app).proof


def test_a_partitioned_key_needs_its_partition_key(app: str) -> None:
    section = SoftDeleteSection(tables=("app.events",), unique=(LivingKey("app.events", ("note",)),))
    assert "needs its partition key (at)" in soft_delete.policy(section).apply(State(catalog(app))).questions[0]


def test_notes_tell_what_a_mark_does_not_do(app: str) -> None:
    notes = " ".join(soft_delete.policy(WISH).apply(State(catalog(app))).notes)
    assert 'rows that refer to a deleted row of app."Üsers" stay as they are' in notes
    assert "app.orders (orders_user_id_fkey, ON DELETE CASCADE)" in notes


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"unique": (LivingKey("app.a", ("x",)),)}, "is not among the tables"),
        ({"tables": ("app.a",), "unique": (LivingKey("app.a", ("x",)), LivingKey("app.a", ("x",)))}, "declared twice"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SoftDeleteSection(**given)
    with pytest.raises(ValueError, match="names no column"):
        LivingKey("app.a", ())
