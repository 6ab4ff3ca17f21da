"""Money: NUMERIC in the database, Decimal in Python, and no float anywhere between.

    class Order(Base):
        total: Mapped[Decimal] = mapped_column(Money())
        price: Mapped[Amount] = amount("price")            # price_amount numeric(19,4), price_currency char(3)

A binary float cannot hold 0.1, so a float is refused wherever it would come in, and nothing is rounded unless somebody says how.
"""

from __future__ import annotations

import decimal
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, Column, Numeric, Text, event
from sqlalchemy.orm import Composite, MappedColumn, composite, mapped_column
from sqlalchemy.types import TypeDecorator

from pgcharter.errors import UsageError
from pgcharter.names import quote

if TYPE_CHECKING:
    from psycopg.abc import AdaptContext
    from sqlalchemy import Table
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.operators import OperatorType

Exact = Decimal | int
_WIDE = decimal.Context(prec=200)
"""Python's usual context rounds to 28 digits without a word."""


def exact(value: Any) -> Decimal:
    """A Decimal of a Decimal or whole number. Raises UsageError for a float, whatever else is no exact number, NaN and infinity."""
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        kind = type(value).__name__
        raise UsageError(f"{value!r} is a {kind}, which is no exact number", hint='Decimal("12.30")')
    made = Decimal(value)
    if not made.is_finite():
        raise UsageError(f"{made} is no amount of money", hint='Decimal("12.30")')
    return made


def rounded(value: Exact, places: int = 2, rounding: str = decimal.ROUND_HALF_EVEN) -> Decimal:
    """A number with so many decimal places, rounded as `decimal` calls it (ROUND_HALF_EVEN, ROUND_HALF_UP, …)."""
    return exact(value).quantize(Decimal(1).scaleb(-places), rounding=rounding, context=_WIDE)


