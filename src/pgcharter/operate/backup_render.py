"""What a server must be set to so that backups work, as SQL for its operator."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from pgcharter.measures import seconds
from pgcharter.names import literal

if TYPE_CHECKING:
    from pathlib import Path

    from pgcharter.operate.backup_native import Native


_BY_HAND = ("GRANT EXECUTE ON FUNCTION pg_catalog.pg_backup_start(text, boolean), pg_catalog.pg_backup_stop(boolean) TO pgcharter_backup;",)


def archive_command(program: str, root: Path) -> str:
    """The server's archive_command; % is doubled, for PostgreSQL replaces what stands behind one."""
    return f"{program} backup archive --to {shlex.quote(str(root)).replace('%', '%%')} %p"


def _command(engine: Native, program: str) -> str:
    from pgcharter.operate.backup_pgbackrest import PgBackRest

    return engine.archive_command() if isinstance(engine, PgBackRest) else archive_command(program, engine.root)


def sql(engine: Native, program: str) -> str:
    """Statements that set the server up, with the least rights that taking backups needs."""
    lines = ["ALTER SYSTEM SET wal_level = 'replica';"]
    if engine.section.log == "archive":
        lines += [
            "ALTER SYSTEM SET archive_mode = 'on';",
            f"ALTER SYSTEM SET archive_command = {literal(_command(engine, program))};",
            f"ALTER SYSTEM SET archive_timeout = '{max(1, int(seconds(engine.section.rpo) / 2))}s';",
        ]
    if engine.section.incremental != "never" and engine.name == "native":
        lines.append("ALTER SYSTEM SET summarize_wal = 'on';  -- PostgreSQL 17 and newer")
    lines += [
        "-- restart the server when wal_level or archive_mode has changed, then: SELECT pg_reload_conf();",
        "CREATE ROLE pgcharter_backup LOGIN REPLICATION;",
        "GRANT pg_monitor, pg_read_all_data TO pgcharter_backup;",
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_switch_wal(), pg_catalog.pg_create_restore_point(text) TO pgcharter_backup;",
        *(_BY_HAND if engine.name == "pgbackrest" else ()),
        "-- pg_hba.conf: hostssl replication pgcharter_backup <address> scram-sha-256",
    ]
    return "\n".join(lines) + "\n"
