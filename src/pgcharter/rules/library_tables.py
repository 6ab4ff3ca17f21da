"""Tables that a framework or migration tool makes for itself: their owners cannot change them, so nothing is said about their shape."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from pgcharter.catalog.model import Catalog
from pgcharter.findings import Gap
from pgcharter.names import ObjectId
from pgcharter.rules.bodies import Same

_UNMISTAKABLE = frozenset(
    """
    pgcharter_components pgcharter_migrations pgcharter_migration_units
    schema_migrations ar_internal_metadata active_storage_blobs active_storage_attachments active_storage_variant_records
    action_text_rich_texts django_migrations django_content_type django_session django_admin_log auth_permission auth_group
    auth_group_permissions auth_user_groups auth_user_user_permissions flyway_schema_history databasechangelog databasechangeloglock
    alembic_version _prisma_migrations knex_migrations knex_migrations_lock typeorm_metadata goose_db_version gorp_migrations
    __efmigrationshistory mikro_orm_migrations sequelizemeta __drizzle_migrations doctrine_migration_versions phinxlog
    spring_session spring_session_attributes batch_job_instance batch_job_execution batch_job_execution_params batch_job_execution_context
    batch_step_execution batch_step_execution_context qrtz_job_details qrtz_triggers qrtz_simple_triggers qrtz_cron_triggers
    qrtz_simprop_triggers qrtz_blob_triggers qrtz_calendars qrtz_paused_trigger_grps qrtz_fired_triggers qrtz_scheduler_state qrtz_locks
    oban_jobs oban_peers solid_queue_jobs solid_queue_ready_executions solid_queue_claimed_executions solid_cache_entries
    password_reset_tokens personal_access_tokens job_batches failed_jobs cache_locks telescope_entries
    """.split()  # noqa: SIM905
)
_SCHEMAS = frozenset(
    {"pgcharter", "partman", "pgboss", "graphile_worker", "hdb_catalog", "drizzle", "supabase_migrations", "_timescaledb_internal"}
)
"""Schemas that nobody but a library keeps its tables in."""
_BY_COLUMNS: dict[str, frozenset[str]] = {
    "migrations": frozenset({"migration", "batch"}),
    "sessions": frozenset({"payload", "last_activity", "user_agent"}),
    "cache": frozenset({"key", "value", "expiration"}),
    "jobs": frozenset({"queue", "payload", "reserved_at", "available_at"}),
    "auth_user": frozenset({"password", "last_login", "is_superuser", "date_joined"}),
}
"""Tables with everyday names, known by columns that nobody else calls so."""
_NEVER = frozenset({"\0"})
_TOLD_ALL_THE_SAME = ("SEC", "SRC", "SRV", "IDX04", "CON01")
"""What its owner can mend without changing the library's design: rights, invalid indexes, constraints never validated."""


_SHOWN = 4


def is_named(target: ObjectId) -> bool:
    """Whether `target` is, or is part of, a table whose name alone tells that it belongs to a library."""
    return target.name.lower() in _UNMISTAKABLE or target.schema in _SCHEMAS


def is_told(code: str) -> bool:
    """Whether a rule speaks of library tables too."""
    return code.startswith(_TOLD_ALL_THE_SAME)


def owners(catalog: Catalog | None) -> Collection[ObjectId]:
    """The tables of libraries in a catalog, and their indexes, which have addresses of their own."""
    return _owners(Same(catalog)) if catalog is not None else frozenset()


def gaps(catalog: Catalog | None) -> tuple[Gap, ...]:
    """What is not said about the tables of libraries, told once."""
    names = sorted(i.sql() for i in owners(catalog) if i.kind == "table")
    if not names:
        return ()
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    why = "libraries make them, so nothing is said about their shape; rights and validity are judged"
    return (Gap(f"tables {', '.join(names[:_SHOWN])}{more}" if len(names) > 1 else f"table {names[0]}", why),)


@lru_cache(maxsize=4)
def _owners(catalog: Same) -> frozenset[ObjectId]:
    tables = [t for t in catalog.it.tables if is_named(t.id) or _BY_COLUMNS.get(t.name.lower(), _NEVER) <= t.column.keys()]
    return frozenset({t.id for t in tables} | {i.id for t in tables for i in t.indexes})
