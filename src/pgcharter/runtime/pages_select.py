"""Pages of a `select()` of SQLAlchemy: entities, columns and joins, on sessions and connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy import BinaryExpression, ColumnElement, Select, Text, and_, bindparam, cast, literal_column, or_, select, tuple_, union_all
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import result_tuple
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import Label, TextClause, UnaryExpression
from sqlalchemy.types import UserDefinedType

from pgcharter.errors import UsageError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.cursors import Position
from pgcharter.runtime.pages_after import Compare, Condition, Direction, Equal, after, bound
from pgcharter.runtime.pages_unique import Name, facts, name
from pgcharter.runtime.pages_values import Found, fingerprint

_OPERATORS = {"<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge}
_MODIFIERS = {operators.desc_op: "desc", operators.asc_op: "asc", operators.nulls_first_op: "first", operators.nulls_last_op: "last"}
_KEY = "pgcharter_place_{}"
_SHAPES: dict[Any, _Shape] = {}
_MOST_SHAPES, _MOST_PAGES = 500, 50
DIALECT: Any = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]


class _AsIs(UserDefinedType[str]):
    """A value as PostgreSQL writes it, sent without a type: the server gives it that of what it is compared with."""

    cache_ok = True


@dataclass(frozen=True)
class _Key:
    expression: Any
    direction: Direction


_Form = tuple[bool, bool, tuple[bool, ...]]
"""Of a place: whether one goes backward from it, whether it is part of the page, and which of its values are NULL."""


@dataclass(frozen=True)
class _Shape:
    """What is the same for all statements of one form."""

    text: str
    bare: Any
    """The first of them, without its order."""
    names: tuple[str, ...]
    """Of its columns."""
    keys: tuple[_Key, ...]
    identity: tuple[Any, ...]
    """Columns that tell rows apart, whatever the order; none where they can be NULL."""
    binds: tuple[str, ...] = ()
    """What its parameters are called."""
    pages: dict[Any, Any] = field(default_factory=dict)
    """Statements of pages, by the form of the place, limit and offset."""

    def page(self, form: _Form | None, limit: int, offset: int) -> Any:
        """The statement of a page, the values of its place to be given as parameters."""
        order = [k.direction.reverse if form and form[0] else k.direction for k in self.keys]
        by = [_by(k.expression, way) for k, way in zip(self.keys, order, strict=True)]
        places = [cast(k.expression, Text).label(_KEY.format(n)) for n, k in enumerate(self.keys)]
        page = self.bare.add_columns(*places).order_by(*by).limit(limit)
        if form is None:
            return page.offset(offset) if offset else page
        values = [None if null else "" for null in form[2]]
        clauses = [self._clause(condition) for condition in after(order, values, inclusive=form[1])]
        if len(clauses) < 2:
            return page.where(*(clauses or [literal_column("false")]))
        if not self.identity:
            return page.where(self._clause(bound(order, values)), or_(*clauses))
        narrow = optionless(self.bare).with_only_columns(*self.identity, maintain_column_froms=True).correlate(None)
        parts = union_all(*(narrow.where(clause).order_by(*by).limit(limit) for clause in clauses)).subquery()
        which: Any = self.identity[0] if len(self.identity) == 1 else tuple_(*self.identity)
        return page.where(which.in_(select(*parts.c)))  # a union itself is no IN of SQLAlchemy 2.0

    def _clause(self, condition: Condition) -> ColumnElement[bool]:
        return and_(*map(self._part, condition)) if condition else literal_column("true")

    def _part(self, part: Any) -> Any:
        if isinstance(part, Compare):
            at = range(part.first, part.last + 1)
            left, right = [self.keys[i].expression for i in at], [_value(i) for i in at]
            if len(at) == 1:
                return BinaryExpression(left[0], right[0], _OPERATORS[part.operator])
            return BinaryExpression(tuple_(*left), tuple_(*right), _OPERATORS[part.operator])
        expression = self.keys[part.at].expression
        if isinstance(part, Equal):
            return BinaryExpression(expression, _value(part.at), operators.eq)
        return expression.is_(None) if part.wanted else expression.is_not(None)


class Selected:
    """A `select()` to be read in pages."""

    def __init__(self, statement: Select[*tuple[Any, ...]], tie: Sequence[Any] = ()) -> None:
        self._statement, self._tie = statement, tie
        cached = None if tie or statement._execution_options else statement._generate_cache_key()
        shape = _SHAPES.get(cached.key) if cached else None
        if shape is None:
            _refuse(statement)
            shape, kept = self._shaped()
            if cached and kept:
                if len(_SHAPES) >= _MOST_SHAPES:
                    _SHAPES.clear()
                _SHAPES[cached.key] = replace(shape, binds=tuple(p.key for p in cached.bindparams))
        self._shape = shape
        self._values = [p.effective_value for p in cached.bindparams] if cached else None
        self.text = shape.text
        values = self._compiled().params if self._values is None else self._values
        self.fingerprint = fingerprint(shape.text, values)

    @property
    def keys(self) -> tuple[_Key, ...]:
        """The whole order, with what breaks its ties."""
        return self._shape.keys

    def _shaped(self) -> tuple[_Shape, bool]:
        """Look at the statement; whether what was found is true of all statements of its form."""
        bare = self._statement.order_by(None)
        given = [_parsed(clause) for clause in self._statement._order_by_clauses]
        found = facts(optionless(bare))
        ordered: set[Name] = {of for k in given if (of := name(k.expression))}
        if found.strange and not self._tie:
            raise UsageError(
                f"nothing tells the rows of {_named(found.strange[0])} apart, and those that are equal in their order would be lost",
                hint="pager.page(…, tie=[sub.c.id])",
            )
        tie = [_element(t) for t in self._tie]
        ties = [t for t in tie if name(t) not in ordered] if tie else found.ties(ordered)
        if not given and not ties:  # the filter leaves one row
            ties = list(found.leaves[0].primary_key) if found.leaves else []
        down = given[-1].direction.descending if given else False
        keys = tuple(
            _Key(k.expression, replace(k.direction, nullable=not found.never_null(k.expression)))
            for k in (*given, *(_Key(t, Direction(down, down)) for t in ties))
        )
        if not keys:
            raise UsageError("the query has no order and no primary key to go by", hint="order_by(…), and tie=[…] for what is equal in it")
        identity = tuple(tie or found.ties(()))
        text = f"{self._compiled()} {[k.direction for k in keys]}"
        names = tuple(d["name"] or f"column_{n}" for n, d in enumerate(bare.column_descriptions))
        return _Shape(text, bare, names, keys, identity if all(map(found.never_null, identity)) else ()), found.plain and not tie

    def _compiled(self) -> Any:
        """What it is known by: FROM, WHERE and order, without the columns, which may change as the application does."""
        bare = optionless(self._statement).with_only_columns(literal_column("1"), maintain_column_froms=True)
        return bare.compile(dialect=DIALECT)

    def statement(self, position: Position | None, limit: int, offset: int = 0) -> tuple[Any, dict[str, Any]]:
        """The statement of a page with its parameters; values of the order stand behind the columns, as text."""
        form = (position.backward, position.inclusive, tuple(v is None for v in position.values)) if position else None
        known = self._shape.pages.get((form, limit, offset))
        if known is None:
            known = self._shape.page(form, limit, offset)
            if len(self._shape.pages) >= _MOST_PAGES:
                self._shape.pages.clear()
            self._shape.pages[form, limit, offset] = known
        values = dict(zip(self._shape.binds, self._values or (), strict=False))
        values.update((_KEY.format(n), v) for n, v in enumerate(position.values if position else ()) if v is not None)
        return known, values

    def rows(self, conn: Any, position: Position | None, limit: int, offset: int = 0) -> Steps[Found]:
        """The rows of a page, in the order they were asked for, each with its place."""
        statement, values = self.statement(position, limit, offset)
        result = yield partial(conn.execute, statement, values)
        if self._statement._propagate_attrs.get("compile_state_plugin") == "orm":
            result = result.unique(_same)  # joined eager loading of collections wants it
        rows, shown = result.all(), len(self._shape.names)
        places = slice(shown, None)
        if shown == 1:
            return Found([row[0] for row in rows], rows, places)
        make = result_tuple(self._shape.names)
        return Found([make(row[:shown]) for row in rows], rows, places)


def _same(row: Any) -> tuple[Any, ...]:
    """What two rows have in common that are the same one."""
    return tuple(id(v) if hasattr(v, "_sa_instance_state") else v if v.__hash__ else repr(v) for v in row)


def _value(at: int) -> Any:
    return bindparam(_KEY.format(at), type_=_AsIs(), required=True)


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


def optionless(statement: Any) -> Any:
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
    name_ = getattr(leaf, "name", None)
    return f"a {type(leaf).__name__}" if not isinstance(name_, str) or name_.startswith("%(") else name_
