"""What a file that runs in each of many schemas reaches beyond the schema: things of the whole database or server, and, where the schema
lacks a table, the table of the same name in a schema that follows in search_path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pgcharter.migrate import home
from pgcharter.names import quote
from pgcharter.sqltext import enum_name, parse

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.migrate.model import Migration
    from pgcharter.sqltext import Statement

_CHANGES = {
    "alter_table_stmt": "relation", "index_stmt": "relation", "rename_stmt": "relation", "truncate_stmt": "relations",
    "create_trig_stmt": "relation", "create_policy_stmt": "table", "alter_policy_stmt": "table", "alter_seq_stmt": "sequence",
    "rule_stmt": "relation", "alter_object_schema_stmt": "relation", "insert_stmt": "relation", "update_stmt": "relation",
    "delete_stmt": "relation",
}  # fmt: skip
"""Statements that change a relation which is there, and where the parser has its name."""
_MAKES = {**_CHANGES, "create_stmt": "relation", "view_stmt": "view", "create_seq_stmt": "sequence"}
_RELATIONS = ("TABLE", "VIEW", "INDEX", "SEQUENCE", "MATVIEW", "FOREIGN_TABLE")
_PARTS = ("TRIGGER", "POLICY", "RULE")
_SHARED = {
    "create_extension_stmt": "an extension", "create_role_stmt": "a role", "alter_role_stmt": "a role", "drop_role_stmt": "a role",
    "create_schema_stmt": "a schema", "create_publication_stmt": "a publication", "alter_publication_stmt": "a publication",
    "create_subscription_stmt": "a subscription", "create_event_trig_stmt": "an event trigger", "createdb_stmt": "a database",
    "create_table_space_stmt": "a tablespace", "alter_system_stmt": "a setting of the server",
    "create_foreign_server_stmt": "a foreign server", "create_p_lang_stmt": "a language", "create_cast_stmt": "a cast",
    "alter_database_set_stmt": "a setting of the database",
}  # fmt: skip
"""Statements about what belongs to no schema."""


def stray(conn: Connection, sql: str) -> str:
    """The relation of another schema that a statement would change because the schema of `conn` has none of that name; empty: none.

    A statement that means the other one says so: `ALTER TABLE public.orders`.
    """
    names = _unqualified(sql) if home.of(conn).schema else ()
    if not names:
        return ""
    row = conn.execute(_STRAY, (list(names), home.of(conn).schema)).fetchone()
    return row[0] if row else ""


_STRAY = """
select pg_catalog.format('%%I.%%I', n.nspname, c.relname)
  from unnest(%s::text[]) o(name)
  join pg_catalog.pg_class c on c.oid = pg_catalog.to_regclass(o.name)
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname <> %s and n.oid <> pg_catalog.pg_my_temp_schema() limit 1
"""


@lru_cache(maxsize=4096)
def _unqualified(sql: str) -> tuple[str, ...]:
    """Names of relations that a text changes and does not look for in one schema, as `to_regclass` takes them."""
    return tuple(dict.fromkeys(quote(name) for s in parse(sql, "").statements for schema, name in _changed(s, _CHANGES) if not schema))


def _changed(statement: Statement, kinds: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Schema and name of the relations that a statement changes; the schema is empty where it names none."""
    node = statement.node
    if statement.kind in kinds:
        found = getattr(node, kinds[statement.kind])
        for one in [item.range_var for item in found] if kinds[statement.kind] == "relations" else [found]:
            if one.relname and one.relpersistence != "t":
                yield one.schemaname, one.relname
    elif statement.kind == "drop_stmt":
        word = enum_name(node, "remove_type").removeprefix("OBJECT_")
        for item in node.objects if word in (*_RELATIONS, *_PARTS) else ():
            words = _words(item)[: -1 if word in _PARTS else None]
            yield "".join(words[-2:-1]), words[-1]


def _words(item: Any) -> list[str]:
    return [part.string.sval for part in item.list.items]


def told(migrations: Iterable[Migration]) -> Iterator[tuple[Migration, str]]:
    """What a person should know before files run in each of many schemas, in sentences; each of a file once."""
    for migration in migrations:
        said: dict[str, None] = {}
        for unit in migration.up:
            for sql in unit.statements:
                for statement in parse(sql, "").statements:
                    said.update(dict.fromkeys(_sentences(statement)))
        yield from ((migration, sentence) for sentence in said)


def _sentences(statement: Statement) -> Iterator[str]:
    if statement.kind in _SHARED and not getattr(statement.node, "if_not_exists", False):
        yield (
            f"{_SHARED[statement.kind]} belongs to no schema, so the second target meets what the first has made or changed; "
            "a migration of the database can do it once (--one)"
        )
    for schema, name in _changed(statement, _MAKES):
        if schema and schema != "pg_temp":
            yield f"{quote(schema)}.{quote(name)} is named with its schema, so every target works on that same one"
    if statement.kind == "variable_set_stmt" and statement.node.name == "search_path" and statement.node.args:
        yield "it sets search_path itself, so what follows may work beside its target"
