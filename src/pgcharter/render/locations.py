"""Paths and addresses as other programs (code hosts, editors) expect them. Works on text alone; nothing is looked up on a disk."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from urllib.parse import quote

from pgcharter.findings import Finding, Place
from pgcharter.redact import redact
from pgcharter.render.excerpt import excerpt
from pgcharter.render.page import clean
from pgcharter.render.report import Report


@dataclass(frozen=True, slots=True)
class Root:
    """The folder that paths are told from: the root of the repository, or where the program was started."""

    here: str = "/"
    """The current folder, absolute: what relative names are relative to."""
    folder: str = "/"
    """The root, absolute."""

    def path(self, file: str) -> str:
        """`file` as seen from the root, with slashes; as it was named when it stands elsewhere."""
        inside = self._inside(file)
        return redact(file) if inside is None else inside

    def uri(self, file: str) -> tuple[str, bool]:
        """`file` as a percent-encoded URI, and whether it is relative to the root."""
        inside = self._inside(file)
        path = posixpath.normpath(posixpath.join(self.here, redact(file))) if inside is None else inside
        encoded = quote(path.encode("utf-8", "surrogateescape"), safe="/~")
        return (f"file://{encoded}", False) if inside is None else (encoded, True)

    def _inside(self, file: str) -> str | None:
        path = posixpath.normpath(posixpath.join(self.here, redact(file)))
        folder = self.folder.rstrip("/") + "/"
        return path.removeprefix(folder) if path.startswith(folder) else None


@dataclass(frozen=True, slots=True)
class Spot:
    """The stretch of a file that a finding is about; lines and columns from 1, in characters."""

    file: str
    line: int
    column: int = 0
    """0 when only the line is known."""
    end_column: int = 0
    """First column after the stretch."""


def spot(found: Finding, report: Report) -> Spot | None:
    """Where to point: the name that is meant when the text is at hand, else the place as it was noted; None without a file."""
    place = place_of(found, report)
    if place is None:
        return None
    shown = excerpt(found.at(place), report.reading.texts)
    if shown is None:
        return Spot(place.file, max(place.line, 1))
    return Spot(shown.file, shown.line, shown.start + 1, shown.start + max(shown.length, 1) + 1)


def place_of(found: Finding, report: Report) -> Place | None:
    """The finding's place, else that of the object it is told under."""
    subject = report.subject(found)
    return found.place or (report.reading.places.get(subject) if subject else None)


def address(found: Finding, report: Report, root: Root) -> str:
    """`db/1.sql:12`, else the object in words, else the target: one line."""
    where = spot(found, report)
    if where:
        return clean(f"{root.path(where.file)}:{where.line}")
    return clean(str(found.object) if found.object else report.reading.target)
