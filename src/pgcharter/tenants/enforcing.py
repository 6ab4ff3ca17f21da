"""The charter's policies for one tenant alone: planned like any other change, and run at once, for nobody is at work there yet."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from pgcharter import faults
from pgcharter.db import connect
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.migrate import planning
from pgcharter.names import quote
from pgcharter.plan.model import Grade
from pgcharter.plan.safe_ground import Plain
from pgcharter.policy.tenancy_settings import OWN_TENANTS, SECTION, in_place
from pgcharter.tenants.table import APPLICATION

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.migrate.planning import Wish
    from pgcharter.migrate.policies import Chosen
    from pgcharter.names import ObjectId
    from pgcharter.plan.model import Plan, Step
    from pgcharter.policy.model import Policy
    from pgcharter.policy.tenancy_settings import TenancySection
    from pgcharter.sources import Progress


def enforce(wish: Wish, section: TenancySection, place: str, progress: Progress | None = None, *, used: bool = False) -> tuple[str, ...]:
    """Plan what policies want of a tenant's place and do it; return the statements.

    `wish` names the database. Schemas of other tenants are left out of the plan. What is cut off is planned again from what is there.
    A place that is `used` gets the safe forms, anything else the plainest. Raises RefusedError while only a person can answer something,
    or something is left to do that is not about the tenant, or rows of a tenant at work would have to be rewritten; PgcharterError when
    the server refuses a statement.
    """
    plan = planned(wish, section, place, progress, used=used)
    with connect(wish.actual, application_name=APPLICATION, client_encoding="UTF8") as conn:
        conn.execute("SET statement_timeout = 0; SET lock_timeout = '10s'; SET check_function_bodies = off")
        for block in plan.blocks():
            _run(conn, block)
            faults.point("tenant policies")
    return tuple(step.sql for step in plan.steps)


def _run(conn: Connection, block: Sequence[Step]) -> None:
    """The steps of one transaction, or one that must have none."""
    statements = [step.sql for step in block if step.sql]
    try:
        with conn.transaction() if block[0].block else nullcontext():
            for sql in statements:
                conn.execute(sql.encode())
    except psycopg.Error as error:
        said = error.diag.message_primary or "the connection was lost"
        raise PgcharterError(f"policies could not be applied: {said}", hint="say the same again when that is mended") from None


def planned(wish: Wish, section: TenancySection, place: str, progress: Progress | None = None, *, used: bool = False) -> Plan:
    """What `enforce` would do. Raises RefusedError as it does."""
    schemas = section.placement == "schemas"
    others = places(wish.actual, section) - {place}
    chosen = wish.chosen if schemas or wish.chosen is None else replace(wish.chosen, policies=_of_database(wish.chosen))
    style = wish.style if used else Plain()
    asked = replace(wish, wanted="", code="", style=style, prove=False, checked=False, left_out=others, chosen=chosen)
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
    heavy = [step.title for step in plan.steps if step.backfill or step.gate or step.grade is not Grade.LOSSLESS] if used else []
    if heavy:
        raise RefusedError(
            f"{place} is in use, and its policies need what a migration must do: {', '.join(heavy[:3])}",
            hint="write it as a migration of the tenants: pgcharter plan --on DSN shows the statements",
        )
    return plan


def _of_database(chosen: Chosen) -> tuple[Policy, ...]:
    """The policies of a tenant's database: all but tenancy, for the table of tenants is in the charter's."""
    return tuple(p for p in chosen.policies if p.name != SECTION.name)


def places(dsn: str, section: TenancySection) -> frozenset[str]:
    """Schemas of tenants, or called like them; none where tenants are not in schemas."""
    if section.placement != "schemas":
        return frozenset()
    with connect(dsn, application_name=APPLICATION) as conn:
        names = [name for (name,) in conn.execute("SELECT nspname::text FROM pg_catalog.pg_namespace").fetchall()]
    return frozenset(name for name in names if in_place(section, name))


def _about(at: ObjectId, place: str) -> bool:
    """Whether a step is about a tenant's schema or role, or our own schema, where the record of policies and histories are."""
    if at.kind == "membership":
        return quote(place) in (at.name.partition(" in ")[0], at.name.rpartition(" in ")[2])
    return (at.schema or at.name) in (place, OWN_TENANTS.schema)
