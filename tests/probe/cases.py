"""The corpus: schemas that are right, and what breaks them, each with what the prober must say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from pgcharter.policy.probed import Hole, Probed
from pgcharter.probe.expected import Declared
from pgcharter.probe.run import probe
from pgcharter.servers.lifecycle import Server
from pgcharter.servers.scratch import Scratch
from pgcharter.sources import live

HERE = Path(__file__).parent
RIGHT = sorted((HERE / "right").glob("*.sql"))
HOLES = sorted((HERE / "holes").glob("*.sql"))
_SAYS = re.compile(r"^-- says: (.+?) \| (.+?) \| (.+)$", re.MULTILINE)
_BASE = re.compile(r"^-- base: (\w+)$", re.MULTILINE)
_MAJORS = re.compile(r"^-- majors: (\d+)-(\d+)$", re.MULTILINE)
_WORD = re.compile(r"^-- maintenance: (\w+)$", re.MULTILINE)


def concerns(case: Path, major: int) -> bool:
    """Whether a case is about a version of PostgreSQL."""
    found = _MAJORS.search(case.read_text())
    return found is None or int(found[1]) <= major <= int(found[2])


def wanted(case: Path) -> set[tuple[str, str, str]]:
    """What the prober must say of a case: role, object, attack."""
    return set(_SAYS.findall(case.read_text()))


def said(holes: tuple[Hole, ...]) -> set[tuple[str, str, str]]:
    """What it has said."""
    return {(h.role or "PUBLIC", str(h.object), h.attack) for h in holes}


def probed(case: Path, server: Server, scratch: Scratch) -> Probed:
    """A case built on a server of its own database and roles, and probed."""
    text = case.read_text()
    base = _BASE.search(text)
    texts = [text] if case in RIGHT else [(HERE / "right" / f"{base[1] if base else 'rows'}.sql").read_text(), text]
    with built(server, texts) as conn:
        catalog, cluster = live.read_catalog(conn), live.read_cluster(conn)
    return probe(scratch, catalog, cluster, Declared(maintenance=_WORD.findall(text)))


@contextmanager
def built(server: Server, texts: list[str]) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A database with what SQL texts make; it and their roles (`prb_…`) are dropped at the end."""
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE prb_case TEMPLATE template0")
        try:
            with psycopg.connect(server.dsn("prb_case"), autocommit=True) as conn:
                for text in texts:
                    conn.execute(text.encode())
                    conn.execute("RESET ROLE")
                yield conn
        finally:
            admin.execute("DROP DATABASE prb_case WITH (FORCE)")
            for (role,) in admin.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'prb\\_%'").fetchall():
                admin.execute(f'DROP ROLE "{role}"'.encode())
