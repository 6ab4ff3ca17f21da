"""`[evidence]` on real servers: the tables come and go, writers add and change nothing, what is recorded is read back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.policy.by_hand import lose
from tests.policy.planned import applied, catalog

from pgcharter.catalog.compare import compare
from pgcharter.findings import Evidence
from pgcharter.guides.model import Clause, Guide
from pgcharter.guides.score import Scorecard, Verdict
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import evidence as policies
from pgcharter.policy.evidence_settings import EvidenceSection
from pgcharter.watch import evidence

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
ONE = Evidence("backup.drill", True, "4 of 4 tables equal", AT, AT + timedelta(days=7), {"tables": 4, "of": "“Größe”"})


def planned(dsn: str, *chosen: Any) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen(chosen)))


@pytest.mark.parametrize("major", [15, 18])
def test_come_and_gone(database: str, major: int) -> None:
    before = catalog(database)
    wish = policies.policy(EvidenceSection())
    assert applied(database, planned(database, wish)).proof
    assert planned(database, wish).plan.empty
    assert lose(database, planned(database))
    applied(database, planned(database))
    assert [d for d in compare(before, catalog(database)) if "pgcharter" not in (d.object.schema, d.object.name)] == []


def test_writers_add_and_readers_read(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        assert not evidence.kept(conn)
        conn.execute("CREATE ROLE ev_writer; CREATE ROLE ev_reader; CREATE ROLE ev_nobody")
        try:
            applied(database, planned(database, policies.policy(EvidenceSection(writers=("ev_writer",), readers=("ev_reader",)))))
            conn.execute("SET ROLE ev_writer")
            assert evidence.record(conn, [ONE]) == 1
            for forbidden in (
                "UPDATE pgcharter.evidence SET holds = true",
                "DELETE FROM pgcharter.evidence",
                "TRUNCATE pgcharter.evidence",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(forbidden.encode())
            conn.execute("SET ROLE ev_nobody")
            assert not evidence.kept(conn)
            conn.execute("SET ROLE ev_reader")
            assert evidence.kept(conn)
            assert evidence.newest(conn) == (ONE,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                evidence.record(conn, [replace(ONE, name="backup.other")])
        finally:
            conn.execute("RESET ROLE; DROP OWNED BY ev_writer, ev_reader; DROP ROLE ev_writer, ev_reader, ev_nobody")


def test_what_is_known_is_not_written_again_within_an_hour(database: str) -> None:
    applied(database, planned(database, policies.policy(EvidenceSection())))
    with psycopg.connect(database, autocommit=True) as conn:

        def later(minutes: int, *, holds: bool = True) -> int:
            return evidence.record(conn, [replace(ONE, at=AT + timedelta(minutes=minutes), holds=holds)])

        assert [later(0), later(0), later(30), later(59), later(61), later(62, holds=False), later(63, holds=False)] == [
            1,
            0,
            0,
            0,
            1,
            1,
            0,
        ]
        assert [e.holds for e in evidence.history(conn, ONE.name)] == [False, True, True]
        assert evidence.newest(conn, ["backup.drill"])[0].at == AT + timedelta(minutes=62)
        assert evidence.newest(conn, ["backup.other"]) == ()


def test_scorecards_are_kept(database: str) -> None:
    applied(database, planned(database, policies.policy(EvidenceSection())))
    clause = Clause("X1", "s", "t", rules=("KEY01",))
    card = Scorecard(Guide("g", "G", clauses=(clause,)), (Verdict(clause, "holds", ""),))
    with psycopg.connect(database, autocommit=True) as conn:
        evidence.record_score(conn, card)
        (kept,) = evidence.scores(conn, "g")
        assert (kept.totals, kept.clauses) == ({"holds": 1, "broken": 0, "unproven": 0, "waived": 0}, {"X1": "holds"})
        assert evidence.scores(conn, "other") == ()
