"""Data that must not lie about in the clear: card numbers, passwords, keys, ciphertext in the wrong type, sampled values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from pgcharter.catalog.model import Column, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import bodies, shapes
from pgcharter.rules.engine import Context, rule

_ALWAYS = re.compile(
    r"(?:\A|_)(?:credit_?card(?:_?(?:number|no|num))?|debit_card_(?:number|no)|cc_(?:number|no|num)|cvv2?|cvc2?|card_cvv|"
    r"card_security_code|card_verification_(?:value|code)|ssn|social_security_(?:number|no|num)|social_security)\Z"
)
_CARD = re.compile(r"(?:\A|_)card_(?:number|no|num)\Z")
_CARD_NEIGHBOUR = re.compile(r"expir|exp_(?:month|year|date)|valid_(?:thru|until)|cvv|cvc|card_?holder|card_type|card_brand")
_OTHER_CARDS = {
    "loyalty",
    "library",
    "gift",
    "member",
    "membership",
    "id",
    "identity",
    "insurance",
    "sim",
    "bonus",
    "access",
    "badge",
    "fuel",
}
_PROTECTED = re.compile(r"encrypt|cipher|crypt|hash|token|hmac|digest|mask|last_?(?:4|four)|redact", re.IGNORECASE)
_NUMERIC = frozenset({"int4", "int8", "numeric"})


@rule("SEC28", "card-or-ssn-in-the-clear", Severity.WARNING)
def card_or_ssn_in_the_clear(ctx: Context) -> Iterator[Finding]:
    """A card number, card code or social security number in a text column.

    Why: whoever reads the table, a backup, a replica or a log of slow statements reads the number. Card codes may not be kept at
    all (PCI DSS 3.3.1), card numbers only unreadable.
    Instead: a token of the payment provider; or `bytea` that the application encrypts, with a name that says so, and the last four digits.
    Except: columns whose name or comment says that the value is encrypted, hashed, masked or a token.
    """
    for table in ctx.catalog.root_tables:
        for column in table.columns:
            what = _plain_number(table, column)
            if what:
                yield ctx.finding(
                    table.part("column", column.name),
                    f"{table.part('column', column.name)} keeps {what} as {column.type.sql}: every copy of the table can be read",
                    hint="a provider's token, or bytea encrypted by the application",
                )


@lru_cache(maxsize=65536)
def _numbered_name(column: str) -> str:
    """The words of a column's name when they may speak of such a number; else nothing."""
    name = "_".join(shapes.words(column))
    return name if _ALWAYS.search(name) or _CARD.search(name) else ""


def _plain_number(table: Table, column: Column) -> str:
    name = _numbered_name(column.name)
    if not name:
        return ""
    readable = shapes.is_text(column.type) or (column.type.basic in _NUMERIC and not column.type.array)
    if not readable or _PROTECTED.search(column.name) or _PROTECTED.search(column.comment):
        return ""
    if _ALWAYS.search(name):
        return "a social security number" if "ssn" in name or "social" in name else "card data"
    if _OTHER_CARDS & {*shapes.words(table.name), *shapes.words(column.name)}:
        return ""
    neighbours = [c.name for c in table.columns if c is not column]
    return "card data" if _CARD.search(name) and any(_CARD_NEIGHBOUR.search(n.lower()) for n in neighbours) else ""


@rule("SEC29", "password-column-too-short", Severity.WARNING)
def password_column_too_short(ctx: Context) -> Iterator[Finding]:
    """A password column that no password hash fits into.

    Why: bcrypt needs 60 characters, argon2 and scrypt more. A shorter column holds the password itself, or an MD5 or SHA-1 digest that
    is guessed at billions a second.
    Instead: `password_hash text`, filled by the application with argon2 or bcrypt.
    Except: none known.
    """
    for table in ctx.catalog.root_tables:
        for column in table.columns:
            words = shapes.words(column.name)
            length = column.type.length
            if words[-1:] not in (("password",), ("passwd",), ("pwd",)) and words[-2:] not in (
                ("password", "hash"),
                ("password", "digest"),
            ):
                continue
            if length is not None and length < 60 and shapes.is_text(column.type):
                yield ctx.finding(
                    table.part("column", column.name),
                    f"{table.part('column', column.name)} has room for {length} characters: "
                    "no password hash fits, so it holds passwords or digests that are quickly guessed",
                    hint="text, filled with argon2 or bcrypt hashes by the application",
                )


