"""Our own tables in a fresh database, as policies plan them; the plan is made once for each major."""

from __future__ import annotations

from typing import Any

import psycopg

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import idempotency, messaging, two_phase
from pgcharter.policy.idempotency_settings import IdempotencySection
from pgcharter.policy.messaging_settings import MessagingSection
from pgcharter.policy.two_phase_settings import TwoPhaseSection

_POLICIES: dict[str, Any] = {
    "idempotency": lambda users: idempotency.policy(IdempotencySection(answer_bytes=1000, users=users)),
    "messaging": lambda users: messaging.policy(MessagingSection(writers=users, workers=users)),
    "two_phase": lambda users: two_phase.policy(TwoPhaseSection(users=users)),
}
_statements: dict[Any, tuple[str, ...]] = {}


def install(dsn: str, name: str, *users: str) -> None:
    """Make the tables of a policy in a database that has none of ours."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        at = (conn.info.server_version, name, users)
        if at not in _statements:
            planned = planning.make(Wish("", dsn, chosen=Chosen((_POLICIES[name](users),)), prove=False))
            assert planned.plan.questions == ()
            _statements[at] = tuple(s.sql for s in planned.plan.steps)
        for sql in _statements[at]:
            conn.execute(sql.encode())
