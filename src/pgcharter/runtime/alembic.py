"""Alembic's `revision --autogenerate` in a database with policies: what they made is no business of the models.

In `env.py`:

    context.configure(connection=connection, target_metadata=metadata, include_schemas=True, include_object=but_for_policies(connection))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SCHEMA = "pgcharter"
_THERE = "SELECT pg_catalog.has_table_privilege(pg_catalog.to_regclass('pgcharter.managed_objects'), 'SELECT')"
_MADE = "SELECT schema_name, object_name, part_name FROM pgcharter.managed_objects WHERE field_name = ''"


def but_for_policies(connection: Connection) -> Callable[[Any, str | None, str, bool, Any], bool]:
    """An `include_object` that leaves out what is in the database, not in the models, and made by policies: else autogenerate drops it.

    What the models declare too is compared as ever. Reads the record of policies once; where there is none, nothing is left out.
    """
    there = connection.exec_driver_sql(_THERE).scalar()
    made = {tuple(row) for row in connection.exec_driver_sql(_MADE)} if there else set()

    def included(item: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
        if not reflected or compare_to is not None:
            return True
        table = item if kind == "table" else item.table
        schema = table.schema or connection.dialect.default_schema_name
        at = (schema, name, "") if kind in ("table", "index") else (schema, table.name, name)
        return schema != _SCHEMA and at not in made

    return included