_HEX = "it is stored as hex in twice the size, and decrypting it fails without a cast"
_ENCRYPT = r"pgp_(?:sym|pub)_encrypt(?:_bytea)?|encrypt(?:_iv)?"


@rule("SEC30", "ciphertext-as-text", Severity.ERROR)
def ciphertext_as_text(ctx: Context) -> Iterator[Finding]:
    r"""An encrypting function that returns text.

    Why: pgcrypto encrypts to bytea. Returned as text it becomes its hex form `\x...`: twice the size, and `pgp_sym_decrypt` of the text
    column fails until every caller casts back.
    Instead: return and store `bytea`; or `armor(...)`, `encode(..., 'base64')` where text is needed.
    Except: none known.
    """
    for function in ctx.catalog.own_functions:
        if function.returns in ("text", "character varying") and bodies.readable(function) and _returns_ciphertext(function.body):
            yield ctx.finding(
                function,
                f"{function.id} returns pgcrypto's bytea as text: {_HEX}",
                hint="RETURNS bytea, and a bytea column",
            )


@ciphertext_as_text.text
def _ciphertext_in_text(ctx: Context) -> Iterator[Finding]:
    for statement in ctx.of_kind("create_function_stmt"):
        names = [n.string.sval for n in statement.node.return_type.names]
        if names and names[-1] in ("text", "varchar") and "encrypt" in statement.text.lower():
            found = re.search(r"\$(\w*)\$(.*)\$\1\$", statement.text, re.DOTALL)
            if found and _returns_ciphertext(found[2]):
                name = ".".join(quote(part.string.sval) for part in statement.node.funcname)
                yield ctx.finding(
                    statement,
                    f"function {name} returns pgcrypto's bytea as text: {_HEX}",
                    hint="RETURNS bytea, and a bytea column",
                    detail=name,
                )


def _returns_ciphertext(body: str) -> bool:
    """Whether the result is a bare call of an encrypting function: RETURN encrypt(...); or SELECT encrypt(...)."""
    masked = bodies.mask(body)
    for call in bodies.calls(body, rf"(?:\w+\s*\.\s*)?(?:{_ENCRYPT})"):
        before = masked[: call.start].rstrip().lower()
        after = masked[call.end :].strip().lower()
        whole = re.match(r"\A(?:::\s*(?:text|varchar))?\s*(?:;|\Z)", after)
        if before.endswith(("return", "select")) and whole:
            return True
    return False


_THREE = ("encrypt", "decrypt", "hmac")
"""Functions of pgcrypto that always have three arguments; a function of the user's with fewer is another one."""
_KEYED = {
    "pgp_sym_encrypt": 1, "pgp_sym_decrypt": 1, "pgp_sym_encrypt_bytea": 1, "pgp_sym_decrypt_bytea": 1, "encrypt": 1, "decrypt": 1,
    "encrypt_iv": 1, "decrypt_iv": 1, "hmac": 1,
}  # fmt: skip


def key_literals(text: str) -> Iterator[str]:
    """Names of cryptographic functions that `text` calls with a key written out."""
    lower = text.lower()
    if "crypt" not in lower and "hmac" not in lower:
        return
    for name, position in _KEYED.items():
        if name in lower:
            for call in bodies.calls(text, name):
                if name in _THREE and len(call.arguments) != 3:
                    continue
                if len(call.arguments) > position and re.match(r"[eE]?'[^']+'\s*(?:::\s*\w+)?\Z", call.arguments[position]):
                    yield name


