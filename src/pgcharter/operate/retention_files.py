"""Rows in files outside of the database: written, made durable, read back and compared with the database, then named in a manifest.

A file counts when its manifest stands beside it. CSV has every value in quotes and NULL as nothing; JSONL has one object for each row, as
PostgreSQL writes it; Parquet has the types that Arrow knows. https://www.postgresql.org/docs/current/sql-copy.html says that COPY gives one
message for each row, which is why rows are counted by messages.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent

import psycopg

from pgcharter import faults
from pgcharter.db import Connection
from pgcharter.errors import PgcharterError, UnavailableError
from pgcharter.names import ObjectId

FORMAT = "pgcharter-archive"
POINTS = ("retention_files.written", "retention_files.renamed", "retention_files.named")
_COPY = {
    "csv": "COPY ({query}) TO STDOUT (FORMAT csv, FORCE_QUOTE *, ENCODING 'UTF8')",
    "jsonl": "COPY (SELECT row_to_json(pgcharter_row.*) FROM ({query}) pgcharter_row) TO STDOUT"
    " (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02', ENCODING 'UTF8')",
}
_LONGEST = 180
_DEAD = 2 * 86400
"""Seconds after which a file that is not whole is nobody's: longer than a query may take."""


@dataclass(frozen=True)
class Archive:
    """What a manifest says of a file."""

    file: str
    table: str
    """As SQL writes it."""
    origin: str
    """What tells this table from others of the same name: system, database and object id."""
    form: str
    rows: int
    bytes: int
    sha256: str
    columns: tuple[tuple[str, str], ...]
    """Name and type."""
    bound: str = ""
    """Bounds, of a partition."""
    cut_off: str = ""
    batch: str = ""
    """Id of the batch in pgcharter.retention_runs."""
    written_at: str = ""


def columns(conn: Connection, table: ObjectId) -> tuple[tuple[str, str], ...]:
    """Columns and their types, in order."""
    sql = (
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    return tuple((r[0], r[1]) for r in conn.execute(sql, [table.sql()]).fetchall())


def origin(conn: Connection, table: ObjectId) -> str:
    """System, database and object id of a table."""
    sql = (
        "SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid || '/' || %s::regclass::oid::int8"
        " FROM pg_database WHERE datname = current_database()"
    )
    row = conn.execute(sql, [table.sql()]).fetchone()
    assert row  # noqa: S101
    return str(row[0])


def write(
    conn: Connection, query: str, table: ObjectId, folder: Path, form: str, *,
    stem: str = "", bound: str = "", cut_off: datetime | None = None, batch: str = "",
) -> Archive:  # fmt: skip
    """Write what a query gives to a file, read it back and compare; inside a transaction in which that does not change.

    The file may be there from a run that died: then it is written anew. Raises PgcharterError when it cannot be written, or is not what
    was written; UnavailableError without pyarrow, for Parquet.
    """
    known, whence = columns(conn, table), origin(conn, table)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        path = _place(folder, stem or f"{table.schema}.{table.name}", form, whence, batch)
        aside = path.with_name(f".{path.name}.new")
        rows = _parquet(conn, query, aside) if form == "parquet" else _copied(conn, query, form, aside)
        _to_disk(aside)
        faults.point(POINTS[0])
        digest = _same(conn, query, form, aside, rows)
        aside.rename(path)
        faults.point(POINTS[1])
        now = datetime.now(UTC).isoformat(timespec="seconds")
        made = Archive(
            path.name, table.sql(), whence, form, rows, path.stat().st_size, digest, known, bound,
            cut_off.isoformat() if cut_off else "", batch, now,
        )  # fmt: skip
        _named(path, made)
        faults.point(POINTS[2])
    except psycopg.DataError as error:
        raise PgcharterError(
            f"{table.sql()} holds a value that Parquet's types do not ({str(error).partition(chr(10))[0]}); nothing was deleted",
            hint='how = "jsonl" keeps every value',
        ) from None
    except OSError as error:
        raise PgcharterError(
            f"{table.sql()} could not be written to {folder}: {error.strerror or error}; nothing was deleted",
            hint="make room, or give another folder: to",
        ) from None
    return made


def manifest(path: Path) -> Path:
    """The manifest of a file."""
    return path.with_name(f"{path.name}.json")


def read(path: Path) -> Archive | None:
    """What a manifest says; None where there is none of ours."""
    try:
        data = json.loads(manifest(path).read_text(encoding="utf-8"))
        if data.pop("format", "") != FORMAT or data.pop("version", 0) != 1:
            return None
        return Archive(**{**data, "columns": tuple(map(tuple, data["columns"]))})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def verify(path: Path) -> str:
    """What is wrong with an archived file, as a sentence; empty: it is what its manifest says."""
    known = read(path)
    if known is None:
        return f"{path} has no manifest, so it does not count as archived"
    if not path.is_file():
        return f"{path} is gone"
    if path.stat().st_size != known.bytes or _digest(path) != known.sha256:
        return f"{path} is not what was archived: its checksum differs"
    return ""


def put_aside(path: Path) -> None:
    """Let a file not count any more, without losing it: it and its manifest end in .undone then."""
    known = manifest(path)
    known.rename(known.with_name(f"{known.name}.undone"))
    path.rename(path.with_name(f"{path.name}.undone"))


def _sweep(folder: Path) -> None:
    """Remove what writers that died have left, long enough ago that nobody is at it."""
    for file in folder.glob(".*.new"):
        if time.time() - file.stat().st_mtime > _DEAD:
            file.unlink(missing_ok=True)


def _place(folder: Path, stem: str, form: str, whence: str, batch: str) -> Path:
    """A name that no other table's archive has."""
    name = percent(stem, safe=" ")
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}-{hashlib.sha256(stem.encode()).hexdigest()[:16]}"
    number = 1
    while True:
        path = folder / f"{name}{f'.{number}' if number > 1 else ''}.{form}"
        known = read(path)
        if known is None or (known.origin == whence and known.batch == batch):
            return path
        number += 1


