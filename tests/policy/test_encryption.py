"""`[encryption]` on real servers: what is made, what it refuses, and that it goes without a trace."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tests.conftest import every_major
from tests.policy.by_hand import lose
from tests.policy.planned import applied, catalog
from tests.runtime.test_encryption import cipher

from pgcharter.catalog.compare import compare
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import encryption
from pgcharter.policy.encryption_settings import EncryptedColumn, EncryptionSection
from pgcharter.policy.model import State

SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app."Üsers" (id bigint PRIMARY KEY, tenant_id int NOT NULL, email text UNIQUE, "Näme" json, born date);
CREATE TABLE app.events (id bigint, at date NOT NULL, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO app."Üsers" VALUES (1, 1, 'ada@example.org', '{}');
"""
USERS = 'app."Üsers"'
WISH = EncryptionSection(
    column=(
        EncryptedColumn(USERS, "email", search=("folded", "last-four"), unique=True, tenant="tenant_id"),
        EncryptedColumn(USERS, "Näme", "json", scope="subject", subject="id", subject_kind="user"),
        EncryptedColumn(USERS, "card", search=("exact",), bits=64),
        EncryptedColumn("app.events", "note", search=("exact",)),
    )
)


@pytest.fixture
def app(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA)
    return database


def planned(dsn: str, section: EncryptionSection | None = WISH) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen((encryption.policy(section),) if section else ())))


def apply(dsn: str, section: EncryptionSection | None = WISH) -> Planned:
    return applied(dsn, planned(dsn, section))


@every_major
def test_applied_once_is_applied_and_given_up_is_gone(app: str, major: int) -> None:
    before = catalog(app)
    assert apply(app).proof
    assert planned(app).plan.empty
    assert lose(app, planned(app, None))
    apply(app, None)
    assert [d for d in compare(before, catalog(app)) if d.object.schema != "pgcharter" and "pgcharter" not in (d.object.name,)] == []


def test_nobody_loses_ciphertext_by_leaving_something_out(app: str) -> None:
    """Not with the section, nor with one column, one person's scope or another name; a table that is dropped is another thing."""
    apply(app)
    columns = (f"{USERS}.email_encrypted", f'{USERS}."Näme_encrypted"', f"{USERS}.card_encrypted", "app.events.note_encrypted")
    every = (*columns, "pgcharter.subject_keys")
    email, name, *rest = WISH.column
    left_out = {
        (): WISH,
        every: None,
        (*every, "again"): EncryptionSection(),
        columns[:1]: replace(WISH, column=(name, *rest)),
        (columns[1], every[-1]): replace(WISH, column=(email, *rest)),
        (every[-1],): replace(WISH, column=(email, replace(name, scope="table", subject="", subject_kind=""), *rest)),
        columns[2:3]: replace(WISH, column=(email, name, replace(rest[0], stored="card_sealed"), rest[1])),
    }
    for lost, section in left_out.items():
        found = planned(app, section).plan
        assert len(found.questions) == len([what for what in lost if what != "again"]), found.questions
        assert all(any(what in question for question in found.questions) for what in lost if what != "again")
        assert not (lost and found.steps)
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("DROP TABLE app.events CASCADE")
    assert planned(app, replace(WISH, column=WISH.column[:3])).plan.questions == ()
    without_search = replace(WISH, column=(replace(email, search=(), unique=False), name, rest[0]))
    assert planned(app, without_search).plan.questions == ()  # a blind index is made again from the values


def test_a_changed_wish_is_planned_and_proven(app: str) -> None:
    apply(app, replace(WISH, column=WISH.column[2:]))
    assert apply(app).proof
    apply(app, replace(WISH, column=(replace(WISH.column[0], search=("folded",), unique=False), *WISH.column[1:])))


