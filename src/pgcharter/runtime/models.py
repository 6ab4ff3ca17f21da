"""Mixins for SQLAlchemy's mapped classes, ordinary ones and dataclasses: keys, times, tenant, version.

    class Order(UUIDKey, Timestamps, Versioned, SoftDelete, Base):
        __tablename__ = "orders"

Columns are described for the database, and no field of a dataclass: none of them is given to a constructor.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from pgcharter.errors import UnavailableError, UsageError

try:
    from sqlalchemy import BigInteger, DateTime, Identity, Text, Uuid, event, func, text
    from sqlalchemy.orm import Mapped, MappedColumn, Mapper, mapped_column
except ImportError:
    raise UnavailableError("SQLAlchemy is not installed, and models need it", hint="pip install 'pgcharter[serve]'") from None

from pgcharter.runtime.models_declared import declared
from pgcharter.runtime.models_uuid import uuid7

__all__ = ["IdentityKey", "TenantRow", "Timestamps", "UUIDKey", "Versioned", "tenant_column", "uuid7", "uuid_key"]

_TENANT = "NULLIF(current_setting('pgcharter.tenant', true), '')"
_SERVER = {"client": "gen_random_uuid()", "random": "gen_random_uuid()", "server": "uuidv7()"}


def uuid_key(by: Literal["client", "random", "server"] = "client", **options: Any) -> MappedColumn[uuid.UUID]:
    """A primary key of type uuid: `id: Mapped[UUID] = uuid_key()`.

    `client`: version 7, known before the row is written; whoever leaves it out gets a random one of the server. `random`: the server's
    gen_random_uuid(). `server`: its uuidv7(), from PostgreSQL 18 on.
    """
    given: dict[str, Any] = {"insert_default": uuid7} if by == "client" else {}
    return mapped_column(Uuid, primary_key=True, server_default=text(_SERVER[by]), **given, **options)


class UUIDKey:
    """A mixin: `id uuid`, version 7, made by the client."""

    @declared
    def id(cls) -> Mapped[uuid.UUID]:  # noqa: N805
        """The key."""
        return uuid_key(comment="Made by the client, in order of time")


class IdentityKey:
    """A mixin: `id bigint GENERATED ALWAYS AS IDENTITY`."""

    @declared
    def id(cls) -> Mapped[int]:  # noqa: N805
        """The key."""
        return mapped_column(BigInteger, Identity(always=True), primary_key=True, comment="Counted by the server")


class Timestamps:
    """A mixin: when the row was made and last changed, by the server's clock.

    now() is the start of the transaction, so all that it writes has one time, and a long transaction's rows look older than those of a
    short one that has begun later: no cursor for readers. Whoever writes SQL by hand needs the trigger of `[soft_delete] touch`.
    """

    @declared
    def created_at(cls) -> Mapped[datetime]:  # noqa: N805
        """When the row was made."""
        return mapped_column(DateTime(timezone=True), nullable=False, server_default=func.now(), comment="When the row was made")

    @declared
    def updated_at(cls) -> Mapped[datetime]:  # noqa: N805
        """When the row was last changed."""
        return mapped_column(
            DateTime(timezone=True), nullable=False, server_default=func.now(), onupdate=func.now(), comment="When the row was last changed"
        )


class Versioned:
    """A mixin: a version that every change counts up, and without which no change is made (`models_versions`)."""

    @declared
    def version(cls) -> Mapped[int]:  # noqa: N805
        """How often the row was written."""
        return mapped_column(BigInteger, nullable=False, server_default=text("1"), comment="Counted up by every change")


def tenant_column(kind: Literal["uuid", "bigint", "text"] = "uuid", **options: Any) -> MappedColumn[Any]:
    """The column of `[tenancy]`, which the server fills with the transaction's tenant: `tenant_id: Mapped[int] = tenant_column("bigint")`.

    It is no part of an INSERT unless a value is set; where no tenant is named the server refuses NULL.
    """
    types: dict[str, Any] = {"uuid": Uuid, "bigint": BigInteger, "text": Text}
    value = _TENANT if kind == "text" else f"{_TENANT}::{kind}"
    return mapped_column(types[kind], nullable=False, server_default=text(value), **options)


class TenantRow:
    """A mixin: `tenant_id uuid`, filled by the server with the transaction's tenant."""

    @declared
    def tenant_id(cls) -> Mapped[uuid.UUID]:  # noqa: N805
        """Whose row it is."""
        return tenant_column(comment="Tenant that the row belongs to")


def _versioned(mapper: Mapper[Any], cls: type) -> None:
    """As `version_id_col` in `__mapper_args__` would, which a class with its own ones would take away without a word."""
    column = getattr(mapper.local_table, "c", {}).get("version")
    if mapper.version_id_col is None and column is not None:
        mapper.version_id_col = column
    if mapper.version_id_col is None:
        raise UsageError(f"{cls.__name__} is Versioned and its table has no column version", hint="class Order(Versioned, Base): …")


def _eager(mapper: Mapper[Any], _cls: type) -> None:
    """What the server gives an UPDATE comes back with it: an AsyncSession could not ask for it when it is read."""
    if mapper.eager_defaults == "auto":
        mapper.eager_defaults = True


event.listen(Versioned, "instrument_class", _versioned, propagate=True)
event.listen(Timestamps, "instrument_class", _eager, propagate=True)
