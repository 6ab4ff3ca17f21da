"""What the trail still tells of a person whose key was destroyed: nothing."""

from __future__ import annotations

import psycopg
import pytest
from tests.runtime.test_encryption import CANARY, DATA_KEY, INDEX_KEY, Fixed

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import audit, encryption
from pgcharter.policy.audit_settings import AuditSection
from pgcharter.policy.encryption_settings import EncryptedColumn, EncryptionSection
from pgcharter.runtime.encryption import Encryption
from pgcharter.runtime.encryption_format import EncryptionError
from pgcharter.runtime.keys_subjects import destroy_subject, load_subjects

NAME = 'app."Üsers".email'
COLUMN = EncryptedColumn('app."Üsers"', "email", search=("exact", "folded"), scope="subject", subject="id", subject_kind="user")
POLICIES = (encryption.policy(EncryptionSection(column=(COLUMN,))), audit.policy(AuditSection(tables=("app.*",))))


def apply(dsn: str) -> Planned:
    found = planning.make(Wish("", dsn, chosen=Chosen(POLICIES), prove=False))
    assert found.plan.questions == ()
    with psycopg.connect(dsn, autocommit=True) as conn:
        for step in found.plan.steps:
            conn.execute(step.sql.encode())
    return found


@pytest.mark.parametrize("major", [15, 18])
def test_nothing_of_an_erased_person_is_readable_in_the_trail(database: str, major: int) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute('CREATE SCHEMA app; CREATE TABLE app."Üsers" (id bigint PRIMARY KEY, v int, email text)')
        noted = " ".join(apply(database).plan.notes)
        assert "app.Üsers.email, app.Üsers.email_exact, app.Üsers.email_folded: left out of what is recorded" in noted
        conn.execute('INSERT INTO app."Üsers" (id, email) VALUES (8, %s)', (CANARY,))
        conn.execute('DELETE FROM app."Üsers"; ALTER TABLE app."Üsers" DROP COLUMN email CASCADE')
        apply(database)
        sealing = Encryption([COLUMN], Fixed(DATA_KEY, INDEX_KEY))
        email = sealing.column(NAME)
        with conn.transaction():
            load_subjects(conn, sealing, NAME, [7], create=True)
            value = email.encrypt(CANARY, row=7, subject=7)
            digests = [email.blind(CANARY, form) for form in COLUMN.search]
            insert = 'INSERT INTO app."Üsers" (id, email_encrypted, email_exact, email_folded) VALUES (7, %s, %s, %s)'
            conn.execute(insert, (value, *digests))
            conn.execute('UPDATE app."Üsers" SET v = 1')
        with conn.transaction():
            assert destroy_subject(conn, sealing, "user", 7)
        trail = conn.execute("SELECT l::text, decode(substr(new->>'email_encrypted', 3), 'hex') FROM pgcharter.audit_log l").fetchall()
        assert len(trail) == 4
        for text, kept in trail:
            assert CANARY not in text
            assert not any(digest and digest.hex() in text for digest in digests)
            if kept:
                with pytest.raises(EncryptionError, match="was destroyed"):
                    email.decrypt(kept, row=7, subject=7)
        assert sum(kept == value for _, kept in trail) == 2
        assert conn.execute("SELECT count(*) FROM pgcharter.subject_keys WHERE wrapped IS NOT NULL").fetchone() == (0,)
