"""Pages of a `select()` of SQLAlchemy: entities, columns and joins, on sessions and connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import BinaryExpression, ColumnElement, Select, Text, and_, bindparam, cast, literal_column, or_, tuple_, union_all
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import result_tuple
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import Label, TextClause, UnaryExpression
from sqlalchemy.types import UserDefinedType

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.cursors import Position
from pgcharter.runtime.pages_after import Compare, Condition, Direction, Equal, after, bound
from pgcharter.runtime.pages_unique import Facts, Name, facts, name
from pgcharter.runtime.pages_values import Found, fingerprint

_OPERATORS = {"<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge}
_MODIFIERS = {operators.desc_op: "desc", operators.asc_op: "asc", operators.nulls_first_op: "first", operators.nulls_last_op: "last"}
_KEY = "pgcharter_place_{}"
_SHAPES: dict[Any, _Shape] = {}
_MOST_SHAPES = 500
DIALECT: Any = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]


class _AsIs(UserDefinedType[str]):
    """A value as PostgreSQL writes it, sent without a type: the server gives it that of what it is compared with."""

    cache_ok = True


@dataclass(frozen=True)
class _Key:
    expression: Any
    direction: Direction


@dataclass(frozen=True)
class _Shape:
    """What is the same for all statements of one form."""

    text: str
    ties: tuple[Any, ...]
    identity: tuple[Any, ...]
    nullable: tuple[bool, ...]
    """Of each part of the order, ties among them."""


class Selected:
    """A `select()` to be read in pages."""

    def __init__(self, statement: Select[*tuple[Any, ...]], tie: Sequence[Any] = ()) -> None:
        _refuse(statement)
        self._bare = statement.order_by(None)
        self._statement = statement
        given = [_parsed(clause) for clause in statement._order_by_clauses]
        cached = statement._generate_cache_key()
        key = None if cached is None else (cached.key, len(tie), *(getattr(t, "key", id(t)) for t in tie))
        shape = _SHAPES.get(key)
        values: Any = [p.effective_value for p in cached.bindparams] if cached else None
        if shape is None:
            shape, found = self._shaped([k.expression for k in given], tie)
            if key is not None and found.plain and not tie:
                if len(_SHAPES) >= _MOST_SHAPES:
                    _SHAPES.clear()
                _SHAPES[key] = shape
        if values is None:
            values = self._compiled().params
        down = given[-1].direction.descending if given else False
        tail = [_Key(tied, Direction(down, down)) for tied in shape.ties]
        self.keys = [
            _Key(k.expression, Direction(k.direction.descending, k.direction.nulls_first, nullable))
            for k, nullable in zip((*given, *tail), shape.nullable, strict=True)
        ]
        if not self.keys:
            raise UsageError("the query has no order and no primary key to go by", hint="order_by(…), and tie=[…] for what is equal in it")
        self.text, self._identity = shape.text, shape.identity
        self.fingerprint = fingerprint(shape.text, values, repr([k.direction for k in self.keys]))

    def _shaped(self, given: list[Any], tie: Sequence[Any]) -> tuple[_Shape, Facts]:
        found = facts(self._bare)
        names: set[Name] = {of for e in given if (of := name(e))}
        if found.strange and not tie:
            raise UsageError(
                f"nothing tells the rows of {_named(found.strange[0])} apart, and those that are equal in their order would be lost",
                hint="pager.page(…, tie=[sub.c.id])",
            )
        ties = [t for t in map(_element, tie) if name(t) not in names] if tie else found.ties(names)
        identity = [*map(_element, tie)] if tie else found.ties(())
        nullable = tuple(not found.never_null(e) for e in (*given, *ties))
        sure = all(map(found.never_null, identity))
        return _Shape(str(self._compiled()), tuple(ties), tuple(identity) if sure else (), nullable), found

    def _compiled(self) -> Any:
        """What it is known by: FROM, WHERE and order, without the columns, which may change as the application does."""
        bare = _optionless(self._bare).with_only_columns(literal_column("1"), maintain_column_froms=True)
        return bare.order_by(*self._statement._order_by_clauses).compile(dialect=DIALECT)

    @property
    def ordered(self) -> list[tuple[Any, Direction]]:
        """The whole order, with what breaks its ties."""
        return [(k.expression, k.direction) for k in self.keys]

    def statement(self, position: Position | None, limit: int, offset: int = 0) -> Select[*tuple[Any, ...]]:
        """The statement of a page; values of the order stand behind the columns, as text."""
        backward = position is not None and position.backward
        order = [k.direction.reverse if backward else k.direction for k in self.keys]
        by = [_by(k.expression, way) for k, way in zip(self.keys, order, strict=True)]
        places = [cast(k.expression, Text).label(_KEY.format(n)) for n, k in enumerate(self.keys)]
        page = self._bare.add_columns(*places).order_by(*by).limit(limit)
        if offset:
            page = page.offset(offset)
        if position is None:
            return page
        conditions = after(order, position.values, inclusive=position.inclusive)
        clauses = [self._clause(condition, position) for condition in conditions]
        if len(clauses) < 2:
            return page.where(*(clauses or [literal_column("false")]))
        if not self._identity:
            return page.where(self._clause(bound(order, position.values), position), or_(*clauses))
        narrow = _optionless(self._bare).with_only_columns(*self._identity, maintain_column_froms=True).correlate(None)
        parts = union_all(*(narrow.where(clause).order_by(*by).limit(limit) for clause in clauses))
        which: Any = self._identity[0] if len(self._identity) == 1 else tuple_(*self._identity)
        return page.where(which.in_(parts))

    def _clause(self, condition: Condition, position: Position) -> ColumnElement[bool]:
        return and_(*(self._part(part, position) for part in condition)) if condition else literal_column("true")

    def _part(self, part: Any, position: Position) -> Any:
        def value(at: int) -> Any:
            return bindparam(None, position.values[at], type_=_AsIs(), unique=True)

        if isinstance(part, Compare):
            at = range(part.first, part.last + 1)
            left, right = [self.keys[i].expression for i in at], [value(i) for i in at]
            if len(at) == 1:
                return BinaryExpression(left[0], right[0], _OPERATORS[part.operator])
            return BinaryExpression(tuple_(*left), tuple_(*right), _OPERATORS[part.operator])
        expression = self.keys[part.at].expression
        if isinstance(part, Equal):
            return BinaryExpression(expression, value(part.at), operators.eq)
        return expression.is_(None) if part.wanted else expression.is_not(None)

    def rows(self, conn: Any, position: Position | None, limit: int, offset: int = 0) -> Steps[Found]:
        """The rows of a page, in the order they were asked for, each with its place."""
        result = yield partial(conn.execute, self.statement(position, limit, offset))
        names = list(result.keys())
        shown = len(names) - len(self.keys)
        if self._bare._propagate_attrs.get("compile_state_plugin") == "orm":
            result = result.unique()  # joined eager loading wants it; no row is there twice
        rows = result.all()
        make = result_tuple(names[:shown])
        return Found([row[0] if shown == 1 else make(row[:shown]) for row in rows], [tuple(row[shown:]) for row in rows])


def _by(expression: Any, way: Direction) -> Any:
    ordered = expression.desc() if way.descending else expression.asc()
    if way.descending == way.nulls_first:
        return ordered
    return ordered.nulls_first() if way.nulls_first else ordered.nulls_last()


def _element(expression: Any) -> Any:
    expression = expression.__clause_element__() if hasattr(expression, "__clause_element__") else expression
    return expression.element if isinstance(expression, Label) else expression


def _parsed(clause: Any) -> _Key:
    """One part of an ORDER BY."""
    words: set[str] = set()
    while True:
        if isinstance(clause, UnaryExpression) and clause.modifier in _MODIFIERS:
            words.add(_MODIFIERS[clause.modifier])
        elif clause.__visit_name__ != "label_reference" and not isinstance(clause, Label):
            break
        clause = clause.element
    if isinstance(clause, TextClause) or clause.__visit_name__ == "textual_label_reference":
        raise UsageError(
            f"the query is ordered by text, {str(clause)!r}, that cannot be compared", hint="order_by(Order.created_at.desc())"
        )
    down = "desc" in words
    return _Key(clause, Direction(down, "first" in words if words & {"first", "last"} else down))


def _optionless(statement: Any) -> Any:
    """Without what says how to load, which means nothing to single columns; criteria stay."""
    copy = statement._generate()
    copy._with_options = tuple(o for o in statement._with_options if getattr(o, "_is_criteria_option", False))
    return copy


def _refuse(statement: Any) -> None:
    if not isinstance(statement, Select):
        raise UsageError(
            f"a {type(statement).__name__} cannot be read in pages",
            hint="sub = statement.subquery(); pager.page(…, select(sub).order_by(…), tie=[…])",
        )
    found = {
        "LIMIT or OFFSET": statement._limit_clause is not None
        or statement._offset_clause is not None
        or statement._fetch_clause is not None,
        "DISTINCT": statement._distinct or statement._distinct_on,
        "GROUP BY": statement._group_by_clauses or statement._having_criteria,
    }
    if any(found.values()):
        what = next(word for word, there in found.items() if there)
        raise UsageError(
            f"the query has {what}, and the condition that makes a page would stand before it",
            hint="sub = statement.subquery(); pager.page(…, select(sub).order_by(sub.c.total, sub.c.id), tie=[sub.c.id])",
        )


def _named(leaf: Any) -> str:
    return getattr(leaf, "name", None) or type(leaf).__name__