def shared(value: Exact, weights: Sequence[int], places: int = 2) -> list[Decimal]:
    """A number in parts by weight, whose sum is the number: what is left over goes to the largest fractions, the first ones first.

    Raises UsageError for a number with more places, and for weights that are negative or all 0.
    """
    total, units = sum(weights), exact(value).scaleb(places, context=_WIDE)
    if total <= 0 or min(weights) < 0:
        raise UsageError(f"{list(weights)} cannot weigh parts", hint="shared(total, [1, 1, 1])")
    if units != units.to_integral_value():
        raise UsageError(f"{value} has more than {places} decimal places, so its parts cannot add up to it", hint="rounded(…) before")
    whole, sign = abs(int(units)), -1 if units < 0 else 1
    parts = [whole * weight // total for weight in weights]
    rest = sorted(range(len(weights)), key=lambda n: (-(whole * weights[n] % total), n))
    for n in rest[: whole - sum(parts)]:
        parts[n] += 1
    return [Decimal(sign * part).scaleb(-places, context=_WIDE) for part in parts]


class Money(TypeDecorator[Decimal]):
    """A column type: numeric(precision, scale) that takes Decimal and whole numbers, and none that would have to be rounded."""

    impl = Numeric
    cache_ok = True

    def __init__(self, precision: int = 19, scale: int = 4) -> None:
        super().__init__(precision, scale, asdecimal=True)
        self.precision, self.scale = precision, scale

    def process_bind_param(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Raises UsageError for a float, for more decimal places than the column has, and for too large a number."""
        if value is None:
            return None
        number = exact(value)
        if number.quantize(Decimal(1).scaleb(-self.scale), context=_WIDE) != number:
            raise UsageError(
                f"{number} would be rounded to {self.scale} decimal places", hint=f"rounded({number}, {self.scale}), if that is meant"
            )
        if abs(number) >= Decimal(10) ** (self.precision - self.scale):
            raise UsageError(
                f"{number} does not fit numeric({self.precision}, {self.scale})",
                hint=f"mapped_column(Money({self.precision + 4}, {self.scale}))",
            )
        return number

    process_literal_param = process_bind_param  # type: ignore[assignment]

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Raises UsageError where an engine was told to give floats."""
        return None if value is None else exact(value)

    def coerce_compared_value(self, op: OperatorType | None, value: Any) -> Any:  # noqa: ARG002
        """What an expression is written with: exact too, with any number of places."""
        return _Exact()


class _Exact(TypeDecorator[Decimal]):
    """A number in an expression: exact, of any size."""

    impl = Numeric
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else exact(value)

    process_literal_param = process_bind_param  # type: ignore[assignment]

    def coerce_compared_value(self, op: OperatorType | None, value: Any) -> Any:  # noqa: ARG002
        return self


@dataclass(frozen=True, order=False)
class Amount:
    """So much of a currency. Amounts of two currencies are neither added nor compared."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", exact(self.amount))
        if len(self.currency) != 3 or not (self.currency.isascii() and self.currency.isalpha() and self.currency.isupper()):
            raise UsageError(f"{self.currency!r} is no currency", hint='three letters of ISO 4217: Amount(Decimal("12.30"), "EUR")')

    def __composite_values__(self) -> tuple[Decimal, str]:
        return self.amount, self.currency

    @classmethod
    def _read(cls, amount: Decimal | None, currency: str | None) -> Amount | None:
        """What two columns say; nothing where they are NULL."""
        return None if amount is None or currency is None else cls(amount, currency)

    def _same(self, other: Amount) -> Decimal:
        if not isinstance(other, Amount) or other.currency != self.currency:
            raise UsageError(
                f"{self} and {other!s} are of two kinds, so they cannot be reckoned with each other", hint="convert one of them"
            )
        return other.amount

    def __add__(self, other: Amount) -> Amount:
        return Amount(_WIDE.add(self.amount, self._same(other)), self.currency)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(_WIDE.subtract(self.amount, self._same(other)), self.currency)

    def __neg__(self) -> Amount:
        return Amount(-self.amount, self.currency)

    def __mul__(self, factor: Exact) -> Amount:
        return Amount(_WIDE.multiply(self.amount, exact(factor)), self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: Amount) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Amount) -> bool:
        return self.amount <= self._same(other)

    def rounded(self, places: int = 2, rounding: str = decimal.ROUND_HALF_EVEN) -> Amount:
        """With so many decimal places."""
        return Amount(rounded(self.amount, places, rounding), self.currency)

    def shared(self, weights: Sequence[int], places: int = 2) -> list[Amount]:
        """In parts by weight, whose sum it is."""
        return [Amount(part, self.currency) for part in shared(self.amount, weights, places)]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


def amount(name: str, precision: int = 19, scale: int = 4, *, nullable: bool = False) -> Composite[Amount]:
    """An attribute of two columns, `name_amount` and `name_currency`: `price: Mapped[Amount] = amount("price")`."""
    said = f"How much, in the currency of {name}_currency"
    number: MappedColumn[Any] = mapped_column(f"{name}_amount", Money(precision, scale), nullable=nullable, comment=said)
    currency: MappedColumn[Any] = mapped_column(f"{name}_currency", Text, nullable=nullable, comment="Currency, as ISO 4217 has it")
    event.listen(currency.column, "after_parent_attach", _checked, propagate=True)
    return composite(Amount._read, number, currency)  # type: ignore[arg-type]


def _checked(column: Column[str], table: Table) -> None:
    name = f"chk_{table.name}_{column.name}"
    if name not in {c.name for c in table.constraints}:
        table.append_constraint(CheckConstraint(f"{quote(column.name)} ~ '^[A-Z]{{3}}$'", name=name))


def dumps(value: Any) -> str:
    """JSON in which a Decimal is a text ("12.30"). Raises UsageError for a float."""
    for one in _within(value):
        if isinstance(one, float):
            exact(one)
    return json.dumps(value, default=_text, allow_nan=False)


def loads(text: str | bytes) -> Any:
    """JSON whose numbers with a fraction are Decimal."""
    return json.loads(text, parse_float=Decimal)


def _within(value: Any) -> Iterator[Any]:
    todo = [value]
    while todo:
        one = todo.pop()
        yield one
        if isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, list | tuple):
            todo += one


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def refuse_floats(context: AdaptContext) -> None:
    """Have a connection or cursor of psycopg refuse a float as a parameter; NUMERIC comes back as Decimal anyway."""
    from psycopg.adapt import Dumper

    class Refused(Dumper):
        """Nothing is made of a float."""

        def dump(self, obj: Any) -> bytes:
            exact(obj)
            raise AssertionError

    context.adapters.register_dumper(float, Refused)
