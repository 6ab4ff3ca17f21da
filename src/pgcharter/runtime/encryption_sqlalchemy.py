"""Encrypted attributes of SQLAlchemy's mapped classes, sync and async.

    class User(Base):
        __tablename__, __table_args__ = "users", {"schema": "app"}
        id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
        email_encrypted: Mapped[bytes | None]
        email_folded: Mapped[bytes | None]
        email = Encrypted(encryption, "app.users.email")

    session.add(User(email="ada@example.org"))
    session.scalars(select(User).where(User.email == "ADA@example.org"))

An attribute and no column type, because a type never sees the row that a value is bound to. So a statement carries ciphertext alone, a
value is decrypted when it is read, and `insert(User).values(email=…)` is refused by SQLAlchemy: there is no such column. A new object is
encrypted when it is flushed; its key must be known then: a default of Python's is called, a sequence is asked, and an identity column
that is GENERATED ALWAYS is refused. A JSON value that is changed in place must be assigned again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, event, func, inspect, literal_column, text
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.orm import Mapper, object_session
from sqlalchemy.orm.base import NO_VALUE

from pgcharter.db.flows import Query
from pgcharter.errors import UsageError
from pgcharter.runtime.encryption import Encryption
from pgcharter.runtime.encryption_cipher import Cipher
from pgcharter.runtime.keys_subjects import load_subjects

_PENDING = "_pgcharter_pending"
"""Where an object keeps clear values that wait for its first flush."""


@dataclass(frozen=True)
class _Attributes:
    """Names of the mapped attributes that one encrypted column is made of."""

    stored: str
    blinds: Mapping[str, str]
    row: tuple[str, ...]
    tenant: str
    subject: str
    clear: str

    @property
    def bound(self) -> tuple[str, ...]:
        return (*self.row, *filter(None, (self.tenant, self.subject)))


class Encrypted:
    """An attribute whose value is encrypted. Where the clear column is mapped too (`clear`), both are written, and read until encrypted."""

    def __init__(self, encryption: Encryption, column: str, *, clear: str = "") -> None:
        """`clear` is the name of the mapped attribute of the clear column, while that is still there."""
        self._encryption, self._column, self._clear = encryption, column, clear
        self._known: dict[type, _Attributes] = {}
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        event.listen(owner, "mapper_configured", self._configured, propagate=True)
        event.listen(owner, "before_insert", self._before_insert, propagate=True)
        event.listen(owner, "before_update", self._before_update, propagate=True)

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return Searched(self, owner)
        waiting = instance.__dict__.get(_PENDING, {})
        if self._name in waiting:
            return waiting[self._name]
        names = self._attributes(owner)
        data = getattr(instance, names.stored)
        if data is None:
            return getattr(instance, names.clear) if names.clear else None
        return self._cipher.decrypt(data, **self._bound(instance, names, committed=True))

    def __set__(self, instance: Any, value: Any) -> None:
        names, state = self._attributes(type(instance)), inspect(instance)
        if state.persistent:
            self._seal(instance, names, value, self._bound(instance, names, committed=True))
            return
        if value is not None:
            self._cipher.check(value)
        instance.__dict__.setdefault(_PENDING, {})[self._name] = value

    @property
    def _cipher(self) -> Cipher:
        return self._encryption.column(self._column)

    def _attributes(self, owner: type) -> _Attributes:
        if owner not in self._known:
            self._known[owner] = self._found(inspect(owner))
        return self._known[owner]

    def _configured(self, mapper: Mapper[Any], owner: type) -> None:
        """Have SQLAlchemy keep the old values of what a value is bound to: without them it could not be bound anew."""
        for name in self._attributes(owner).bound:
            mapper.class_manager[name].impl.active_history = True

    def _found(self, mapper: Mapper[Any]) -> _Attributes:
        """Raise UsageError where the class does not map one of the columns."""
        spec = self._cipher.spec

        def attribute(column: str) -> str:
            if not column:
                return ""
            for one in mapper.column_attrs:
                if any(c.name == column for c in one.columns):
                    return one.key
            raise UsageError(
                f"{mapper.class_.__name__} maps no column {column!r}, which {spec.name} needs", hint=f"{column}: Mapped[bytes | None]"
            )

        row = tuple(map(attribute, spec.row)) or tuple(mapper.get_property_by_column(c).key for c in mapper.primary_key)
        blinds: dict[str, str] = {form: attribute(spec.column_of(form)) for form in spec.search}
        return _Attributes(attribute(spec.ciphertext), blinds, row, attribute(spec.tenant), attribute(spec.subject), self._clear)

    def _bound(self, instance: Any, names: _Attributes, *, committed: bool) -> dict[str, Any]:
        """What a value of this object is bound to: as the database has it (`committed`), or as it will be after the flush."""
        get = _before if committed else getattr
        row = tuple(get(instance, name) for name in names.row)
        bound: dict[str, Any] = {"row": row if len(row) > 1 else row[0]}
        if names.tenant:
            bound["tenant"] = get(instance, names.tenant)
        if names.subject:
            bound["subject"] = get(instance, names.subject)
            self._load(instance, bound["subject"])
        return bound

    def _load(self, instance: Any, subject: Any) -> None:
        """Have a person's key at hand, by the session of the object. Raises UsageError where that would have to be awaited."""
        if subject is None or self._encryption.knows(f"{self._cipher.spec.subject_kind}:{subject}"):
            return
        session = object_session(instance)
        if session is not None:
            try:
                _drive(session.connection(), load_subjects._steps(self._encryption, self._column, [subject], create=True))
            except (MissingGreenlet, StatementError) as error:
                if not isinstance(getattr(error, "orig", error), MissingGreenlet):
                    raise
                raise UsageError(
                    f"the key of the subject of {self._column} is not loaded, and an attribute cannot await it",
                    hint="before: await load_subjects.aio(session, encryption, column, [subject, …], create=True)",
                ) from None

    def _seal(self, instance: Any, names: _Attributes, value: Any, bound: dict[str, Any]) -> None:
        cipher = self._cipher
        setattr(instance, names.stored, cipher.encrypt(value, **bound))
        for form, name in names.blinds.items():
            setattr(instance, name, cipher.blind(value, form, tenant=bound.get("tenant")))
        if names.clear:
            setattr(instance, names.clear, value)

    def _before_insert(self, mapper: Mapper[Any], connection: Connection, instance: Any) -> None:
        waiting = instance.__dict__.get(_PENDING, {})
        if waiting.get(self._name) is None:
            waiting.pop(self._name, None)
            return
        names = self._attributes(type(instance))
        for name in names.row:
            if getattr(instance, name) is None:
                setattr(instance, name, _made(mapper, connection, instance, name, self._column))
        if names.tenant and getattr(instance, names.tenant) is None:
            setattr(instance, names.tenant, _of_context(mapper, connection, names.tenant))
        if names.subject:
            _drive(connection, load_subjects._steps(self._encryption, self._column, [getattr(instance, names.subject)], create=True))
        self._seal(instance, names, waiting.pop(self._name), self._bound(instance, names, committed=False))

    def _before_update(self, mapper: Mapper[Any], connection: Connection, instance: Any) -> None:  # noqa: ARG002
        """Bind the value anew when its row's key, tenant or subject changes."""
        names = self._attributes(type(instance))
        moved = [name for name in names.bound if inspect(instance).attrs[name].history.has_changes()]
        if moved and getattr(instance, names.stored) is not None:
            if names.subject:
                _drive(connection, load_subjects._steps(self._encryption, self._column, [getattr(instance, names.subject)], create=True))
            value = self._cipher.decrypt(getattr(instance, names.stored), **self._bound(instance, names, committed=True))
            self._seal(instance, names, value, self._bound(instance, names, committed=False))


