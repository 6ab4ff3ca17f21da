"""Which statement made which object: an event trigger on the scratch database, and the places that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from pgcharter.names import ObjectId

if TYPE_CHECKING:
    from pgcharter.db import Connection


@dataclass(frozen=True, slots=True)
class Made:
    """An object that still stands at the end, and the number of the statement that made it."""

    id: ObjectId
    statement: int
    position: int = 0
    """`attnum` of a column."""

    @property
    def dropped(self) -> bool:
        """A column that was dropped later; its name is gone."""
        return self.id.part.startswith("........pg.dropped.")


@cache
def _queries() -> dict[str, str]:
    text = (files("pgcharter.sources") / "recorder.sql").read_text("utf-8")
    parts = text.split("-- name: ")[1:]
    return {name.strip(): body for name, _, body in (p.partition("\n") for p in parts)}


INVENTED = -1
"""Number of statements that make stand-ins: nobody wrote them."""


def install(admin: Connection) -> bool:
    """Begin to record, in the database `admin` is connected to. False where it is no superuser, which event triggers need."""
    from psycopg.errors import InsufficientPrivilege

    try:
        with admin.transaction():
            admin.execute(_queries()["install"])
    except InsufficientPrivilege:
        return False
    return True


def mark(number: int) -> str:
    """The comment that must stand before statement `number` as it is sent."""
    return f"/*pgcharter:{number}*/"


def _installed(admin: Connection) -> bool:
    row = admin.execute("select pg_catalog.to_regclass('pgcharter_recorder.made') is not null").fetchone()
    return bool(row and row[0])


def read(admin: Connection) -> tuple[Made, ...]:
    """What was made and still stands, dropped columns too (they keep the others in order); nothing where `install` could not record."""
    if not _installed(admin):
        return ()
    with admin.transaction():
        admin.execute("set local search_path = ''")
        rows: Sequence[tuple[str, str, str, str, int, int]] = admin.execute(_queries()["places"]).fetchall()
    return tuple(Made(ObjectId(kind, schema, name, part), statement, position) for kind, schema, name, part, statement, position in rows)


def remove(admin: Connection) -> None:
    """Stop recording and leave nothing behind."""
    if _installed(admin):
        admin.execute(_queries()["remove"])
