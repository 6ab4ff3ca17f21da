"""Types of extensions, passed through as texts: ltree and PostGIS geometry. hstore, ranges, multiranges and arrays SQLAlchemy has itself.

path: Mapped[str] = mapped_column(Ltree)                          # Category.path.descendant_of("shop.shoes")
place: Mapped[str] = mapped_column(Geometry("Point", 4326))       # "SRID=4326;POINT(15.43 47.07)"
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement, cast, func
from sqlalchemy.types import UserDefinedType

from pgcharter.errors import UsageError


class _Lquery(UserDefinedType[str]):
    """A pattern of label paths."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """As a cast has it."""
        return "lquery"


class Ltree(UserDefinedType[str]):
    """A column type: a label path like `shop.shoes.boots` (extension ltree); its index is USING gist, or btree for whole paths."""

    cache_ok = True

    class Comparator(UserDefinedType.Comparator[str]):
        """The operators of ltree."""

        def descendant_of(self, path: Any) -> ColumnElement[bool]:
            """`<@`: the path itself, or below it."""
            found: Any = self.op("<@", is_comparison=True, return_type=Boolean())(path)
            return found  # type: ignore[no-any-return]

        def ancestor_of(self, path: Any) -> ColumnElement[bool]:
            """`@>`: the path itself, or above it."""
            found: Any = self.op("@>", is_comparison=True, return_type=Boolean())(path)
            return found  # type: ignore[no-any-return]

        def matches(self, pattern: str) -> ColumnElement[bool]:
            """`~` with an lquery: `*.shoes.*{1,2}`."""
            found: Any = self.op("~", is_comparison=True, return_type=Boolean())(cast(pattern, _Lquery()))
            return found  # type: ignore[no-any-return]

    comparator_factory = Comparator

    def get_col_spec(self, **_: Any) -> str:
        """As CREATE TABLE has it."""
        return "ltree"

    def bind_expression(self, bindvalue: Any) -> ColumnElement[Any]:
        """A text is made an ltree."""
        return cast(bindvalue, self)


class Geometry(UserDefinedType[str]):
    """A column type of PostGIS, in EWKT: `SRID=4326;POINT(15.43 47.07)`. Functions are `func.ST_…`, its index is USING gist."""

    cache_ok = True

    def __init__(self, kind: str = "Geometry", srid: int = 4326, *, geography: bool = False) -> None:
        """Raises UsageError for what is no kind of geometry."""
        if not kind.isalpha() or not kind.isascii():
            raise UsageError(f"{kind!r} is no kind of geometry", hint='Geometry("Point", 4326)')
        self.kind, self.srid, self.geography = kind, srid, geography

    def get_col_spec(self, **_: Any) -> str:
        """As CREATE TABLE has it."""
        return f"{'geography' if self.geography else 'geometry'}({self.kind},{self.srid})"

    def bind_expression(self, bindvalue: Any) -> ColumnElement[Any]:
        """EWKT is made a geometry."""
        made: Any = func.ST_GeogFromText if self.geography else func.ST_GeomFromEWKT
        return made(bindvalue, type_=self)  # type: ignore[no-any-return]

    def column_expression(self, colexpr: Any) -> ColumnElement[Any]:
        """EWKT is what is read."""
        return func.ST_AsEWKT(colexpr, type_=self)