class Searched:
    """An encrypted attribute of a class, in a query: compared by its blind index."""

    def __init__(self, attribute: Encrypted, owner: type) -> None:
        self._attribute, self._owner = attribute, owner

    def matches(self, value: Any, form: str = "", *, tenant: object = None) -> ColumnElement[bool]:
        """Rows whose value is this one, by a form of its blind index (the first by default), for a tenant where values are bound to one.

        Few bits find a few other rows too: compare the value that is read.
        """
        names, cipher = self._attribute._attributes(self._owner), self._attribute._cipher
        if value is None:
            return getattr(self._owner, names.stored).is_(None)  # type: ignore[no-any-return]
        found = cipher.lookups(value, form, tenant=tenant)
        chosen = form or cipher.spec.search[0]
        column: Any = getattr(self._owner, names.blinds[chosen])
        if cipher.spec.is_unique(chosen):
            column = func.substring(column, literal_column("1"), literal_column(str(cipher.spec.digest)))
        return column.in_(found)  # type: ignore[no-any-return]

    def __eq__(self, value: object) -> ColumnElement[bool]:  # type: ignore[override]
        return self.matches(value)

    __hash__ = None  # type: ignore[assignment]


def _before(instance: Any, name: str) -> Any:
    """The value of an attribute as the database has it."""
    history = inspect(instance).attrs[name].history
    if history.deleted and history.deleted[0] is not NO_VALUE:
        return history.deleted[0]
    return getattr(instance, name)


def _made(mapper: Mapper[Any], connection: Connection, instance: Any, name: str, where: str) -> Any:
    """A value for a part of the row's key that would otherwise be made while the row is inserted."""
    column = mapper.column_attrs[name].columns[0]
    default: Any = getattr(column, "default", None)
    if default is not None and default.is_callable:
        return default.arg(None)
    if default is not None and default.is_scalar:
        return default.arg
    identity = getattr(column, "identity", None)
    if identity is not None and identity.always:
        raise UsageError(
            f"{where} is bound to {type(instance).__name__}.{name}, which only the server may give a value (GENERATED ALWAYS)",
            hint="make it GENERATED BY DEFAULT, or bind values to another unique column: row = […] in [[encryption.column]]",
        )
    table: Any = getattr(column, "table", None)
    address = ".".join(f'"{part}"' for part in (table.schema, table.name) if part)
    found = connection.execute(
        text("SELECT nextval(pg_get_serial_sequence(:address, :column))"), {"address": address, "column": column.name}
    )
    value = found.scalar()
    if value is None:
        raise UsageError(
            f"{where} is bound to {type(instance).__name__}.{name}, which has no value before the row is there",
            hint="give it a default in Python: default=uuid4",
        )
    return value


def _of_context(mapper: Mapper[Any], connection: Connection, name: str) -> Any:
    """The tenant of the transaction, as the column's type; None where there is none."""
    found = connection.execute(text("SELECT nullif(current_setting('pgcharter.tenant', true), '')")).scalar()
    kind: Any = mapper.column_attrs[name].columns[0].type.python_type
    return None if found is None else kind(found)


def _drive(connection: Connection, steps: Iterator[Any]) -> None:
    """Run a flow's steps inside SQLAlchemy's own call, where an async driver is awaited by it."""
    sent: Any = None
    while True:
        try:
            step = steps.send(sent)  # type: ignore[attr-defined]
        except StopIteration:
            return
        assert isinstance(step, Query)  # noqa: S101  (the flows used here yield nothing else)
        result = connection.exec_driver_sql(step.sql, tuple(step.parameters))
        sent = [tuple(row) for row in result.all()] if result.returns_rows else []