def test_clear_text_cannot_be_written(app: str) -> None:
    apply(app)
    sealed = cipher().encrypt("ada@example.org", row=1)
    wrong = [b"ada@example.org", b"a" * 60, b"", b"\xfepg\x01", b"\xfepg\x02" + bytes(60), (sealed or b"")[:40]]
    with psycopg.connect(app, autocommit=True) as conn:
        for value in wrong:
            with pytest.raises(psycopg.errors.CheckViolation):
                conn.execute(f"UPDATE {USERS} SET email_encrypted = %s".encode(), (value,))
        with pytest.raises(psycopg.errors.CheckViolation):
            conn.execute(f"UPDATE {USERS} SET email_folded = %s".encode(), (b"ada@example.org",))
        conn.execute(f"UPDATE {USERS} SET email_encrypted = %s, email_folded = %s".encode(), (sealed, cipher(search=("exact",)).blind("x")))
        conn.execute("INSERT INTO app.events (id, at, note_encrypted) VALUES (1, '2026-05-01', %s)", (sealed,))
        with pytest.raises(psycopg.errors.CheckViolation):
            conn.execute("INSERT INTO app.events_1 (id, at, note_encrypted) VALUES (2, '2026-05-01', 'secret')")


def test_whoever_changes_the_clear_value_empties_what_was_encrypted(app: str) -> None:
    apply(app)
    column = cipher(search=("folded",))
    sealed = (column.encrypt("ada@example.org", row=1), column.blind("ada@example.org"))
    there = f"SELECT email_encrypted IS NULL, email_folded IS NULL FROM {USERS}".encode()
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute(f"UPDATE {USERS} SET email_encrypted = %s, email_folded = %s".encode(), sealed)
        conn.execute(f"UPDATE {USERS} SET tenant_id = 2, email = 'ada@example.org'".encode())
        assert conn.execute(there).fetchone() == (False, False)
        conn.execute(f"UPDATE {USERS} SET email = 'bob@example.org'".encode())
        assert conn.execute(there).fetchone() == (True, True)
        conn.execute(f"UPDATE {USERS} SET email = 'eve@example.org', email_encrypted = %s, email_folded = %s".encode(), sealed)
        assert conn.execute(there).fetchone() == (False, False)


def test_what_only_a_person_can_settle(app: str) -> None:
    asked = {
        "table app.nobody, which is not there": {"table": "app.nobody", "column": "x"},
        "'users' is no address|is no address of an object": {"table": "users", "column": "x"},
        "is a partition": {"table": "app.events_1", "column": "note"},
        "'owner' as its tenant": {"table": USERS, "column": "email", "tenant": "owner"},
        "is text, and ciphertext is bytea": {"table": USERS, "column": "other", "stored": "email"},
        "needs its key in it": {"table": "app.events", "column": "note", "search": ("exact",), "unique": True},
    }
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("CREATE TABLE app.bare (x text)")
    asked["has no primary key"] = {"table": "app.bare", "column": "x"}
    state = State(catalog(app))
    for sentence, spec in asked.items():
        found = encryption.policy(EncryptionSection(column=(EncryptedColumn(**spec),))).apply(state)
        assert found.catalog == state.catalog
        assert re.search(sentence, found.questions[0]), found.questions


def test_notes_tell_what_is_left_to_do(app: str) -> None:
    notes = " ".join(encryption.policy(WISH).apply(State(catalog(app))).notes)
    assert "still holds clear text beside email_encrypted: pgcharter keys encrypt" in notes
    assert "can have 10,000 values in its blind index" in notes
    assert "Üsers_email_key" in notes


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"scope": "tenant"}, "no column says which"), ({"scope": "subject"}, "must say all of"), ({"unique": True}, "nobody could tell"),
        ({"type": "int", "search": ("folded",)}, "only text has"), ({"stored": "c"}, "stored in itself"),
        ({"type": "int", "search": ("last-four",)}, "a form of text"),
        ({"search": ("exact",), "unique": True, "bits": 32}, "may share 32 bits"),
        ({"table": "tenant_*.t"}, r"tenant_\*\.t\.c means many tables, and a value is bound to one"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EncryptedColumn(**{"table": "app.t", "column": "c", **spec})
