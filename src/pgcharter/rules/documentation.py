"""Comments: what has none, and comments that say nothing."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules import languages, shapes
from pgcharter.rules.engine import Context, rule


def _missing(ctx: Context, target: ObjectId, keyword: str, what: str) -> Finding:
    address = target.sql()
    return ctx.finding(target, f"{target.kind} {address} has no comment: {what}", hint=f"COMMENT ON {keyword} {address} IS '...'")


@rule("DOC01", "table-without-comment", Severity.INFO, options=("comments",))
def table_without_comment(ctx: Context) -> Iterator[Finding]:
    """A table without a comment.

    Why: the next reader must guess what a row stands for, who writes it and how long it is kept. Comments travel with dumps and are shown
    by every tool.
    Instead: `COMMENT ON TABLE orders IS 'One purchase of one customer; kept 10 years.'`
    Except: partitions, which are documented by their parent.
    """
    if "table" not in ctx.options.comments:
        return
    for table in ctx.catalog.root_tables:
        if not table.comment.strip():
            keyword = "FOREIGN TABLE" if table.kind == "foreign table" else "TABLE"
            yield _missing(ctx, table.id, keyword, "nobody can tell what a row stands for")


@rule("DOC02", "column-without-comment", Severity.INFO, options=("comments",))
def column_without_comment(ctx: Context) -> Iterator[Finding]:
    """A column without a comment.

    Why: units, time zones, what NULL means and who sets the value are not in the type.
    Instead: `COMMENT ON COLUMN orders.total IS 'Sum with tax, in the currency of the order.'`
    Except: columns inherited from a parent.
    """
    if "column" not in ctx.options.comments:
        return
    for table in ctx.catalog.root_tables:
        owner = table.id.sql()
        for column in table.columns:
            if not column.comment.strip() and not column.inherited:
                address = f"{owner}.{quote(column.name)}"
                yield ctx.finding(
                    table.part("column", column.name),
                    f"column {address} has no comment: unit and meaning are anybody's guess",
                    hint=f"COMMENT ON COLUMN {address} IS '...'",
                )


@rule("DOC03", "view-without-comment", Severity.INFO, options=("comments",))
def view_without_comment(ctx: Context) -> Iterator[Finding]:
    """A view or materialized view without a comment.

    Why: a view is an interface; who uses it needs to know what it leaves out and, when it is materialized, how old it may be.
    Instead: `COMMENT ON VIEW open_orders IS 'Orders that are paid and not yet sent.'`
    Except: none.
    """
    if "view" not in ctx.options.comments:
        return
    for view in ctx.catalog.own_views:
        if not view.comment.strip():
            yield _missing(ctx, view.id, view.kind.upper(), "what it shows must be read out of its query")


@rule("DOC04", "function-without-comment", Severity.INFO, options=("comments",))
def function_without_comment(ctx: Context) -> Iterator[Finding]:
    """A function or procedure without a comment.

    Why: what it changes, what it raises and who may call it can only be found by reading its body.
    Instead: `COMMENT ON FUNCTION close_month(date) IS 'Books the month; raises when it is closed already.'`
    Except: none.
    """
    if "function" not in ctx.options.comments:
        return
    for function in ctx.catalog.own_functions:
        if not function.comment.strip():
            yield _missing(ctx, function.id, function.id.kind.upper(), "what it does must be read out of its body")


@rule("DOC05", "type-without-comment", Severity.INFO, options=("comments",))
def type_without_comment(ctx: Context) -> Iterator[Finding]:
    """A type or domain without a comment.

    Why: the labels of an enum name states, not the way from one to the next; a domain's check says what is allowed, not why.
    Instead: `COMMENT ON TYPE order_status IS 'new, then paid, then sent; cancelled ends it.'`
    Except: none.
    """
    if "type" not in ctx.options.comments:
        return
    for item in ctx.catalog.types:
        if not item.extension and not item.comment.strip():
            yield _missing(ctx, item.id, item.id.kind.upper(), "what it stands for is anybody's guess")


_FILLER = frozenset(
    """
    a an the this that of for in on to is are contains contain stores store holds hold table tables column columns field view function
    record records row rows data information value values type unique identifier id key primary
    """.split()  # noqa: SIM905
)


@rule("DOC06", "comment-repeats-name", Severity.INFO, options=("comments",))
def comment_repeats_name(ctx: Context) -> Iterator[Finding]:
    """A comment that only repeats the name.

    Why: 'The orders table.' satisfies a check and tells nobody anything.
    Instead: what a row stands for, the unit, who sets the value, what NULL means.
    Except: comments that add a single word of their own are not reported.
    """
    if not ctx.options.comments:
        return
    for table in ctx.catalog.root_tables:
        if _says_nothing(table.comment, table.name):
            yield _empty(ctx, table.id, table.comment)
        for column in table.columns:
            if not column.inherited and _says_nothing(column.comment, f"{table.name} {column.name}"):
                yield _empty(ctx, table.part("column", column.name), column.comment)
    for view in ctx.catalog.own_views:
        if _says_nothing(view.comment, view.name):
            yield _empty(ctx, view.id, view.comment)


def _empty(ctx: Context, target: ObjectId, comment: str) -> Finding:
    return ctx.finding(
        target,
        f"the comment on {target}, '{comment.strip()}', only repeats the name",
        hint="say what a row or value stands for, its unit, who sets it",
    )


def _stem(word: str) -> str:
    for ending, by in (("ies", "y"), ("ses", "s"), ("s", "")):
        if word.endswith(ending) and not word.endswith("ss"):
            return word[: -len(ending)] + by
    return word


def _says_nothing(comment: str, name: str) -> bool:
    if not comment.strip() or not comment.isascii():
        return False
    said = [w for w in shapes.words(comment.strip().lower().replace("'", "_").replace(" ", "_")) if w not in _FILLER]
    known = {_stem(w) for w in shapes.words(name)}
    return all(_stem(w) in known for w in said)


def _commented(ctx: Context) -> Iterator[tuple[ObjectId, str]]:
    """Every comment the user has written, with what it is about."""
    catalog = ctx.catalog
    for table in catalog.root_tables:
        yield table.id, table.comment
        yield from ((table.part("column", c.name), c.comment) for c in table.columns if not c.inherited)
        yield from ((table.part("constraint", c.name), c.comment) for c in table.constraints if not c.inherited)
    for view in catalog.own_views:
        yield view.id, view.comment
        yield from ((view.part("column", c.name), c.comment) for c in view.columns)
    yield from ((f.id, f.comment) for f in catalog.own_functions)
    yield from ((t.id, t.comment) for t in catalog.types if not t.extension)
    yield from ((s.id, s.comment) for s in catalog.schemas if not s.extension and s.name != "public")


@rule("DOC07", "comment-language", Severity.INFO, options=("comment_language",))
def comment_language(ctx: Context) -> Iterator[Finding]:
    """A comment in another language than the house's.

    Why: half of its readers cannot read it, and who searches the documentation for a word does not find it.

    Instead: the language in the guide's option `comment_language`.

    Except: a comment of fewer than five words, and one whose language is not clear from its small words (the, der, le, el), are not
    reported; quoted values and identifiers do not count.
    """
    wanted = ctx.options.comment_language
    for target, comment in _commented(ctx) if wanted else ():
        other = languages.clearly_not(comment, wanted or "") if comment else ""
        if other:
            message = f"the comment on {target} is in {other}, and the guide asks for {languages.NAMES.get(wanted or '', wanted)}"
            yield ctx.finding(target, message, hint="translate it", language=other)
