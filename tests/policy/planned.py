"""What the tests of single policies do: plan on a live database, run what was planned, read the catalog."""

from __future__ import annotations

import psycopg

from pgcharter.catalog.model import Catalog
from pgcharter.migrate.planning import Planned
from pgcharter.sources import live


def applied(dsn: str, found: Planned) -> Planned:
    """See that nothing is asked, and run the steps."""
    assert found.plan.questions == ()
    with psycopg.connect(dsn, autocommit=True) as conn:
        for step in found.plan.steps:
            conn.execute(step.sql.encode())
    return found


def catalog(dsn: str) -> Catalog:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return live.read_catalog(conn)
