"""The model. Everything is frozen; collections are tuples sorted by name (columns by position, enum labels and arguments by order).

Expressions (`default`, `check`, `predicate`, ...) are PostgreSQL's own deparsed text, read with `search_path = ''`, so names in them are
qualified. Empty text means "none". An `acl` of `None` means PostgreSQL's built-in default privileges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from pgcharter.findings import Gap
from pgcharter.names import ObjectId


class _Addressed(Protocol):
    @property
    def id(self) -> ObjectId: ...


@dataclass(frozen=True, slots=True)
class DataType:
    """A column's or argument's type as used, with its modifier."""

    sql: str
    """As `format_type` writes it: `character varying(255)`, `numeric(10,2)`, `app.order_status`, `integer[]`."""
    schema: str = "pg_catalog"
    name: str = ""
    """`pg_type.typname` of the type, or of the element type for arrays: `varchar`, `int4`, `timestamptz`, `order_status`."""
    kind: str = "base"
    """base, enum, domain, composite, range, multirange or pseudo (of the element for arrays)."""
    array: bool = False
    length: int | None = None
    """Length limit of varchar(n), char(n), bit(n), varbit(n)."""
    precision: int | None = None
    """Total digits of numeric(p,s), or fractional-second digits of time types."""
    scale: int | None = None
    base: str = ""
    """For domains: `typname` of the ultimate base type."""
    basic: str = field(init=False, repr=False, compare=False)
    """`typname` with domains looked through: what the value really is. A field, because rules ask it of every column a dozen times."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "basic", self.base or self.name)


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One privilege on one object for one role."""

    grantee: str
    """Role name; empty text is PUBLIC."""
    privilege: str
    """SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER, MAINTAIN, USAGE, CREATE, EXECUTE, CONNECT, TEMPORARY, SET, ..."""
    grantable: bool = False
    grantor: str = ""


Acl = tuple[Grant, ...] | None

HIDDEN = "(not shown)"
"""Stands for a value that may be a secret and was not read."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence, free-standing or owned by a column (serial, identity)."""

    schema: str
    name: str
    type: str = "bigint"
    start: int = 1
    increment: int = 1
    minimum: int = 1
    maximum: int = 9223372036854775807
    cache: int = 1
    cycle: bool = False
    owned_by: ObjectId | None = None
    """The column whose drop drops the sequence."""
    identity: bool = False
    """True when it is the inner sequence of an identity column."""
    unlogged: bool = False
    owner: str = ""
    acl: Acl = None
    comment: str = ""
    extension: str = ""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId("sequence", self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, view, foreign table or composite type."""

    name: str
    position: int
    """`attnum`: holes mean dropped columns."""
    type: DataType
    not_null: bool = False
    default: str = ""
    identity: str = ""
    """always, by default, or empty."""
    generated: str = ""
    """stored, virtual (18), or empty; the expression is in `default`."""
    collation: str = ""
    """Qualified name when it is not the type's own default."""
    storage: str = ""
    """plain, external, extended or main when it differs from the type's default."""
    compression: str = ""
    statistics: int | None = None
    """SET STATISTICS target; None is the default."""
    options: tuple[str, ...] = ()
    """`n_distinct=...`; foreign table column options too. `pg_attver` is never in here."""
    inherited: bool = False
    """Comes from a parent and is not declared locally."""
    acl: Acl = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A table or domain constraint."""

    name: str
    kind: str
    """primary key, unique, foreign key, check, exclude, not null (named, 18), trigger (constraint trigger)."""
    columns: tuple[str, ...] = ()
    """Constrained columns in key order."""
    definition: str = ""
    """`pg_get_constraintdef`: ready to stand after ADD CONSTRAINT name."""
    expression: str = ""
    """For check: the boolean expression alone."""
    references: ObjectId | None = None
    """For foreign key: the referenced table, as kind `table`."""
    referenced_columns: tuple[str, ...] = ()
    on_delete: str = ""
    """For foreign key: no action, restrict, cascade, set null, set default."""
    on_update: str = ""
    on_delete_columns: tuple[str, ...] = ()
    """SET NULL (columns) of a composite key."""
    match: str = ""
    """For foreign key: simple or full."""
    index: str = ""
    """Name of the index behind a primary key, unique or exclude constraint, or used by a foreign key on the other side."""
    deferrable: bool = False
    deferred: bool = False
    validated: bool = True
    enforced: bool = True
    no_inherit: bool = False
    inherited: bool = False
    """Not declared locally: comes from a parent table."""
    temporal: bool = False
    """WITHOUT OVERLAPS or PERIOD (18)."""
    nulls_not_distinct: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class IndexKey:
    """One key column or expression of an index."""

    column: str = ""
    """Column name; empty for an expression."""
    expression: str = ""
    operator_class: str = ""
    """Qualified name, only when it is not the default for the type."""
    collation: str = ""
    """Only when it differs from the column's."""
    descending: bool = False
    nulls_first: bool = False
    operator_class_options: tuple[str, ...] = ()
    statistics: int | None = None
    """SET STATISTICS target of an expression; None is the default."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a table or materialized view."""

    schema: str
    name: str
    table: str
    """Name of the relation it is on, in the same schema."""
    method: str = "btree"
    keys: tuple[IndexKey, ...] = ()
    include: tuple[str, ...] = ()
    predicate: str = ""
    unique: bool = False
    primary: bool = False
    exclusion: bool = False
    nulls_not_distinct: bool = False
    valid: bool = True
    ready: bool = True
    constraint: str = ""
    """Name of the constraint it backs; empty for a plain index."""
    replica_identity: bool = False
    clustered: bool = False
    partitioned: bool = False
    """True for the index of a partitioned table (holds nothing itself)."""
    parent: ObjectId | None = None
    """The partitioned index it is attached to."""
    tablespace: str = ""
    options: tuple[str, ...] = ()
    definition: str = ""
    """`pg_get_indexdef`."""
    comment: str = ""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId("index", self.schema, self.name)

    @property
    def columns(self) -> tuple[str, ...]:
        """Key columns in order, up to the first expression."""
        names: list[str] = []
        for key in self.keys:
            if not key.column:
                break
            names.append(key.column)
        return tuple(names)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of a relation; constraint triggers included, internal ones not."""

    name: str
    function: ObjectId
    timing: str
    """before, after or instead of."""
    events: tuple[str, ...]
    """Of insert, update, delete, truncate."""
    level: str = "row"
    """row or statement."""
    update_columns: tuple[str, ...] = ()
    condition: str = ""
    """The WHEN expression."""
    arguments: tuple[str, ...] = ()
    enabled: str = "origin"
    """origin, disabled, replica or always."""
    constraint: bool = False
    deferrable: bool = False
    deferred: bool = False
    old_table: str = ""
    new_table: str = ""
    parent: bool = False
    """Cloned from a partitioned parent's trigger."""
    definition: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """A row policy (PostgreSQL's row-level security)."""

    name: str
    command: str = "all"
    """all, select, insert, update or delete."""
    permissive: bool = True
    roles: tuple[str, ...] = ()
    """Role names; `public` is everybody."""
    using: str = ""
    check: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class RewriteRule:
    """A rule of the rule system (CREATE RULE); the `_RETURN` of views is not in here."""

    name: str
    event: str
    instead: bool = False
    enabled: str = "origin"
    definition: str = ""
    comment: str = ""


@dataclass(frozen=True)
class Table:
    """A table: ordinary, partitioned, a partition, foreign, unlogged, inherited, typed."""

    schema: str
    name: str
    kind: str = "table"
    """table, partitioned table or foreign table."""
    columns: tuple[Column, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    policies: tuple[Policy, ...] = ()
    rules: tuple[RewriteRule, ...] = ()
    unlogged: bool = False
    row_security: bool = False
    force_row_security: bool = False
    replica_identity: str = "default"
    """default, full, nothing or index."""
    partition_strategy: str = ""
    """range, list or hash, for a partitioned table."""
    partition_key: str = ""
    """As `pg_get_partkeydef`: `RANGE (created_at)`."""
    partition_columns: tuple[str, ...] = ()
    """Key columns; an expression gives an empty element."""
    partition_of: ObjectId | None = None
    partition_bound: str = ""
    """`FOR VALUES FROM (...) TO (...)` or `DEFAULT`."""
    inherits: tuple[ObjectId, ...] = ()
    """Parents by table inheritance (partitions excepted)."""
    of_type: str = ""
    """Composite type of a typed table."""
    server: str = ""
    """Foreign server, for a foreign table."""
    access_method: str = ""
    """Only when not heap."""
    tablespace: str = ""
    options: tuple[str, ...] = ()
    """Storage parameters; foreign table options for a foreign table."""
    owner: str = ""
    acl: Acl = None
    comment: str = ""
    extension: str = ""
    """Name of the extension it belongs to; empty for the user's own."""

    @cached_property
    def id(self) -> ObjectId:
        """Its address; always kind `table`, whatever sort of table it is."""
        return ObjectId("table", self.schema, self.name)

    def part(self, kind: str, name: str) -> ObjectId:
        """Address of one of its columns, constraints, triggers, policies or rules."""
        return ObjectId(kind, self.schema, self.name, name)

    @cached_property
    def column(self) -> Mapping[str, Column]:
        """Columns by name."""
        return {c.name: c for c in self.columns}

    @property
    def parents(self) -> tuple[ObjectId, ...]:
        """Tables it gets columns from: the partitioned one, or those it inherits from."""
        return self.inherits if self.partition_of is None else (self.partition_of,)

    @cached_property
    def primary_key(self) -> Constraint | None:
        """The primary key."""
        return next((c for c in self.constraints if c.kind == "primary key"), None)

    @cached_property
    def foreign_keys(self) -> tuple[Constraint, ...]:
        """Foreign keys going out."""
        return tuple(c for c in self.constraints if c.kind == "foreign key")

    @cached_property
    def checks(self) -> tuple[Constraint, ...]:
        """Check constraints."""
        return tuple(c for c in self.constraints if c.kind == "check")

    @cached_property
    def unique_keys(self) -> tuple[tuple[str, ...], ...]:
        """Column tuples guaranteed unique for every row: primary key, unique constraints, full plain unique indexes (each once)."""
        keys = [c.columns for c in self.constraints if c.kind in ("primary key", "unique")]
        keys += [i.columns for i in self.indexes if i.unique and not i.predicate and len(i.columns) == len(i.keys)]
        return tuple(dict.fromkeys(keys))


@dataclass(frozen=True)
class View:
    """A view or materialized view."""

    schema: str
    name: str
    kind: str = "view"
    """view or materialized view."""
    columns: tuple[Column, ...] = ()
    definition: str = ""
    """`pg_get_viewdef`: the SELECT, ending in a semicolon."""
    security_invoker: bool = False
    security_barrier: bool = False
    check_option: str = ""
    """local, cascaded or empty."""
    options: tuple[str, ...] = ()
    populated: bool = True
    indexes: tuple[Index, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    rules: tuple[RewriteRule, ...] = ()
    tablespace: str = ""
    owner: str = ""
    acl: Acl = None
    comment: str = ""
    extension: str = ""

    @cached_property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId(self.kind, self.schema, self.name)

    def part(self, kind: str, name: str) -> ObjectId:
        """Address of one of its columns, triggers or rules."""
        return ObjectId(kind, self.schema, self.name, name)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a function."""

    name: str
    type: DataType
    mode: str = "in"
    """in, out, inout, variadic or table."""
    default: str = ""


@dataclass(frozen=True)
class Function:
    """A function, procedure, aggregate or window function."""

    schema: str
    name: str
    """Bare name."""
    identity: str
    """Input argument types as `pg_get_function_identity_arguments` without names: `integer, text`."""
    kind: str = "function"
    """function, procedure, aggregate or window function."""
    arguments: tuple[Argument, ...] = ()
    returns: str = ""
    """Result as `pg_get_function_result`; empty for procedures."""
    language: str = "sql"
    volatility: str = "volatile"
    """immutable, stable or volatile."""
    parallel: str = "unsafe"
    """unsafe, restricted or safe."""
    leakproof: bool = False
    strict: bool = False
    security_definer: bool = False
    cost: float = 100
    rows: float = 0
    settings: tuple[str, ...] = ()
    """SET clauses: `search_path=app, pg_temp`."""
    support: str = ""
    body: str = ""
    """Source text (`prosrc`), or the deparsed SQL-standard body."""
    definition: str = ""
    """`pg_get_functiondef`; for aggregates the same, `CREATE OR REPLACE AGGREGATE ...`."""
    owner: str = ""
    acl: Acl = None
    comment: str = ""
    extension: str = ""

    @cached_property
    def id(self) -> ObjectId:
        """Its address; the name carries the argument types. Window functions are kind `function`."""
        kind = "function" if self.kind == "window function" else self.kind
        return ObjectId(kind, self.schema, f"{self.name}({self.identity})")

    def setting(self, name: str) -> str | None:
        """Value of a SET clause, or None when the function does not set it."""
        return next((s.partition("=")[2] for s in self.settings if s.partition("=")[0] == name), None)


@dataclass(frozen=True, slots=True)
class UserType:
    """A user-defined type: enum, domain, composite (free-standing), range, or base."""

    schema: str
    name: str
    kind: str
    """enum, domain, composite, range or base (shell types too)."""
    labels: tuple[str, ...] = ()
    """Enum labels in order."""
    attributes: tuple[Column, ...] = ()
    """Composite attributes."""
    base: DataType | None = None
    """Domain: the type under it. Range: the subtype."""
    not_null: bool = False
    default: str = ""
    constraints: tuple[Constraint, ...] = ()
    collation: str = ""
    multirange: str = ""
    options: tuple[str, ...] = ()
    """Range and base details: `subtype_opclass=...`, `input=...`."""
    owner: str = ""
    acl: Acl = None
    comment: str = ""
    extension: str = ""

    @property
    def id(self) -> ObjectId:
        """Its address; domains are kind `domain`, everything else kind `type`."""
        return ObjectId("domain" if self.kind == "domain" else "type", self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema (namespace)."""

    name: str
    owner: str = ""
    acl: Acl = None
    comment: str = ""
    extension: str = ""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId("schema", "", self.name)


@dataclass(frozen=True, slots=True)
class Extension:
    """An installed extension."""

    name: str
    version: str = ""
    schema: str = ""
    default_version: str = ""
    """Version that CREATE EXTENSION would install now."""
    owner: str = ""
    comment: str = ""
    relocatable: bool = False
    """Whether ALTER EXTENSION SET SCHEMA is allowed."""
    requires: tuple[str, ...] = ()
    """Extensions that must be there before."""
    default_comment: str = ""
    """Comment that CREATE EXTENSION would give it now."""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId("extension", "", self.name)


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """An event trigger."""

    name: str
    event: str
    function: ObjectId
    tags: tuple[str, ...] = ()
    enabled: str = "origin"
    owner: str = ""
    comment: str = ""
    extension: str = ""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId("event trigger", "", self.name)


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication of logical replication."""

    name: str
    all_tables: bool = False
    tables: tuple[str, ...] = ()
    """Qualified names with column list and row filter as SQL text."""
    schemas: tuple[str, ...] = ()
    operations: tuple[str, ...] = ("insert", "update", "delete", "truncate")
    via_root: bool = False
    generated_columns: str = ""
    owner: str = ""
    comment: str = ""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId("publication", "", self.name)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription; its connection string is never read."""

    name: str
    enabled: bool = True
    publications: tuple[str, ...] = ()
    slot: str = ""
    options: tuple[str, ...] = ()
    owner: str = ""
    comment: str = ""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId("subscription", "", self.name)


@dataclass(frozen=True, slots=True)
class ExtendedStatistics:
    """CREATE STATISTICS."""

    schema: str
    name: str
    table: ObjectId
    kinds: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    target: int | None = None
    definition: str = ""
    owner: str = ""
    comment: str = ""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId("statistics", self.schema, self.name)


@dataclass(frozen=True, slots=True)
class ForeignServer:
    """A foreign server; user mappings by role name only, their options are never read."""

    name: str
    wrapper: str
    type: str = ""
    version: str = ""
    options: tuple[str, ...] = ()
    """Names and values; values of password-like options are `HIDDEN`."""
    users: tuple[str, ...] = ()
    owner: str = ""
    acl: Acl = None
    comment: str = ""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId("server", "", self.name)


@dataclass(frozen=True, slots=True)
class Collation:
    """A user-made collation."""

    schema: str
    name: str
    provider: str = ""
    locale: str = ""
    deterministic: bool = True
    owner: str = ""
    comment: str = ""
    extension: str = ""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId("collation", self.schema, self.name)


@dataclass(frozen=True, slots=True)
class OtherObject:
    """An object kind kept whole by its DDL parts only: cast, operator, operator class or family, text search object, conversion, language,
    transform, access method, foreign-data wrapper."""

    kind: str
    schema: str
    name: str
    """The name, for some kinds with what tells its namesakes apart: `=== (integer, integer)`, `(integer AS app.mood)`,
    `reversed USING btree`, `FOR app.point LANGUAGE plpython3u`."""
    definition: str = ""
    """What stands after the name in CREATE. Members of operator classes and families and mappings of text search configurations have a
    line each; a family has those only that belong to none of its classes."""
    owner: str = ""
    comment: str = ""
    extension: str = ""
    acl: Acl = None
    """Of languages and foreign-data wrappers."""
    options: tuple[str, ...] = ()
    """Of foreign-data wrappers, as those of a ForeignServer."""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId(self.kind, self.schema, self.name)


@dataclass(frozen=True, slots=True, order=True)
class DefaultPrivilege:
    """ALTER DEFAULT PRIVILEGES: what a role's future objects grant."""

    role: str
    schema: str
    """Empty: in every schema."""
    objects: str
    """tables, sequences, functions, types, schemas or large objects."""
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class SecurityLabel:
    """SECURITY LABEL."""

    object: ObjectId
    provider: str
    label: str


@dataclass(frozen=True, slots=True, order=True)
class Dependency:
    """`dependent` would break or go if `referenced` were dropped (views, functions with SQL bodies, defaults, policies, triggers)."""

    dependent: ObjectId
    referenced: ObjectId
    """A column when the dependency is on one column."""


@dataclass(frozen=True, slots=True)
class Database:
    """The database itself."""

    name: str = ""
    owner: str = ""
    encoding: str = "UTF8"
    collation: str = ""
    character_type: str = ""
    locale_provider: str = ""
    acl: Acl = None
    comment: str = ""
    settings: tuple[str, ...] = ()
    """ALTER DATABASE SET, and ALTER ROLE IN DATABASE SET as `role:name=value`."""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId("database", "", self.name)


@dataclass(frozen=True)
class Catalog:
    """What one database's schema holds."""

    server_version: int = 0
    """`server_version_num`: 180006."""
    database: Database = Database()
    schemas: tuple[Schema, ...] = ()
    tables: tuple[Table, ...] = ()
    views: tuple[View, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    functions: tuple[Function, ...] = ()
    types: tuple[UserType, ...] = ()
    extensions: tuple[Extension, ...] = ()
    event_triggers: tuple[EventTrigger, ...] = ()
    publications: tuple[Publication, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    statistics: tuple[ExtendedStatistics, ...] = ()
    foreign_servers: tuple[ForeignServer, ...] = ()
    collations: tuple[Collation, ...] = ()
    others: tuple[OtherObject, ...] = ()
    default_privileges: tuple[DefaultPrivilege, ...] = ()
    security_labels: tuple[SecurityLabel, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    gaps: tuple[Gap, ...] = ()
    """What the reader's role was not allowed to see, or this version does not tell."""

    @property
    def major(self) -> int:
        """Major version: 18."""
        return self.server_version // 10000

    @cached_property
    def table(self) -> Mapping[ObjectId, Table]:
        """Tables by address."""
        return {t.id: t for t in self.tables}

    @cached_property
    def relation(self) -> Mapping[tuple[str, str], Table | View]:
        """Tables and views by schema and name: what a part's address leads to."""
        relations: tuple[Table | View, ...] = (*self.tables, *self.views)
        return {(r.schema, r.name): r for r in relations}

    @cached_property
    def index(self) -> Mapping[ObjectId, Index]:
        """Indexes by address."""
        return {i.id: i for r in self.relation.values() for i in r.indexes}

    @cached_property
    def sequences_of(self) -> Mapping[ObjectId, tuple[Sequence, ...]]:
        """Sequences by the table that holds the column they belong to."""
        found: dict[ObjectId, list[Sequence]] = {}
        for s in self.sequences:
            if s.owned_by is not None:
                found.setdefault(s.owned_by.owner, []).append(s)
        return {table: tuple(sequences) for table, sequences in found.items()}

    @cached_property
    def constraint_names(self) -> Mapping[tuple[str, str], int]:
        """How many tables have a constraint of their own of a name, by schema and name."""
        return Counter((t.schema, c.name) for t in self.tables for c in t.constraints if not c.inherited)

    @cached_property
    def function(self) -> Mapping[ObjectId, Function]:
        """Functions by address."""
        return {f.id: f for f in self.functions}

    @cached_property
    def type(self) -> Mapping[tuple[str, str], UserType]:
        """User types by schema and name, as `DataType` names them."""
        return {(t.schema, t.name): t for t in self.types}

    @cached_property
    def own_tables(self) -> tuple[Table, ...]:
        """Tables that do not belong to an extension."""
        return tuple(t for t in self.tables if not t.extension)

    @cached_property
    def root_tables(self) -> tuple[Table, ...]:
        """Own tables that are not partitions: where a rule about design should look, so that a finding is told once."""
        return tuple(t for t in self.own_tables if t.partition_of is None)

    @cached_property
    def own_columns(self) -> tuple[tuple[Table, Column], ...]:
        """Columns of `root_tables` that are stored here and declared there: not of foreign tables, not handed down by a parent."""
        return tuple((t, c) for t in self.root_tables if t.kind != "foreign table" for c in t.columns if not c.inherited)

    @cached_property
    def own_views(self) -> tuple[View, ...]:
        """Views that do not belong to an extension."""
        return tuple(v for v in self.views if not v.extension)

    @cached_property
    def own_functions(self) -> tuple[Function, ...]:
        """Functions that do not belong to an extension."""
        return tuple(f for f in self.functions if not f.extension)

    @cached_property
    def partitions(self) -> Mapping[ObjectId, tuple[Table, ...]]:
        """Direct partitions by parent address."""
        found: dict[ObjectId, list[Table]] = {}
        for t in self.tables:
            if t.partition_of is not None:
                found.setdefault(t.partition_of, []).append(t)
        return {parent: tuple(children) for parent, children in found.items()}

    @cached_property
    def children(self) -> Mapping[ObjectId, tuple[Table, ...]]:
        """Direct heirs by parent address: partitions and children by table inheritance."""
        found: dict[ObjectId, list[Table]] = {}
        for t in self.tables:
            for parent in t.parents:
                found.setdefault(parent, []).append(t)
        return {parent: tuple(children) for parent, children in found.items()}

    @cached_property
    def referencing(self) -> Mapping[ObjectId, tuple[tuple[Table, Constraint], ...]]:
        """Foreign keys coming in, by referenced table."""
        found: dict[ObjectId, list[tuple[Table, Constraint]]] = {}
        for t in self.tables:
            for fk in t.foreign_keys:
                if fk.references is not None:
                    found.setdefault(fk.references, []).append((t, fk))
        return {target: tuple(keys) for target, keys in found.items()}

    def objects(self) -> Iterator[tuple[ObjectId, object]]:
        """Every addressable object with its address, parts included."""
        yield self.database.id, self.database
        groups: tuple[tuple[_Addressed, ...], ...] = (
            self.schemas, self.tables, self.views, self.sequences, self.functions, self.types, self.extensions, self.event_triggers,
            self.publications, self.subscriptions, self.statistics, self.foreign_servers, self.collations, self.others,
        )  # fmt: skip
        for group in groups:
            for item in group:
                yield item.id, item
        relations: tuple[Table | View, ...] = (*self.tables, *self.views)
        for relation in relations:
            yield from _parts(relation)
        for table in self.tables:
            for constraint in table.constraints:
                yield table.part("constraint", constraint.name), constraint
            for policy in table.policies:
                yield table.part("policy", policy.name), policy


def _parts(relation: Table | View) -> Iterator[tuple[ObjectId, object]]:
    for index in relation.indexes:
        yield index.id, index
    for column in relation.columns:
        yield relation.part("column", column.name), column
    for trigger in relation.triggers:
        yield relation.part("trigger", trigger.name), trigger
    for rule in relation.rules:
        yield relation.part("rule", rule.name), rule


@dataclass(frozen=True, slots=True)
class Role:
    """A role of the server."""

    name: str
    superuser: bool = False
    inherit: bool = True
    create_role: bool = False
    create_database: bool = False
    login: bool = False
    replication: bool = False
    bypass_row_security: bool = False
    connection_limit: int = -1
    valid_until: str = ""
    password: str = "unknown"  # noqa: S105
    """How it is stored, never what it is: none, md5, scram-sha-256; unknown when `pg_authid` may not be read."""
    settings: tuple[str, ...] = ()
    comment: str = ""

    @property
    def id(self) -> ObjectId:
        """Its address."""
        return ObjectId("role", "", self.name)


@dataclass(frozen=True, slots=True, order=True)
class Membership:
    """`member` belongs to `role`."""

    role: str
    member: str
    admin: bool = False
    inherit: bool = True
    set: bool = True
    grantor: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Setting:
    """A server setting as seen by the reader's session."""

    name: str
    value: str
    unit: str = ""
    source: str = ""
    """default, configuration file, database, user, ..."""


@dataclass(frozen=True, slots=True, order=True)
class Tablespace:
    """A tablespace."""

    name: str
    location: str = ""
    owner: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class HbaLine:
    """One line of pg_hba.conf as the server parsed it."""

    line: int
    type: str
    databases: tuple[str, ...]
    users: tuple[str, ...]
    address: str
    method: str


@dataclass(frozen=True)
class Cluster:
    """What a server holds beside its databases."""

    server_version: int = 0
    version_text: str = ""
    roles: tuple[Role, ...] = ()
    memberships: tuple[Membership, ...] = ()
    settings: tuple[Setting, ...] = ()
    tablespaces: tuple[Tablespace, ...] = ()
    databases: tuple[str, ...] = ()
    hba: tuple[HbaLine, ...] = ()
    in_recovery: bool = False
    gaps: tuple[Gap, ...] = ()

    @cached_property
    def role(self) -> Mapping[str, Role]:
        """Roles by name."""
        return {r.name: r for r in self.roles}

    @cached_property
    def setting(self) -> Mapping[str, str]:
        """Setting values by name."""
        return {s.name: s.value for s in self.settings}


@dataclass(frozen=True, slots=True)
class RelationStats:
    """What the server has counted for one table or index."""

    rows: float = -1
    """`reltuples`: estimate, -1 when never analysed."""
    bytes: int = 0
    scans: int = 0
    last_value: int | None = None
    """For a sequence: the last value handed out."""
    live: int = 0
    """For a table: rows the server has counted as they came and went; 0 after a crash or a reset of the counters."""
    written: int = 0
    """For a table: rows inserted, updated or deleted since the counters began."""
    analysed: bool = False
    """For a table: whether ANALYZE, by hand or by autovacuum, has run since the counters began."""


@dataclass(frozen=True, slots=True)
class FunctionalDependency:
    """One column follows from another in every row that was looked at."""

    table: ObjectId
    determinant: str
    dependent: str
    rows: int
    """Rows with both filled."""
    values: int
    """Distinct values of the determinant in them."""
    outcomes: int
    """Distinct values of the dependent column in them."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """One column is the product or the sum of two others in every row that was looked at."""

    table: ObjectId
    column: str
    operator: str
    """`*` or `+`."""
    left: str
    right: str
    rows: int
    """Rows with all three filled."""
    telling: int
    """Those of them in which both operands matter: neither 0, nor 1 for a product."""


@dataclass(frozen=True)
class Samples:
    """What samples of the rows have shown: counts only, no value of the data."""

    tables: int = 0
    """Tables whose rows were looked at."""
    rows: int = 0
    dependencies: tuple[FunctionalDependency, ...] = ()
    derivations: tuple[Derivation, ...] = ()


@dataclass(frozen=True)
class Stats:
    """What was measured on a server; keyed by address."""

    relations: Mapping[ObjectId, RelationStats] = field(default_factory=dict)
    stats_reset: str = ""
    null_fractions: Mapping[ObjectId, float] = field(default_factory=dict)
    """Share of NULLs, for columns that lead an index and are mostly NULL."""
    samples: Samples | None = None
    """None when no rows were looked at."""
    gaps: tuple[Gap, ...] = ()
