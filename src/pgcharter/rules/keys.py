"""Primary keys, unique keys of event tables, and the sequences that feed keys."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgcharter.catalog.model import Column, Index, Sequence, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, literal, quote
from pgcharter.rules import nodes, shapes
from pgcharter.rules.engine import Context, rule

_EXPOSED_NUMBER = re.compile(r"nextval\('(?P<sequence>[^']+)'")


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

    Except: partitions, foreign tables and unlogged tables (staging) are not flagged; a NOT NULL unique key makes it a matter of form.
    """
    for table in ctx.catalog.root_tables:
        if table.primary_key or table.kind == "foreign table" or table.unlogged or not table.columns or table.inherits:
            continue
        key = _unique_not_null(table)
        if key is not None:
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
                fix=_new_key(table),
            )


def _unpromoted(ctx: Context, table: Table, key: Index) -> Finding:
    """The table has a key in all but name."""
    fix = ""
    if not key.constraint and not key.nulls_not_distinct and table.kind == "table" and not any(k.descending for k in key.keys):
        fix = f"{shapes.alter(table)} ADD PRIMARY KEY USING INDEX {quote(key.name)}"
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


def _new_key(table: Table) -> str:
    """ADD PRIMARY KEY on a column that is already the key by its making; a new identity column is a decision of its own."""
    made = [c for c in table.columns if shapes.is_generated_key(c)]
    return f"{shapes.alter(table)} ADD PRIMARY KEY ({quote(made[0].name)})" if len(made) == 1 else ""


@missing_primary_key.text
def missing_primary_key_text(ctx: Context) -> Iterator[Finding]:
    """CREATE TABLE without a key, and no other statement that adds one."""
    keyed = {c.table.name for t in nodes.parts(ctx) for c in t.keys("primary")}
    for table in nodes.tables(ctx):
        plain = table.columns and not (table.partition_of or table.inherits or table.copies or table.unlogged)
        unique = any(all(_never_null(table, c) for c in key.columns) for key in table.keys("unique"))
        if plain and not unique and table.id.name not in keyed:
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
    partitioned = {t.id: t for t in nodes.tables(ctx) if t.partition_columns}
    for table in nodes.parts(ctx) if partitioned else ():
        parent = partitioned.get(table.id)
        if parent is None:
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
_EVENTS = {"event", "events", "eventstore", "journal", "stream", "streams", "commits"}


