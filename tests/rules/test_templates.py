"""Names after a template that had to be cut: as PostgreSQL, SQLAlchemy, Rails and Django do it."""

from __future__ import annotations

import hashlib

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import AddConstraint, CreateIndex

from pgcharter.catalog.model import Table as CatalogTable
from pgcharter.names import quote
from pgcharter.rules import templates

LONG = "a_table_with_a_name_so_long_that_little_else_fits"
WIDE = "größen_und_gewichte_der_überaus_sperrigen_gegenstände"
DEFAULTS = {
    "i": "{table}_{columns}_idx",
    "p": "{table}_pkey",
    "u": "{table}_{columns}_key",
    "f": "{table}_{columns}_fkey",
    "S": "{table}_{columns}_seq",
}
word = st.text(alphabet='abcxyzäöüß€😀_ "', min_size=1, max_size=70).filter(str.strip)


def values(table: str, *columns: str) -> dict[str, str]:
    return templates.values(CatalogTable("public", table), columns)


@pytest.mark.parametrize("table", [LONG, WIDE, "short"])
@pytest.mark.parametrize("column", ["id", "the_moment_at_which_the_parcel_was_handed_over", "gewährleistungsbeschränkungsausschlüsse"])
def test_names_that_postgresql_makes_follow_its_templates(conn: psycopg.Connection, table: str, column: str) -> None:
    conn.execute(f"CREATE TABLE {quote(table)} ({quote(column)} serial PRIMARY KEY)")
    conn.execute(f"ALTER TABLE {quote(table)} ADD UNIQUE ({quote(column)})")
    conn.execute(f"CREATE INDEX ON {quote(table)} ({quote(column)})")
    made = conn.execute(
        "SELECT CASE WHEN relkind = 'S' THEN 'S' ELSE 'i' END, relname FROM pg_class LEFT JOIN pg_constraint ON conindid = pg_class.oid "
        "WHERE relkind IN ('i', 'S') AND relnamespace = 'public'::regnamespace AND conindid IS NULL "
        "UNION ALL SELECT contype::text, conname FROM pg_constraint WHERE contype IN ('p', 'u') AND connamespace = 'public'::regnamespace"
    ).fetchall()
    assert {kind for kind, _ in made} == {"i", "p", "u", "S"}
    for kind, name in made:
        filled = values(table, column)
        assert templates.shortened(DEFAULTS[kind], filled) == name
        assert templates.fits(name, DEFAULTS[kind], filled), (kind, name)


def sqlalchemy_names(table: str, column: str) -> tuple[str, str]:
    metadata = MetaData(naming_convention={"ix": "idx_%(table_name)s_%(column_0_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s"})
    other = Table("other", metadata, Column("id", Integer, primary_key=True))
    it = Table(table, metadata, Column("id", Integer, primary_key=True), Column(column, Integer, ForeignKey(other.c.id)))
    dialect = postgresql.dialect()
    index = str(CreateIndex(Index(None, it.c[column])).compile(dialect=dialect))
    (fk,) = it.foreign_key_constraints
    key = str(AddConstraint(fk).compile(dialect=dialect))
    return index.split()[2].strip('"'), key.split("CONSTRAINT ")[1].split()[0].strip('"')


@pytest.mark.parametrize("column", ["customer_id", "the_moment_at_which_the_parcel_was_handed_over"])
def test_names_that_sqlalchemy_shortens(column: str) -> None:
    index, key = sqlalchemy_names(LONG, column)
    assert len(index) <= 63
    assert templates.fits(index, "idx_{table}_{columns}", values(LONG, column))
    assert templates.fits(key, "fk_{table}_{columns}", values(LONG, column))
    assert not templates.fits(index, "idx_{table}_{columns}", values("b" + LONG, column))
    assert not templates.fits(key, "idx_{table}_{columns}", values(LONG, column))


def test_names_that_rails_and_django_shorten() -> None:
    columns = ("organization_id", "subscription_plan_id", "cancelled_at")
    digest = hashlib.sha256(b"x").hexdigest()
    assert templates.fits(
        f"idx_on_organization_id_subscription_plan_id_canc_{digest[:10]}", "idx_{table}_{columns}", values(LONG, *columns)
    )
    assert templates.fits(f"a_table_with_a_name_so__organization_id_{digest[:8]}_idx", "{table}_{columns}_idx", values(LONG, *columns))
    assert not templates.fits(f"organization_id_{digest[:8]}_idx", "{table}_{columns}_idx", values(LONG, *columns))


def test_a_name_that_fits_needs_no_hash() -> None:
    assert not templates.fits("idx_orders_cust_3fa9c1d2", "idx_{table}_{columns}", values("orders", "customer_id"))
    assert not templates.fits("idx_orders_cust", "idx_{table}_{columns}", values("orders", "customer_id"))
    assert templates.fits("idx_orders_by_day", "idx_{table}_{columns}", values("orders", "at"), free=("columns",))
    assert not templates.fits("idx_orders", "idx_{table}_{columns}", values("orders", "at"), free=("columns",))
    assert templates.fits("idx_Orders_at", "idx_{table}_{columns}", values("orders", "at"))
    assert not templates.fits("IDX_orders_at", "idx_{table}_{columns}", values("orders", "at"))


@given(word, word)
def test_a_proposal_fits_its_own_template_and_63_bytes(table: str, column: str) -> None:
    for template in ("idx_{table}_{columns}", "{table}_{columns}_fkey", "pk_{table}", "ck_{table}_{description}"):
        filled = values(table, column)
        name = templates.proposal(template, filled, ())
        assert len(name.encode()) <= 63
        assert templates.fits(name, template, filled)
        second = templates.proposal(template, filled, {name})
        assert second != name
        assert len(second.encode()) <= 63
        assert templates.fits(second, template, filled, numbered=True)
