"""The charter's policies for one tenant alone: planned like any other change, and run at once, for nobody is at work there yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from pgcharter.db import connect
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.migrate import faults, planning
from pgcharter.names import quote
from pgcharter.plan.safe_ground import Plain
from pgcharter.policy.tenancy_settings import OWN_TENANTS, in_place
from pgcharter.tenants.table import APPLICATION

if TYPE_CHECKING:
    from pgcharter.migrate.planning import Wish
    from pgcharter.names import ObjectId
    from pgcharter.policy.tenancy_settings import TenancySection
    from pgcharter.sources import Progress


def enforce(wish: Wish, section: TenancySection, place: str, progress: Progress | None = None) -> int:
    """Plan what policies want of a tenant's place, in the plainest form, and do it; return how many statements that took.

    `wish` names the database. Schemas of other tenants are left out of the plan. What is cut off is planned again from what is there.
    Raises RefusedError while only a person can answer something, or something is left to do that is not about the tenant; PgcharterError
    when the server refuses a statement.
    """
    schemas = section.placement == "schemas"
    others = _others(wish.actual, section, place) if schemas else frozenset()
    asked = replace(wish, wanted="", code="", style=Plain(), prove=False, checked=False, left_out=others)
    plan = planning.make(asked, progress).plan
    if plan.questions:
        raise RefusedError(f"the charter's policies cannot be applied: {plan.questions[0]}", hint="pgcharter policy verify shows all of it")
    beside = [step.title for step in plan.steps if schemas and not _about(step.object, place)]
    if beside:
        raise RefusedError(
            f"the charter's policies are not in force yet in what all tenants share ({', '.join(dict.fromkeys(beside[:3]))}), so nobody was"
            f" let into {place}",
            hint="pgcharter policy apply, then say the same again",
        )
    with connect(wish.actual, application_name=APPLICATION, client_encoding="UTF8") as conn:
        conn.execute("SET statement_timeout = 0; SET lock_timeout = '10s'; SET check_function_bodies = off")
        for block in plan.blocks():
            statements = [step.sql for step in block if step.sql]
            try:
                if block[0].block:
                    with conn.transaction():
                        for sql in statements:
                            conn.execute(sql.encode())
                else:
                    for sql in statements:
                        conn.execute(sql.encode())
            except psycopg.Error as error:
                said = error.diag.message_primary or "the connection was lost"
                raise PgcharterError(f"policies could not be applied: {said}", hint="say the same again when that is mended") from None
            faults.point("tenant policies")
    return len(plan.steps)


def _others(dsn: str, section: TenancySection, place: str) -> frozenset[str]:
    """Schemas of other tenants, or called like them."""
    with connect(dsn, application_name=APPLICATION) as conn:
        names = [name for (name,) in conn.execute("SELECT nspname::text FROM pg_catalog.pg_namespace").fetchall()]
    return frozenset(name for name in names if name != place and in_place(section, name))


def _about(at: ObjectId, place: str) -> bool:
    """Whether a step is about a tenant's schema or role, or our own schema, where the record of policies and histories are."""
    if at.kind == "membership":
        return quote(place) in (at.name.partition(" in ")[0], at.name.rpartition(" in ")[2])
    return (at.schema or at.name) in (place, OWN_TENANTS.schema)
