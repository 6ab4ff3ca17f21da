"""`[encryption]` of the charter: which columns hold ciphertext, how they are found, and under which key."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pgcharter.charter import Section
from pgcharter.errors import UsageError
from pgcharter.names import ObjectId, address, quote

Form = Literal["exact", "folded", "last-four"]
SUFFIXES: Mapping[str, str] = {"exact": "exact", "folded": "folded", "last-four": "last4"}
HEADER = b"\xfepg\x01"
"""What every encrypted value begins with: a byte that no UTF-8 text contains, two letters, the version of the format."""
SHORTEST = 43
"""Bytes of the shortest encrypted value: header 14, nonce 12, type 1, tag 16."""


def _bits(value: Any) -> None:
    if value % 8 or not 16 <= value <= 256:
        raise UsageError(f"a blind index of {value} bits cannot be made", hint="write a multiple of 8 from 16 to 256")


def _padding(value: Any) -> None:
    if not 0 <= value <= 65536:
        raise UsageError(f"padding is {value} bytes, and must be from 0 to 65,536")


@dataclass(frozen=True)
class EncryptedColumn:
    """`[[encryption.column]]`: one column whose values are encrypted by the application."""

    table: str
    """Schema and name: app.users."""
    column: str
    """The column as the application calls it."""
    type: Literal["text", "bytes", "int", "float", "numeric", "date", "timestamp", "bool", "uuid", "json"] = "text"
    """What its values are."""
    search: tuple[Form, ...] = ()
    """How it can be looked up: exact, folded (without regard to case), last-four. Each makes a blind index; none: not at all."""
    unique: bool = False
    """Whether no two rows may have the same value, by the first form of `search`."""
    bits: int = field(default=128, metadata={"check": _bits})
    """Length of a blind index value. Fewer tell less and find more rows that are not meant."""
    key: str = "default"
    """Name in the key ring."""
    scope: Literal["table", "tenant", "subject"] = "table"
    """What has a data key of its own: the column, each tenant, or each person (whose key can be destroyed)."""
    tenant: str = ""
    """Column with the tenant that a value is bound to; empty: to none."""
    subject: str = ""
    """Column that says whose value it is, for scope subject."""
    subject_kind: str = ""
    """What that is: user, customer. Columns of one kind share a person's key; 7 the user and 7 the customer do not."""
    row: tuple[str, ...] = ()
    """Columns that a value is bound to, unique and never changed; empty: the primary key."""
    padding: int = field(default=0, metadata={"check": _padding})
    """Lengths are rounded up to a multiple of so many bytes; 0: the length of a value can be told."""
    stored: str = ""
    """Column of the ciphertext; empty: `column` with _encrypted."""
    bound_as: str = ""
    """Address that values are bound to, when the column was renamed since: app.users.email."""

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be meant."""
        if "*" in self.table:
            raise ValueError(
                f"{self.name} means many tables, and a value is bound to one: where each tenant has a schema, write a [[encryption.column]]"
                ' for each schema, or keep what is encrypted in a table that tenants share (scope = "tenant")'
            )
        if self.scope == "tenant" and not self.tenant:
            raise ValueError(f"{self.name} has a key for each tenant, and no column says which: write tenant = …")
        if len({self.scope == "subject", bool(self.subject), bool(self.subject_kind)}) > 1:
            raise ValueError(f'{self.name} must say all of scope = "subject", subject = COLUMN and subject_kind = "user", or none of them')
        if self.unique and not self.search:
            raise ValueError(f'{self.name} is unique, and without a blind index nobody could tell: write search = ["exact"]')
        if self.unique and self.bits < 64:
            raise ValueError(f"{self.name} is unique, and two different values may share {self.bits} bits: 64 are the least")
        if "last-four" in self.search and (self.type != "text" or (self.search[0] == "last-four" and self.unique)):
            raise ValueError(f"{self.name}: last-four is a form of text, and two values may share it")
        if "folded" in self.search and self.type != "text":
            raise ValueError(f"{self.name} is {self.type}: only text has upper and lower case")
        if self.column == self.ciphertext:
            raise ValueError(f"{self.name} cannot be stored in itself: name another column in stored, or leave it out")

    @cached_property
    def id(self) -> ObjectId:
        """The table. Raises ValueError when it is no address."""
        return address(f"table {self.table}")

    @property
    def name(self) -> str:
        """The column's address, as messages call it: app.users.email."""
        return f"{self.table}.{self.column}"

    @property
    def binding(self) -> str:
        """The address that values are bound to."""
        return self.bound_as or self.name

    @property
    def ciphertext(self) -> str:
        """Where the ciphertext is."""
        return self.stored or f"{self.column}_encrypted"

    @property
    def digest(self) -> int:
        """Bytes of one digest in a blind index: the mark of its key, then `bits`."""
        return 4 + self.bits // 8

    def column_of(self, form: str) -> str:
        """Where the blind index of a form is."""
        return f"{self.column}_{SUFFIXES[form]}"

    def is_unique(self, form: str) -> bool:
        """Whether no two rows may have the same value in this form."""
        return self.unique and form == self.search[0]

    def sought(self, form: str) -> str:
        """What a digest is compared with to find a value, as SQL: the column, or what stands first in a unique one."""
        column = quote(self.column_of(form))
        return f"substring({column} FROM 1 FOR {self.digest})" if self.is_unique(form) else column

    def oldest(self, form: str) -> str:
        """What stands last in a unique blind index, as SQL: the digest under the oldest key that can be read with, which every row has."""
        column = quote(self.column_of(form))
        return f"substring({column} FROM octet_length({column}) - {self.digest - 1})"


def words(command: str) -> tuple[str, ...]:
    """A command's words. Raises UsageError where there are none, or a quotation mark stands alone."""
    try:
        found = tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(
            f"the command that gives the key ring cannot be read: {error}", hint="command:vault kv get -field=ring app"
        ) from None
    if not found:
        raise UsageError("the command that gives the key ring is empty", hint="command:vault kv get -field=ring app")
    return found


def _source(value: Any) -> None:
    if value and re.match(r"(file|env|command):.", value) is None:
        raise UsageError(
            f"{value!r} is no place of keys", hint='write "file:keys/ring.json", "env:VARIABLE" or "command:PROGRAM ARGUMENTS"'
        )
    if value.startswith("command:"):
        words(value.removeprefix("command:"))


def _master(value: Any) -> None:
    if value and re.match(r"file:.", value) is None:
        raise UsageError(f"{value!r} is no place of a master key: it is in a file here", hint='write "file:keys/master.key"')


@dataclass(frozen=True)
class EncryptionSection:
    """`[encryption]`: columns that the application encrypts, and where its keys are."""

    keys: str = field(default="file:keys/ring.json", metadata={"check": _source})
    """The key ring: file:PATH (from the charter's folder), env:VARIABLE or command:PROGRAM ARGUMENTS."""
    master: str = field(default="", metadata={"check": _master})
    """File of the master key that wraps the ring's keys, as file:PATH; empty: they are not wrapped."""
    column: tuple[EncryptedColumn, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a column that is declared twice."""
        names = [c.name for c in self.column]
        twice = next((n for n in names if names.count(n) > 1), "")
        if twice:
            raise ValueError(f"{twice} is declared twice in [encryption]")


SECTION = Section("encryption", EncryptionSection)
