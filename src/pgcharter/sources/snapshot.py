"""A catalog that was exported to JSON, read back."""

from __future__ import annotations

from pathlib import Path

from pgcharter.catalog.reading import Reading
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.sources.text import read_text


def read(target: str) -> Reading:
    """Read a snapshot that `pgcharter catalog export` wrote. Raises UsageError when it is none, or of an unknown version."""
    from pgcharter.catalog import codec

    text = read_text(Path(target).expanduser(), target)
    try:
        held = codec.load_snapshot(text, target)
    except PgcharterError as error:
        raise UsageError(error.message, hint=error.hint, place=error.place) from None
    return Reading(target, "snapshot", catalog=held.catalog, cluster=held.cluster, gaps=held.catalog.gaps)
