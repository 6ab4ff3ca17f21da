"""The context of a transaction: for which tenant it works, who acts, why, and what it belongs to.

    with context(tenant=tenant_id, actor="ada"):
        with engine.begin() as conn:      # an engine that `bind` was called with, or a ContextConnection of psycopg
            …

The context is sent together with BEGIN, in one round trip, and is local to the transaction: nothing of it is left for the next user of a
pooled connection, and a pooler in transaction mode may hand every transaction to another session. A thread begins without any context; a
task of asyncio begins with that of the task that made it.

A generator that yields inside `with context(…)` leaves it in force for whoever iterates: pass the context itself there, as `Context(…)`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.names import literal, quote

if TYPE_CHECKING:
    from pgcharter.runtime.placement import Schemas

LONGEST = 1000
"""Most bytes that one value may have, in UTF-8."""
Value = str | int | uuid.UUID


class NoTenantError(RefusedError):
    """A transaction was to begin, and nobody has said for which tenant."""

    def __init__(self) -> None:
        super().__init__(
            "a transaction is to begin and no tenant is named, so row security would show it no row",
            hint='with context(tenant=…): … around it; for work on all tenants with no_tenant("why"): …',
        )


class OtherContextError(PgcharterError):
    """A statement runs in another context than its transaction was begun in."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a transaction is told. Empty text: nothing is said."""

    tenant: str = ""
    actor: str = ""
    """User of the application."""
    reason: str = ""
    """Why it is done, for the audit trail."""
    correlation: str = ""
    """What it belongs to: a request, a job, a trace."""
    everybody: bool = False
    """Made by `no_tenant`: that there is no tenant is meant."""
    role: str = ""
    """Role that the transaction takes on (SET LOCAL ROLE), such as the maintenance role of `[tenancy]`."""

    def statements(self, placement: Schemas | None = None) -> tuple[str, ...]:
        """Statements that make it hold for the open transaction. Values are literals, whatever is in them.

        `placement` says where tenants' data is, when it is not in rows. Raises NoTenantError when it names no tenant and that is not
        meant, UsageError for what is no name of a tenant.
        """
        if not self.tenant and not self.everybody:
            raise NoTenantError
        said = [f"SET LOCAL pgcharter.{name} = {literal(value)}" for name in _NAMES if (value := getattr(self, name))]
        if placement and self.tenant:
            return (*said, *placement.statements(self.tenant, self.role))
        return (*said, f"SET LOCAL ROLE {quote(self.role)}") if self.role else tuple(said)


_NAMES = tuple(f.name for f in fields(Context))[:4]
NOTHING = Context()
_current: ContextVar[Context] = ContextVar("pgcharter_context", default=NOTHING)


def current() -> Context:
    """The context that a transaction would begin with here and now."""
    return _current.get()


def made(
    *, tenant: Value | None = None, actor: Value | None = None, reason: str | None = None, correlation: Value | None = None
) -> Context:
    """The current context with some values changed; None leaves one as it is.

    Raises UsageError for a value that is empty, has a NUL byte, is longer than `LONGEST`, or is no text, whole number or UUID.
    """
    given = {"tenant": tenant, "actor": actor, "reason": reason, "correlation": correlation}
    said: dict[str, Any] = {name: _text(name, value) for name, value in given.items() if value is not None}
    changed = replace(current(), **said)
    return replace(changed, everybody=False, role="") if "tenant" in said else changed


@contextmanager
def context(
    *, tenant: Value | None = None, actor: Value | None = None, reason: str | None = None, correlation: Value | None = None
) -> Iterator[Context]:
    """Inside, transactions of bound connections begin with these values; those not given are as outside.

    Raises UsageError as `made` does, and OtherContextError when it ends where another context is in force.
    """
    with using(made(tenant=tenant, actor=actor, reason=reason, correlation=correlation)) as chosen:
        yield chosen


@contextmanager
def for_everybody(reason: str) -> Iterator[None]:
    """Inside, transactions are for no tenant, and that is meant; a context that is in force stays. For workers, who see all of them."""
    if current() != NOTHING:
        yield
        return
    with no_tenant(reason):
        yield


@contextmanager
def no_tenant(reason: str, *, role: str = "") -> Iterator[Context]:
    """Inside, transactions are for no tenant, and that is meant: work on all of them, or on shared tables.

    Row security shows no row of any tenant, unless `role`, which the transaction takes on, is exempt from it.
    """
    with using(
        replace(current(), tenant="", reason=_text("reason", reason), everybody=True, role=_text("role", role) if role else "")
    ) as c:
        yield c


@contextmanager
def using(chosen: Context) -> Iterator[Context]:
    """Inside, `chosen` is the context, whole. Where it ends in another one's place, none is in force any more: no more is done."""
    token = _current.set(chosen)
    try:
        yield chosen
    finally:
        found = _current.get()
        try:
            _current.reset(token)
        except ValueError:
            found = _current.get()
            crossed = True
        else:
            crossed = found is not chosen
        if crossed:
            _current.set(NOTHING)
            raise _crossed(chosen, found)


def _crossed(chosen: Context, found: Context) -> OtherContextError:
    return OtherContextError(
        f"the context of {_who(chosen)} ends where that of {_who(found)} is in force: a generator has yielded inside it, and "
        "statements may have run for the wrong one",
        hint="in a generator pass the context itself: transaction(conn, Context(tenant=…))",
    )


def _who(context: Context) -> str:
    return f"tenant {context.tenant}" if context.tenant else "all tenants" if context.everybody else "no tenant"


def unlike(begun: Context, now: Context) -> OtherContextError:
    """The error of a statement for one tenant in a transaction of another."""
    return OtherContextError(
        f"the transaction was begun for {_who(begun)}, and this statement is for {_who(now)}: it would see the other's rows",
        hint="commit before the context changes, or begin the transaction inside it",
    )


def _text(name: str, value: Value) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | uuid.UUID):
        raise UsageError(f"{name} is a {type(value).__name__}, and must be a text, a whole number or a UUID")
    text = str(value)
    if not text:
        raise UsageError(f"{name} is empty, which would be no {name} at all", hint="leave it out, or name one")
    if "\0" in text:
        raise UsageError(f"{name} has a NUL byte in it, which no text of PostgreSQL can have")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise UsageError(f"{name} has half a surrogate pair in it, which no text of PostgreSQL can have") from None
    if size > LONGEST:
        raise UsageError(f"{name} has {size} bytes, and {LONGEST} is the most")
    return text
