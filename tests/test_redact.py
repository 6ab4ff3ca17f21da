"""No password survives what is printed."""

from __future__ import annotations

import pytest

from pgcharter.redact import redact, redact_sql
from pgcharter.sqltext import parse


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


@pytest.mark.parametrize(
    "text",
    [
        "CREATE ROLE a LOGIN PASSWORD 'hush';",
        "alter user a encrypted password E'hu\\'hush' valid until '2027-01-01';",
        "ALTER ROLE a PASSWORD $x$hush$x$;",
        "ALTER ROLE a PASSWORD U&'hush';",
        "ALTER ROLE a\n  PASSWORD -- of a\n 'hush'\n  LOGIN;",
        "CREATE ROLE a PASSWORD /* x */ 'hush'",
        "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'bob', password 'it''s hush');",
        "ALTER USER MAPPING FOR u SERVER s OPTIONS (SET password 'hush', ADD \"sslpassword\" 'hush');",
        "CREATE SUBSCRIPTION s CONNECTION 'host=h password=hush dbname=d' PUBLICATION p;",
        "CREATE SUBSCRIPTION s CONNECTION 'host=h password=''my hush'' dbname=d' PUBLICATION p;",
        "CREATE SUBSCRIPTION s CONNECTION 'postgresql://me:hush@h/d' PUBLICATION p;",
        "SELECT dblink_connect('password=hush host=h');",
        "ALTER SYSTEM SET primary_conninfo = 'host=h password=hush';",
        "DO $$BEGIN EXECUTE 'ALTER ROLE x PASSWORD ''hush'''; END$$;",
        "DO $$BEGIN EXECUTE 'ALTER ROLE x PASSWORD ''it''''s hush'' LOGIN'; END$$;",
        "UPDATE users SET password = 'hush' WHERE id = 1;",
        "op.execute(\"ALTER ROLE a PASSWORD 'hush'\")",
    ],
)
def test_no_password_survives_in_sql(text: str) -> None:
    shown = redact_sql(text)
    assert "hush" not in shown
    assert "***" in shown
    assert redact_sql(shown) == shown
    assert len(parse(shown, "").errors) == len(parse(text, "").errors)


@pytest.mark.parametrize(
    "text",
    [
        "ALTER ROLE a PASSWORD NULL;",
        "UPDATE users SET password = crypt(password, gen_salt('bf')) WHERE password <> 'x';",
        "UPDATE users SET password=crypt(password, gen_salt('bf'));",
        "UPDATE users SET password = new_password;",
        "CREATE TABLE t (password text NOT NULL DEFAULT '', n int);",
        "COMMENT ON COLUMN t.password IS 'how it is kept';",
        "CREATE INDEX ON t (password); SELECT 'password'; SELECT 'y';",
        "ALTER TABLE t RENAME COLUMN password TO password_hash;",
    ],
)
def test_sql_without_passwords_stays(text: str) -> None:
    assert redact_sql(text) == text
