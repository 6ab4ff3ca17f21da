"""What a live database can take: rows of tenants are looked for in the context of a tenant that does not exist."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import psycopg

from pgcharter.probe import live as looking
from pgcharter.servers.lifecycle import Server
from pgcharter.sources import live

sys.path.insert(0, str(Path(__file__).parent))

import cases

ROWS = """
INSERT INTO app.tenants VALUES ('00000000-0000-0000-0000-000000000001', 'one');
INSERT INTO app.countries VALUES ('AT', 'Austria');
INSERT INTO app.customers VALUES ('00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'a@b', 'AT');
"""


def test_rows_of_real_tenants_are_seen_by_nobody_but_through_holes(server_of: Callable[[int | None], Server]) -> None:
    server = server_of(18)
    with cases.built(server, [(cases.HERE / "right" / "rows.sql").read_text(), ROWS]) as conn:
        catalog, cluster = live.read_catalog(conn), live.read_cluster(conn)
        right = looking.probe(conn, catalog, cluster)
        assert right.holes == ()
        assert {"prb_api", "prb_reports"} <= set(right.roles)

        conn.execute(
            "CREATE VIEW app.everybody AS SELECT tenant_id, email FROM app.customers; GRANT SELECT ON app.everybody TO prb_reports"
        )
        conn.execute("DROP POLICY only_tenant ON app.customers; ALTER POLICY tenant ON app.customers USING (app.tenant() IS NULL)")
        holes = looking.probe(conn, live.read_catalog(conn), cluster).holes
        assert {(h.role, str(h.object), h.context) for h in holes} == {
            ("prb_reports", "view app.everybody", "tenant of nobody"),
            ("prb_reports", "view app.everybody", "no tenant"),
            ("prb_reports", "view app.everybody", "empty tenant"),
            ("prb_api", "table app.customers", "no tenant"),
            ("prb_api", "table app.customers", "empty tenant"),
            ("prb_reports", "table app.customers", "no tenant"),
            ("prb_reports", "table app.customers", "empty tenant"),
        }
        assert "email" not in str(holes)
        shown = next(h for h in holes if h.object.kind == "view").statement
        with psycopg.connect(server.dsn("prb_case"), autocommit=True) as other:
            cursor = other.execute(shown.encode())
            while "SELECT" not in (cursor.statusmessage or "") or not cursor.rowcount or cursor.statusmessage != "SELECT 1":
                assert cursor.nextset(), "the statement shows what it says"
