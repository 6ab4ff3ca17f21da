"""Migration files made the same way every time: many small files, as a project of some years has them."""

from __future__ import annotations

from pathlib import Path


def write(folder: Path, files: int) -> int:
    """Write `files` migration files that build on each other; return how many statements they hold."""
    statements = 0
    for number in range(1, files + 1):
        text = _file(number)
        statements += text.count(";\n")
        (folder / f"{number:04}_{_WORDS[number % len(_WORDS)]}.sql").write_text(text, "utf-8")
    return statements


_WORDS = ("users", "orders", "items", "payments", "events", "audit", "stock", "carts", "notes", "teams")


def _file(number: int) -> str:
    """One migration: a table in every third file, changes to earlier tables in the others."""
    word = _WORDS[number % len(_WORDS)]
    first = number - (number - 1) % 3
    table = f"{_WORDS[first % len(_WORDS)]}_{first}"
    if number % 3 == 1:
        parent = f"REFERENCES {_WORDS[(number - 3) % len(_WORDS)]}_{number - 3} (id) ON DELETE CASCADE" if number > 3 else ""
        return (
            f"-- Migration {number}: {word}\n"
            f"CREATE TABLE {table} (\n"
            f"    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
            f"    parent_id bigint {parent},\n"
            f"    name varchar(100) NOT NULL,\n"
            f"    amount numeric(10,2) NOT NULL DEFAULT 0 CHECK (amount >= 0),\n"
            f"    status text NOT NULL DEFAULT 'new',\n"
            f"    created_at timestamptz NOT NULL DEFAULT now()\n"
            f");\n"
            f"CREATE INDEX {table}_parent_id_idx ON {table} (parent_id);\n"
            f"COMMENT ON TABLE {table} IS 'kept by migration {number}';\n"
        )
    if number % 3 == 2:
        return (
            f"BEGIN;\nALTER TABLE {table} ADD COLUMN note text;\n"
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_status_check CHECK (status IN ('new', 'done'));\nCOMMIT;\n"
        )
    return f"CREATE INDEX {table}_created_at_idx ON {table} (created_at);\nUPDATE {table} SET note = '' WHERE note IS NULL;\n"
