"""`[two_phase]` on real servers: the coordinator's log comes and goes, and is not lost by leaving a line out."""

from __future__ import annotations

import psycopg
import pytest
from tests.policy.by_hand import lose
from tests.policy.test_idempotency import apply, catalog, planned

from pgcharter.catalog.compare import compare
from pgcharter.policy import two_phase
from pgcharter.policy.two_phase_settings import Participant, TwoPhaseSection


@pytest.mark.parametrize("major", [15, 18])
def test_come_and_gone(database: str, major: int) -> None:
    before = catalog(database)
    user = f"two_phase_{major}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {user}".encode())
    wish = two_phase.policy(TwoPhaseSection(users=(user,)))
    try:
        assert apply(database, wish).proof
        assert planned(database, wish).plan.empty
        with psycopg.connect(database) as conn:
            conn.execute(f"SET ROLE {user}".encode())
            assert conn.execute("SELECT nextval('pgcharter.two_phase_epoch')").fetchone() == (1,)
            conn.execute("INSERT INTO pgcharter.two_phase_log VALUES (1, 1, 'c', 'commit', '{}')")
            conn.execute("DELETE FROM pgcharter.two_phase_log")
            with pytest.raises(psycopg.errors.CheckViolation):
                conn.execute("INSERT INTO pgcharter.two_phase_log VALUES (1, 1, 'c', 'perhaps', '{}')")
        gone = planned(database)
        assert "perhaps not carried out yet" in gone.plan.questions[0]
        assert lose(database, gone)
        apply(database)
        assert [d for d in compare(before, catalog(database)) if "pgcharter" not in (d.object.schema, d.object.name)] == []
    finally:
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(f"DROP OWNED BY {user}; DROP ROLE {user}".encode())


@pytest.mark.parametrize("name", ["", "a/b", "ä", "x" * 41, "a b"])
def test_names_that_no_prepared_transaction_can_have(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no name for \[two_phase\]"):
        TwoPhaseSection(system=name)
    with pytest.raises(ValueError, match=r"is no name for \[two_phase\]"):
        TwoPhaseSection(participant=(Participant(name, "X"),))


def test_participants_have_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="names a twice"):
        TwoPhaseSection(participant=(Participant("a", "X"), Participant("a", "Y")))
