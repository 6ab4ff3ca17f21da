"""`[plan]` of the charter: what the database shall be, and what only a person can know about the way there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pgcharter.charter import Charter, Section
from pgcharter.errors import CharterError
from pgcharter.names import ObjectId, address

if TYPE_CHECKING:
    from pgcharter.plan.renames import Intent
    from pgcharter.plan.safe_ground import Safe


@dataclass(frozen=True)
class PlanSection:
    """`[plan]`: how `pgcharter plan` gets from what is to what shall be."""

    wanted: str = ""
    """Target that describes what the database shall be: a file or folder of SQL, module:metadata, a snapshot; from the charter's folder."""
    code: str = ""
    """Files of stored code (routines, views, triggers, rules) on top of what is wanted, or else of what is there; from its folder."""
    renames: Mapping[str, str] = field(default_factory=dict)
    """Old address → new name: "column app.users.mail" = "email". What is not declared here is never taken for a rename."""
    dropped: tuple[str, ...] = ()
    """Addresses that go for good, although something just like them comes: "column app.users.mail"."""
    zone: str = ""
    """Time zone that values of timestamp without time zone are meant in, for changes to timestamptz."""
    small_rows: int | None = None
    """Tables with fewer rows, by the server's statistics, may be locked while they are read or rewritten; without it 10,000."""
    small_bytes: int | None = None
    """Tables with fewer bytes may be locked while they are read or rewritten; both limits must hold; without it 10 MB."""


PLAN = Section("plan", PlanSection)


@dataclass(frozen=True)
class ReleasesSection:
    """`[releases]`: the schemas of views through which releases see the tables."""

    schema: str = "public"
    """Schema that holds the tables."""
    prefix: str = ""
    """What a release's name gets before it to name its schema of views; without it the schema's name and an underscore: "public_"."""


RELEASES = Section("releases", ReleasesSection)


def intents(charter: Charter) -> tuple[Intent, ...]:
    """The renames that the charter declares. Raises CharterError for an address that is none."""
    from pgcharter.plan.renames import Intent

    section = charter.section(PLAN)
    return tuple(Intent(_address(charter, text, "renames"), name, lasting=True) for text, name in section.renames.items())


def apart(charter: Charter) -> frozenset[ObjectId]:
    """What the charter says is no rename. Raises CharterError for an address that is none."""
    return frozenset(_address(charter, text, "dropped") for text in charter.section(PLAN).dropped)


def style(charter: Charter) -> Safe:
    """How much care the charter asks for."""
    from pgcharter.plan.safe_ground import Safe

    section, usual = charter.section(PLAN), Safe()
    return replace(
        usual,
        zone=section.zone,
        small_rows=usual.small_rows if section.small_rows is None else section.small_rows,
        small_bytes=usual.small_bytes if section.small_bytes is None else section.small_bytes,
    )


def _address(charter: Charter, text: str, key: str) -> ObjectId:
    try:
        return address(text)
    except ValueError as error:
        place = charter.file.place(*charter.root, PLAN.name, key) if charter.file else ""
        raise CharterError(str(error), place=place) from None
