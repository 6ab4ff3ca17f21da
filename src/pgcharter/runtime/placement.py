"""Where a tenant's data is, for the context of a transaction: nothing to say in rows, a schema and its role where tenants have schemas.

    engine = bind(create_engine("postgresql+psycopg://…"), Schemas())  # as [tenancy] place says: Schemas("tenant_{name}")

    class TenantConnection(ContextConnection[TupleRow]):  # of psycopg alone: ConnectionPool(dsn, connection_class=TenantConnection)
        placement = Schemas()

    with context(tenant="acme"), engine.begin() as conn:                    # BEGIN; SET LOCAL ROLE tenant_acme; SET LOCAL search_path …
        …

All of it goes with BEGIN in one round trip and ends with the transaction, so a pooler in transaction mode may be between. The role is what
keeps tenants apart; the path only saves writing the schema.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import errors

from pgcharter.errors import RefusedError, UsageError
from pgcharter.names import form_of_places, placed, quote


class ClosedTenantError(RefusedError):
    """A transaction was to begin for a tenant that there is not, or that nobody is let in to."""


@dataclass(frozen=True, slots=True)
class Schemas:
    """Tenants in schemas. The tenant of the context is its name. Raises UsageError for a form that makes no names."""

    place: str = "tenant_{name}"
    """Name of a tenant's schema and role, as in [tenancy] place."""
    behind: tuple[str, ...] = ("public",)
    """Schemas that all tenants share, searched after the tenant's own."""

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be so."""
        try:
            form_of_places(self.place)
        except ValueError as error:
            raise UsageError(str(error), hint='Schemas("tenant_{name}"), as [tenancy] place says') from None
        if hasattr(self.behind, "encode") or not all(self.behind) or "\0" in "".join(self.behind):
            raise UsageError(f"behind is {self.behind!r}, and must be names of schemas", hint='Schemas(behind=("public",))')

    def of(self, tenant: str) -> str:
        """Schema and role of a tenant. Raises UsageError for what is no tenant's name."""
        try:
            return placed(self.place, tenant)
        except ValueError as error:
            raise UsageError(str(error), hint="context(tenant=…) names a tenant as pgcharter.tenants does") from None

    def statements(self, tenant: str, role: str = "") -> tuple[str, ...]:
        """Statements that bring the open transaction there; `role` in the place of the tenant's own.

        Temporary tables come last in the path: on a pooled session another tenant may have left one behind, under the name of a table.
        """
        place = self.of(tenant)
        path = ", ".join(quote(name) for name in (place, *self.behind, "pg_temp"))
        return f"SET LOCAL ROLE {quote(role or place)}", f"SET LOCAL search_path = {path}"

    def refusal(self, tenant: str, error: psycopg.Error) -> ClosedTenantError | None:
        """What it means that a transaction could not begin there; None when it means nothing of the tenant."""
        said = error.diag.message_primary or ""
        if f'"{self.of(tenant)}"' not in said:
            return None
        if isinstance(error, errors.InvalidParameterValue | errors.UndefinedObject):
            return ClosedTenantError(f"there is no tenant {tenant}, so no transaction can begin for it", hint="pgcharter tenant list")
        if isinstance(error, errors.InsufficientPrivilege):
            return ClosedTenantError(
                f"tenant {tenant} is not open: it is suspended or not ready yet, or this connection is of no application",
                hint="pgcharter tenant list says which",
            )
        return None
