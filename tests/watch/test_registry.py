"""The registry of facts: complete, understood by every version, and strict about what is wrong in its files."""

from __future__ import annotations

import re
from collections.abc import Callable
from string import Formatter
from typing import Any

import click
import psycopg
import pytest
from psycopg.rows import dict_row
from tests.conftest import every_major
from tests.watch import faults, faults_pair, test_health_own
from tests.watch.covered import COVERED

from pgcharter.errors import CharterError, UsageError
from pgcharter.measures import seconds
from pgcharter.servers.lifecycle import Server
from pgcharter.tomlfile import TomlFile
from pgcharter.watch import collecting_functions, registry
from pgcharter.watch.model import Check, Collector

REGISTRY = registry.load()
TABLES = ("feeds", "outbox", "events", "parked", "saga_instances", "projections", "sync_sinks", "sync_snapshots", "two_phase_log")


def test_every_check_has_a_fault_that_makes_it_speak() -> None:
    made = {f.check for f in (*faults.FAULTS, *faults_pair.PRIMARY, *faults_pair.STANDBY, *faults_pair.SUBSCRIBED)} | {
        *COVERED,
        *test_health_own.FAULTS,
    }
    assert sorted(set(REGISTRY.checks) - made) == []
    assert sorted(made - set(REGISTRY.checks)) == []


def test_every_check_is_complete() -> None:
    assert len(REGISTRY.checks) >= 90
    for check in REGISTRY.checks.values():
        assert check.title, check.id
        assert check.why.endswith("."), check.id
        assert check.source, check.id
        assert check.says[0].islower() or check.says.startswith(("{", "PostgreSQL")), check.id
        assert not check.says.endswith("."), check.id
        warn, critical = check.warn, check.critical
        if warn is not None and critical is not None:
            assert (warn > critical) if check.below else (warn < critical), check.id
        assert seconds(check.lasting) >= 0


def test_every_value_has_a_metric_whose_name_tells_its_unit() -> None:
    for check in REGISTRY.checks.values():
        name = REGISTRY.metric(check).name
        unit = {"s": "_seconds", "bytes": "_bytes", "%": "_percent"}.get(check.unit, "")
        assert not unit or check.over or unit in name, (check.id, name)
    assert len({m.name for m in REGISTRY.metrics}) == len(REGISTRY.metrics)
    assert all(m.name.endswith("_total") == (m.kind == "counter") for m in REGISTRY.metrics)


def test_every_function_is_known() -> None:
    named = {c.name for c in REGISTRY.collectors.values() if c.by == "function"}
    assert named == set(collecting_functions.FUNCTIONS)


def test_every_query_belongs_to_a_collector() -> None:
    for family in REGISTRY.families:
        known = {c.name for c in family.collectors if c.by == "sql"}
        assert set(registry._queries(family.name)) == known


def _columns(conn: psycopg.Connection[Any], collector: Collector, major: int) -> set[str]:
    text = registry.sql(collector, major)
    with conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(text.encode(), {"now": None} if "%(now)s" in text else None)
        return {d.name for d in cursor.description or ()}


def _asked(check: Check) -> set[str]:
    texts = (check.says, check.remedy)
    placed = {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}
    return {check.value, check.of, check.left, check.guard, *placed} - {"", "value", "database"}


@every_major
def test_every_version_answers_with_the_columns_that_checks_read(major: int, server_of: Callable[[int], Server]) -> None:
    with psycopg.connect(server_of(major).dsn()) as conn:
        for collector in REGISTRY.collectors.values():
            if collector.by == "function" or collector.table or collector.on == "standby" or major < collector.since:
                continue
            there = _columns(conn, collector, major)
            wanted = {*collector.labels, *collector.gauges, *collector.counters}
            for check in REGISTRY.checks.values():
                wanted |= _asked(check) if check.collector == collector.name else set()
            assert wanted <= there, (collector.name, wanted - there)


def test_remedies_name_commands_that_exist() -> None:
    from pgcharter.cli.group import COMMANDS, pgcharter

    texts = [c.remedy for c in REGISTRY.checks.values()]
    for text in texts:
        for words in re.findall(r"pgcharter ([a-z_]+(?: [a-z_]+)?)", text):
            first, _, second = words.partition(" ")
            assert first in COMMANDS, text
            group = pgcharter.get_command(click.Context(pgcharter), first)
            if isinstance(group, click.Group) and second and not group.invoke_without_command:
                assert group.get_command(click.Context(group), second), text


def test_near_misses_are_told() -> None:
    with pytest.raises(UsageError) as wrong:
        registry.known("replicaton")
    assert wrong.value.hint == 'did you mean "replication"?'
    with pytest.raises(UsageError) as wrong:
        registry.check("locks.wating")
    assert wrong.value.hint == 'did you mean "locks.waiting"?'


GOOD = """
title = "Locks"
[[collector]]
name = "blockers"
gauges = { waited_seconds = "Seconds" }
[[check]]
id = "locks.one"
title = "t"
collector = "blockers"
value = "waited_seconds"
warn = 1
why = "w."
remedy = "r"
says = "s {waited_seconds:time}"
source = "x"
"""


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ('name = "blockers"', 'name = "nobody"', "x.toml:4", "has no query of that name"),
        ('name = "blockers"', 'name = "Blockers"', "x.toml:4", "is no name"),
        ('value = "waited_seconds"', 'value = "waited"', "x.toml:10", "no column that is measured"),
        ("warn = 1", 'warn = "1"', "x.toml:11", 'key "warn" must be a number'),
        ("warn = 1", "", "x.toml:7", "it has no threshold"),
        ('collector = "blockers"', 'collector = "other"', "x.toml:9", "has no collector other"),
        ('id = "locks.one"', 'id = "lock.one"', "x.toml:7", "its id must be locks.name"),
        ("{waited_seconds:time}", "{waited_seconds:hours}", "x.toml:14", "no way to write"),
        ("{waited_seconds:time}", "{waited_seconds", "x.toml:14", "braces"),
        ('why = "w."', 'wy = "w."', "x.toml:12", 'no key "wy"'),
        ("warn = 1", 'warn = 1\nover = "5min"', "x.toml:10", "is no counter"),
        ("warn = 1", 'warn = 1\nlasting = "soon"', "x.toml:12", "no duration"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_place(old: str, new: str, place: str, words: str) -> None:
    registry.read(TomlFile.parse(GOOD.encode(), "x.toml"), "locks")
    with pytest.raises((CharterError, UsageError)) as wrong:
        registry.read(TomlFile.parse(GOOD.replace(old, new).encode(), "x.toml"), "locks")
    assert words in str(wrong.value)
    assert wrong.value.place == place
