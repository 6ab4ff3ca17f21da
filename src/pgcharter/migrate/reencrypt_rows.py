"""Rows of an encrypted column as jobs see them: read along the key without a lock, written where nobody has touched them since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from pgcharter.db import queries
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.migrate.target import Key, Target
from pgcharter.names import quote
from pgcharter.runtime.encryption_format import EncryptionError

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.policy.encryption_settings import EncryptedColumn
    from pgcharter.runtime.encryption import Encryption


@dataclass(frozen=True, slots=True)
class Found:
    """A row as it was read."""

    key: Key
    """The key to go along, as text."""
    at: str
    xmin: str
    row: tuple[Any, ...]
    """What values are bound to."""
    tenant: Any
    subject: Any
    clear: Any = field(repr=False)
    stored: bytes | None
    blinds: tuple[bytes | None, ...]


class Rows:
    """The rows of an encrypted column, read along the key and written by place."""

    def __init__(self, conn: Connection, spec: EncryptedColumn) -> None:
        """Raise UsageError when the table or one of its columns is not there."""
        self.conn, self.spec = conn, spec
        table = conn.execute(queries.load("pgcharter.migrate", "backfill.sql")["table"].encode(), (spec.id.sql(),)).fetchone()
        if table is None:
            raise UsageError(f"there is no {spec.id} here")
        ready = conn.execute(_sql("ready")).fetchone()
        kinds = conn.execute(queries.load("pgcharter.migrate", "backfill.sql")["columns"].encode(), (table[0],)).fetchall()
        self.columns: Mapping[str, tuple[str, bool]] = {name: (kind, filled) for name, kind, filled in kinds}
        missing = [
            c for c in (spec.ciphertext, *map(spec.column_of, spec.search), spec.tenant, spec.subject) if c and c not in self.columns
        ]
        if missing or ready != (True,):
            what = f"{spec.id} has no column {quote(missing[0])}" if missing else "there is no table pgcharter.key_jobs"
            raise UsageError(f"{what}, so nothing of {spec.name} is encrypted here", hint="pgcharter policy apply")
        primary = tuple(name for (name,) in conn.execute(_sql("primary_key"), (spec.id.sql(),)))
        self.row = spec.row or primary
        self.key = primary or self.row
        if not self.row or any(c not in self.columns for c in self.row):
            raise UsageError(
                f"{spec.id} has no primary key that values of {spec.name} could be bound to", hint="row = […] in [[encryption.column]]"
            )
        self.leaves = [(oid, name, total) for oid, name, total in conn.execute(_sql("leaves"), (spec.id.sql(),))]
        self.leaves.sort(key=lambda leaf: leaf[1])

    def read(self, leaf: str, after: Key | None, most: int, condition: str, values: Mapping[str, Any]) -> list[Found]:
        """The next rows above a key that meet a condition."""
        target = Target(0, leaf, None, self.key, tuple(self.columns[c][0] for c in self.key), "", "")
        clear = quote(self.spec.column) if self.spec.column in self.columns and self.spec.column != self.spec.ciphertext else "NULL"
        names = [*map(quote, self.row), *(quote(c) if c else "NULL" for c in (self.spec.tenant, self.spec.subject)), clear]
        names += [quote(self.spec.ciphertext), *(quote(self.spec.column_of(form)) for form in self.spec.search)]
        within = target.within(after, None).replace("%", "%%")
        sql = (
            f"SELECT {target.texts}, ctid::text, xmin::text, {', '.join(names)} FROM ONLY {leaf}"
            f" WHERE {within} AND ({condition}) ORDER BY {target.order('ASC')} LIMIT {most}"
        )
        n, r = len(self.key), len(self.row)
        try:
            with self.conn.cursor(binary=True) as cursor:
                rows = cursor.execute(sql.encode(), values).fetchall()
        except psycopg.Error as error:
            raise refused(leaf, error) from None
        f = n + 2 + r
        return [
            Found(row[:n], row[n], row[n + 1], row[n + 2 : f], row[f], row[f + 1], row[f + 2], row[f + 3], row[f + 4 :]) for row in rows
        ]

    def count(self, condition: tuple[str, Mapping[str, Any]]) -> int:
        """How many rows meet a condition."""
        row = self.conn.execute(f"SELECT count(*) FROM {self.spec.id.sql()} WHERE {condition[0]}".encode(), condition[1]).fetchone()
        return int(row[0]) if row else 0

    def write(self, leaf: str, rows: Sequence[Found], columns: Sequence[Sequence[bytes | None]], *, empty: bool) -> int:
        """Write encrypted columns into rows that nobody has touched since; how many."""
        names = [self.spec.ciphertext, *map(self.spec.column_of, self.spec.search)]
        given = ", ".join(f"v{n}" for n in range(len(names)))
        sets = [f"{quote(name)} = u.v{n}" for n, name in enumerate(names)] + [f"{quote(self.spec.column)} = NULL"] * empty
        sql = (
            f"UPDATE ONLY {leaf} AS t SET {', '.join(sets)} FROM unnest(%s::tid[], %s::xid[], {', '.join(['%b::bytea[]'] * len(names))})"
            f" AS u (at, seen, {given}) WHERE t.ctid = u.at AND t.xmin = u.seen"
        )
        return self.conn.execute(sql.encode(), ([r.at for r in rows], [r.xmin for r in rows], *map(list, columns))).rowcount


def refused(table: str, error: psycopg.Error) -> PgcharterError:
    """A server's or driver's error without its detail, which may show the whole row in clear."""
    again = "run the same command again: it goes on"
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return PgcharterError(f"the connection to the server was lost at work on {table}; what was committed stays", hint=again)
    if error.sqlstate is None and not isinstance(error, psycopg.DataError):
        return PgcharterError(f"work on {table} was cut off ({type(error).__name__}); what was committed stays", hint=again)
    if error.sqlstate is None:
        return PgcharterError(f"{table} holds a value that Python cannot hold ({type(error).__name__}), so its rows were not read")
    return PgcharterError(f"{table} could not be worked on: {error.diag.message_primary}", hint=f"mend it, and {again}")


def bound_to(spec: EncryptedColumn, rows: Sequence[Found]) -> dict[str, Any]:
    """What values of rows are bound to besides their keys."""
    return {
        "tenants": [r.tenant for r in rows] if spec.tenant else None,
        "subjects": [r.subject for r in rows] if spec.scope == "subject" else None,
    }


def decrypted(encryption: Encryption, column: str, rows: Sequence[Found]) -> list[Any]:
    """The values of rows. Raises EncryptionError with the key of the row whose value cannot be read."""
    cipher = encryption.column(column)
    bound = bound_to(cipher.spec, rows)
    try:
        return cipher.decrypt_many([r.stored for r in rows], [r.row for r in rows], **bound)
    except EncryptionError:
        for row in rows:
            one = {name: value and [value[rows.index(row)]] for name, value in bound.items()}
            try:
                cipher.decrypt_many([row.stored], [row.row], **one)
            except EncryptionError as error:
                hint = (
                    error.hint
                    or f"pgcharter keys verify {column} names all such rows; restore them, or set {cipher.spec.ciphertext} to NULL"
                )
                raise EncryptionError(f"row {shown_key(row.key)}: {error.message}", hint=hint) from None
        raise


def shown_key(key: Key) -> str:
    """A row's key in a message."""
    return ", ".join(map(str, key))


def _sql(name: str) -> bytes:
    return queries.load("pgcharter.migrate", "reencrypt_rows.sql")[name].encode()
