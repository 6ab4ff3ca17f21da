"""`backup check` with pgBackRest: the same questions, and whether this program, its configuration and its reports are right."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pgcharter.errors import PgcharterError
from pgcharter.findings import Evidence
from pgcharter.names import literal
from pgcharter.operate import backup_check, backup_server
from pgcharter.operate import backup_pgbackrest_config as config
from pgcharter.operate.backup_check import Said
from pgcharter.operate.backup_pgbackrest_config import Home

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.operate.backup_pgbackrest import PgBackRest
    from pgcharter.operate.backup_pgbackrest_stanza import Stanza


def check(engine: PgBackRest) -> tuple[Evidence, ...]:
    """All of it; configuration and stanza are made where they are not there. Raises ConnectError when the server cannot be asked."""
    with backup_server.opened(engine.dsn) as conn:
        facts = backup_server.facts(conn, engine.dsn)
        now = datetime.now(UTC)
        plain = replace(engine, section=replace(engine.section, incremental="never"))  # summarize_wal is not needed here
        found = [backup_check._evidence(*said, at=now) for said in backup_check._before(plain, conn, facts)]
        try:
            found.append(_said(_program(engine), now))
            found.append(_said(_configured(engine, conn), now))
            repository = engine.ready(facts)
        except PgcharterError as error:
            told: dict[str, Any] = {"hint": error.hint}
            return (*found, _said(("repository", False, error.message, told), now))
        found.append(_said(("repository", True, f"{repository.root} holds stanza {repository.program.stanza}", {}), now))
        found += [_said(s, now) for s in _reported(engine, conn, repository)]
        found += [_said(s, now) for s in backup_check._after(plain, conn, facts, repository)]
    return tuple(found)


def _said(said: Said, now: datetime) -> Evidence:
    return backup_check._evidence(*said, at=now)


def _program(engine: PgBackRest) -> Said:
    program = engine.program()
    return "program", True, f"pgBackRest {program.release()} as {program.who.name}", {"path": program.path}


def _configured(engine: PgBackRest, conn: Connection) -> Said:
    """What stands there beside what charter and server say; it is then brought up to date."""
    at, home = config.place(conn), Home(engine.root)
    if not home.config.exists():
        return "configuration", True, f"{home.config} was made", {}
    key = engine.repository().key
    wanted, there = engine.configuration(at, key, engine.root).splitlines(), home.config.read_text(encoding="utf-8").splitlines()
    names = sorted({line.partition("=")[0] for line in set(wanted) ^ set(there)})
    if names:
        return "configuration", False, f"{home.config} was out of date and was made anew: {', '.join(names)}", {"names": names}
    return "configuration", True, f"{home.config} is what charter and server say", {}


def _reported(engine: PgBackRest, conn: Connection, repository: Stanza) -> Iterator[Said]:
    yield _command(engine, config.place(conn).archive_command)
    problems = [*repository.info.problems]
    wrong = [b.id for b in repository.info.backups if b.facts["error"]]
    if wrong:
        problems.append(f"pages were damaged when {', '.join(wrong)} was taken")
    said = "; ".join(problems) or f"info lists {len(repository.info.backups)} backups and nothing that is wrong"
    yield "report", not problems, said, {"problems": problems}


def _command(engine: PgBackRest, there: str) -> Said:
    """Whether the server's archive_command is archive-push with our configuration; that it works, the archive check asks."""
    wanted = engine.archive_command()
    try:
        words = set(shlex.split(there.replace("%%", "%")))
    except ValueError:
        words = set()
    home = Home(engine.first).config
    if {"archive-push", f"--config={home}", f"--stanza={engine.section.pgbackrest.stanza}", "%p"} <= words:
        alone = engine.section.key_env and not engine.section.key_file
        key = f"; the key must be in the server's environment, as {config.PASS.format(1)}" if alone else ""
        return "command", True, f"archive_command is archive-push with this configuration{key}", {}
    return "command", False, f"archive_command is not archive-push with {home}: ALTER SYSTEM SET archive_command = {literal(wanted)}", {}
