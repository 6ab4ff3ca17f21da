"""Names of columns after the house's options: their number, and what a foreign key column is called."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter import nouns
from pgcharter.catalog.model import Column, Constraint, Table
from pgcharter.findings import Finding, Severity
from pgcharter.rules import renames, shapes
from pgcharter.rules.engine import Context, rule

_ONE_VALUE = frozenset({"uuid", "date", "timestamptz", "timestamp", "time", "inet", "cidr", "macaddr"}) | shapes.TEXT_TYPES
"""Numbers count things and booleans speak of them, so both are rightly named in the plural; documents and arrays hold several."""
_LISTS = frozenset("list lists set array json csv num number count total max min avg sum has is can allows".split())  # noqa: SIM905


@rule("NAM14", "plural-column", Severity.INFO, options=("column_number",))
def plural_column(ctx: Context) -> Iterator[Finding]:
    """A column that holds one value is named in the plural.

    Why: `emails` promises several and holds one: who reads the name writes a loop, who guesses the name writes `email`.

    Instead: `email`, or an array or a table of their own where several are meant.

    Except: arrays, documents and composite values; numbers and booleans, which count things or speak of them (`views`, `seconds`);
    plural words for one text (`notes`, `instructions`), and words whose number is not certain.
    """
    for table, column in ctx.catalog.own_columns if ctx.options.column_number == "singular" else ():
        single = _one_of(column)
        if single:
            address = table.part("column", column.name)
            fix, hint = renames.column(ctx, table, column.name, single)
            yield ctx.finding(address, f"{address.sql()} is named in the plural and holds one value", fix=fix, hint=hint)


def _one_of(column: Column) -> str:
    """The name in the singular, of a column that holds one value and is surely named in the plural; otherwise empty."""
    type_ = column.type
    if type_.array or not (type_.basic in _ONE_VALUE or type_.kind == "enum") or not column.name.endswith(("s", "S", "e", "a", "n", "i")):
        return ""
    said = nouns.words(column.name)
    if not nouns.promises_several(column.name) or not _LISTS.isdisjoint(said):
        return ""
    return nouns.singular_name(column.name) or ""


_PEOPLE = frozenset(
    """
    user account person people employee member contact customer staff profile admin operator login principal actor party individual
    """.split()  # noqa: SIM905
)
_AGENT = re.compile(r"(?:er|or|ee|ant|ent|ist|ian|man|by|owner|author|lead|head|chief|boss|spouse|friend|guest|contact|host|agent|rep)\Z")
"""Words that say what somebody does: such a role may stand alone."""


@rule("NAM15", "foreign-key-column-name", Severity.INFO, options=("foreign_key_column",))
def foreign_key_column_name(ctx: Context) -> Iterator[Finding]:
    """A foreign key column is not named after the table it refers to.

    Why: who sees `customer_id` knows where it leads and how to join; `cust` and `ref` must be looked up each time.

    Instead: the guide's option `foreign_key_column`: `{singular}_id` gives `order_id` for `orders`, a role may stand before it
    (`billing_address_id`).

    Except: keys of several columns; a table that refers to itself (`parent_id`); roles of people (`author_id`, `approved_by`); the tenant
    column; a key shared with the other table; a column named like the natural key it refers to (`country_code`).
    """
    template = ctx.options.foreign_key_column
    for table in ctx.catalog.root_tables if template else ():
        promised: set[str] = set()
        for fk in table.foreign_keys:
            target = shapes.target_of(ctx, fk)
            if not template or target is None or len(fk.columns) != 1 or fk.inherited or table.kind == "foreign table":
                continue
            wanted = _reference_names(template, target, fk)
            if not wanted or _is_rightly_named(ctx, table, target, fk, wanted):
                continue
            address = table.part("column", fk.columns[0])
            fix, hint = renames.column(ctx, table, fk.columns[0], _with_role(fk.columns[0], wanted[0], target.name), promised)
            message = f"{address.sql()} refers to {target.id.sql()} and is not named {wanted[0]} as the guide asks"
            yield ctx.finding(address, message, fix=fix, hint=hint)


def _reference_names(template: str, target: Table, fk: Constraint) -> tuple[str, ...]:
    """Names the template allows; none when the singular of the table's name is not certain."""
    names = shapes.key_names(template.replace("{column}", "".join(fk.referenced_columns)), target.name)
    if "{singular}" not in template:
        return names
    last = re.split(r"_|(?<=[a-z])(?=[A-Z])", target.name)[-1]
    if nouns.singular(last) is None and nouns.number(last) is None and last.lower() not in nouns.UNCOUNTABLE:
        return ()
    both = shapes.key_names(template.replace("{singular}", "{table}"), target.name) if nouns.number(last) is None else ()
    return tuple(dict.fromkeys((*names, *both)))


def _is_rightly_named(ctx: Context, table: Table, target: Table, fk: Constraint, wanted: tuple[str, ...]) -> bool:
    name = fk.columns[0]
    if name == ctx.options.tenant_column or table.id == target.id:
        return True
    if any(name == w or name.endswith("_" + w) for w in (*wanted, *_natural(target, fk))):
        return True
    key = table.primary_key
    if key is not None and key.columns == fk.columns:
        return True
    role = name.removesuffix(_tail(ctx.options.foreign_key_column or ""))
    is_role = role != name or name.endswith("_by")
    return is_role and not _PEOPLE.isdisjoint(_singulars(target.name)) and _AGENT.search(role) is not None


def _singulars(name: str) -> set[str]:
    return {nouns.singular(w) or w for w in nouns.words(name)}


def _natural(target: Table, fk: Constraint) -> tuple[str, ...]:
    """Names by a key that means something: `country_code`, `code`, `currency`; or by a key column named after its table."""
    column = "".join(fk.referenced_columns)
    single = nouns.singular_name(target.name) or target.name
    if column in ("id", "uuid", "guid", "pk", "key"):
        return ()
    meaningless = shapes.surrogate_key(target)
    if meaningless is not None and meaningless.name == column:
        return (column,)
    return (column, single, f"{single}_{column}")


def _tail(template: str) -> str:
    """What follows the last placeholder: `_id`."""
    return template.rpartition("}")[2]


def _with_role(old: str, wanted: str, target: str) -> str:
    """The wanted name, with the role that the old name told: `origin_id` becomes `origin_place_id`, `userid` becomes `user_id`."""
    role = re.sub(r"(?:_?id|_ref|_fk|_key|_uuid)\Z", "", old)
    squeezed = role.replace("_", "").lower()
    if (
        not role
        or role == old
        or len(role) < 3
        or squeezed[:3] == target.replace("_", "").lower()[:3]
        or squeezed in wanted.replace("_", "")
    ):
        return wanted
    return f"{role}_{wanted}"
