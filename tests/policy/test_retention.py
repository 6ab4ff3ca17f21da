"""`[retention]`: what it may say, its calendar, and on real servers its tables, which come and go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from tests.policy.by_hand import lose
from tests.policy.planned import applied, catalog

from pgcharter.catalog.compare import compare
from pgcharter.errors import UsageError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import retention
from pgcharter.policy.retention_settings import PartitionTable, RetentionSection, RuleTable
from pgcharter.policy.retention_spans import period, span


def planned(dsn: str, *chosen: Any) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen(chosen)))


@pytest.mark.parametrize("major", [15, 18])
def test_come_and_gone(database: str, major: int) -> None:
    before = catalog(database)
    wish = retention.policy(RetentionSection())
    assert applied(database, planned(database, wish)).proof
    assert planned(database, wish).plan.empty
    assert lose(database, planned(database))
    applied(database, planned(database))
    assert [d for d in compare(before, catalog(database)) if "pgcharter" not in (d.object.schema, d.object.name)] == []


def test_rights(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE ROLE rt_worker; CREATE ROLE rt_reader")
        try:
            wish = retention.policy(RetentionSection(workers=("rt_worker",), readers=("rt_reader",)))
            applied(database, planned(database, wish))
            assert planned(database, wish).plan.empty
            conn.execute("SET ROLE rt_worker")
            conn.execute("INSERT INTO pgcharter.legal_holds (table_schema, table_name, reason) VALUES ('a', 'b', 'case')")
            conn.execute("UPDATE pgcharter.legal_holds SET released_at = now() + interval '1 s', released_by = 'x'")
            for wrong in ("DELETE FROM pgcharter.legal_holds", "UPDATE pgcharter.retention_runs SET rows_gone = 0"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(wrong.encode())
            with pytest.raises(psycopg.errors.CheckViolation):
                conn.execute(
                    "INSERT INTO pgcharter.legal_holds (table_schema, table_name, column_name, reason) VALUES ('a', 'b', 'c', 'd')"
                )
            conn.execute("SET ROLE rt_reader")
            conn.execute("SELECT FROM pgcharter.legal_holds; SELECT FROM pgcharter.retention_runs")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute("INSERT INTO pgcharter.legal_holds (table_schema, table_name, reason) VALUES ('a', 'b', 'case')")
        finally:
            conn.execute("RESET ROLE; DROP OWNED BY rt_worker, rt_reader; DROP ROLE rt_worker, rt_reader")


@pytest.mark.parametrize("unit", ["day", "week", "month", "quarter", "year", "6 hours", "1h"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_periods_follow_each_other(unit: str, zone: str) -> None:
    one, place = period(unit), ZoneInfo(zone)
    here = one.start(datetime(2026, 2, 27, 13, 14, 15, tzinfo=UTC), place)
    names = set()
    for _ in range(400):
        following = one.after(here, 1, place)
        assert following > here
        assert one.start(here, place) == here
        assert one.start(following - timedelta(microseconds=1), place) == here
        assert one.after(following, -1, place) == here
        names.add(one.form.format(table="t", **one.words(here, place)))
        here = following
    assert len(names) == 400


def test_spans() -> None:
    now = datetime(2028, 2, 29, 12, tzinfo=UTC)
    assert span("1y").before(now) == datetime(2027, 2, 28, 12, tzinfo=UTC)
    assert span("18 months").before(now) == datetime(2026, 8, 29, 12, tzinfo=UTC)
    assert span("36h").before(now) == datetime(2028, 2, 28, tzinfo=UTC)
    assert span("9999y").before(now).year == 1
    for wrong in ("", "0d", "7", "1.5y", "-1d", "year", "1 fortnight"):
        with pytest.raises(UsageError):
            span(wrong)
    for wrong in ("", "5 hours", "25h", "0h", "fortnight", "2 months"):
        with pytest.raises(UsageError):
            period(wrong)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PartitionTable("events"), "is no address"),
        (lambda: PartitionTable("a.b", how="csv"), "go to a folder"),
        (lambda: PartitionTable("a.b", zone="Mars/Olympus"), "no time zone"),
        (lambda: PartitionTable("a.b", zone="../etc/passwd"), "no time zone"),
        (lambda: PartitionTable("a.b", name="{table}_{year}"), "the same name"),
        (lambda: PartitionTable("a.b", name="{table}_{minute}"), "no form of names"),
        (lambda: RuleTable(()), "names no table"),
        (lambda: RuleTable(("a.b",), how="jsonl"), "go to a folder"),
        (lambda: RetentionSection(rule=(RuleTable(("a.b",), keep="logs"),)), "neither a time nor a class"),
        (lambda: RetentionSection(classes={"logs": "soon"}), "must be a time"),
        (lambda: RetentionSection(partition=(PartitionTable("a.b"), PartitionTable("a.b"))), "twice"),
    ],
)
def test_what_means_nothing_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
