"""Primary keys, and the unique keys of event tables."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.catalog.model import Index, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules import free_names, nodes, renames, shapes, templates
from pgcharter.rules.engine import Context, rule


@rule("KEY01", "missing-primary-key", Severity.WARNING)
def missing_primary_key(ctx: Context) -> Iterator[Finding]:
    """A table has no primary key.

    Why: two equal rows cannot be told apart, updated or deleted one at a time; logical replication refuses UPDATE and DELETE on the table;
    foreign keys and most tools have nothing to point at. On a partitioned table nothing keeps one event out of two partitions.

    Instead: give every table a key, an identity or uuid column when the data has none of its own; on a partitioned table the key includes
    the partition column.

        CREATE TABLE app.notes (
            note_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            body text NOT NULL
        );

    Except: partitions, foreign tables and unlogged tables (staging) are not flagged; a NOT NULL unique key makes it a matter of form,
    and one that is the replica identity is enough.
    """
    for table in ctx.catalog.root_tables:
        if table.primary_key or table.kind == "foreign table" or table.unlogged or not table.columns or table.inherits:
            continue
        key = _unique_not_null(table)
        if key is not None:
            if table.replica_identity in ("default", "nothing"):
                yield _unpromoted(ctx, table, key)
        elif table.kind == "partitioned table":
            columns = shapes.columns_sql(c for c in table.partition_columns if c)
            yield ctx.finding(
                table,
                f"partitioned table {table.id.sql()} has no primary key, so nothing keeps a row from being stored twice and "
                "logical replication refuses its updates",
                hint=f"add PRIMARY KEY (<key>, {columns}): the key must include the partition column",
            )
        else:
            yield ctx.finding(
                table,
                f"table {table.id.sql()} has no primary key, so equal rows cannot be told apart and logical "
                "replication refuses its updates and deletes",
                fix=_new_key(ctx, table),
            )


def _unpromoted(ctx: Context, table: Table, key: Index) -> Finding:
    """The table has a key in all but name."""
    fix = ""
    if not key.constraint and not key.nulls_not_distinct and table.kind == "table" and not any(k.descending for k in key.keys):
        fix = f"{shapes.alter(table)} ADD {_named(ctx, table, key.columns)}PRIMARY KEY USING INDEX {quote(key.name)}"
    return ctx.finding(
        table,
        f"table {table.id.sql()} has no primary key although {quote(key.name)} is unique and never null, so replication and tools "
        "do not find its key",
        fix=fix,
        severity=Severity.INFO,
        hint="" if fix else f"make {quote(key.constraint or key.name)} the primary key",
        index=key.name,
    )


def _unique_not_null(table: Table) -> Index | None:
    """A unique index whose columns are all NOT NULL: a primary key in all but name."""
    for index in table.indexes:
        plain = index.unique and shapes.is_whole(index) and index.columns and len(index.columns) == len(index.keys)
        if plain and all(table.column[c].not_null for c in index.columns):
            return index
    return None


def _named(ctx: Context, table: Table, columns: tuple[str, ...]) -> str:
    """CONSTRAINT and a name, where the guide has a template for it."""
    template = ctx.options.primary_key_constraint_name
    if not template:
        return ""
    return f"CONSTRAINT {quote(templates.proposal(template, templates.values(table, columns), free_names.taken(ctx, table.schema)))} "


def _new_key(ctx: Context, table: Table) -> str:
    """ADD PRIMARY KEY on a column that is already the key by its making; a new identity column is a decision of its own."""
    made = [c for c in table.columns if shapes.is_generated_key(c)]
    if len(made) != 1:
        return ""
    return f"{shapes.alter(table)} ADD {_named(ctx, table, (made[0].name,))}PRIMARY KEY ({quote(made[0].name)})"


@missing_primary_key.text
def missing_primary_key_text(ctx: Context) -> Iterator[Finding]:
    """CREATE TABLE without a key, and no other statement that adds one."""
    keyed = {c.table.name for t in nodes.parts(ctx) for c in t.keys("primary")}
    keyed |= set(nodes.attached(ctx))
    indexed: dict[ObjectId, list[tuple[str, ...]]] = {}
    for statement in ctx.of_kind("index_stmt"):
        if statement.node.unique and not statement.node.HasField("where_clause"):
            columns = tuple(p.index_elem.name for p in statement.node.index_params)
            indexed.setdefault(nodes.relation_id(statement.node.relation), []).append(columns)
    for table in nodes.tables(ctx):
        plain = table.columns and not (table.partition_of or table.inherits or table.copies or table.unlogged)
        unique = [k.columns for k in table.keys("unique")] + indexed.get(table.id, [])
        if plain and table.id.name not in keyed and not any(all(_never_null(table, c) for c in key) for key in unique):
            yield ctx.finding(
                table.id,
                f"table {table.id.sql()} has no primary key, so equal rows cannot be told apart and logical "
                "replication refuses its updates and deletes",
                place=table.statement.place,
            )


def _never_null(table: nodes.WrittenTable, column: str) -> bool:
    found = table.column.get(column)
    return found is not None and found.has("notnull")


@rule("KEY02", "key-without-partition-column", Severity.ERROR, needs="text")
def key_without_partition_column(ctx: Context) -> Iterator[Finding]:
    """A primary or unique key of a partitioned table leaves out a partition column.

    Why: PostgreSQL refuses such a table: uniqueness is kept by an index in each partition, and none looks across them. The table, its
    partitions and everything that refers to it are missing from the database.

    Instead: add the partition column to the key; when the shorter key must be unique by itself, keep it in a table that is not partitioned.

        CREATE TABLE app.events (
            event_id uuid NOT NULL DEFAULT gen_random_uuid(),
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (event_id, created_at)
        ) PARTITION BY RANGE (created_at);
    """
    once = nodes.created_once(ctx)
    for table in nodes.parts(ctx):
        parent = table if table.created else once.get(table.id)
        if parent is None or not parent.partition_columns:
            continue
        for key in table.keys("primary", "unique"):
            missing = [c for c in parent.partition_columns if c not in key.columns]
            if not missing or not key.columns:
                continue
            word = "primary key" if key.kind == "primary" else "unique key"
            named = shapes.columns_sql(c for c in missing if c)
            whole = shapes.columns_sql((*key.columns, *filter(None, missing)))
            why = f"leaves out the partition column {named}" if named else "cannot hold the expression it is partitioned by"
            yield ctx.finding(
                table.id,
                f"the {word} ({shapes.columns_sql(key.columns)}) of {table.id.sql()} {why}, so PostgreSQL refuses it",
                place=key.place,
                hint=f"{word.upper().removesuffix(' KEY') if key.kind == 'unique' else 'PRIMARY KEY'} ({whole})" if named else "",
                detail=",".join(key.columns),
            )


_STREAM = {"aggregate_id", "stream_id", "aggregate_uuid", "stream_name", "entity_stream_id"}
_VERSION = {
    "version",
    "event_version",
    "aggregate_version",
    "stream_version",
    "sequence_number",
    "sequence_no",
    "stream_position",
    "revision",
}
_FORK = "two writers can append the same version of one aggregate"
_CONTENT = {"payload", "data", "body", "metadata", "meta", "type", "kind", "event", "name", "event_name"}
"""What an event has beside its place in a stream; calendars and matches have other columns."""
_EVENTS = {"event", "events", "eventstore", "journal", "stream", "streams", "commits"}


@rule("KEY03", "event-version-not-unique", Severity.ERROR)
def event_version_not_unique(ctx: Context) -> Iterator[Finding]:
    """An event table does not keep (aggregate, version) unique.

    Why: two writers that read version 7 both append version 8. Nothing fails; the aggregate's history has forked, and every projection
    built from it depends on the order in which rows are read.

    Instead: a unique key makes the second writer fail, read again and retry.

        ALTER TABLE app.events ADD CONSTRAINT uq_events_aggregate_version UNIQUE (aggregate_id, event_version);

    Except: a key that also holds a tenant or a type counts the versions apart, which is fine, and so is a table with one row for each
    aggregate. A time in the key is not: it makes any version unique. On a table partitioned by time, let each event refer to a row of a
    table that keeps the versions unique.
    """
    for table in ctx.catalog.root_tables:
        stream = next((c for c in table.columns if c.name in _STREAM), None)
        version = next((c for c in table.columns if c.name in _VERSION), None)
        if stream is None or version is None or not _holds_events(table.name, table.column) or table.kind == "foreign table":
            continue
        if _is_unique_together(table, stream.name, version.name) or _is_claimed(ctx, table, stream.name, version.name):
            continue
        columns = (stream.name, version.name)
        message = f"{table.id.sql()} does not keep ({shapes.columns_sql(columns)}) unique, so {_FORK}"
        if table.kind == "partitioned table":
            yield ctx.finding(
                table,
                message,
                detail=",".join(columns),
                hint="keep the versions in a table that is not partitioned: a "
                "partitioned table can only be unique together with its partition column",
            )
        else:
            repeated = (shapes.drop_index(i) for i in table.indexes if _is_plain(i, columns))
            fix = (shapes.create_index(ctx, table, columns, unique=True), *repeated)
            yield ctx.finding(table, message, detail=",".join(columns), fix=fix)


def _is_plain(index: Index, columns: tuple[str, ...]) -> bool:
    """Whether the index does nothing that a unique one on the same columns would not do."""
    ordinary = index.method == "btree" and len(index.columns) == len(index.keys) and not index.include and not index.clustered
    return ordinary and not index.unique and not index.predicate and index.columns == columns


def _holds_events(table: str, columns: object) -> bool:
    names = set(columns)  # type: ignore[call-overload]
    return "event_type" in names or "event_data" in names or bool(_EVENTS & set(shapes.words(table)) and _CONTENT & names)


def _is_unique_together(table: Table, stream: str, version: str) -> bool:
    """A unique index with both columns and no time beside them; or one of the version alone (a global position), or of the stream alone
    (its latest state)."""
    for index in table.indexes:
        if index.unique and index.valid:
            names = {k.column for k in index.keys}
            spoiled = any(table.column[n].type.basic in _LOOSE for n in names - {stream, version} if n)
            if (({stream, version} <= names) and not spoiled) or names in ({version}, {stream}):
                return True
    return False


def _is_claimed(ctx: Context, table: Table, stream: str, version: str) -> bool:
    """Whether each event points at a row of another table that keeps its version unique, with a unique key where that is possible."""
    for fk in table.foreign_keys:
        pairs = dict(zip(fk.columns, fk.referenced_columns, strict=False))
        target = ctx.catalog.table.get(fk.references) if fk.references and {stream, version} <= set(pairs) else None
        own = table.kind == "partitioned table" or any(set(key) <= set(fk.columns) for key in table.unique_keys)
        if target is not None and own and any(set(key) == {pairs[stream], pairs[version]} for key in target.unique_keys):
            return True
    return False


_LOOSE = {"timestamptz", "timestamp", "date"}


@event_version_not_unique.text
def event_version_not_unique_text(ctx: Context) -> Iterator[Finding]:
    """CREATE TABLE of an event table where no key or unique index holds both columns."""
    for table in nodes.tables(ctx):
        stream = next((n for n in table.column if n in _STREAM), None)
        version = next((n for n in table.column if n in _VERSION), None)
        if stream is None or version is None or not _holds_events(table.id.name, table.column) or table.partition_of:
            continue
        keys = [set(k.columns) for t in nodes.parts(ctx) if t.id.name == table.id.name for k in t.keys("primary", "unique")]
        keys += [
            {p.index_elem.name for p in s.node.index_params}
            for s in ctx.of_kind("index_stmt")
            if s.node.unique and s.node.relation.relname == table.id.name
        ]
        if not any({stream, version} <= k or k in ({version}, {stream}) for k in keys):
            yield ctx.finding(
                table.id,
                f"{table.id.sql()} does not keep ({shapes.columns_sql((stream, version))}) unique, so {_FORK}",
                place=table.statement.place,
                detail=f"{stream},{version}",
            )


_MUTABLE = {"email", "mail", "phone", "telephone", "mobile", "username", "login", "nickname"}


@rule("KEY09", "changing-primary-key", Severity.WARNING)
def changing_primary_key(ctx: Context) -> Iterator[Finding]:
    """The primary key is something that people change: an e-mail address, a telephone number, a user name.

    Why: when it changes, every row that refers to it must change too, as must every copy outside the database; what cannot follow is lost,
    or belongs to the next person who takes the name.

    Instead: a key without meaning, and a unique constraint on the value.

    Except: a key of several columns, and one that no foreign key refers to, are not flagged.
    """
    for table in ctx.catalog.root_tables:
        key = table.primary_key
        if key is None or len(key.columns) != 1 or not shapes.is_text(table.column[key.columns[0]].type):
            continue
        words = shapes.words(key.columns[0])
        names = {"".join(words), "".join(words[:-1]) if words[-1:] in (("address",), ("number",)) else ""}
        if names & _MUTABLE and table.id in ctx.catalog.referencing:
            yield ctx.finding(
                table.part("constraint", key.name),
                f"primary key {table.id.sql()}.{quote(key.columns[0])} is a value that people change, and references cannot follow",
                hint="add a key without meaning (identity or uuid) and keep this column UNIQUE",
            )


_TYPES = {"uuid": ("uuid",), "bigint": ("int8",), "uuid or bigint": ("uuid", "int8")}


@rule("KEY10", "primary-key-type", Severity.INFO, options=("primary_key_type",))
def primary_key_type(ctx: Context) -> Iterator[Finding]:
    """A surrogate key is not of the type that the house uses.

    Why: keys of one type can be joined, logged, sharded and handed out the same way everywhere; a foreign key must repeat the type.

    Instead: the type in the guide's option `primary_key_type`: `uuid DEFAULT gen_random_uuid()` or `bigint GENERATED ALWAYS AS IDENTITY`.

    Except: natural keys (a currency code), keys of several columns, and keys shared with another table are not meant.
    """
    wanted = ctx.options.primary_key_type
    for table in ctx.catalog.root_tables if wanted else ():
        column = shapes.surrogate_key(table)
        if wanted and column is not None and column.type.basic not in _TYPES[wanted]:
            yield ctx.finding(
                table.part("column", column.name),
                f"primary key {table.id.sql()}.{quote(column.name)} is {column.type.sql}, and the guide asks for {wanted}",
                type=column.type.sql,
            )


@primary_key_type.text
def primary_key_type_text(ctx: Context) -> Iterator[Finding]:
    """A generated primary key of another type in CREATE TABLE."""
    wanted = ctx.options.primary_key_type
    for table in nodes.tables(ctx) if wanted else ():
        for key in table.keys("primary"):
            column = table.column.get(key.columns[0]) if len(key.columns) == 1 else None
            if column is None or not wanted or not (column.serial or column.has("identity")):
                continue
            base = "int8" if column.type in ("bigserial", "serial8") else column.type
            if base not in _TYPES[wanted] and not any(column.name in f.columns for f in table.keys("foreign")):
                yield ctx.finding(
                    column.id, f"primary key {column.id.sql()} is {column.type}, and the guide asks for {wanted}", place=column.place
                )


@rule("KEY11", "primary-key-name", Severity.INFO, options=("primary_key_name",))
def primary_key_name(ctx: Context) -> Iterator[Finding]:
    """A surrogate key is not named as the house names them.

    Why: who knows the table's name should know the key's, in every query and every foreign key.

    Instead: the name in the guide's option `primary_key_name`: `id`, or `{singular}_id` for `order_id` in `orders`; `id or {singular}_id`
    allows both.

    Except: natural keys, keys of several columns, and keys shared with another table are not meant.
    """
    template = ctx.options.primary_key_name
    for table in ctx.catalog.root_tables if template else ():
        column = shapes.surrogate_key(table)
        if column is None or not template:
            continue
        wanted = shapes.key_names(template, table.name)
        if column.name not in wanted:
            address = table.part("column", column.name)
            single = shapes.key_names(template.partition(" or ")[0], table.name)[0]
            names = " or ".join(dict.fromkeys(shapes.key_names(t, table.name)[0] for t in template.split(" or ")))
            fix, hint = renames.column(ctx, table, column.name, single)
            yield ctx.finding(address, f"primary key {address.sql()} is not named {names} as the guide asks", fix=fix, hint=hint)
