"""Rules about the server itself, each against a real server that has the fault, and one that has it not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgcharter import sqltext
from pgcharter.catalog.model import Catalog, Cluster, Membership, Role
from pgcharter.catalog.reading import Reading
from pgcharter.findings import Finding, Severity
from pgcharter.guides.options import Options
from pgcharter.rules import engine, servers
from pgcharter.rules.engine import Context
from pgcharter.sources import live

ServerFactory = Callable[..., Any]
GOOD = {
    "fsync": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "password_encryption": "scram-sha-256",
    "idle_in_transaction_session_timeout": "5min",
}


class EveryRule:
    options = replace(Options(), encryption_at_rest_required=True, encryption_at_rest="LUKS volume, backups by age")
    rules = ()

    def severity(self, code: str, default: Severity) -> Severity:
        return default

    def clauses_of(self, code: str) -> tuple[str, ...]:
        return ()


def found(reading: Reading, *codes: str) -> list[Finding]:
    wanted = codes or tuple(c for c in engine.load() if c.startswith("SRV"))
    result = engine.run(reading, EveryRule(), only=wanted)
    assert not result.not_run
    return list(result.findings)


def mended(dsn: str, findings: list[Finding]) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in (s for f in findings for s in f.fix):
            conn.execute(statement.encode())


CARELESS = ("full_page_writes = off", "autovacuum = off", "password_encryption = md5", "idle_in_transaction_session_timeout = 0")
"""What the test can set in the server's own file, so that ALTER SYSTEM can mend it; fsync is the fixture's."""


def test_a_careless_server_is_found_and_mended(server: ServerFactory) -> None:
    dsn = server(settings={"fsync": "off"}).dsn()
    with psycopg.connect(dsn, autocommit=True) as conn:
        for setting in CARELESS:
            conn.execute(f"ALTER SYSTEM SET {setting}".encode())
        conn.execute("SELECT pg_reload_conf()")
        conn.execute("SET password_encryption = md5")
        conn.execute("CREATE ROLE careless LOGIN PASSWORD 'not shown'")
        conn.execute("CREATE ROLE second_super LOGIN SUPERUSER")
        conn.execute("CREATE ROLE passes_by LOGIN BYPASSRLS")
        conn.execute("GRANT pg_execute_server_program TO passes_by")
        conn.execute("CREATE TABLE secrets (id bigint PRIMARY KEY)")
        conn.execute("ALTER TABLE secrets ENABLE ROW LEVEL SECURITY")
        conn.execute("CREATE POLICY all_of_them ON secrets USING (id > 0)")
    findings = found(live.read(dsn))
    told = {(f.code, f.object.name if f.object else "") for f in findings}
    assert {
        ("SRV01", "careless"),
        ("SRV02", "password_encryption"),
        ("SRV05", "fsync"),
        ("SRV05", "full_page_writes"),
        ("SRV05", "autovacuum"),
        ("SRV06", "second_super"),
        ("SRV07", "passes_by"),
        ("SRV09", "idle_in_transaction_session_timeout"),
        ("SRV11", "passes_by"),
    } <= told
    assert not any("not shown" in f.message + f.hint for f in findings)
    assert not {"SRV03", "SRV04"} & {code for code, _ in told}, "a server that only this machine reaches"
    fixable = {f.key for f in findings if f.fix}
    for finding in findings:
        mended(dsn, [finding])
    assert not fixable & {f.key for f in found(live.read(dsn))}


def test_a_careful_server_is_left_alone(server: ServerFactory) -> None:
    dsn = server(settings=GOOD).dsn()
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE app LOGIN PASSWORD 'x'")
        conn.execute("CREATE ROLE keeper NOLOGIN BYPASSRLS")
        conn.execute("CREATE ROLE loader NOLOGIN")
        conn.execute("GRANT pg_read_server_files TO loader")
    # the age of the version and checksums are the machine's, not ours
    assert [f.message for f in found(live.read(dsn)) if f.code not in ("SRV08", "SRV10", "SRV12")] == []


def test_network_lines_count_only_when_the_network_reaches_them(server: ServerFactory) -> None:
    running = server(settings=GOOD)
    dsn = running.dsn()
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute("SELECT current_setting('hba_file')").fetchone()
    assert row is not None
    cluster = live.read(dsn).cluster
    assert cluster is not None
    lines = tuple(
        servers.HbaLine(n, kind, ("all",), ("all",), address, method)
        for n, (kind, address, method) in enumerate(
            [
                ("local", "", "trust"),
                ("host", "127.0.0.1 255.255.255.255", "trust"),
                ("host", "::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "trust"),
                ("host", "10.0.0.0 255.0.0.0", "trust"),
                ("host", "all", "password"),
                ("hostssl", "all", "password"),
                ("host", "all", "md5"),
                ("host", "all", "scram-sha-256"),
            ],
            start=1,
        )
    )
    settings = tuple(replace(s, value="*") if s.name == "listen_addresses" else s for s in cluster.settings if s.name != "ssl")
    open_cluster = replace(cluster, hba=lines, settings=(*settings, servers_setting("ssl", "off")))
    closed_cluster = replace(cluster, hba=lines)
    both = ("SRV03", "SRV04")
    assert found(Reading("x", "live", catalog=Catalog(), cluster=closed_cluster), *both) == []
    findings = found(Reading("x", "live", catalog=Catalog(), cluster=open_cluster), *both)
    assert [(f.code, f.severity) for f in findings] == [
        ("SRV03", Severity.ERROR),
        ("SRV03", Severity.ERROR),
        ("SRV04", Severity.WARNING),
        ("SRV03", Severity.INFO),
    ]


def servers_setting(name: str, value: str) -> Any:
    from pgcharter.catalog.model import Setting

    return Setting(name, value)


@pytest.mark.parametrize(
    ("version", "today", "severity"),
    [
        (140020, date(2026, 11, 20), Severity.ERROR),
        (150015, date(2026, 11, 20), None),
        (150015, date(2027, 6, 1), Severity.INFO),
        (150015, date(2027, 11, 12), Severity.ERROR),
        (990000, date(2027, 11, 12), None),
    ],
)
def test_support_ends_on_a_day(version: int, today: date, severity: Severity | None) -> None:
    reading = Reading("x", "live", catalog=Catalog(), cluster=Cluster(server_version=version))
    context = Context(reading, Options(), engine.find("SRV10"))
    finding = servers.support_finding(context, today)
    assert (finding.severity if finding else None) == severity


@pytest.mark.parametrize(
    ("role", "members", "severity"),
    [
        (Role("boss", login=True), (), Severity.ERROR),
        (Role("boss", superuser=True, login=True), (), Severity.WARNING),
        (Role("boss"), (Membership("boss", "app"),), Severity.ERROR),
        (Role("boss"), (), None),
    ],
)
def test_row_security_not_forced_asks_who_the_owner_is(
    database: str, role: Role, members: tuple[Membership, ...], severity: Severity | None
) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE documents (id bigint PRIMARY KEY)")
        conn.execute("ALTER TABLE documents ENABLE ROW LEVEL SECURITY")
        conn.execute("CREATE POLICY own ON documents USING (id > 0)")
    reading = live.read(database)
    assert reading.catalog is not None
    tables = tuple(replace(t, owner="boss") for t in reading.catalog.tables)
    cluster = Cluster(roles=(role, Role("app", login=True)), memberships=members)
    changed = replace(reading, catalog=replace(reading.catalog, tables=tables), cluster=cluster)
    assert [f.severity for f in found(changed, "SEC01")] == ([severity] if severity else [])


def test_text_of_a_grant_is_left_to_the_rule_on_statements(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        for name in "abcde":
            conn.execute(f"CREATE TABLE {name} (id bigint PRIMARY KEY)".encode())
        conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO pg_monitor")
    reading = live.read(database)
    assert [f.object.name for f in found(reading, "SEC26") if f.object] == ["public"]
    statements = sqltext.parse("GRANT SELECT ON ALL TABLES IN SCHEMA public TO pg_monitor;", "x.sql").statements
    assert found(replace(reading, statements=statements), "SEC26") == []


def test_passwords_that_never_end_where_the_house_wants_an_end(server: ServerFactory) -> None:
    dsn = server().dsn()
    day = date.today()
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE by_certificate LOGIN; CREATE ROLE nobody_logs_in PASSWORD 'x'; CREATE ROLE forever LOGIN PASSWORD 'x'")
        conn.execute(f"CREATE ROLE soon LOGIN PASSWORD 'x' VALID UNTIL '{day + timedelta(days=30)}'".encode())
        conn.execute(f"CREATE ROLE late LOGIN PASSWORD 'x' VALID UNTIL '{day + timedelta(days=300)}'".encode())
        conn.execute(
            "CREATE ROLE always LOGIN PASSWORD 'x' VALID UNTIL 'infinity'; CREATE ROLE gone LOGIN PASSWORD 'x' VALID UNTIL '2001-01-01'"
        )

    class House(EveryRule):
        options = replace(EveryRule.options, password_days=90)

    result = engine.run(live.read(dsn), House(), only=("SRV20",))
    told = {f.object.name: f.message for f in result.findings if f.object}
    assert {"forever", "late", "always"} <= told.keys()
    assert not {"by_certificate", "nobody_logs_in", "soon", "gone"} & told.keys()
    assert "never ends; the house allows 90 days" in told["always"]
    assert "300 days from now" in told["late"]
    assert not engine.run(live.read(dsn), EveryRule(), only=("SRV20",)).findings
    unseen = make_conninfo(dsn, user="forever", password="x")
    assert not engine.run(live.read(unseen), House(), only=("SRV20",)).findings