@rule("SEC31", "key-in-sql", Severity.ERROR)
def key_in_sql(ctx: Context) -> Iterator[Finding]:
    """A cryptographic key written out in a function, view, default or generated column.

    Why: the definition is in the catalog for every role to read, in every dump, and in the server's log; the key protects nothing.
    Instead: encrypt in the application, with keys that never reach the database; at least pass the key as a bound parameter.
    Except: test keys of a test database.
    """
    for function in ctx.catalog.own_functions:
        for name in sorted(set(key_literals(function.body))) if bodies.readable(function) else ():
            yield _key_finding(ctx, function, str(function.id), name)
    for view in ctx.catalog.own_views:
        for name in sorted(set(key_literals(view.definition))):
            yield _key_finding(ctx, view, str(view.id), name)
    for table in ctx.catalog.root_tables:
        for column in table.columns:
            for name in sorted(set(key_literals(column.default))) if column.default else ():
                yield _key_finding(ctx, table.part("column", column.name), str(table.part("column", column.name)), name)


def _key_finding(ctx: Context, subject: object, what: str, name: str) -> Finding:
    return ctx.finding(
        subject,  # type: ignore[arg-type]
        f"{what} holds the key of {name}() in its text: whoever reads the catalog, a dump or the log has it",
        hint="keep keys outside the database, and change this one",
        detail=name,
    )


@key_in_sql.text
def _key_in_text(ctx: Context) -> Iterator[Finding]:
    for statement in ctx.of_kind("create_function_stmt", "view_stmt", "create_stmt", "create_table_as_stmt"):
        body = re.search(r"\$(\w*)\$(.*)\$\1\$", statement.text, re.DOTALL) if statement.kind == "create_function_stmt" else None
        for name in sorted(set(key_literals(body[2] if body else statement.text))):
            yield ctx.finding(
                statement,
                f"the statement holds the key of {name}() in its text: whoever reads the catalog, a dump or the log has it",
                hint="keep keys outside the database, and change this one",
                detail=name,
            )


_STATISTICS = re.compile(r"\bpg_stats(?:_ext(?:_exprs)?)?\b|\bpg_statistic(?:_ext_data)?\b")
_VALUES = re.compile(r"\b(?:most_common_vals|histogram_bounds|most_common_elems|most_common_val_nulls|stavalues[1-5]|\*)", re.IGNORECASE)


@rule("SEC27", "statistics-published", Severity.WARNING)
def statistics_published(ctx: Context) -> Iterator[Finding]:
    """A view that shows sampled values from the planner's statistics.

    Why: `most_common_vals` and `histogram_bounds` of pg_stats are real values of the table. The view reads them with its owner's rights, so
    whoever may read the view reads samples of every column. As a plain view it cannot even be made: the columns are anyarray.
    Instead: leave the value columns out; n_distinct, null_frac and correlation say what monitoring needs.
    Except: a view that only the owner can read.
    """
    for view in ctx.catalog.own_views:
        text = bodies.mask(view.definition)
        if _STATISTICS.search(text) and _VALUES.search(text):
            yield ctx.finding(
                view,
                f"{view.id} shows values that the planner sampled from the tables: its readers see data they have no right to",
                hint="leave out most_common_vals, histogram_bounds and most_common_elems",
            )


@statistics_published.text
def _statistics_in_text(ctx: Context) -> Iterator[Finding]:
    for statement in ctx.of_kind("view_stmt", "create_table_as_stmt"):
        if "pg_stat" not in statement.text:
            continue
        text = bodies.mask(statement.text)
        if _STATISTICS.search(text) and _VALUES.search(text):
            name = quote(statement.node.view.relname if statement.kind == "view_stmt" else statement.node.into.rel.relname)
            yield ctx.finding(
                statement,
                f"view {name} shows values that the planner sampled from the tables: its readers see data they have no right to",
                hint="leave out most_common_vals, histogram_bounds and most_common_elems (PostgreSQL refuses such a view anyway: anyarray)",
                detail=name,
            )