@rule("KEY03", "event-version-not-unique", Severity.ERROR)
def event_version_not_unique(ctx: Context) -> Iterator[Finding]:
    """An event table does not keep (aggregate, version) unique.

    Why: two writers that read version 7 both append version 8. Nothing fails; the aggregate's history has forked, and every projection
    built from it depends on the order in which rows are read.

    Instead: a unique key makes the second writer fail, read again and retry.

        ALTER TABLE app.events ADD CONSTRAINT uq_events_aggregate_version UNIQUE (aggregate_id, event_version);

    Except: a key that also holds a tenant or a type counts the versions apart, which is fine. A time in the key is not: it makes any
    version unique. On a table partitioned by time, let each event refer to a row of a table that keeps the versions unique.
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
            yield ctx.finding(table, message, detail=",".join(columns), fix=shapes.create_index(ctx, table, columns, unique=True))


def _holds_events(table: str, columns: object) -> bool:
    names = set(columns)  # type: ignore[call-overload]
    return bool(_EVENTS & set(shapes.words(table))) or "event_type" in names or "event_data" in names


def _is_unique_together(table: Table, stream: str, version: str) -> bool:
    """A unique index with both columns, and no time or random value beside them; or one of the version alone (a global position)."""
    for index in table.indexes:
        if index.unique and index.valid:
            names = {k.column for k in index.keys}
            spoiled = any(table.column[n].type.basic in _LOOSE for n in names - {stream, version} if n)
            if (({stream, version} <= names) and not spoiled) or names == {version}:
                return True
    return False


def _is_claimed(ctx: Context, table: Table, stream: str, version: str) -> bool:
    """Whether each event points, with a unique key, at a row of another table that keeps its version unique."""
    for fk in table.foreign_keys:
        pairs = dict(zip(fk.columns, fk.referenced_columns, strict=False))
        target = ctx.catalog.table.get(fk.references) if fk.references and {stream, version} <= set(pairs) else None
        own = any(set(key) <= set(fk.columns) for key in table.unique_keys)
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
        if not any({stream, version} <= k or k == {version} for k in keys):
            yield ctx.finding(
                table.id,
                f"{table.id.sql()} does not keep ({shapes.columns_sql((stream, version))}) unique, so {_FORK}",
                place=table.statement.place,
                detail=f"{stream},{version}",
            )


@rule("KEY04", "serial-column", Severity.INFO)
def serial_column(ctx: Context) -> Iterator[Finding]:
    """A column is of a serial type where an identity column would do.

    Why: the sequence behind serial is an object of its own: it needs its own grants, anybody can write past it, dropping the default leaves
    it behind, and a copied table keeps drawing from the original's. Identity is the SQL standard's form without these.

    Instead: `id bigint GENERATED ALWAYS AS IDENTITY` or `BY DEFAULT` where rows arrive with their numbers.

    Except: a sequence that several tables share on purpose is not flagged.
    """
    used = _draws(ctx)
    owners = {s.owned_by: s for s in ctx.catalog.sequences if s.owned_by and not s.identity}
    by_text = {s.id.sql(): s for s in ctx.catalog.sequences if s.owned_by is None and not s.extension}
    drawing = "\n".join(f.body for f in ctx.catalog.own_functions if "nextval" in f.body or "currval" in f.body)
    for table in ctx.catalog.root_tables:
        foreign = {c for fk in table.foreign_keys for c in fk.columns}
        for column in table.columns:
            if "nextval(" not in column.default:
                continue
            sequence = _drawn_from(column, by_text, owners.get(table.part("column", column.name)))
            if sequence is None or column.name in foreign or column.inherited or used.get(sequence.id, 0) != 1:
                continue
            if sequence.name in drawing:
                continue
            yield ctx.finding(
                table.part("column", column.name),
                f"{table.id.sql()}.{quote(column.name)} is a serial column, whose sequence "
                f"{sequence.id.sql()} needs grants and care of its own",
                fix=_to_identity(table, column, sequence),
                hint="run the statements in one transaction",
                sequence=sequence.id.sql(),
            )


def _drawn_from(column: Column, by_text: dict[str, Sequence], owned: Sequence | None) -> Sequence | None:
    """The sequence that only this column can be meant for: owned by it, or owned by nobody and named in its default."""
    if column.type.basic not in shapes.INTEGER_TYPES:
        return None
    found = _EXPOSED_NUMBER.search(column.default)
    return owned or (by_text.get(found["sequence"]) if found else None)


def _draws(ctx: Context) -> dict[ObjectId, int]:
    """How many column defaults draw from each sequence."""
    by_text = {s.id.sql(): s.id for s in ctx.catalog.sequences}
    found: dict[ObjectId, int] = {}
    for table in ctx.catalog.tables:
        for column in table.columns:
            if "nextval(" in column.default and not (column.inherited and table.partition_of):
                match = _EXPOSED_NUMBER.search(column.default)
                known = by_text.get(match["sequence"]) if match else None
                if known:
                    found[known] = found.get(known, 0) + 1
    return found


def _to_identity(table: Table, column: Column, sequence: Sequence) -> tuple[str, ...]:
    where, name = table.id.sql(), quote(column.name)
    steps = [f"ALTER TABLE {where} ALTER COLUMN {name} DROP DEFAULT", f"DROP SEQUENCE {sequence.id.sql()}"]
    if not column.not_null:
        steps.append(f"ALTER TABLE {where} ALTER COLUMN {name} SET NOT NULL")
    start = f"pg_get_serial_sequence({literal(where)}, {literal(column.name)})"
    steps.append(f"ALTER TABLE {where} ALTER COLUMN {name} ADD GENERATED BY DEFAULT AS IDENTITY")
    steps.append(f"SELECT setval({start}, (SELECT coalesce(max({name}), 0) + 1 FROM {where}), false)")
    return tuple(steps)


@serial_column.text
def serial_column_text(ctx: Context) -> Iterator[Finding]:
    """A serial type in CREATE TABLE or ADD COLUMN."""
    for table in nodes.parts(ctx):
        if any(c.serial for c in table.columns):
            foreign = {c for key in table.keys("foreign") for c in key.columns}
            for column in table.columns:
                if column.serial and column.name not in foreign:
                    yield ctx.finding(
                        column.id,
                        f"{column.id.sql()} is a serial column, whose sequence needs grants and care of its own",
                        hint="GENERATED BY DEFAULT AS IDENTITY",
                        place=column.place,
                    )


@rule("KEY05", "generated-foreign-key", Severity.ERROR)
def generated_foreign_key(ctx: Context) -> Iterator[Finding]:
    """A foreign key column draws its value from a sequence.

    Why: an INSERT that forgets the column does not fail: it gets the next number, which refers to whatever row happens to have it. The
    wrong customer is charged and no error was ever seen.

    Instead: a foreign key column has the plain type of the key it refers to (`bigint` for `bigserial` and identity) and no default.
    """
    for table in ctx.catalog.root_tables:
        for fk in table.foreign_keys:
            for name in fk.columns:
                column = table.column[name]
                if (column.identity or "nextval(" in column.default) and not fk.inherited:
                    yield _generated_reference(ctx, table, column, fk.references)


def _generated_reference(ctx: Context, table: Table, column: Column, target: ObjectId | None) -> Finding:
    at = f"ALTER TABLE {table.id.sql()} ALTER COLUMN {quote(column.name)}"
    address = table.part("column", column.name)
    fix = [f"{at} DROP IDENTITY"] if column.identity else [f"{at} DROP DEFAULT"]
    fix += [
        f"DROP SEQUENCE {s.id.sql()}" for s in ctx.catalog.sequences if s.owned_by == address and not s.identity and not column.identity
    ]
    what = "is an identity column" if column.identity else "takes its default from a sequence"
    return ctx.finding(
        address,
        f"{address.sql()} {what} but refers to {target.sql() if target else 'another table'}, so a forgotten value "
        "silently refers to some other row",
        fix=fix,
    )


@generated_foreign_key.text
def generated_foreign_key_text(ctx: Context) -> Iterator[Finding]:
    """A serial or identity column with REFERENCES."""
    for table in nodes.parts(ctx):
        for key in table.keys("foreign"):
            for name in key.columns:
                column = table.column.get(name)
                if column is not None and (column.serial or column.has("identity")):
                    yield ctx.finding(
                        column.id,
                        f"{column.id.sql()} makes up its own numbers but refers to "
                        f"{nodes.relation_id(key.node.pktable).sql()}, so a forgotten value silently refers to some other row",
                        place=column.place,
                    )


@rule("KEY06", "narrow-primary-key", Severity.INFO)
def narrow_primary_key(ctx: Context) -> Iterator[Finding]:
    """A generated primary key has 32 or 16 bits.

    Why: an integer key ends after 2,147,483,647 values, gaps and failed inserts included; from that moment every INSERT fails, and widening
    the key and everything that refers to it rewrites the tables under an exclusive lock.

    Instead: `bigint GENERATED ALWAYS AS IDENTITY`, or uuid.

    Except: short lists that people maintain never get there: say so with a waiver, or give them a natural key.
    """
    for table in ctx.catalog.root_tables:
        column = shapes.surrogate_key(table)
        if column is not None and column.type.basic in ("int4", "int2") and shapes.is_generated_key(column):
            limit = shapes.INTEGER_MAXIMUM[column.type.basic]
            yield ctx.finding(
                table.part("column", column.name),
                f"primary key {table.id.sql()}.{quote(column.name)} is {column.type.sql} and "
                f"ends after {limit:,} values, when every insert will fail",
                hint="bigint costs nothing on a new table; on a large one plan the change (a new column, filled in batches)",
            )


@rule("KEY07", "sequence-nearly-used-up", Severity.WARNING, needs="stats")
def sequence_nearly_used_up(ctx: Context) -> Iterator[Finding]:
    """A sequence has handed out more than half of what it, or the column it feeds, can hold.

    Why: at the end every INSERT fails until the column is widened, which rewrites the table under an exclusive lock: an outage at the
    busiest moment of the system's life.

    Instead: widen the column to bigint before that, with a new column filled in batches; then `ALTER SEQUENCE … AS bigint`.

    Except: a sequence that may start again (CYCLE) is not flagged. Above 80 % the finding is an error.
    """
    limits = _column_limits(ctx)
    for sequence in ctx.catalog.sequences:
        known = ctx.stats.relations.get(sequence.id)
        if sequence.extension or sequence.cycle or known is None or known.last_value is None:
            continue
        up = sequence.increment > 0
        column, limit = limits.get(sequence.id, (None, sequence.maximum))
        end = min(sequence.maximum, limit) if up else sequence.minimum
        begin = sequence.minimum if up else sequence.maximum
        span = abs(end - begin)
        used = abs(known.last_value - begin) / span if span else 1.0
        if used > 0.5:
            feeds = f" of {column.sql()}" if column else ""
            yield ctx.finding(
                sequence,
                f"sequence {sequence.id.sql()}{feeds} is {used:.0%} used up (at {known.last_value:,} of {end:,}); at the end every insert "
                "fails",
                severity=Severity.ERROR if used > 0.8 else Severity.WARNING,
                last_value=known.last_value,
                limit=end,
                hint="widen the column to bigint, and the sequence with ALTER SEQUENCE … AS bigint",
            )


def _column_limits(ctx: Context) -> dict[ObjectId, tuple[ObjectId, int]]:
    """For each owned sequence, the column it feeds and the largest value that column can hold."""
    found: dict[ObjectId, tuple[ObjectId, int]] = {}
    for sequence in ctx.catalog.sequences:
        owner = sequence.owned_by
        table = ctx.catalog.table.get(owner.owner) if owner else None
        column = table.column.get(owner.part) if table and owner else None
        if owner and column and column.type.basic in shapes.INTEGER_MAXIMUM:
            found[sequence.id] = (owner, shapes.INTEGER_MAXIMUM[column.type.basic])
    return found


@rule("KEY08", "sequence-narrower-than-column", Severity.WARNING)
def sequence_narrower_than_column(ctx: Context) -> Iterator[Finding]:
    """A column was widened but the sequence that feeds it was not.

    Why: `ALTER COLUMN … TYPE bigint` leaves the sequence of a serial column at 2,147,483,647. The table looks safe, and all the same every
    INSERT fails when the sequence ends.

    Instead: `ALTER SEQUENCE … AS bigint`; an identity column takes its sequence along.

    Except: a limit that is lower than the type's own was set on purpose and is not flagged.
    """
    bits = {"smallint": "int2", "integer": "int4", "bigint": "int8"}
    limits = _column_limits(ctx)
    for sequence in ctx.catalog.sequences:
        if sequence.id not in limits or sequence.extension:
            continue
        column, limit = limits[sequence.id]
        own = shapes.INTEGER_MAXIMUM.get(bits.get(sequence.type, ""), limit)
        if own < limit and sequence.maximum == own and sequence.increment > 0 and not sequence.cycle:
            wide = next(sql for sql, name in bits.items() if shapes.INTEGER_MAXIMUM[name] == limit)
            yield ctx.finding(
                sequence,
                f"sequence {sequence.id.sql()} ends at {own:,} although {column.sql()} is {wide}, so inserts will fail there",
                fix=f"ALTER SEQUENCE {sequence.id.sql()} AS {wide}",
                column=column.sql(),
            )


_MUTABLE = {"email", "mail", "phone", "telephone", "mobile", "username", "login", "nickname"}


@rule("KEY09", "changing-primary-key", Severity.WARNING)
def changing_primary_key(ctx: Context) -> Iterator[Finding]:
    """The primary key is something that people change: an e-mail address, a telephone number, a user name.

    Why: when it changes, every row that refers to it must change too, as must every copy outside the database; what cannot follow is lost,
    or belongs to the next person who takes the name.

    Instead: a key without meaning, and a unique constraint on the value.

    Except: a key of several columns, and a log of such values are not flagged.
    """
    for table in ctx.catalog.root_tables:
        key = table.primary_key
        if key is None or len(key.columns) != 1 or not shapes.is_text(table.column[key.columns[0]].type):
            continue
        words = shapes.words(key.columns[0])
        names = {"".join(words), "".join(words[:-1]) if words[-1:] in (("address",), ("number",)) else ""}
        referenced = table.id in ctx.catalog.referencing
        if names & _MUTABLE and (referenced or len(table.columns) > 2):
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

    Instead: the name in the guide's option `primary_key_name`: `id`, or `{singular}_id` for `order_id` in `orders`.

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
            yield ctx.finding(
                address,
                f"primary key {address.sql()} is not named {wanted[0]} as the guide asks",
                fix=f"{shapes.alter(table)} RENAME COLUMN {quote(column.name)} TO {quote(wanted[0])}",
                hint="queries that name the column change with it",
            )
