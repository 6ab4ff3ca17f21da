"""Files into text: what is not text is refused with the reason and the way out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.sqltext import Parsed
from pgcharter.sqltext.source import Source

MAX_BYTES = 512 * 1024 * 1024
"""Largest file that is read."""
_MAGIC = (
    (b"SQLite format 3\0", "a SQLite database, not SQL", "sqlite3 {file} .schema shows its SQL, in SQLite's dialect"),
    (b"PGDMP", "a pg_dump archive, not SQL", "pg_restore --schema-only -f schema.sql {file}"),
    (b"\x1f\x8b", "compressed with gzip", "gunzip -k {file}"),
    (b"BZh", "compressed with bzip2", "bunzip2 -k {file}"),
    (b"\xfd7zXZ\0", "compressed with xz", "unxz -k {file}"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unzstd {file}"),
    (b"PK\x03\x04", "a zip archive", "unzip {file}"),
    (b"\x7fELF", "a program", "name a file with SQL text"),
    (b"\xff\xfe", "UTF-16", "iconv -f UTF-16 -t UTF-8 {file} > utf8.sql"),
    (b"\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8 {file} > utf8.sql"),
)  # fmt: skip


def read_text(path: Path, shown: str) -> str:
    """Return the text of a file, without a byte order mark.

    Raises UsageError when it is not text (archives, databases, UTF-16, NUL bytes, not UTF-8) and PgcharterError when it may not be read.
    """
    try:
        with path.open("rb") as file:
            return decode(_limited(file, shown), shown)
    except OSError as error:
        why = "it is a link that leads nowhere" if path.is_symlink() and not path.exists() else error.strerror
        raise PgcharterError(f"{shown} cannot be read: {why}") from None


def _limited(file: BinaryIO, shown: str) -> bytes:
    """All bytes of a file, whose size may not be known (a pipe, a device). Raises UsageError when they are too many."""
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UsageError(f"{shown} has more than {MAX_BYTES // 2**20} MiB, which is too much to look through",
                         hint="write the schema alone: pg_dump --schema-only")  # fmt: skip
    return data


def read_stdin() -> str:
    """Return what stands on standard input. Raises UsageError when it is not text."""
    return decode(_limited(sys.stdin.buffer, "-"), "-")


def decode(data: bytes, shown: str) -> str:
    """Return `data` as text; `shown` names it in errors. Raises UsageError when it is not UTF-8 text."""
    for magic, what, hint in _MAGIC:
        if data.startswith(magic):
            raise UsageError(f"{shown} is {what}", hint=hint.format(file=shown))
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        place = Source(before, shown).place(len(before))
        if b"\0" in data:
            raise UsageError(f"{shown} is binary, not SQL", place=str(place)) from None
        raise UsageError(f"byte 0x{data[error.start]:02x} is not UTF-8, so the text after it would be misread", place=str(place),
                         hint=f"iconv -f LATIN1 -t UTF-8 {shown} > utf8.sql") from None  # fmt: skip
    nul = text.find("\0")
    if nul >= 0:
        place = Source(text, shown).place(nul)
        raise UsageError("the text holds a NUL byte, which no PostgreSQL text can", place=str(place), hint="is the file perhaps binary?")
    return text


def foreign_dialect(parsed: Parsed) -> str:
    """Name of the other database whose SQL this plainly is; empty for PostgreSQL's. Only asked when much of it could not be parsed."""
    if len(parsed.errors) <= len(parsed.statements) // 4:
        return ""
    text = parsed.text[:200_000]
    low = text.lower()
    if "engine=innodb" in low or "-- mysql dump" in low or "-- mariadb dump" in low or text.count("`") > 4 * len(parsed.errors):
        return "MySQL"
    if "\ngo\n" in low.replace("\r", "") or "[dbo]." in low:
        return "SQL Server"
    if "autoincrement" in low or "\npragma " in low:
        return "SQLite"
    if "varchar2(" in low or "\n/\n" in low.replace("\r", ""):
        return "Oracle"
    return ""
