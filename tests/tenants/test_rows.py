"""Rows of a tenant exported and deleted: circles, partitions, heirs, odd names; what is another's stays."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from pgcharter.db import connect
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.tenants import deleting, exporting, manifest
from pgcharter.tenants.rows import seeing_all
from pgcharter.tenants.table import Tenant

ONE, TWO = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
SECTION = TenancySection(schemas=("app", "Odd s"))
NOW = datetime(2026, 11, 21, tzinfo=UTC)
A = Tenant(ONE, "a", "leaving", NOW, NOW, {"plan": "gold"})
SCHEMA = """
CREATE SCHEMA app; CREATE SCHEMA "Odd s";
CREATE TABLE app.staff (id int PRIMARY KEY, tenant_id uuid NOT NULL, boss int REFERENCES app.staff ON DELETE RESTRICT);
CREATE TABLE app.customers (id int PRIMARY KEY, tenant_id uuid NOT NULL, home int);
CREATE TABLE app.addresses (id int PRIMARY KEY, tenant_id uuid NOT NULL, customer int NOT NULL REFERENCES app.customers);
ALTER TABLE app.customers ADD FOREIGN KEY (home) REFERENCES app.addresses;
CREATE TABLE app.orders (id int, tenant_id uuid NOT NULL, at date NOT NULL, customer int REFERENCES app.customers,
                         twice int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.orders_old PARTITION OF app.orders FOR VALUES FROM (MINVALUE) TO ('2026-01-01') PARTITION BY LIST (at);
CREATE TABLE app.orders_older PARTITION OF app.orders_old DEFAULT;
CREATE TABLE app.orders_new PARTITION OF app.orders FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
CREATE TABLE "Odd s"."Lines ü/.." (id int PRIMARY KEY, tenant_id uuid NOT NULL, "order" int, at date,
                                   FOREIGN KEY ("order", at) REFERENCES app.orders);
CREATE TABLE app.notes (id int, tenant_id uuid NOT NULL, text text);
CREATE TABLE app.private_notes (seen bool) INHERITS (app.notes);
CREATE TABLE app.replies (id int PRIMARY KEY, tenant_id uuid NOT NULL, parent int REFERENCES app.replies ON DELETE CASCADE);
"""
FILL = """
INSERT INTO app.staff SELECT b + i, t, CASE WHEN i > 1 THEN b + i - 1 END FROM ({who}) w(t, b), generate_series(1, 50) i;
UPDATE app.staff SET boss = id + 1 WHERE id % 1000 = 1;
INSERT INTO app.customers SELECT b + i, t FROM ({who}) w(t, b), generate_series(1, 20) i;
INSERT INTO app.addresses SELECT b + i, t, b + i FROM ({who}) w(t, b), generate_series(1, 20) i;
UPDATE app.customers SET home = id;
INSERT INTO app.orders SELECT b + i, t, date '2025-12-01' + i, b + 1 + i % 20 FROM ({who}) w(t, b), generate_series(1, 60) i;
INSERT INTO "Odd s"."Lines ü/.." SELECT b + i, t, b + i, date '2025-12-01' + i FROM ({who}) w(t, b), generate_series(1, 60) i;
INSERT INTO app.notes SELECT b + i, t, E'tab\\t line\\n \\\\. end' FROM ({who}) w(t, b), generate_series(1, 5) i;
INSERT INTO app.private_notes SELECT b + i, t, NULL, true FROM ({who}) w(t, b), generate_series(1, 7) i;
INSERT INTO app.replies SELECT b + i, t, NULLIF(b + i / 2, b) FROM ({who}) w(t, b), generate_series(1, 100) i;
""".replace("{who}", f"VALUES ('{ONE}'::uuid, 1000), ('{TWO}'::uuid, 2000)")
ROWS = {
    "app.staff": 50, "app.customers": 20, "app.addresses": 20, "app.orders": 60, '"Odd s"."Lines ü/.."': 60, "app.notes": 5,
    "app.private_notes": 7, "app.replies": 100,
}  # fmt: skip

both = pytest.mark.parametrize("major", [15, 18], ids=lambda m: f"pg{m}")


@pytest.fixture
def shop(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA)
        conn.execute(FILL.encode())
    return database


def counts(dsn: str, tenant: str) -> dict[str, int]:
    with psycopg.connect(dsn) as conn:
        found = {}
        for table in ROWS:
            only = "" if table == "app.orders" else "ONLY "
            row = conn.execute(f"SELECT count(*) FROM {only}{table} WHERE tenant_id = %s".encode(), (tenant,)).fetchone()
            found[table] = row[0] if row else -1
        return found


@both
def test_all_rows_of_one_tenant_go_and_none_of_another(shop: str, major: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "BATCH", 7)
    monkeypatch.setattr(deleting, "LOOKED_UP", 2)
    with seeing_all(shop) as conn:
        assert {a.table: a.rows for a in deleting.amounts(conn, SECTION, A)} == ROWS
        done = deleting.rows(conn, SECTION, A, sum(ROWS.values()))
    cascaded = 100 - (done - sum(ROWS.values()) + 100)
    assert 0 <= cascaded < 100
    assert counts(shop, ONE) == dict.fromkeys(ROWS, 0)
    assert counts(shop, TWO) == ROWS


def test_what_was_cut_off_is_gone_on_with(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "BATCH", 7)

    def cut(_what: str, done: int, _total: int) -> None:
        if done > 30:
            raise KeyboardInterrupt

    with seeing_all(shop) as conn, pytest.raises(KeyboardInterrupt):
        deleting.rows(conn, SECTION, A, sum(ROWS.values()), cut)
    assert 0 < sum(counts(shop, ONE).values()) < sum(ROWS.values())
    with seeing_all(shop) as conn:
        deleting.rows(conn, SECTION, A, 0)
    assert (counts(shop, ONE), counts(shop, TWO)) == (dict.fromkeys(ROWS, 0), ROWS)


def test_a_row_of_somebody_else_that_refers_to_one_is_named(shop: str) -> None:
    with psycopg.connect(shop, autocommit=True) as conn:
        conn.execute("INSERT INTO app.addresses VALUES (9999, %s, 1001)", (TWO,))
    with seeing_all(shop) as conn, pytest.raises(PgcharterError, match=r"rows of table app\.addresses that are not the tenant's"):
        deleting.rows(conn, SECTION, A, 0)
    assert counts(shop, TWO)["app.addresses"] == 21


@both
def test_an_export_has_every_row_and_can_be_loaded_again(shop: str, major: int, tmp_path: Path) -> None:
    with seeing_all(shop) as conn:
        made = exporting.export(conn, SECTION, A, tmp_path / "out")
    assert {t.table: t.rows for t in made.tables} == ROWS
    assert manifest.read(tmp_path / "out") == made
    assert list(manifest.differing(tmp_path / "out", made)) == []
    order = [t.table for t in made.tables]
    assert order.index("app.orders") < order.index('"Odd s"."Lines ü/.."')
    with seeing_all(shop) as conn:
        deleting.rows(conn, SECTION, A, 0)
        with conn.transaction():
            conn.execute("SET LOCAL session_replication_role = replica")
            for one in made.tables:
                names = ", ".join('"' + c["name"] + '"' for c in one.columns)
                with (
                    gzip.open(tmp_path / "out" / one.file) as file,
                    conn.cursor().copy(f"COPY {one.table} ({names}) FROM STDIN".encode()) as c,
                ):
                    c.write(file.read())
    assert counts(shop, ONE) == ROWS
    with psycopg.connect(shop) as conn:
        assert conn.execute("SELECT DISTINCT text FROM ONLY app.notes").fetchall() == [("tab\t line\n \\. end",)]


@pytest.fixture
def exported(shop: str, tmp_path: Path) -> Path:
    with seeing_all(shop) as conn:
        exporting.export(conn, SECTION, A, tmp_path / "out")
    return tmp_path / "out"


def test_whatever_is_done_to_an_export_is_found(exported: Path) -> None:
    made = manifest.read(exported)
    first, second = (exported / made.tables[n].file for n in (0, 4))
    whole = first.read_bytes()

    def wrong() -> list[str]:
        return list(manifest.differing(exported, made))

    first.write_bytes(whole[:-9])
    assert "cannot be read" in wrong()[0] or "not as it was written" in wrong()[0]
    first.write_bytes(gzip.compress(gzip.decompress(whole)[:-1] + b"x\n"))
    assert ["not as it was written" in w for w in wrong()] == [True]
    first.unlink()
    assert "is not there" in wrong()[0]
    first.write_bytes(second.read_bytes())
    assert len(wrong()) == 1
    first.write_bytes(whole)
    (exported / "more").touch()
    assert "does not know it" in wrong()[0]
    text = json.loads((exported / manifest.NAME).read_text())
    text["tables"][0]["file"] = "../../etc/passwd"
    (exported / manifest.NAME).write_text(json.dumps(text))
    assert "is no name of a file of this folder" in next(manifest.differing(exported, manifest.read(exported)))


def test_an_export_that_is_cut_off_is_none_and_the_next_clears_it(shop: str, tmp_path: Path) -> None:
    def cut(what: str, done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with seeing_all(shop) as conn:
        with pytest.raises(KeyboardInterrupt):
            exporting.export(conn, SECTION, A, tmp_path / "out", tell=cut)
        assert len(list((tmp_path / "out").iterdir())) == 3
        with pytest.raises(PgcharterError, match="is no export"):
            manifest.read(tmp_path / "out")
        made = exporting.export(conn, SECTION, A, tmp_path / "out")
        assert made.rows == sum(ROWS.values())
        with pytest.raises(RefusedError, match="holds an export already"):
            exporting.export(conn, SECTION, A, tmp_path / "out")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "letter.txt").touch()
        with pytest.raises(RefusedError, match=r"is not empty \(letter\.txt\)"):
            exporting.export(conn, SECTION, A, tmp_path / "mine")


def test_whoever_does_not_see_all_rows_exports_and_deletes_nothing(shop: str, tmp_path: Path) -> None:
    name = "pgct_tenants_clerk"
    with psycopg.connect(shop, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'clerk'; GRANT USAGE ON SCHEMA app, \"Odd s\" TO {name}".encode())
        conn.execute(f'GRANT ALL ON ALL TABLES IN SCHEMA app, "Odd s" TO {name}'.encode())
        conn.execute("ALTER TABLE app.staff ENABLE ROW LEVEL SECURITY")
    try:
        clerk = psycopg.conninfo.make_conninfo(shop, user=name, password="clerk")
        with pytest.raises(RefusedError, match="cannot reach all rows"), seeing_all(clerk) as conn:
            exporting.export(conn, SECTION, A, tmp_path / "out")
        assert not (tmp_path / "out" / manifest.NAME).exists()
        with pytest.raises(RefusedError, match="cannot reach all rows"), seeing_all(clerk) as conn:
            deleting.rows(conn, SECTION, A, 0)
        assert counts(shop, ONE)["app.staff"] == 50
    finally:
        with connect(shop) as conn:
            conn.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


def test_a_table_of_partitions_that_refers_to_itself_is_emptied(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            """CREATE SCHEMA app;
            CREATE TABLE app.tree (id int, tenant_id uuid NOT NULL, up int, r int, PRIMARY KEY (id, r),
              FOREIGN KEY (up, r) REFERENCES app.tree) PARTITION BY RANGE (r);
            CREATE TABLE app.tree_1 PARTITION OF app.tree FOR VALUES FROM (0) TO (9) PARTITION BY RANGE (r);
            CREATE TABLE app.tree_1_1 PARTITION OF app.tree_1 DEFAULT; CREATE TABLE app.tree_2 PARTITION OF app.tree DEFAULT"""
        )
        conn.execute("INSERT INTO app.tree SELECT i, %s, nullif(i - 1, 0), 1 + 10 * (i / 50) FROM generate_series(1, 40) i", (ONE,))
        conn.execute("INSERT INTO app.tree SELECT i, %s, i, 20 FROM generate_series(1, 40) i", (ONE,))
    section = TenancySection(schemas=("app",))
    with seeing_all(database) as conn:
        assert deleting.rows(conn, section, A, 80) == 80
        assert deleting.amounts(conn, section, A) == ()


def test_columns_that_stay_encrypted_are_named_with_the_keys_they_need(database: str, tmp_path: Path) -> None:
    from pgcharter.policy.encryption_settings import EncryptedColumn

    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.users (id int PRIMARY KEY, tenant_id uuid NOT NULL, mail_encrypted bytea)")
        sealed = bytes(6) + bytes.fromhex("00112233445566aa") + bytes(40)
        conn.execute("INSERT INTO app.users VALUES (1, %s, %s), (2, %s, %s)", (ONE, sealed, TWO, bytes(60)))
    spec = EncryptedColumn(table="app.users", column="mail", key="mails", scope="tenant", tenant="tenant_id")
    with seeing_all(database) as conn:
        made = exporting.export(conn, TenancySection(schemas=("app",)), A, tmp_path / "out", (spec,))
    wanted = {"column": "app.users.mail_encrypted", "key": "mails", "scope": "tenant", "key_ids": ["00112233445566aa"]}
    assert list(made.encrypted) == [wanted]
    assert (tmp_path / "out" / "manifest.json").stat().st_mode & 0o777 == 0o600
