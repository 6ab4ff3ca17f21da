"""Data about people: who may read it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Column, Table, View
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules import shapes
from pgcharter.rules.engine import Context, rule

_ALWAYS = re.compile(
    r"(?:\A|_)(?:birth_?date|birthday|date_of_birth|dob|ssn|social_security(?:_number|_no)?|passport_(?:number|no)|national_id(?:_number)?|"
    r"tax_(?:id|number|payer_id)|iban|bank_account(?:_number|_no)?|salary|home_address|driver_licen[sc]e(?:_number|_no)?|"
    r"password(?:_hash|_digest)?|passwd|pwd)\Z"
)
_OF_PEOPLE = re.compile(
    r"(?:\A|_)(?:e_?mail(?:_address)?|(?:mobile|cell)?_?phone(?:_number|_no)?|mobile(?:_number)?|telephone|street(?:_address)?)\Z"
)
_PEOPLE = set(
    """
    user users customer customers person persons people member members employee employees staff patient patients student students contact
    contacts subscriber subscribers profile profiles guest guests
    """.split()  # noqa: SIM905
)
_NAMED = re.compile(r"(?:\A|_)(?:first|last|full|given|family|user|sur)_?name\Z")
_UNREADABLE = re.compile(r"encrypt|cipher|crypted|masked|redact|anonym|pseudonym", re.IGNORECASE)


def personal_columns(relation: Table | View) -> tuple[str, ...]:
    """Columns of a table or view that hold data about a person, by names that mean nothing else or do in a table of people."""
    people = bool(_PEOPLE & set(shapes.words(relation.name))) or any(_NAMED.search(_flat(c)) for c in relation.columns)
    return tuple(c.name for c in relation.columns if _is_personal(c, people))


def _is_personal(column: Column, people: bool) -> bool:
    if column.type.basic in ("bool", "bytea") or column.type.array or _UNREADABLE.search(column.name):
        return False
    name = _flat(column)
    return bool(_ALWAYS.search(name)) or (people and shapes.is_text(column.type) and bool(_OF_PEOPLE.search(name)))


def _flat(column: Column) -> str:
    return "_".join(shapes.words(column.name))


@rule("SEC38", "personal-data-readable-by-everyone", Severity.WARNING)
def personal_data_readable_by_everyone(ctx: Context) -> Iterator[Finding]:
    """Everybody who can log in may read data about people.

    Why: PUBLIC is every role there is and will be: the monitoring, the shop's suppliers, whoever gets an account tomorrow. What they copy
    out is a breach that must be reported.

    Instead: `REVOKE SELECT ON customers FROM PUBLIC`, and grant to the role that needs it.

    Except: tables under row security, whose policies decide; schemas that only their owner may use; columns that hold ciphertext; the
    telephone number of a shop.
    """
    relations: tuple[Table | View, ...] = (*ctx.catalog.own_tables, *(v for v in ctx.catalog.own_views if v.kind == "materialized view"))
    entered = {s.name for s in ctx.catalog.schemas if any(g.privilege == "USAGE" and g.grantee != s.owner for g in s.acl or ())}
    for relation in relations:
        if (isinstance(relation, Table) and relation.row_security) or relation.schema not in entered:
            continue
        whole = any(g.grantee == "" and g.privilege == "SELECT" for g in relation.acl or ())
        opened = [c.name for c in relation.columns if whole or any(g.grantee == "" and g.privilege == "SELECT" for g in c.acl or ())]
        read = [c for c in personal_columns(relation) if c in opened] if opened else []
        if read:
            what = "SELECT" if whole else f"SELECT ({shapes.columns_sql(read)})"
            yield ctx.finding(
                relation,
                f"every role may read {', '.join(quote(c) for c in read[:4])} of {relation.id}: data about people",
                fix=f"REVOKE {what} ON {relation.id.sql()} FROM PUBLIC",
                hint="grant it to the roles that need it",
                columns=read,
            )
