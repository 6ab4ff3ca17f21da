"""`[tenancy]` of the charter: tenants kept apart by rows, schemas or databases, in a few lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from pgcharter.charter import Section
from pgcharter.errors import UsageError
from pgcharter.names import MAX_BYTES, ObjectId, address, form_of_places, placed

OWN_TENANTS = ObjectId("table", "pgcharter", "tenants")
"""Our own table of tenants, for projects that have none."""
TYPES: Mapping[str, tuple[str, frozenset[str]]] = {
    "uuid": ("uuid", frozenset(("uuid",))),
    "bigint": ("int8", frozenset(("int8", "int4", "int2"))),
    "text": ("text", frozenset(("text", "varchar"))),
}
"""Types of tenant columns: the `typname` that a new column gets, and those that an existing one may have."""


def _name(value: Any) -> None:
    if not value or "\0" in value or len(value.encode()) > MAX_BYTES:
        raise UsageError(f"{value!r} is no name of a column: PostgreSQL keeps 1 to {MAX_BYTES} bytes")


def _place(value: Any) -> None:
    try:
        form_of_places(value)
    except ValueError as error:
        raise UsageError(str(error), hint='place = "tenant_{name}"; names that begin with pg_ are PostgreSQL\'s own') from None


def _grace(value: Any) -> None:
    if re.fullmatch(r"[0-9]{1,4}[hd]", value) is None:
        raise UsageError(f"{value!r} is no time of grace", hint="write 30d or 12h; 0d: none")


@dataclass(frozen=True)
class UserRows:
    """`[[tenancy.user]]`: a table whose rows belong to single users of a tenant."""

    table: str
    """Schema and name: app.notes."""
    column: str
    """Column that holds whose row it is: what `actor` is in the context of a transaction."""


@dataclass(frozen=True)
class TenancySection:
    """`[tenancy]`: how tenants are kept apart."""

    placement: Literal["rows", "schemas", "databases"] = "rows"
    """Where a tenant's data is: in rows of tables that all share, in a schema of its own, or in a database of its own."""
    place: str = field(default="tenant_{name}", metadata={"check": _place})
    """Name of a tenant's schema or database, {name} being the tenant's; its role is called the same."""
    group: str = ""
    """In schemas: role that all tenants' roles are members of, and that may read what is shared; empty: there is none."""
    grace: str = field(default="30d", metadata={"check": _grace})
    """Time between a tenant's leaving and the deletion of its data: 30d, 12h; 0d: none."""
    column: str = field(default="tenant_id", metadata={"check": _name})
    """Column that says whose a row is."""
    type: Literal["uuid", "bigint", "text"] = "uuid"
    """Type of that column."""
    schemas: tuple[str, ...] = ()
    """Schemas whose tables hold rows of tenants; empty: all of the database's own."""
    shared: tuple[str, ...] = ()
    """Tables in them whose rows belong to no tenant, as schema.name or schema.*: countries, currencies."""
    reviewed: tuple[str, ...] = ()
    """Views, materialized views and functions, as schema.name, that may see rows of all tenants: somebody has looked at them."""
    tenants: str = OWN_TENANTS.sql()
    """Table of tenants, as schema.name, whose primary key the column refers to: pgcharter.tenants is made here; empty: none."""
    ask_state: bool = False
    """Whether row policies ask pgcharter.tenants, once a statement, if the tenant is active: then nobody sees rows of one that is not. It
    costs a statement 15 to 35 µs, so that a read of one row takes 1.2 times an explicit WHERE, on a busy machine 1.5 times."""
    stage: Literal["tenants", "all"] = "all"
    """tenants: only pgcharter.tenants is made, for rows to be written into it before others refer to it."""
    backfill: str = ""
    """Tenant that rows belong to which are there when the column comes. Take it out again after that."""
    application_roles: tuple[str, ...] = ()
    """Roles that see the rows of the tenant of their transaction; empty: everybody with privileges. Others see none."""
    maintenance_role: str = ""
    """Role that sees the rows of all tenants (BYPASSRLS, NOLOGIN: it is taken on with SET ROLE); empty: there is none."""
    user: tuple[UserRows, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be so."""
        if self.placement != "rows":
            self._placed()
        if self.maintenance_role and self.maintenance_role in self.application_roles:
            raise ValueError(f"role {self.maintenance_role} cannot be both: an application would see the rows of all tenants")
        for text in self.named:
            relation(text)
        twice = next((u.table for u in self.user if [v.table for v in self.user].count(u.table) > 1), "")
        if twice:
            raise ValueError(f"[[tenancy.user]] names table {twice} twice: one table has one column of users")

    def _placed(self) -> None:
        """What cannot be so in schemas and databases."""
        if self.tenants != OWN_TENANTS.sql():
            raise ValueError(f"tenants in {self.placement} are in {OWN_TENANTS.sql()}, and nowhere else: take tenants out of [tenancy]")
        if self.user or self.backfill or self.schemas:
            raise ValueError(f"[[tenancy.user]], schemas and backfill are about rows, and tenants are in {self.placement}: take them out")
        for text in self.shared:
            if name_in(self, relation(text).schema) is not None:
                raise ValueError(f"[tenancy] shared names {text}, which is a tenant's own: take it out")
        for role in filter(None, (self.group, self.maintenance_role, *self.application_roles)):
            if name_in(self, role) is not None:
                raise ValueError(
                    f"role {role} would be the role of tenant {name_in(self, role)}: give it another name, or place another form"
                )
        if self.group and self.group in (self.maintenance_role, *self.application_roles):
            raise ValueError(f"role {self.group} cannot be both: the group has what tenants share, and nothing else")
        if self.placement == "schemas" and self.shared and not self.group:
            raise ValueError('[tenancy] shared says what all tenants may read, and nobody has it: name a role, group = "…"')

    @property
    def grace_time(self) -> timedelta:
        """Time between a tenant's leaving and its deletion."""
        number = int(self.grace[:-1])
        return timedelta(hours=number) if self.grace.endswith("h") else timedelta(days=number)

    @property
    def named(self) -> Iterable[str]:
        """The relations that it names, as written."""
        tenants = (self.tenants,) if self.tenants else ()
        return (*(s for s in (*self.shared, *self.reviewed) if not s.endswith(".*")), *tenants, *(u.table for u in self.user))

    @property
    def asks_state(self) -> bool:
        """Whether row policies ask if the tenant is active, which our own table of tenants alone tells."""
        return self.ask_state and self.placement == "rows" and self.tenants == OWN_TENANTS.sql()

    @property
    def tenants_table(self) -> ObjectId | None:
        """The address of the table of tenants."""
        return relation(self.tenants) if self.tenants else None

    @property
    def user_column(self) -> Mapping[ObjectId, str]:
        """Columns of users by table."""
        return {relation(u.table): u.column for u in self.user}

    def is_shared(self, table: ObjectId) -> bool:
        """Whether the charter says that a table belongs to no tenant."""
        return _among(table, self.shared)

    def is_reviewed(self, item: ObjectId) -> bool:
        """Whether the charter says that somebody has looked at a view or function; a function goes by its name without arguments."""
        return _among(ObjectId("table", item.schema, item.name.partition("(")[0]), self.reviewed)


def place_of(section: TenancySection, name: str) -> str:
    """The schema, or database, of a tenant, and its role. Raises UsageError for a name that no tenant can have."""
    try:
        return placed(section.place, name)
    except ValueError as error:
        raise UsageError(str(error)) from None


def name_in(section: TenancySection, schema: str) -> str | None:
    """The tenant whose place is called so; None where nobody's is."""
    before, _, after = section.place.partition("{name}")
    name = schema[len(before) : len(schema) - len(after)]
    try:
        return name if placed(section.place, name) == schema else None
    except ValueError:
        return None


def in_place(section: TenancySection, name: str) -> bool:
    """Whether tenants are in schemas, and one of them, or its role, would be called so."""
    return section.placement == "schemas" and name_in(section, name) is not None


def relation(text: str) -> ObjectId:
    """The address of a relation written as schema.name. Raises ValueError for anything else."""
    try:
        return address(f"table {text}")
    except ValueError:
        raise ValueError(f"{text!r} is no table's address: write it as schema.name") from None


def _among(at: ObjectId, texts: Iterable[str]) -> bool:
    return any(at == relation(t) if not t.endswith(".*") else ObjectId("schema", "", at.schema).sql() == t[:-2] for t in texts)


SECTION = Section("tenancy", TenancySection)