def _copied(conn: Connection, query: str, form: str, path: Path) -> int:
    rows = 0
    with path.open("wb") as out:
        for piece in _pieces(conn, query, form):
            out.write(piece)
            rows += 1
    return rows


def _pieces(conn: Connection, query: str, form: str) -> Iterator[Any]:
    with conn.cursor() as cursor, cursor.copy(_COPY[form].format(query=query).encode()) as copy:
        yield from copy


def _same(conn: Connection, query: str, form: str, path: Path, rows: int) -> str:
    """The checksum of a file as it is on disk, when the database still gives the same. Raises PgcharterError."""
    found = _digest(path)
    if form == "parquet":
        same = _parquet_same(conn, query, path)
    else:
        count, again = 0, hashlib.sha256()
        for piece in _pieces(conn, query, form):
            again.update(piece)
            count += 1
        same = count == rows and again.hexdigest() == found
    if not same:
        raise PgcharterError(f"{path.name} was read back, and is not what is in the database; nothing was deleted", place=str(path))
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parquet(conn: Connection, query: str, path: Path) -> int:
    parquet, rows = _pyarrow(), 0
    writer = None
    try:
        for batch in _batches(conn, query):
            writer = writer or parquet.ParquetWriter(path, batch.schema, compression="zstd")
            writer.write_batch(batch)
            rows += batch.num_rows
        if writer is None:
            parquet.write_table(_empty(conn, query), path)
    finally:
        if writer is not None:
            writer.close()
    return rows


def _parquet_same(conn: Connection, query: str, path: Path) -> bool:
    import pyarrow as pa  # type: ignore[import-untyped]

    there = _pyarrow().ParquetFile(path).iter_batches(batch_size=2000)
    for batch in _batches(conn, query):
        read_back = next(there, None)
        if read_back is None or not _equal(pa.Table.from_batches([batch]), pa.Table.from_batches([read_back])):
            return False
    return next(there, None) is None


def _equal(one: Any, other: Any) -> bool:
    """Whether tables hold the same; Arrow says that NaN is not NaN, so where it finds a difference the values are looked at as text."""
    return bool(one.equals(other)) or (one.schema.equals(other.schema) and repr(one.to_pylist()) == repr(other.to_pylist()))


def _batches(conn: Connection, query: str) -> Iterator[Any]:
    from pgcharter.runtime.bulk_out import batches

    return batches(conn, query)


def _empty(conn: Connection, query: str) -> Any:
    import pyarrow as pa

    names = [d.name for d in conn.execute(f"SELECT * FROM ({query}) t LIMIT 0".encode()).description or ()]
    return pa.table({n: pa.array([], pa.string()) for n in names})


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise UnavailableError("Parquet needs pyarrow, which is not installed", hint="pip install 'pgcharter[arrow]'") from None
    return pyarrow.parquet


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _named(path: Path, made: Archive) -> None:
    aside = manifest(path).with_name(f".{path.name}.json.new")
    aside.write_text(json.dumps({"format": FORMAT, "version": 1, **asdict(made)}, ensure_ascii=False, indent=1), encoding="utf-8")
    _to_disk(aside)
    aside.rename(manifest(path))
    _to_disk(path.parent)


def listed(names: Sequence[str]) -> str:
    """Columns as SQL writes them."""
    from pgcharter.names import quote

    return ", ".join(map(quote, names))
