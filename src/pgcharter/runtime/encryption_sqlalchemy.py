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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.orm import Mapper, ORMExecuteState, Session, object_session
from sqlalchemy.orm.base import NO_VALUE

from pgcharter.db.flows import Query
from pgcharter.errors import UsageError
from pgcharter.runtime.encryption import Encryption
from pgcharter.runtime.encryption_cipher import Cipher
from pgcharter.runtime.encryption_search import Searched
from pgcharter.runtime.keys_subjects import load_subjects


class Waiting:
    """A clear value in the place of its ciphertext, until the flush of its object, whose key is known then.

    It goes where SQLAlchemy copies a mapped attribute to (`merge`), and no driver sends it:
    `bulk_save_objects`, which flushes nothing, fails.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "<a value that is encrypted when its object is flushed>"


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
        if not event.contains(Session, "do_orm_execute", _refuse_clear):
            event.listen(Session, "do_orm_execute", _refuse_clear)

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return Searched(self, owner)
        names = self._attributes(owner)
        data: Any = getattr(instance, names.stored)
        if isinstance(data, Waiting):
            return data.value
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
        setattr(instance, names.stored, value if value is None else Waiting(value))
        for name in names.blinds.values():
            setattr(instance, name, None)
        if names.clear:
            setattr(instance, names.clear, value)

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
            held = [(getattr(c.table, "name", ""), one.key) for one in mapper.column_attrs for c in one.columns if c.name == column]
            for key in [key for table, key in held if table == spec.id.name] + [key for _, key in held]:
                return key
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
                _drive(session.connection(), load_subjects.steps(self._encryption, self._column, [subject], create=True))
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

    def _seal_rows(self, owner: type, rows: Sequence[dict[str, Any]]) -> None:
        names, cipher = self._attributes(owner), self._cipher
        mapper: Mapper[Any] = inspect(owner)
        values = [row.pop(self._name) for row in rows]
        for row in rows:
            row.update({name: _of_python(mapper, name) for name in names.row if row.get(name) is None})
        keys = [tuple(row[name] for name in names.row) if len(names.row) > 1 else row[names.row[0]] for row in rows]
        tenants = [row.get(names.tenant) for row in rows] if names.tenant else None
        subjects = [row.get(names.subject) for row in rows] if names.subject else None
        made = {names.stored: cipher.encrypt_many(values, keys, tenants=tenants, subjects=subjects)}
        made |= {name: cipher.blind_many(values, form, tenants=tenants) for form, name in names.blinds.items()}
        made |= {names.clear: values} if names.clear else {}
        for n, row in enumerate(rows):
            row.update({name: column[n] for name, column in made.items()})

    def _before_insert(self, mapper: Mapper[Any], connection: Connection, instance: Any) -> None:
        names = self._attributes(type(instance))
        waiting: Any = getattr(instance, names.stored)
        if not isinstance(waiting, Waiting):
            return
        for name in names.row:
            if getattr(instance, name) is None:
                setattr(instance, name, _made(mapper, connection, instance, name, self._column))
        if names.tenant and getattr(instance, names.tenant) is None:
            setattr(instance, names.tenant, _of_context(mapper, connection, names.tenant))
        if names.subject:
            _drive(connection, load_subjects.steps(self._encryption, self._column, [getattr(instance, names.subject)], create=True))
        self._seal(instance, names, waiting.value, self._bound(instance, names, committed=False))

    def _before_update(self, mapper: Mapper[Any], connection: Connection, instance: Any) -> None:  # noqa: ARG002
        """Bind the value anew when its row's key, tenant or subject changes."""
        names = self._attributes(type(instance))
        moved = [name for name in names.bound if inspect(instance).attrs[name].history.has_changes()]
        stored: Any = getattr(instance, names.stored)
        if isinstance(stored, Waiting) or (moved and stored is not None):
            if names.subject:
                _drive(connection, load_subjects.steps(self._encryption, self._column, [getattr(instance, names.subject)], create=True))
            if isinstance(stored, Waiting):
                value = stored.value
            else:
                value = self._cipher.decrypt(stored, **self._bound(instance, names, committed=True))
            self._seal(instance, names, value, self._bound(instance, names, committed=False))


def sealed(owner: type, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows for `session.execute(insert(Class), rows)` or `update(Class)`: with ciphertext and blind indexes in the place of clear values.

    A row holds its key, and its tenant and subject where values are bound to them; a default of Python's is called for a key that is
    missing. Keys of persons are loaded before (`load_subjects`). Raises UsageError for a row without what its values are bound to.
    """
    made = [dict(row) for row in rows]
    for attribute in _encrypted(owner):
        attribute._seal_rows(owner, [row for row in made if attribute._name in row])
    return made


def _encrypted(owner: type) -> list[Encrypted]:
    found = {name: value for one in reversed(owner.__mro__) for name, value in vars(one).items() if isinstance(value, Encrypted)}
    return list(found.values())


def _refuse_clear(state: ORMExecuteState) -> None:
    """A bulk INSERT or UPDATE leaves out, without a word, what is no mapped attribute: a value that is to be encrypted would be lost."""
    mapper = state.bind_mapper
    if mapper is None or not (state.is_insert or state.is_update) or not state.parameters:
        return
    rows = state.parameters if isinstance(state.parameters, list | tuple) else [state.parameters]
    for attribute in _encrypted(mapper.class_):
        if any(attribute._name in row for row in rows):
            raise UsageError(
                f"a statement was given {mapper.class_.__name__}.{attribute._name} in clear, which only objects of a session encrypt",
                hint=f"rows=pgcharter.runtime.encryption_sqlalchemy.sealed({mapper.class_.__name__}, rows), or session.add_all",
            )


def _before(instance: Any, name: str) -> Any:
    """The value of an attribute as the database has it."""
    history = inspect(instance).attrs[name].history
    if history.deleted and history.deleted[0] is not NO_VALUE:
        return history.deleted[0]
    return getattr(instance, name)


def _made(mapper: Mapper[Any], connection: Connection, instance: Any, name: str, where: str) -> Any:
    """A value for a part of the row's key that would otherwise be made while the row is inserted."""
    value = _of_python(mapper, name)
    if value is not None:
        return value
    column = mapper.column_attrs[name].columns[-1]  # where tables are joined for a subclass: that of the first
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


def _of_python(mapper: Mapper[Any], name: str) -> Any:
    """What Python's default gives an attribute; None where there is none."""
    for column in mapper.column_attrs[name].columns:
        default: Any = getattr(column, "default", None)
        if default is not None and default.is_callable:
            return default.arg(None)
        if default is not None and default.is_scalar:
            return default.arg
    return None


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
