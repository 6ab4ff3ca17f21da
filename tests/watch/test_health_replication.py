"""Faults of replication are told: on a primary with its standby, on the standby, and of subscriptions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from tests.conftest import installation
from tests.runtime import standby as standbys
from tests.watch import faults_pair
from tests.watch.ground import Fault, Ground, proven, until, worst
from tests.watch.test_health_faults import QUIET

from pgcharter.servers import lifecycle
from pgcharter.watch import registry
from pgcharter.watch.judging import Past
from pgcharter.watch.model import Level

MAJORS = (15, 16, 17, 18) if os.environ.get("PGCHARTER_EVERY_FAULT") else (15, 18)
every = {"params": MAJORS, "ids": lambda major: f"pg{major}"}


@pytest.fixture(scope="module", **every)
def primary(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """A primary, and its standby as `other`."""
    with (
        lifecycle.start_ephemeral(installation(request.param), settings=QUIET) as server,
        psycopg.connect(server.dsn(), autocommit=True) as admin,
    ):
        quick: dict[str, lifecycle.Setting] = {**QUIET, "max_standby_streaming_delay": 0, "wal_receiver_status_interval": "1s"}
        with standbys.standby_of(server, quick) as copy, psycopg.connect(copy.dsn(), autocommit=True) as there:
            ground = Ground(server, admin)
            ground.other = Ground(copy, there, other=ground)
            until(lambda: ground.fresh("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"))
            yield ground


@pytest.mark.parametrize("fault", faults_pair.PRIMARY, ids=lambda f: f.check)
def test_a_primary_tells_of_its_standby(primary: Ground, fault: Fault) -> None:
    proven(primary, fault)


@pytest.mark.parametrize("fault", faults_pair.STANDBY, ids=lambda f: f.check)
def test_a_standby_tells_of_itself(primary: Ground, fault: Fault) -> None:
    assert primary.other
    reading = proven(primary.other, fault)
    assert "secret" not in reading.says + reading.remedy


def test_an_idle_primary_is_no_lag(primary: Ground) -> None:
    """The last transaction gets older, and nothing is behind."""
    assert primary.other
    standbys.caught_up(primary.server, primary.other.server)
    for ground, check in ((primary, "replication.lag"), (primary.other, "standby.lag")):

        def quiet(ground: Ground = ground, check: str = check) -> bool:
            found, _ = ground.look(check, changes={"warn": 0.001})
            return found.readings[0].level is Level.OK

        until(quiet)


def test_what_a_standby_cannot_know_is_not_asked_there(primary: Ground) -> None:
    assert primary.other
    found, _ = primary.other.judge(list(registry.load().checks.values()), Past())
    said = {r.check.id for r in found.readings} | {g.what for g in found.gaps}
    assert "standby.lag" in said
    assert not {"server.writes", "archive.failing", "vacuum.behind", "storage.checkpoint_distance"} & said


def test_a_promotion_is_told(primary: Ground) -> None:
    """Last of all: the standby is none afterwards."""
    assert primary.other
    found, past = primary.other.look("server.role")
    assert [g.what for g in found.gaps] == ["server.role"]
    standbys.promote(primary.other.server)
    found, _ = primary.other.look("server.role", past=past, after=3600)
    one = worst(found, "server.role")
    assert one is not None
    assert one.level is Level.WARNING


@pytest.fixture(scope="module", **every)
def subscriber(request: pytest.FixtureRequest) -> Iterator[Ground]:
    settings: dict[str, lifecycle.Setting] = {**QUIET, "wal_retrieve_retry_interval": "100ms"}
    with (
        lifecycle.start_ephemeral(installation(request.param), settings=settings) as server,
        psycopg.connect(server.dsn(), autocommit=True) as admin,
    ):
        admin.execute("CREATE DATABASE source TEMPLATE template0")
        yield Ground(server, admin, extra={"source": server.dsn("source")})


@pytest.mark.parametrize("fault", faults_pair.SUBSCRIBED, ids=lambda f: f.check)
def test_a_subscriber_tells_of_its_subscriptions(subscriber: Ground, fault: Fault) -> None:
    proven(subscriber, fault)


def test_errors_of_a_subscription_are_counted(subscriber: Ground) -> None:
    """Growth is of what was seen twice, so the subscription is there before."""
    with faults_pair._subscription(subscriber):
        found, past = subscriber.look("subscriptions.errors")
        assert [g.what for g in found.gaps] == ["subscriptions.errors"]
        subscriber.run("INSERT INTO thing VALUES (1)")
        with psycopg.connect(subscriber.extra["source"], autocommit=True) as there:
            there.execute("INSERT INTO thing VALUES (1)")

        def told() -> bool:
            found, _ = subscriber.look("subscriptions.errors", past=past, after=300)
            one = worst(found, "subscriptions.errors")
            return one is not None and one.level >= Level.WARNING

        until(told)
        subscriber.run("DELETE FROM thing")


def test_large_transactions_that_are_decoded_are_told(subscriber: Ground) -> None:
    subscriber.run(
        "CREATE TABLE big (t text)",
        "CREATE PUBLICATION bigs FOR TABLE big",
        "SELECT pg_create_logical_replication_slot('bigs', 'pgoutput')",
    )
    checks = [replace(registry.check("slots.spilled"), warn=1000)]
    _, past = subscriber.judge(checks, Past())
    subscriber.run(
        "INSERT INTO big SELECT repeat('x', 1000) FROM generate_series(1, 500)",
        "SET logical_decoding_work_mem = '64kB'",
        "SELECT count(*) FROM pg_logical_slot_get_binary_changes('bigs', NULL, NULL, 'proto_version', '1', 'publication_names', 'bigs')",
    )
    found, _ = subscriber.judge(checks, past, 3600)
    assert found.readings[0].level is Level.INFO
    subscriber.run("SELECT pg_drop_replication_slot('bigs')", "DROP PUBLICATION bigs", "DROP TABLE big")
