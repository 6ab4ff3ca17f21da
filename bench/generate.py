"""A database of any size that looks like a grown one: schemas, keys, foreign keys, checks, partial indexes, comments, views, functions."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import psycopg

TABLES, COLUMNS, INDEXES, SCHEMAS = 5_000, 10, 3, 10
"""Tables in all, columns and indexes a table, schemas the tables are spread over."""


def statements(tables: int = TABLES, schemas: int = SCHEMAS) -> Iterator[str]:
    """DDL of the whole database, a schema at a time."""
    per_schema = -(-tables // schemas)
    for s in range(schemas):
        yield f"CREATE SCHEMA s{s}; CREATE TYPE s{s}.state AS ENUM ('new', 'open', 'done'); COMMENT ON SCHEMA s{s} IS 'area {s}'"
        for t in range(per_schema):
            yield _table(s, t)
        for v in range(per_schema // 20):
            yield f"CREATE VIEW s{s}.view_{v} AS SELECT t.id, t.name, t.amount * 2 AS double FROM s{s}.table_{v} t WHERE t.state <> 'done'"
        for f in range(per_schema // 20):
            yield (
                f"CREATE FUNCTION s{s}.function_{f}(wanted bigint, label text DEFAULT 'x') RETURNS text LANGUAGE sql STABLE "
                f"AS $$ SELECT name FROM s{s}.table_{f} WHERE id = wanted $$"
            )


def _table(s: int, t: int) -> str:
    name = f"s{s}.table_{t}"
    parent = f" REFERENCES s{s}.table_{t - 1} (id) ON DELETE CASCADE" if t else ""
    return f"""
        CREATE TABLE {name} (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          parent_id bigint{parent},
          name character varying(200) NOT NULL,
          state s{s}.state NOT NULL DEFAULT 'new',
          amount numeric(12,2) DEFAULT 0 CHECK (amount >= 0),
          tags text[],
          data jsonb,
          deleted_at timestamp with time zone,
          created_at timestamp with time zone NOT NULL DEFAULT now(),
          changed_at timestamp with time zone NOT NULL DEFAULT now());
        CREATE INDEX ON {name} (parent_id, created_at DESC);
        CREATE INDEX ON {name} (lower(name)) WHERE deleted_at IS NULL;
        COMMENT ON TABLE {name} IS 'table {t} of area {s}';
        COMMENT ON COLUMN {name}.name IS 'what people call it'"""


def generate(dsn: str, tables: int = TABLES, schemas: int = SCHEMAS) -> None:
    """Create everything in the empty database at `dsn`."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SET synchronous_commit = off")
        batch: list[str] = []
        for statement in statements(tables, schemas):
            batch.append(statement)
            if len(batch) == 50:
                conn.execute("; ".join(batch))
                batch.clear()
        if batch:
            conn.execute("; ".join(batch))
        conn.execute("VACUUM (ANALYZE, PARALLEL 0)")


if __name__ == "__main__":
    generate(sys.argv[1], *(int(n) for n in sys.argv[2:]))
