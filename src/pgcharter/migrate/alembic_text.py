"""Revisions as SQL without a database: for a dry run, and to see beforehand what takes data away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pgcharter.migrate.alembic_env import visit
from pgcharter.migrate.ledger import Direction
from pgcharter.sources.models import described

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

    from pgcharter.sources.alembic import Project

Texts = Mapping[tuple[str, Direction], tuple[tuple[str, ...], str]]
"""Statements by revision and direction, and why there may be more: a revision that asks the database cannot be told beforehand."""


def rendered(project: Project, versions: Sequence[str]) -> Texts:
    """What `alembic upgrade --sql` and `downgrade --sql` would print for each of `versions`, without what the version table needs."""
    found: dict[tuple[str, Direction], tuple[tuple[str, ...], str]] = {}

    def each(_heads: tuple[str, ...], context: MigrationContext) -> Iterable[Any]:
        for version in versions:
            module: Any = project.script.get_revision(version).module
            found[version, "up"] = _one(context, getattr(module, "upgrade", None))
            found[version, "down"] = _one(context, getattr(module, "downgrade", None))
        return ()

    why = "env.py does not work without a database"
    try:
        visit(project, "", each, as_sql=True, starting_rev=None, destination_rev="heads")
    except Exception as error:
        why = f"env.py does not work without a database ({described(error)})"
    sides: tuple[Direction, ...] = ("up", "down")
    return {(version, side): found.get((version, side), ((), why)) for version in versions for side in sides}


def _one(context: MigrationContext, function: Any) -> tuple[tuple[str, ...], str]:
    """The statements of one function, and why it could not be run to its end."""
    texts: list[str] = []
    context.impl.static_output = texts.append  # type: ignore[method-assign, assignment]
    try:
        if function is not None:
            function()
    except Exception as error:
        return tuple(map(_bare, texts)), described(error)
    return tuple(map(_bare, texts)), ""


def _bare(text: str) -> str:
    return text.strip().removesuffix(";")
