"""Random schemas and random edits of them, for the law: a schema is a value, an edit makes another one, and either is written as SQL.

Seeds are numbers, so that what fails fails again; `smaller` gives the pairs that differ from a failing one by leaving one object out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

TYPES = (
    "integer",
    "bigint",
    "text",
    "varchar(20)",
    "numeric(10,2)",
    "date",
    "timestamptz",
    "boolean",
    "uuid",
    "jsonb",
    "text[]",
    "smallint",
    "app.state[]",
    "app.amount[]",
    "app.pair",
    "app.pair[]",
    "app.span",
)
NUMBERS = ("integer", "bigint", "smallint", "numeric(10,2)")
DEFAULTS = {
    "integer": "7", "bigint": "8", "smallint": "9", "numeric(10,2)": "1.5", "text": "'x'", "varchar(20)": "'y'", "date": "now()",
    "timestamptz": "now()", "boolean": "false", "text[]": "'{}'", "jsonb": "'{}'", "uuid": "gen_random_uuid()",
}  # fmt: skip
WORDS = ("alpha", "Beta", "gamma ray", "ключ", "select", "e5", 'ze"ta\\', "a name that is as long as PostgreSQL allows names to be — 6")
ROLES = ("law_reader", '"Law Writer"')


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Col:
    name: str
    type: str
    not_null: bool = False
    default: bool = False
    comment: str = ""
    check: str = ""


@dataclass(frozen=True)
class Tab:
    name: str
    columns: tuple[Col, ...]
    key: bool = True
    indexes: tuple[tuple[str, str, bool], ...] = ()
    """Name, column, unique."""
    refers: tuple[str, ...] = ()
    """Tables whose key it refers to."""
    trigger: bool = False
    policy: str = ""
    grants: tuple[str, ...] = ()
    comment: str = ""
    generated: str = ""
    """Column that the generated column doubles."""
    partitioned: int = 0
    """How many hash partitions it has."""
    identity: str = ""
    """How its key is made: ALWAYS, BY DEFAULT, or not."""
    late: bool = False
    """Whether its foreign keys are deferrable, and rows may be updated by a rule only."""
    counted: str = ""
    """Column that a function in SQL counts, and whose statistics are kept with those of the key."""


@dataclass(frozen=True)
class Made:
    """A whole schema."""

    labels: tuple[str, ...] = ("new", "open")
    domain: str = "integer"
    limit: int = 5
    strict: bool = False
    """Whether the domain is NOT NULL."""
    half: str = "text"
    """Type of the second half of the composite type."""
    function: str = "integer"
    tables: tuple[Tab, ...] = ()
    views: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """Name, table or view that it reads, columns."""
    stored: frozenset[str] = field(default_factory=frozenset)
    """Views that are materialized."""
    sequences: tuple[tuple[str, int], ...] = ()

    def sql(self) -> str:
        """The schema as statements."""
        return ";\n".join(self._statements()) + ";"

    def _statements(self) -> Iterator[str]:
        yield "CREATE SCHEMA app"
        yield f"CREATE TYPE app.state AS ENUM ({', '.join(repr(label) for label in self.labels)})"
        yield f"CREATE DOMAIN app.amount AS {self.domain} CONSTRAINT few CHECK (VALUE < {self.limit}){' NOT NULL' * self.strict}"
        yield f"CREATE TYPE app.pair AS (one integer, two {self.half})"
        yield f"CREATE TYPE app.span AS RANGE (SUBTYPE = {self.domain})"
        yield f"CREATE FUNCTION app.one(a {self.function}) RETURNS {self.function} LANGUAGE sql IMMUTABLE AS 'SELECT a'"
        yield "CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'"
        yield from (f"CREATE SEQUENCE app.{quoted(name)} INCREMENT {step}" for name, step in self.sequences)
        for table in self.tables:
            yield from _table(table)
        for table in self.tables:
            for target in table.refers:
                if any(t.name == target and t.key for t in self.tables):
                    key = (
                        f"CONSTRAINT {quoted(f'to {target}')} FOREIGN KEY (id) REFERENCES app.{quoted(target)}{' DEFERRABLE' * table.late}"
                    )
                    yield f"ALTER TABLE app.{quoted(table.name)} ADD {key}"
        yield from self._views()

    def _views(self) -> Iterator[str]:
        there = {t.name: {c.name for c in t.columns} | {"id"} for t in self.tables}
        for name, source, wanted in self.views:
            columns = [c for c in wanted if c in there.get(source, ())]
            if columns:
                word = "MATERIALIZED VIEW" if name in self.stored else "VIEW"
                yield f"CREATE {word} app.{quoted(name)} AS SELECT {', '.join(quoted(c) for c in columns)} FROM app.{quoted(source)}"
                yield f"COMMENT ON {word} app.{quoted(name)} IS 'reads {len(columns)}'"
                yield f"GRANT SELECT ON app.{quoted(name)} TO law_reader"
                there[name] = set(columns)


def _table(table: Tab) -> Iterator[str]:
    name = f"app.{quoted(table.name)}"
    made = f" GENERATED {table.identity} AS IDENTITY" if table.identity and not table.partitioned else ""
    columns = [f"id bigint NOT NULL{made}{' PRIMARY KEY' * table.key}"]
    for c in table.columns:
        words = [quoted(c.name), c.type]
        words += [f"DEFAULT {_default(c)}"] if c.default and _default(c) else []
        words += ["NOT NULL"] * c.not_null
        words += (
            [f"CONSTRAINT {quoted(f'{c.check} {c.name}')} CHECK (app.one({quoted(c.name)}::integer) > 0)"]
            if c.check and c.type in NUMBERS[:3]
            else []
        )
        columns.append(" ".join(words))
    base = next((c for c in table.columns if c.name == table.generated and c.type in NUMBERS), None)
    if base:
        columns.append(f"doubled {base.type} GENERATED ALWAYS AS ({quoted(base.name)} * 2) STORED")
    yield f"CREATE TABLE {name} ({', '.join(columns)}){' PARTITION BY HASH (id)' * bool(table.partitioned)}"
    for n in range(table.partitioned):
        bound = f"FOR VALUES WITH (modulus {table.partitioned}, remainder {n})"
        yield f"CREATE TABLE app.{quoted(f'{table.name} {n}')} PARTITION OF {name} {bound}"
    names = {c.name: c for c in table.columns}
    for index, column, unique in table.indexes:
        if column in names and names[column].type != "jsonb":
            cut = unique and not table.partitioned
            yield f"CREATE {'UNIQUE ' * cut}INDEX {quoted(index)} ON {name} ({quoted(column)})"
    if table.trigger:
        yield f"CREATE TRIGGER touched BEFORE INSERT ON {name} FOR EACH ROW EXECUTE FUNCTION app.touch()"
    if table.policy in names:
        yield f"CREATE POLICY own ON {name} USING ({quoted(table.policy)} IS NOT NULL)"
    yield from (f"GRANT SELECT, INSERT ON {name} TO {role}" for role in table.grants)
    yield from (f"COMMENT ON COLUMN {name}.{quoted(c.name)} IS '{c.comment}'" for c in table.columns if c.comment)
    if table.late:
        yield f"CREATE RULE keep AS ON DELETE TO {name} DO INSTEAD NOTHING"
    if table.counted in names:
        column = quoted(table.counted)
        yield f"CREATE FUNCTION app.{quoted(f'of {table.name}'[:60])}() RETURNS bigint BEGIN ATOMIC SELECT count({column}) FROM {name}; END"
        if names[table.counted].type != "jsonb":
            yield f"CREATE STATISTICS app.{quoted(f'st {table.name}'[:60])} ON id, {column} FROM {name}"
    if table.comment:
        yield f"COMMENT ON TABLE {name} IS '{table.comment}'"


def _default(column: Col) -> str:
    return {"app.state": "'new'", "app.amount": "2"}.get(column.type) or DEFAULTS.get(column.type, "")


def schema(random: Random) -> Made:
    """Some schema."""
    made = Made(tables=tuple(_some_table(random, n) for n in range(random.randint(2, 4))))
    for _ in range(random.randint(0, 6)):
        made = edited(made, random)
    return made


def _some_table(random: Random, number: int) -> Tab:
    columns = tuple(_some_column(random, n) for n in range(random.randint(1, 5)))
    partitioned = random.choice((0, 0, 0, 2))
    name = f"parted {number}" if partitioned else f"t{number}" if random.random() < 0.7 else f"Table {number}"
    return Tab(name, columns, partitioned=partitioned)


def _some_column(random: Random, number: int) -> Col:
    type_ = random.choice((*TYPES, "app.state", "app.amount"))
    name = f"{random.choice(WORDS)}{number}"
    return Col(
        name, type_, random.random() < 0.3, random.random() < 0.4, random.choice(("", "", "said")), random.choice(("", "", f"ok{number}"))
    )


def edited(made: Made, random: Random) -> Made:
    """The schema with one thing done to it."""
    kind = random.choice(
        ("type", "function", "domain", "composite", "sequence", "view", "view", "materialize", "table", *["of a table"] * 9)
    )
    if kind == "type":
        return replace(made, labels=random.choice((("new", "open"), ("new", "open", "done"), ("new", "begun", "open"), ("new",))))
    if kind == "function":
        return replace(made, function=random.choice(("integer", "bigint", "numeric")))
    if kind == "domain":
        return replace(made, domain=random.choice(("integer", "bigint")), limit=random.randint(3, 9), strict=random.random() < 0.2)
    if kind == "composite":
        return replace(made, half=random.choice(("text", "integer", "app.amount", "app.state[]")))
    if kind == "sequence":
        return replace(made, sequences=tuple((f"seq {n}", random.randint(1, 5)) for n in range(random.randint(0, 2))))
    if kind == "view":
        return _view_edited(made, random)
    if kind == "materialize":
        return replace(made, stored=frozenset(name for name, _, _ in made.views if random.random() < 0.3))
    if kind == "table" and len(made.tables) > 2 and random.random() < 0.5:
        return replace(made, tables=made.tables[:-1])
    if kind == "table":
        return replace(made, tables=(*made.tables, _some_table(random, len(made.tables) + 5)))
    at = random.randrange(len(made.tables))
    other = _table_edited(made.tables[at], made, random)
    return replace(made, tables=(*made.tables[:at], other, *made.tables[at + 1 :]))


def _view_edited(made: Made, random: Random) -> Made:
    if made.views and random.random() < 0.4:
        return replace(made, views=made.views[:-1])
    source = random.choice([t.name for t in made.tables] + [name for name, _, _ in made.views])
    table = next((t for t in made.tables if t.name == source), random.choice(made.tables))
    wanted = ("id", *(c.name for c in table.columns if random.random() < 0.6))
    return replace(made, views=(*made.views, (f"v{len(made.views)}", source, tuple(random.sample(wanted, len(wanted))))))


def _table_edited(table: Tab, made: Made, random: Random) -> Tab:
    columns = table.columns
    match random.randrange(15):
        case 0:
            return replace(table, columns=(*columns, _some_column(random, random.randint(10, 99))))
        case 1 if len(columns) > 1:
            at = random.randrange(len(columns))
            return replace(table, columns=(*columns[:at], *columns[at + 1 :]))
        case 2 | 3 | 4:
            at = random.randrange(len(columns))
            other = replace(_some_column(random, 0), name=columns[at].name)
            return replace(table, columns=(*columns[:at], other, *columns[at + 1 :]))
        case 5:
            names = tuple((f"{table.name} i{n}", random.choice(columns).name, random.random() < 0.3) for n in range(random.randint(0, 3)))
            return replace(table, indexes=names)
        case 6:
            return replace(table, refers=tuple(t.name for t in made.tables if random.random() < 0.4))
        case 7:
            return replace(table, key=not table.key)
        case 8:
            return replace(table, trigger=not table.trigger, policy=random.choice(("", random.choice(columns).name)))
        case 9:
            return replace(table, grants=tuple(r for r in ROLES if random.random() < 0.5), comment=random.choice(("", "one", "two")))
        case 11:
            return replace(table, identity=random.choice(("", "ALWAYS", "BY DEFAULT")))
        case 12:
            return replace(table, late=not table.late)
        case 13:
            return replace(table, counted=random.choice(("", random.choice(columns).name)))
        case 10:
            return replace(table, generated=random.choice(("", random.choice(columns).name)))
    return table


def pair(seed: int) -> tuple[Made, Made]:
    """Two schemas, the second made out of the first by a few edits; every tenth time of nothing in common."""
    random = Random(seed)
    old = schema(random)
    if seed % 10 == 0:
        return old, schema(random)
    new = old
    for _ in range(random.randint(1, 6)):
        new = edited(new, random)
    return old, new


def smaller(old: Made, new: Made) -> Iterator[tuple[Made, Made]]:
    """The pairs that are this one without a table, a view or a column, on both sides."""
    for name in dict.fromkeys(t.name for t in (*old.tables, *new.tables)):
        yield _without(old, name), _without(new, name)
    for view in dict.fromkeys(v[0] for v in (*old.views, *new.views)):
        yield (
            replace(old, views=tuple(v for v in old.views if v[0] != view)),
            replace(new, views=tuple(v for v in new.views if v[0] != view)),
        )
    for name in dict.fromkeys(c.name for m in (old, new) for t in m.tables for c in t.columns):
        yield _without_column(old, name), _without_column(new, name)


def _without(made: Made, name: str) -> Made:
    return replace(made, tables=tuple(t for t in made.tables if t.name != name))


def _without_column(made: Made, name: str) -> Made:
    return replace(made, tables=tuple(replace(t, columns=tuple(c for c in t.columns if c.name != name)) for t in made.tables))
