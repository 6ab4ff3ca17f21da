"""The charter's policies for one tenant alone: planned like any other change, and run at once, for nobody is at work there yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from pgcharter.db import connect
from pgcharter.errors import PgcharterError, RefusedError
from pgcharter.migrate import faults, planning
from pgcharter.plan.safe_ground import Plain
from pgcharter.tenants.table import APPLICATION

if TYPE_CHECKING:
    from pgcharter.migrate.planning import Wish
    from pgcharter.sources import Progress


def enforce(wish: Wish, progress: Progress | None = None) -> int:
    """Plan what policies want of the database that `wish` names, in the plainest form, and do it; return how many statements that took.

    What is cut off is planned again from what is there. Raises RefusedError while only a person can answer something, PgcharterError when
    the server refuses a statement.
    """
    planned = planning.make(replace(wish, wanted="", code="", style=Plain(), prove=False, checked=False), progress)
    plan = planned.plan
    if plan.questions:
        raise RefusedError(f"the charter's policies cannot be applied: {plan.questions[0]}", hint="pgcharter policy verify shows all of it")
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
