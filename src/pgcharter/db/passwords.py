"""Passwords of roles: what the server gets to see is their SCRAM-SHA-256 verifier, which libpq computes here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

import psycopg

from pgcharter.db import Connection
from pgcharter.errors import PgcharterError, RefusedError, UnavailableError
from pgcharter.names import literal, quote

_VERIFIER = re.compile(r"SCRAM-SHA-256\$(?P<rounds>\d+):(?P<salt>[^$]+)\$(?P<stored>[^:]+):(?P<server>.+)\Z")
_QUIET = ("log_statement", "log_min_duration_statement", "log_min_error_statement", "pg_stat_statements.track_utility")
_OFF = {"log_statement": "none", "log_min_duration_statement": "-1", "log_min_error_statement": "panic"}


def verifier(conn: Connection, role: str, clear: str) -> str:
    """The SCRAM-SHA-256 verifier of a password, made on this side (libpq's PQencryptPasswordConn); nothing is sent."""
    try:
        return conn.pgconn.encrypt_password(clear.encode(), role.encode(), b"scram-sha-256").decode()
    except psycopg.NotSupportedError:
        raise UnavailableError(
            "this libpq is older than 10 and cannot make SCRAM verifiers", hint="pip install 'psycopg[binary]'"
        ) from None


def is_set(conn: Connection, role: str, clear: str) -> bool:
    """Whether `role` has this password already. False as well when that cannot be told: stored passwords may be read by superusers only."""
    row = conn.execute("select pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')").fetchone()
    if not (row and row[0]):
        return False
    stored = conn.execute("select a.rolpassword from pg_catalog.pg_authid a where a.rolname = %s", [role]).fetchone()
    return _matches(stored[0], clear) if stored and stored[0] else False


def _matches(text: str, clear: str) -> bool:
    """Whether a verifier is of this password (RFC 5802, section 3). Beyond ASCII, where SASLprep would change it, no answer: False."""
    parts = _VERIFIER.match(text)
    if parts is None or not clear.isascii():
        return False
    salted = hashlib.pbkdf2_hmac("sha256", clear.encode(), base64.b64decode(parts["salt"]), int(parts["rounds"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(key).digest(), base64.b64decode(parts["stored"]))


def store(conn: Connection, role: str, made: str) -> None:
    """Give `role` the password behind a verifier, in the caller's transaction; kept out of the log and of pg_stat_statements where we may.

    Raises RefusedError for what is no verifier (PostgreSQL would take it for a clear password), PgcharterError when the server refuses.
    """
    if not _VERIFIER.match(made):
        raise RefusedError(f"what was made for role {quote(role)} is no SCRAM verifier, so it is not sent")
    try:
        for name in _QUIET:
            conn.execute(
                "select pg_catalog.set_config(s.name, %s, true) from pg_catalog.pg_settings s"
                " where s.name = %s and pg_catalog.has_parameter_privilege(s.name, 'SET')",
                [_OFF.get(name, "off"), name],
            )
        conn.execute(f"ALTER ROLE {quote(role)} PASSWORD {literal(made)}".encode())
    except psycopg.Error as error:
        said = (error.diag.message_primary or "the connection was lost").replace(made, "***")
        raise PgcharterError(
            f"the password of role {quote(role)} was not set: PostgreSQL said {said!r}",
            hint="setting passwords of others takes CREATEROLE, from PostgreSQL 16 on with ADMIN OPTION on the role, or a superuser",
        ) from None
