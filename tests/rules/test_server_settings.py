"""Settings of the server, of databases and of roles, each against a real server that has the fault; and what minor releases are missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgcharter.catalog.model import Catalog, Cluster, Database, Setting
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Severity
from pgcharter.guides.options import Options
from pgcharter.rules import engine, releases
from pgcharter.sources import live

ServerFactory = Callable[..., Any]


class House:
    rules = ()

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()

    def severity(self, code: str, default: Severity) -> Severity:
        return default

    def clauses_of(self, code: str) -> tuple[str, ...]:
        return ()


def found(reading: Reading, code: str, options: Options | None = None) -> list[Finding]:
    result = engine.run(reading, House(options), only=(code,))
    assert not result.not_run
    return list(result.findings)


def of_cluster(cluster: Cluster) -> Reading:
    return Reading("x", "live", catalog=Catalog(database=Database(name="shop")), cluster=cluster)


def with_settings(**values: str) -> Reading:
    return of_cluster(Cluster(settings=tuple(Setting(name, value, source="configuration file") for name, value in sorted(values.items()))))


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())


# minor releases


def test_the_days_are_in_order_and_no_release_is_left_out() -> None:
    days = [d.on for d in releases.DAYS]
    assert days == sorted(set(days))
    for before, after in pairwise(releases.DAYS):
        assert len(after.minors) - len(before.minors) in (0, 1)
        assert after.minors[: len(before.minors)] == tuple(n + 1 for n in before.minors)
        assert after.minors[len(before.minors) :] in ((), (1,))
    assert releases.KNOWN_UNTIL == days[-1] >= date(2026, 11, 12)


@pytest.mark.parametrize(
    ("version", "severity", "words"),
    [
        (150018, Severity.WARNING, "lacks 2 minor releases: 15.20 came out on 2026-11-12"),
        (170011, Severity.WARNING, "lacks 1 minor release: 17.12"),
        (140022, Severity.WARNING, "14.23, 14.24, 14.25 closed holes"),
        (150020, None, ""),
        (180006, None, ""),
        (180099, None, ""),
        (190000, None, ""),
        (130001, None, ""),
    ],
)
def test_minor_releases_missed(version: int, severity: Severity | None, words: str) -> None:
    findings = found(of_cluster(Cluster(server_version=version)), "SRV12")
    assert [f.severity for f in findings] == ([severity] if severity else [])
    assert all(words in f.message and "known to this program" in f.message for f in findings)


def test_a_release_that_closed_no_hole_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "DAYS", tuple(d for d in releases.DAYS if d.on <= date(2026, 2, 26)))
    (finding,) = found(of_cluster(Cluster(server_version=180002)), "SRV12")
    assert (finding.severity, finding.facts["missed"]) == (Severity.INFO, ["18.3"])
    assert "holes" not in finding.message


# encryption at rest


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (None, "nothing says"),
        ("  ", "nothing says"),
        ("TODO", "nothing says"),
        ("ssl = on", "it protects the network"),
        ("TLS 1.3 everywhere", "it protects the network"),
        ("LUKS on the data volume, pgBackRest with aes-256", ""),
        ("EBS volumes with KMS keys; TLS in transit", ""),
        ("the provider encrypts storage and backups", ""),
        ("Verschlüsselung durch den Anbieter, Vertrag 12", ""),
    ],
)
def test_encryption_at_rest_is_declared_and_speaks_of_storage(told: str | None, words: str) -> None:
    options = replace(Options(), encryption_at_rest_required=True, encryption_at_rest=told)
    findings = found(with_settings(ssl="on"), "SRV13", options)
    assert len(findings) == bool(words)
    assert all(words in f.message for f in findings)


def test_encryption_at_rest_is_not_asked_of_houses_that_do_not_require_it() -> None:
    result = engine.run(with_settings(), House(), only=("SRV13",))
    assert result.not_run == {"SRV13": "the guide leaves the house option encryption_at_rest_required open"}


# TLS


@pytest.mark.parametrize(
    ("ciphers", "weak"),
    [
        ("HIGH:MEDIUM:+3DES:!aNULL", ""),
        ("HIGH:!aNULL", ""),
        ("ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", ""),
        ("ALL:!ADH:!LOW:!EXP:!MD5:!aNULL:@STRENGTH", ""),
        ("HIGH:-RC4:!DES", ""),
        ("", ""),
        ("HIGH:RC4", "RC4"),
        ("ALL", "ALL"),
        ("AES128-SHA:DES-CBC3-SHA:RC4-MD5", "RC4-MD5"),
        ("eNULL", "eNULL"),
        ("HIGH,LOW", "LOW"),
    ],
)
def test_weak_ciphers(ciphers: str, weak: str) -> None:
    findings = found(with_settings(ssl="on", ssl_min_protocol_version="TLSv1.2", ssl_ciphers=ciphers), "SRV14")
    assert len(findings) == bool(weak)
    assert all(weak in f.message for f in findings)


def test_old_tls() -> None:
    (finding,) = found(with_settings(ssl="on", ssl_min_protocol_version="TLSv1.1"), "SRV14")
    assert finding.fix[0] == "ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1.2'"
    assert found(with_settings(ssl="off", ssl_min_protocol_version="TLSv1"), "SRV14") == []
    assert found(with_settings(ssl="on"), "SRV14") == [], "a value that the role may not see is a gap of the reading, not a finding"


# roles, databases, the server


@pytest.fixture
def shop(server: ServerFactory) -> Iterator[str]:
    dsn = server().dsn()
    run(dsn, 'CREATE DATABASE "The Shop"')
    return make_conninfo(dsn, dbname="The Shop")


def test_dangerous_settings_are_found_and_reset_where_they_were_made(shop: str) -> None:
    run(
        shop,
        'CREATE ROLE "loader: x" LOGIN',
        "CREATE ROLE replicator LOGIN REPLICATION",
        "CREATE ROLE dumper LOGIN BYPASSRLS",
        "CREATE ROLE app LOGIN",
        'ALTER ROLE "loader: x" SET session_replication_role = replica',
        "ALTER ROLE replicator SET session_replication_role = replica",
        "ALTER ROLE dumper SET row_security = off",
        "ALTER ROLE app SET row_security = off",
        "ALTER ROLE app SET standard_conforming_strings = on",
        'ALTER DATABASE "The Shop" SET standard_conforming_strings = off',
        'ALTER ROLE "loader: x" IN DATABASE "The Shop" SET track_counts = off',
        'ALTER ROLE replicator IN DATABASE "The Shop" SET session_replication_role = replica',
        "ALTER SYSTEM SET zero_damaged_pages = on",
        "SELECT pg_reload_conf()",
    )
    reading = live.read(shop)
    findings = found(reading, "SRV15")
    assert {(str(f.object), f.facts.get("detail", ""), f.fix[0]) for f in findings} == {
        ('role "loader: x"', "session_replication_role", 'ALTER ROLE "loader: x" RESET session_replication_role'),
        ("role app", "row_security", "ALTER ROLE app RESET row_security"),
        ('database "The Shop"', "standard_conforming_strings", 'ALTER DATABASE "The Shop" RESET standard_conforming_strings'),
        ('database "The Shop"', "loader: x:track_counts", 'ALTER ROLE "loader: x" IN DATABASE "The Shop" RESET track_counts'),
        ("setting zero_damaged_pages", "", "ALTER SYSTEM SET zero_damaged_pages = DEFAULT"),
    }
    run(shop, *(statement for f in findings for statement in f.fix))
    assert found(live.read(shop), "SRV15") == []


def test_remedies_go_where_the_value_came_from(shop: str) -> None:
    run(
        shop,
        'ALTER DATABASE "The Shop" SET password_encryption = md5',
        'ALTER DATABASE "The Shop" SET log_min_duration_statement = 0',
        "ALTER SYSTEM SET idle_in_transaction_session_timeout = '5min'",
        "SELECT pg_reload_conf()",
        'ALTER DATABASE "The Shop" SET idle_in_transaction_session_timeout = 0',
    )
    before = live.read(shop)
    findings = [f for code in ("SRV02", "SRV09", "SRV16") for f in found(before, code)]
    assert [f.fix for f in findings] == [
        ('ALTER DATABASE "The Shop" RESET password_encryption',),
        ('ALTER DATABASE "The Shop" RESET idle_in_transaction_session_timeout',),
        ('ALTER DATABASE "The Shop" RESET log_min_duration_statement',),
    ]
    run(shop, *(statement for f in findings for statement in f.fix))
    after = live.read(shop)
    assert [f for code in ("SRV02", "SRV09", "SRV16") for f in found(after, code)] == []


@pytest.mark.parametrize("inside", [False, True])
def test_remedies_of_what_the_own_role_sets(shop: str, inside: bool) -> None:
    where = ' IN DATABASE "The Shop"' if inside else ""
    with psycopg.connect(shop, autocommit=True) as conn:
        me = sql.Identifier(conn.info.user).as_string(conn)
        conn.execute(f"ALTER ROLE {me}{where} SET log_statement = 'all'".encode())
    (finding,) = found(live.read(shop), "SRV16")
    assert finding.fix == (f"ALTER ROLE {me.replace(chr(34), '')}{where} RESET log_statement",)
    run(shop, *finding.fix)
    assert found(live.read(shop), "SRV16") == []


def test_what_the_connection_itself_asked_for_is_not_mended_on_the_server(shop: str) -> None:
    (finding,) = found(live.read(make_conninfo(shop, options="-c log_statement=all")), "SRV16")
    assert finding.fix == ()
    assert "connection itself" in finding.hint


def test_alter_system_is_not_offered_against_the_command_line() -> None:
    settings = (Setting("fsync", "off", source="command line"), Setting("autovacuum", "off", source="configuration file"))
    on_command_line, in_file = sorted(found(of_cluster(Cluster(settings=settings)), "SRV05"), key=lambda f: f.fix)
    assert on_command_line.fix == ()
    assert "command line" in on_command_line.hint
    assert in_file.fix == ("ALTER SYSTEM SET autovacuum = on", "SELECT pg_reload_conf()")


def test_an_ordinary_role_sees_a_gap_not_a_verdict(shop: str) -> None:
    run(shop, "CREATE ROLE plain LOGIN PASSWORD 'for tests'")
    reading = live.read(make_conninfo(shop, user="plain", password="for tests"))
    assert "some server settings" in {g.what for g in reading.gaps}
    assert found(reading, "SRV15") == []
    assert found(reading, "SRV14") == []
