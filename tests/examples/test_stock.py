"""The stock example passes its guide and `core`, as files and live; its sections lead back; it keeps its promises at run time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from pgcharter import examples, sources
from pgcharter.cli.project import open_project
from pgcharter.db import Connection, connect
from pgcharter.examples import build
from pgcharter.rules import engine

MAJORS = [15, 16, 17, 18]
FOLDER = examples.folder("stock")
ROLES = ("stock_readonly", "stock_application", "stock_importer")
EVERYTHING = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'i', 'S', 'v')"


def codes_of(target: str, guide: str, major: int | None = None) -> Counter[str]:
    project = open_project(FOLDER, guide)
    reading = replace(sources.read(target, major=major), cluster=None)  # the settings of the tests' server are not the example's
    result = engine.run(reading, project.guide)
    assert len(result.ran) > 30
    assert not result.suppressed
    return Counter(f"{f.code}: {f.message}" for f in result.findings)


@pytest.fixture
def stock(database: str) -> Iterator[str]:
    """DSN of the stock example with its seeds in it."""
    with connect(database) as conn:
        build.install(conn)
        build.build(conn, build.read_files(FOLDER, ["migrations", "seeds"]))
    yield database
    with connect(database) as conn:
        for role in ROLES:
            conn.execute(f"DROP OWNED BY {role}".encode())
            conn.execute(f"DROP ROLE {role}".encode())


@pytest.fixture
def conn(stock: str) -> Iterator[Connection]:
    """A connection to it, as superuser."""
    with connect(stock) as connection:
        yield connection


def one(conn: Connection, sql: str, *parameters: object) -> object:
    row = conn.execute(sql.encode(), parameters or None).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("guide", ["creampie", "core"])
@pytest.mark.parametrize("major", MAJORS)
def test_it_passes_as_files(majors: tuple[int, ...], major: int, guide: str) -> None:
    if major not in majors:
        pytest.skip(f"PostgreSQL {major} is not on this machine")
    assert not codes_of(str(FOLDER), guide, major)


@pytest.mark.parametrize("major", MAJORS)
def test_it_passes_live(stock: str, major: int) -> None:
    assert not codes_of(stock, "creampie")


def test_nothing_is_waived() -> None:
    assert open_project(FOLDER).guide.id == "creampie"
    assert open_project(FOLDER).charter.waivers == ()
    assert "pgcharter: allow" not in "".join(p.read_text() for p in FOLDER.rglob("*.sql"))


@pytest.mark.parametrize("major", MAJORS)
def test_every_migration_can_be_undone_and_done_again(stock: str, major: int) -> None:
    files = build.read_files(FOLDER, ["migrations", "seeds"])
    with connect(stock) as conn:
        whole = one(conn, EVERYTHING)
        for file in reversed(files):
            back = [s for s in file.parsed.statements if s.direction == "down" and s.kind != "transaction_stmt"]
            assert back, file.shown
            with conn.transaction():
                for statement in back:
                    conn.execute(statement.text.encode())
        assert one(conn, EVERYTHING) == 0
        assert one(conn, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace") == 0
        assert one(conn, "SELECT count(*) FROM pg_default_acl") == 0
        conn.execute("DELETE FROM pgcharter.schema_migrations")
        assert build.build(conn, files) == len(files)
        assert one(conn, EVERYTHING) == whole


def test_the_seeds_fill_every_table(conn: Connection) -> None:
    tables = conn.execute(
        "SELECT oid::regclass::text FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
    ).fetchall()
    counts = {name: one(conn, f"SELECT count(*) FROM {name}") for (name,) in tables}
    assert set(counts) == {"users", "exchanges", "instruments", "stock_data", "orders", "watchlists", "watchlist_items"}
    assert all(counts.values()), counts
    assert 300 <= sum(int(str(n)) for n in counts.values()) < 1000


def test_every_constraint_is_named_after_the_templates(conn: Connection) -> None:
    wrong = conn.execute(
        """
        SELECT conname FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid
        WHERE c.connamespace = 'public'::regnamespace AND c.contype IN ('c', 'f', 'u') AND NOT t.relispartition
        AND NOT conname LIKE CASE contype WHEN 'c' THEN 'ck' WHEN 'f' THEN 'fk' ELSE 'uq' END || '\\_' || relname || '\\_%'
        """
    ).fetchall()
    assert wrong == []
    assert one(conn, "SELECT pg_get_serial_sequence('orders', 'order_number')") == "public.seq_orders_order_number"


def test_an_address_is_taken_whatever_its_case(conn: Connection) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation, match="uq_users_email"):
        conn.execute("INSERT INTO users (email, password_hash) VALUES ('TRADER1@example.org', '$x')")


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("UPDATE users SET status = 'asleep'", "ck_users_status"),
        ("UPDATE stock_data SET low_price = high_price + 1", "ck_stock_data_price_range"),
        ("UPDATE orders SET executed_at = NULL WHERE status = 'executed'", "ck_orders_executed_at_status"),
        ("UPDATE orders SET quantity = 0", "ck_orders_quantity_positive"),
        ("UPDATE instruments SET currency_code = 'Euro'", "ck_instruments_currency_code_format"),
    ],
)
def test_values_are_held_in_their_domain(conn: Connection, sql: str, constraint: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        conn.execute(sql.encode())
    assert refused.value.diag.constraint_name == constraint


def test_orders_outlast_an_account_and_watchlists_do_not(conn: Connection) -> None:
    with pytest.raises(psycopg.IntegrityError, match="fk_orders_users"):
        conn.execute("DELETE FROM users")
    conn.execute("DELETE FROM orders")
    conn.execute("DELETE FROM users")
    assert one(conn, "SELECT count(*) FROM watchlist_items") == 0


def test_the_total_is_kept_by_the_database(conn: Connection) -> None:
    conn.execute("UPDATE orders SET quantity = 3, price = 1.2345 WHERE order_number = 1")
    assert str(one(conn, "SELECT total FROM orders WHERE order_number = 1")) == "3.7035"


@pytest.mark.parametrize(
    ("role", "sql"),
    [
        ("stock_readonly", "SELECT email FROM users"),
        ("stock_readonly", "UPDATE users SET status = 'active'"),
        ("stock_application", "UPDATE orders SET price = 1"),
        ("stock_application", "DELETE FROM orders"),
        ("stock_application", "INSERT INTO stock_data SELECT * FROM stock_data"),
        ("stock_importer", "SELECT FROM orders"),
        ("stock_importer", "DELETE FROM stock_data"),
        ("stock_importer", "SELECT create_stock_data_partitions(2040, 2041)"),
    ],
)
def test_nobody_has_more_rights_than_needed(conn: Connection, role: str, sql: str) -> None:
    with conn.transaction(force_rollback=True):
        conn.execute(f"SET LOCAL ROLE {role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute(sql.encode())
        conn.execute("SELECT FROM instruments")


def test_a_year_has_its_partition_once(conn: Connection) -> None:
    first = int(str(one(conn, "SELECT extract(year FROM current_date)"))) + 2
    make = f"SELECT create_stock_data_partitions({first}, {first + 1})"
    assert [one(conn, make), one(conn, make)] == [2, 0]
