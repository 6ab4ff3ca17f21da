"""No password survives what is printed."""

from __future__ import annotations

import pytest

from pgcharter.redact import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host:5432/shop", "postgresql://me:***@host:5432/shop"),
        ("postgresql://me:se/cr@et@host/shop", "postgresql://me:***@host/shop"),
        ("postgresql://me@host/shop", "postgresql://me@host/shop"),
        ("postgresql://host/shop?user=me&password=secret&sslmode=require", "postgresql://host/shop?user=me&password=***&sslmode=require"),
        ("postgresql://host/shop?sslpassword=secret", "postgresql://host/shop?sslpassword=***"),
        ("host=a password=secret dbname=shop", "host=a password=*** dbname=shop"),
        ("host=a password='se cr\\'et' dbname=shop", "host=a password=*** dbname=shop"),
        ("password = secret host=a", "password = *** host=a"),
        ("postgresql+psycopg://me:secret@host/shop", "postgresql+psycopg://me:***@host/shop"),
        ("error for postgresql://me:secret@host/shop and password=secret", "error for postgresql://me:***@host/shop and password=***"),
        ("postgresql+psycopg://me:p:w@host/db", "postgresql+psycopg://me:***@host/db"),
        ("postgresql://me:hunter2@host/db failed", "postgresql://me:***@host/db failed"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
        ("a table about passwords: postgresql://host/db", "a table about passwords: postgresql://host/db"),
        ("", ""),
        ("dbname=shop", "dbname=shop"),
    ],
)
def test_redact(text: str, shown: str) -> None:
    assert redact(text) == shown
