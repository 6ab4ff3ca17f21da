"""Full-text search: a column that the server keeps, its index, and queries that use it.

class Article(Base):
    title: Mapped[str]
    body: Mapped[str | None]
    search: Mapped[str] = search_column("title", "body", config="german")

found = Search(Article.search, "blaue schuhe -leder", config="german")
select(Article, found.headline(Article.body)).where(found.matches).order_by(found.rank.desc(), Article.id)
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Computed, Float, Index, Text, event, func, literal_column
from sqlalchemy.dialects.postgresql import REGCONFIG, TSVECTOR
from sqlalchemy.orm import MappedColumn, mapped_column

from pgcharter.errors import UsageError
from pgcharter.names import cut, literal, quote

WEIGHTS = "ABCD"


def search_column(*columns: str, config: str = "english", config_column: str = "", index: str = "", **options: Any) -> MappedColumn[Any]:
    """A tsvector that the server makes of text columns, the first of them with the greatest weight, and a GIN index on it.

    A NULL in one of them leaves the others (`a || b` would be NULL). `config_column` names a column of type regconfig that says for each
    row what language it is in. Not loaded with its rows. Raises UsageError for no columns, or more than there are weights.
    """
    if not 1 <= len(columns) <= len(WEIGHTS):
        raise UsageError(
            f"a search column of {len(columns)} columns cannot be weighed: there are 4 weights", hint='search_column("title", "body")'
        )
    language = quote(config_column) if config_column else f"{literal(config)}::regconfig"
    parts = (
        f"setweight(to_tsvector({language}, coalesce({quote(column)}, '')), '{weight}')"
        for column, weight in zip(columns, WEIGHTS, strict=False)
    )
    said = f"What {', '.join(columns)} can be found by"
    made: MappedColumn[Any] = mapped_column(
        TSVECTOR, Computed(" || ".join(parts), persisted=True), nullable=True, deferred=True, comment=said, **options
    )
    event.listen(made.column, "after_parent_attach", lambda c, t: _indexed(c, t, index), propagate=True)
    return made


def _indexed(column: Any, table: Any, name: str) -> None:
    called = cut(name or f"idx_{table.name}_{column.name}")
    if called not in {i.name for i in table.indexes}:
        Index(called, column, postgresql_using="gin")


class Search:
    """Words that are looked for, as people write them: "exact phrase", or, -without (`websearch_to_tsquery`, which refuses nothing)."""

    def __init__(self, column: Any, words: str, config: str | Any = "english") -> None:
        """`config` is the name of a configuration, or the column that says it for each row: then an index cannot be used."""
        self._column = column
        self._config: Any = literal_column(f"{literal(config)}::regconfig", REGCONFIG) if isinstance(config, str) else config
        self.query: ColumnElement[Any] = func.websearch_to_tsquery(self._config, words)

    @property
    def matches(self) -> ColumnElement[bool]:
        """For WHERE."""
        found: ColumnElement[bool] = self._column.op("@@", is_comparison=True)(self.query)
        return found

    @property
    def rank(self) -> ColumnElement[float]:
        """How well a row matches, by the weights of its columns and how near the words are; longer texts count less."""
        return func.ts_rank_cd(self._column, self.query, 1, type_=Float)

    def headline(self, column: Any, **options: str | int | bool) -> ColumnElement[str]:
        """A piece of a text with its matches marked; options as `ts_headline` has them: MaxWords=20, StartSel="<mark>". The text is not
        escaped for HTML. Costs far more than the search: ask it for the rows of one page."""
        for name, value in options.items():
            if not name.isalpha() or any(c in str(value) for c in '"\\'):
                raise UsageError(f"{name}={value!r} is no option of ts_headline", hint="MaxWords=20")
        said = ", ".join(f'{name}="{value}"' for name, value in options.items())
        return func.ts_headline(self._config, func.coalesce(column, ""), self.query, said, type_=Text)
