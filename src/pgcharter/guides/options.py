"""House options: what teams rightly differ about. A rule never hard-codes one of these; `None` or empty means "the guide does not care"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pgcharter.guides.domains import Domain


@dataclass(frozen=True, slots=True)
class RequiredColumn:
    """One entry of the option `required_columns`."""

    name: str
    type: str = ""
    """As it was written; empty when any type will do."""
    not_null: bool = False

    @classmethod
    def read(cls, entry: str) -> RequiredColumn:
        """Read `created_at`, `created_at timestamptz` or `created_at timestamptz not null`."""
        name, _, rest = " ".join(entry.split()).partition(" ")
        type_ = re.sub(r"(?i)\bnot null\Z", "", rest)
        return cls(name, type_.strip(), type_ != rest)


@dataclass(frozen=True, slots=True)
class Options:
    """The house style of a guide, after a charter's overrides."""

    identifier_case: Literal["snake_case"] | None = None
    """How tables, columns and other objects are written."""
    table_number: Literal["plural", "singular"] | None = None
    """Grammatical number of table names."""
    column_number: Literal["singular"] | None = None
    """Grammatical number of column names; columns that hold several values (arrays, documents) may be plural."""
    join_table_name: str | None = None
    """Template of tables that join two others: `{left}_{right}`, in either order; `{left_singular}` and `{right_singular}` exist too."""
    table_prefixes: tuple[str, ...] = ()
    """Prefixes of domains: every table begins with one of them. Empty: any name."""
    tenant_table_prefix: str | None = None
    """Prefix of tables that have the tenant column: `tenant_`; it stands instead of a domain's prefix, or behind it."""
    reserved_words: tuple[str, ...] = ()
    """Names that the house gives to nothing, beyond the words that SQL reserves: data, info, type."""
    primary_key_name: str | None = None
    """Name of a single-column surrogate key: `id`, or a template with `{table}` (as is) or `{singular}`: `{singular}_id`. Several are
    joined by ` or `: `id or {singular}_id`."""
    foreign_key_column: str | None = None
    """Template of a single foreign key column, from the table it refers to: `{singular}_id`, or `{table}_id`; a role may stand before it
    (`billing_address_id`)."""
    primary_key_type: Literal["uuid", "bigint", "uuid or bigint"] | None = None
    """Type of surrogate keys."""
    text_type: Literal["text", "varchar"] | None = None
    """text: no varchar(n). varchar: every string column has a length."""
    fixed_values: Literal["enum", "check", "enum or check", "lookup"] | None = None
    """How a column with a fixed set of values is built."""
    index_name: str | None = None
    """Template of plain index names: `idx_{table}_{columns}`; `{columns}` may be any description when `index_name_strict` is false.
    Templates of names know `{table}`, `{singular}` and `{schema}`; a name cut to 63 bytes follows its template as far as it goes."""
    index_name_strict: bool = False
    """True: the columns must be spelled out exactly; false: prefix and table suffice."""
    unique_name: str | None = None
    """Template of unique constraint and unique index names."""
    foreign_key_name: str | None = None
    """Template of foreign key names: `fk_{table}_{columns}`, or `fk_{table}_{referenced}` by the table it refers to."""
    check_name: str | None = None
    """Template of check constraint names: `chk_{description}`."""
    primary_key_constraint_name: str | None = None
    """Template of primary key names: `pk_{table}`."""
    sequence_name: str | None = None
    """Template of sequence names: `seq_{table}_{column}`; sequences of identity columns are PostgreSQL's own and may be called anything."""
    timestamp_type: Literal["timestamptz", "timestamp"] | None = None
    """Type of columns that hold a moment; `timestamp` means that the house keeps UTC without a zone."""
    timestamp_suffix: str | None = None
    """Suffix of timestamp columns: `_at`."""
    date_suffix: str | None = None
    """Suffix of date columns."""
    boolean_prefixes: tuple[str, ...] = ()
    """Allowed beginnings of boolean columns: is_, has_, can_. Empty: any."""
    boolean_required: bool = False
    """Boolean columns are NOT NULL and have a default."""
    required_columns: tuple[str, ...] = ()
    """Columns that every entity table must have: `created_at`, or with its type: `created_at timestamptz`, `created_at timestamptz not
    null`."""
    comments: tuple[Literal["table", "column", "view", "function", "type"], ...] = ()
    """Which kinds of object must have a comment."""
    comment_language: Literal["en", "de", "fr", "es", "it", "pt", "nl"] | None = None
    """Language of comments as a two-letter code."""
    on_delete_required: bool = False
    """Every foreign key states what happens on delete."""
    tenant_column: str = "tenant_id"
    """Column that marks a table as belonging to tenants."""
    tenant_isolation: Literal["rows", "schemas", "databases"] | None = None
    """How tenants are kept apart; `rows` demands row-level security on tables with the tenant column."""
    soft_delete_column: str = "deleted_at"
    """Column that marks a row as deleted."""
    money_type: Literal["numeric", "integer"] | None = "numeric"
    """Type of amounts of money. `integer` means minor units; both refuse floating point."""
    money_precision: str | None = None
    """Digits of numeric amounts of money, all and behind the point: `19,4`."""
    count_type: Literal["integer"] | None = None
    """Type of counts: whole numbers, integer or bigint."""
    key_default_required: bool = False
    """Surrogate keys are made by the database: they have a default or an identity."""
    numeric_precision_required: bool = False
    """Every numeric column states precision and scale."""
    encryption_at_rest_required: bool = False
    """Somebody must have declared what encrypts data on disk and in backups."""
    encryption_at_rest: str | None = None
    """What encrypts data on disk and in backups, in words: nobody can see it from inside the database."""
    password_days: int = 0
    """Days after which the password of a role that logs in ends at the latest; 0: passwords need no end."""
    allowed_extensions: tuple[str, ...] = ()
    """Extensions that may be installed. Empty: any."""
    max_indexes: int = 12
    """More indexes than this on one table is a finding."""
    max_index_columns: int = 5
    """More key columns than this in one index is a finding."""
    max_columns: int = 60
    """More columns than this in one table is a finding."""
    small_table_rows: int = 10_000
    """Migrations: a table of fewer rows (and less than 64 MB) may be locked, read or rewritten; that takes about a tenth of a second."""
    large_table_rows: int = 1_000_000
    """Migrations: locking, reading or writing a table of so many rows whole is an error; it takes seconds to minutes."""
    exposed_schemas: tuple[str, ...] = ("public",)
    """Schemas whose objects roles other than the owner can reach."""
    domains: tuple[Domain, ...] = ()
    """Data domains, each with its tables, its level of consistency and what keeps it: written [[options.domains]]."""
    jsonb_check_required: bool = False
    """Every document column (jsonb, json) has a CHECK on its shape."""

    @property
    def required(self) -> tuple[RequiredColumn, ...]:
        """The entries of `required_columns`, read."""
        return tuple(map(RequiredColumn.read, self.required_columns))
