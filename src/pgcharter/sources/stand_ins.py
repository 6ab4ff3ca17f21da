"""Stand-ins: what a document's SQL needs but never defines, invented so that the rest can be built and looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter.errors import PgcharterError
from pgcharter.names import quote
from pgcharter.sources import recorder
from pgcharter.sources.guesses import Usage, guess_type

if TYPE_CHECKING:
    from pgcharter.servers.scratch import ScratchDatabase
    from pgcharter.sources.build import Refusal

_RELATION = re.compile(r'relation "(?P<name>[^"]+)" does not exist')
_COLUMN_OF = re.compile(r'column "(?P<column>[^"]+)" of relation "(?P<table>[^"]+)" does not exist')
_KEY_COLUMN = re.compile(r'column "(?P<column>[^"]+)" (?:named in key|referenced in foreign key constraint) does not exist')
_COLUMN = re.compile(r'column "?(?P<column>[^" ]+)"? does not exist')
_TYPE = re.compile(r'type "(?P<name>[^"]+)" does not exist')
_SCHEMA = re.compile(r'schema "(?P<name>[^"]+)" does not exist')
_FUNCTION = re.compile(r"function (?P<name>[^(]+)\((?P<arguments>.*)\) does not exist")
_NO_KEY = re.compile(r'there is no unique constraint matching given keys for referenced table "(?P<table>[^"]+)"')
_OPERATOR_CLASS = re.compile(r'operator class "(?P<name>[^"]+)" does not exist')
_SEARCH = re.compile(r'text search configuration "(?P<name>[^"]+)" does not exist')

_EXTENSION_OF = {
    "citext": "citext", "hstore": "hstore", "ltree": "ltree", "vector": "vector", "cube": "cube", "isbn": "isn", "earth": "earthdistance",
    "crypt": "pgcrypto", "gen_salt": "pgcrypto", "digest": "pgcrypto", "hmac": "pgcrypto", "pgp_sym_encrypt": "pgcrypto",
    "pgp_sym_decrypt": "pgcrypto", "encrypt": "pgcrypto", "decrypt": "pgcrypto", "gen_random_bytes": "pgcrypto",
    "uuid_generate_v4": "uuid-ossp", "uuid_generate_v1": "uuid-ossp", "uuid_generate_v1mc": "uuid-ossp", "similarity": "pg_trgm",
    "unaccent": "unaccent", "gin_trgm_ops": "pg_trgm", "gist_trgm_ops": "pg_trgm", "pg_stat_statements": "pg_stat_statements",
    "crosstab": "tablefunc", "levenshtein": "fuzzystrmatch", "soundex": "fuzzystrmatch", "pg_buffercache": "pg_buffercache",
    "pgstattuple": "pgstattuple", "gist_uuid_ops": "btree_gist",
}  # fmt: skip
_RETURNS = {
    "pgp_sym_encrypt": "bytea", "encrypt": "bytea", "digest": "bytea", "hmac": "bytea", "gen_random_bytes": "bytea", "decrypt": "bytea",
    "uuid_generate_v4": "uuid", "uuid_generate_v1": "uuid", "uuid_generate_v1mc": "uuid", "uuid_generate_v7": "uuid",
}  # fmt: skip


@dataclass
class StandIns:
    """Makes what `database` lacks, guided by what the whole document says about it."""

    database: ScratchDatabase
    usage: Mapping[str, Usage]
    types: Mapping[str, str]
    """The document's own type of a column name."""
    made: list[str] = field(default_factory=list)
    """What was invented, as words for a gap."""

    def provide(self, refusal: Refusal) -> bool:
        """Make what `refusal` says is missing. False when nothing could be made, so that trying again is of no use."""
        message = refusal.message
        try:
            return self._provide(refusal, message)
        except (psycopg.Error, PgcharterError):
            return False

    def extension_for(self, refusal: Refusal) -> bool:
        """Create the extension whose type, function or operator class `refusal` misses; nothing is invented."""
        for pattern in (_TYPE, _FUNCTION, _OPERATOR_CLASS, _SEARCH):
            match = pattern.search(refusal.message)
            if match:
                try:
                    return self._extension(match["name"].rpartition(".")[2])
                except (psycopg.Error, PgcharterError):
                    return False
        return False

    def _provide(self, refusal: Refusal, message: str) -> bool:
        if match := _RELATION.search(message):
            return self._relation(match["name"], refusal.statement.kind)
        if match := _COLUMN_OF.search(message):
            return self._column(match["table"], match["column"])
        if match := _KEY_COLUMN.search(message) or _COLUMN.search(message):
            return self._loose_column(match["column"].rpartition(".")[2], refusal)
        if match := _OPERATOR_CLASS.search(message) or _SEARCH.search(message):
            return self._extension(match["name"])
        if "has no default operator class for access method" in message:
            return self._extension("gist_uuid_ops") if '"gist"' in message else self._extension("gin_trgm_ops")
        if match := _TYPE.search(message):
            return self._type(match["name"])
        if match := _SCHEMA.search(message):
            return self._run(f"CREATE SCHEMA {quote(match['name'])}", f"schema {match['name']}")
        if match := _FUNCTION.search(message):
            return self._function(match["name"], match["arguments"], refusal)
        if match := _NO_KEY.search(message):
            return self._key(match["table"])
        return False

    def _run(self, sql: str, what: str) -> bool:
        self._send(sql)
        if what not in self.made:
            self.made.append(what)
        return True

    def _send(self, sql: str) -> None:
        self.database.conn.execute(recorder.mark(recorder.INVENTED) + sql)

    def _extension(self, name: str) -> bool:
        extension = _EXTENSION_OF.get(name)
        if extension is None or f"extension {extension}" in self.made:
            return False
        self.database.create_extension(extension)
        self.made.append(f"extension {extension}")
        return True

    def _relation(self, name: str, kind: str) -> bool:
        schema, _, bare = name.rpartition(".")
        if bare in _EXTENSION_OF:
            return self._extension(bare)
        if kind in ("drop_stmt", "rename_stmt"):
            return False
        if schema:
            self._send(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
        known = self.usage.get(bare, Usage())
        columns = dict(known.columns) or {"id": ""}
        body = [f"{quote(c)} {sql or self._type_of(c)}" for c, sql in columns.items()]
        if known.partitioned:
            address = f"{quote(schema)}.{quote(bare)}" if schema else quote(bare)
            return self._run(f"CREATE TABLE {address} ({', '.join(body)}) PARTITION BY {known.partitioned}", f"table {name}")
        primary = known.keys[:1] or ([("id",)] if "id" in columns else [])
        body += [f"PRIMARY KEY ({', '.join(map(quote, key))})" for key in primary]
        body += [f"UNIQUE ({', '.join(map(quote, key))})" for key in known.keys[1:]]
        address = f"{quote(schema)}.{quote(bare)}" if schema else quote(bare)
        return self._run(f"CREATE TABLE {address} ({', '.join(body)})", f"table {name}")

    def _type_of(self, column: str) -> str:
        return self.types.get(column) or guess_type(column)

    def _column(self, table: str, column: str) -> bool:
        sql = f"ALTER TABLE {self._address(table)} ADD COLUMN {quote(column)} {self._type_of(column)}"
        return self._run(sql, f"column {table}.{column}")

    def _address(self, table: str) -> str:
        """The table of this bare name, wherever it stands; the search path decides when there are several."""
        rows = self.database.conn.execute(
            "select n.nspname, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
            "where c.relname = %s and c.relkind in ('r', 'p') order by pg_catalog.pg_table_is_visible(c.oid) desc, n.nspname",
            [table],
        ).fetchall()
        return f"{quote(rows[0][0])}.{quote(rows[0][1])}" if rows else quote(table)

    def _loose_column(self, column: str, refusal: Refusal) -> bool:
        """A column missing somewhere in a statement: it goes to the statement's table, or to the one invented table that it reads."""
        node = refusal.statement.node
        for name in ("relation", "table"):
            target: Any = getattr(node, name, None)
            if getattr(target, "relname", "") and refusal.statement.kind != "create_stmt":
                return self._column(target.relname, column)
        users = [t for t, known in self.usage.items() if column in known.columns and f"table {t}" in self.made]
        if len(users) == 1:
            return self._column(users[0], column)
        users = [
            t for t, known in self.usage.items() if column in known.columns and re.search(rf"\b{re.escape(t)}\b", refusal.statement.text)
        ]
        return len(users) == 1 and self._column(users[0], column)

    def _type(self, name: str) -> bool:
        schema, _, bare = name.removesuffix("[]").rpartition(".")
        if bare in _EXTENSION_OF:
            try:
                return self._extension(bare)
            except (psycopg.Error, PgcharterError):
                pass
        if schema:
            self._send(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
        address = f"{quote(schema)}.{quote(bare)}" if schema else quote(bare)
        return self._run(f"CREATE DOMAIN {address} AS text", f"type {name}")

    def _function(self, name: str, arguments: str, refusal: Refusal) -> bool:
        schema, _, bare = name.rpartition(".")
        if bare in _EXTENSION_OF:
            try:
                return self._extension(bare)
            except (psycopg.Error, PgcharterError):
                pass
        types = [a.strip() for a in arguments.split(",") if a.strip()]
        if any("=>" in t for t in types):
            return False
        if schema:
            self._send(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
        address = f"{quote(schema)}.{quote(bare)}" if schema else quote(bare)
        if refusal.statement.kind == "create_trig_stmt" and not types:
            body = "RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
        elif refusal.statement.kind in ("grant_stmt", "comment_stmt", "alter_function_stmt", "drop_stmt", "alter_owner_stmt"):
            body = "RETURNS text LANGUAGE sql AS 'SELECT null::text'"
        else:
            result = _RETURNS.get(bare) or guess_type(bare)
            body = f"RETURNS {result} LANGUAGE sql IMMUTABLE AS 'SELECT null::{result}'"
        listed = ", ".join("text" if t == "unknown" else t for t in types)
        return self._run(f"CREATE FUNCTION {address}({listed}) {body}", f"function {name}({arguments})")

    def _key(self, table: str) -> bool:
        """A key for a foreign key to point at; only an invented table gets one, for a real one PostgreSQL is right."""
        if f"table {table}" not in self.made:
            return False
        for key in self.usage.get(table, Usage()).keys:
            listed = ", ".join(map(quote, key))
            self._send(f"ALTER TABLE {self._address(table)} ADD UNIQUE ({listed})")
        return True
