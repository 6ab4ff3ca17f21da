"""Rules on pg_hba.conf, in the form in which PostgreSQL shows the file."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest

from pgcharter.catalog.model import Cluster, HbaLine, Setting
from pgcharter.catalog.reading import Reading
from pgcharter.guides.options import Options
from pgcharter.rules import engine
from pgcharter.rules.engine import Context

FILE = """
local   all all                trust
host    all all 127.0.0.1/32   trust
host    all all 10.0.0.0/8     scram-sha-256
hostssl all all 0.0.0.0/0      scram-sha-256
host    all all ::/0           scram-sha-256
hostssl all api all            cert
host    all all 192.168.0.0/16 reject
host    all all all            reject
host    all all 172.16.0.0/12  md5
"""


@pytest.fixture
def cluster() -> Cluster:
    """The file as pg_hba_file_rules shows it; a server whose TLS is off leaves hostssl lines out, so that none is asked here."""
    return Cluster(hba=tuple(_parsed(number, line.split()) for number, line in enumerate(FILE.strip().splitlines(), start=1)))


def _parsed(number: int, words: list[str]) -> HbaLine:
    kind, database, user, *address, method = words
    shown = ""
    if address:
        network = ipaddress.ip_network(address[0]) if address[0] != "all" else None
        shown = f"{network.network_address} {network.netmask}" if network else "all"
    return HbaLine(number, kind, (database,), (user,), shown, method)


def found(cluster: Cluster, code: str, **settings: str) -> list[str]:
    kept = tuple(s for s in cluster.settings if s.name not in settings)
    changed = replace(cluster, settings=(*kept, *(Setting(n, v) for n, v in settings.items())))
    reading = Reading("x", "live", cluster=changed)
    one: Any = engine.find(code)
    return [f.facts["detail"] for f in one.check(Context(reading, Options(), one))]


OPEN = {"listen_addresses": "*", "ssl": "on"}


def test_plain_connections_are_found_where_tls_is_on_and_others_come(cluster: Cluster) -> None:
    assert [d.split()[3] for d in found(cluster, "SRV18", **OPEN)] == ["10.0.0.0", "::"]
    assert found(cluster, "SRV18", **{**OPEN, "ssl": "off"}) == []
    assert found(cluster, "SRV18", **{**OPEN, "listen_addresses": "localhost"}) == []


def test_lines_for_every_address_are_found(cluster: Cluster) -> None:
    expected = [("hostssl", "0.0.0.0"), ("host", "::"), ("hostssl", "all")]
    assert [tuple(d.split()[i] for i in (0, 3)) for d in found(cluster, "SRV19", **OPEN)] == expected
    assert found(cluster, "SRV19", **{**OPEN, "listen_addresses": ""}) == []
