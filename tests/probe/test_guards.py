"""What keeps rows apart is read from a catalog; and a result is told without a value in it."""

from __future__ import annotations

import pytest

from pgcharter.catalog.model import Catalog, Column, Constraint, DataType, Function, Policy, Table
from pgcharter.names import ObjectId
from pgcharter.policy.guards import found
from pgcharter.policy.probed import Cell, Hole, Probed
from pgcharter.policy.tenancy_settings import TenancySection
from pgcharter.render import probe as render
from pgcharter.render.page import Page, Screen

UUID = DataType("uuid", name="uuid")
TENANTS, ORDERS, LINES, LOOKUP = (ObjectId("table", "app", n) for n in ("tenants", "orders", "lines", "lookup"))


def table(at: ObjectId, *names: str, policies: tuple[Policy, ...] = (), keys: tuple[Constraint, ...] = ()) -> Table:
    columns = tuple(Column(n, i, UUID, not_null=True) for i, n in enumerate(names, 1))
    return Table(at.schema, at.name, columns=columns, policies=policies, constraints=keys)


def key(column: str, to: ObjectId, there: str) -> Constraint:
    return Constraint("fk", "foreign key", (column,), references=to, referenced_columns=(there,))


def catalog(using: str, *functions: Function) -> Catalog:
    return Catalog(
        tables=(
            table(TENANTS, "id"),
            table(ORDERS, "id", "tenant_id", policies=(Policy("p", using=using),), keys=(key("tenant_id", TENANTS, "id"),)),
            table(LINES, "id", "order_id", keys=(key("order_id", ORDERS, "id"),)),
            table(LOOKUP, "id"),
        ),
        functions=functions,
    )


def test_a_setting_leads_to_its_column_and_from_there_to_all_that_belongs_to_tenants() -> None:
    guards = found(catalog("(tenant_id = (NULLIF(current_setting('a.b'::text, true), ''::text))::uuid)"))
    assert guards.settings == {"a.b": (ORDERS, "tenant_id")}
    assert guards.tables == {TENANTS, ORDERS, LINES}
    assert guards.kind(TENANTS, "id") == "tenant"
    assert guards.kind(LINES, "order_id") == ""


def test_a_setting_read_by_a_function_or_written_first_is_found_too() -> None:
    reads = Function("app", "tenant", "", body="SELECT current_setting('a.b')::uuid")
    for using in ("(tenant_id = app.tenant())", "(app.tenant() = tenant_id)"):
        assert found(catalog(using, reads)).settings == {"a.b": (ORDERS, "tenant_id")}


def test_a_declared_column_needs_no_policy_and_shared_tables_are_let_alone() -> None:
    guards = found(catalog("true"), TenancySection(shared=("app.lines",)))
    assert guards.tables == {TENANTS, ORDERS}
    assert guards.settings == {"pgcharter.tenant": (ORDERS, "tenant_id")}


def test_nothing_is_guarded_where_nothing_says_so() -> None:
    assert found(catalog("true")).tables == frozenset()


def test_holes_come_first_and_weak_places_do_not_count() -> None:
    hole = Hole(ORDERS, "api", "SELECT", "own tenant", "own rows", "4 rows where others have rows, else 2", "SELECT 1", "CREATE POLICY x")
    weak = Hole(ORDERS, "", "foreign key", "own tenant", "refused", "1 row", "INSERT", weak=True)
    page = Page(Screen(100))
    render.write(page, Probed((hole, weak), (Cell(ORDERS, "api", ("SELECT", "INSERT")),), ("", "api"), {"o": "nobody"}, (ORDERS,), 7))
    text = page.text()
    assert text.index("closed by CREATE POLICY x") < text.index("▲ table app.orders by anybody") < text.index("ra ✘1")
    assert "1 hole, through which 1 attack got, 1 weak place · 7 attacks by 2 roles on rows of 1 table" in text
    assert "not attacked as o: nobody" in text


@pytest.mark.parametrize("width", [80, 120])
def test_a_wide_matrix_fits_and_keeps_holes_apart(width: int) -> None:
    tables = [ObjectId("table", "app", f"customer_things_{n}") for n in range(40)]
    roles = ("", *(f"service_number_{n}" for n in range(8)))
    cells = tuple(Cell(at, role, ("SELECT", "INSERT") if role.endswith(("1", "2")) else ("SELECT",)) for at in tables for role in roles[1:])
    hole = Hole(tables[7], roles[3], "COPY TO", "own tenant", "own rows", "4 rows where others have rows, else 2", "SELECT 1")
    page = Page(Screen(width))
    render.write(page, Probed((hole,), cells, roles, {}, tuple(tables), 9))
    lines = page.text().splitlines()
    assert max(map(len, lines)) <= width
    assert "1  service_number_0, service_number_3, service_number_4, service_number_5," in page.text()
    assert "customer_things_0, customer_things_1 and 37 more" in page.text()
    assert [line.split() for line in lines if line.startswith("customer_things_7 ")] == [["customer_things_7", "r", "ra", "ra", "✘1"]]
    assert len(lines) < 30
