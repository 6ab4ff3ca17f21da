"""What a source hands over: a Catalog and everything that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgcharter.catalog.effect import Effect
from pgcharter.catalog.model import Catalog, Cluster, Stats
from pgcharter.findings import Finding, Gap, Place
from pgcharter.names import ObjectId
from pgcharter.sqltext import Statement


@dataclass(frozen=True, slots=True)
class TextBlock:
    """A fenced block of a document that is not SQL: a configuration file, a program, a command line."""

    language: str
    """The first word after the fence, in lower case: ini, yaml, bash, ...; empty when there is none."""
    text: str
    place: Place
    """Where its first line stands."""


@dataclass(frozen=True)
class Destination:
    """The database for which migrations are judged: what it holds now, how large that is, and which files it has behind it."""

    name: str
    """As the charter calls the environment."""
    catalog: Catalog
    stats: Stats
    applied: frozenset[str] | None = None
    """Files that have been run there, as statements name them; None when no ledger of it tells."""


@dataclass(frozen=True)
class Reading:
    """The result of reading one target."""

    target: str
    """As the user named it, without secrets."""
    source: str
    """live, sql, markdown, models, alembic or snapshot."""
    catalog: Catalog | None = None
    """None when only text was read."""
    cluster: Cluster | None = None
    """Only for a live server: a scratch server's roles and settings say nothing about the user's."""
    stats: Stats | None = None
    statements: tuple[Statement, ...] = ()
    """Statements of file-based sources in order."""
    back: tuple[Statement, ...] = ()
    """Statements of the migrations' way back, in order, once they have been parted from the others."""
    unbuilt: tuple[Statement, ...] = ()
    """Those of them that never reached the catalog although one was built: refused, or of a kind that leaves no object."""
    places: Mapping[ObjectId, Place] = field(default_factory=dict)
    """Where each object of the catalog was made; parts too."""
    effects: Mapping[Place, Effect] = field(default_factory=dict)
    """What each statement was seen to do when it was built, by the place of the statement."""
    destination: Destination | None = None
    """The database that migrations are meant for, when one was named: then hazards are weighed by its sizes."""
    stand_ins: frozenset[ObjectId] = frozenset()
    """Objects invented so that the rest could be built (Markdown): nothing is said about them."""
    alternatives: tuple[Reading, ...] = ()
    """Markdown: earlier definitions of objects that a later block defines again, each state checked by itself."""
    findings: tuple[Finding, ...] = ()
    """What the source itself found: statements that PostgreSQL refused (code SRC01 and on)."""
    own: Mapping[str, str] = field(default_factory=dict)
    """The guide's own SQL checks by code: empty when it was asked, else why it could not be."""
    gaps: tuple[Gap, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    """Full text by file name, for source excerpts."""
    blocks: tuple[TextBlock, ...] = ()
    """Markdown: fenced blocks that are not SQL, for rules that know configuration files."""
