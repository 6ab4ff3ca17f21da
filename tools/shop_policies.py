"""Write the shop's migration 013 anew: what the policies of its charter want on top of 001 to 012.

    python tools/shop_policies.py

To be run when a policy makes something else than before, or the shop's charter says something else; a test of the examples says so. It
is what `pgcharter plan --plain --write policies` writes, but for what a migration that ships inside a package has to bear: a server that
has the roles already, that calls its superuser something else, and any version from 15 on.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from pgcharter import examples
from pgcharter.cli.project import open_project
from pgcharter.db import connect
from pgcharter.examples import build
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.plan.safe_ground import Safe
from pgcharter.policy import registry
from pgcharter.policy.model import Policy
from pgcharter.render import plan_forms
from pgcharter.render.plan import Story
from pgcharter.servers import binaries, lifecycle

FILE = examples.folder("shop") / "migrations" / "013_policies.sql"
DAY = datetime(2026, 11, 21, tzinfo=UTC)
"""The day that the months of the trail are reckoned from."""
HEADER = f"""\
-- Migration: Policies
-- Author: pgcharter
-- Date: {DAY:%Y-%m-%d}
-- Description: What the policies of the charter want, from [roles] to [evidence]; written by tools/shop_policies.py
"""
_ROLE = """\
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{role}') THEN
        {statement};
    END IF;
END
$$;"""
_MEMBER = """\
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 160000 THEN
        EXECUTE '{statement}{options}';
    ELSE
        {statement};
    END IF;
END
$$;"""


def written(name: str) -> str:
    """The plan of the policies as SQL, on the version that keeps the names of NOT NULL; `name` stands for the superuser's."""
    files = build.read_files(FILE.parents[1], [FILE.parent.name])
    with lifecycle.start_ephemeral(binaries.choose(18)) as server:
        with connect(server.dsn()) as conn:
            build.install(conn)
            build.build(conn, [f for f in files if not f.shown.endswith(FILE.name)])
        chosen = tuple(on_its_day(p) for p in registry.chosen(open_project(FILE.parents[1]).charter))
        planned = planning.make(Wish("", server.dsn(), style=Safe(small_rows=0, small_bytes=0), chosen=Chosen(chosen)))
        if planned.plan.questions:
            raise SystemExit("\n".join(planned.plan.questions))
        return plan_forms.body(planned.plan.steps, Story(planned.plan, "", "")).replace(server.login.user, name)


def on_its_day(policy: Policy) -> Policy:
    """The policy as if it were asked on the day of the migration."""
    return Policy(policy.name, lambda state: replace(policy.apply(replace(state, now=DAY)), now=state.now))


def shipped(sql: str, name: str) -> str:
    """The same for servers that have the roles already, of every version, whose superuser is called anything."""
    sql = re.sub(r"^CREATE ROLE (\w+)\b.*(?=;$)", lambda m: _ROLE.format(role=m[1], statement=m[0])[:-1], sql, flags=re.MULTILINE)
    sql = re.sub(
        r"^(GRANT \w+ TO \w+)( WITH .*)(?=;$)", lambda m: _MEMBER.format(statement=m[1], options=m[2])[:-1], sql, flags=re.MULTILINE
    )
    sql = sql.replace(f" FOR ROLE {name}", "").replace(f"privileges of {name} on", "privileges on")
    sql = sql.replace("BEGIN;\n--", "BEGIN;\nSET LOCAL lock_timeout = '5s';\n--")
    sql = re.sub(rf"'{name} on (\w+)'", r"current_user || ' on \1'", sql)
    sql = re.sub(rf" TO {name}(?=[ ,])", " TO CURRENT_USER", sql)
    return re.sub(rf"'\[\{{[^\n]*\"{name}\"[^\n]*\}}\]'", rf"replace(\g<0>, '{name}', current_user)", sql)


if __name__ == "__main__":
    FILE.write_text(f"{HEADER}\n{shipped(written('its_superuser'), 'its_superuser').strip()}\n", encoding="utf-8")
