"""Amounts of money, kept as the house keeps them."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.catalog.model import Column, Table
from pgcharter.findings import Finding, Severity
from pgcharter.rules import shapes
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.types import is_money

_AMOUNTS = {"price", "salary", "subtotal", "fee", "revenue", "payout", "refund", "wage", "balance", "amount", "cost", "total"}
_MINOR = {"cents", "cent", "pence", "minor"}


@rule("TYP33", "money-of-another-type", Severity.INFO, options=("money_type",))
def money_of_another_type(ctx: Context) -> Iterator[Finding]:
    """An amount of money is exact, but not of the type that the house uses.

    Why: where some amounts are in cents and others in euros, somebody adds them; the result is a hundred times too large and looks right.

    Instead: `numeric(12, 2)` where the option money_type says numeric, integer minor units where it says integer.

    Except: numbers that only have such a word in their name (`price_list`, `fee_type`), and keys; floating point has a rule of its own.
    """
    for table, column in ctx.catalog.own_columns:
        other = _other(ctx, column)
        if other and not column.type.array and _is_amount(table, column):
            address = table.part("column", column.name)
            yield ctx.finding(
                address,
                f"{address.sql()} holds money as {column.type.sql}, {other}: amounts of both kinds get added one day",
                hint="numeric(12, 2), divided by 100 where it holds cents" if ctx.options.money_type == "numeric" else "bigint minor units",
            )


def _other(ctx: Context, column: Column) -> str:
    if ctx.options.money_type == "numeric" and column.type.basic in shapes.INTEGER_TYPES:
        return "where the house uses numeric"
    if ctx.options.money_type == "integer" and column.type.basic == "numeric":
        return "where the house uses integer minor units"
    return ""


def _is_amount(table: Table, column: Column) -> bool:
    named = shapes.words(column.name)
    if any(column.name in fk.columns for fk in table.foreign_keys) or column.identity or "nextval(" in column.default:
        return False
    stem = [w for w in named if w not in _MINOR | {"in", "units", "unit"}]
    return bool(stem) and stem[-1] in _AMOUNTS and is_money("_".join(stem), table.name, table.column)
