"""A catalog that was exported to JSON, read back."""

from __future__ import annotations

import json
from pathlib import Path

from pgcharter.catalog.reading import Reading
from pgcharter.errors import UsageError
from pgcharter.sources.text import read_text


def read(target: str) -> Reading:
    """Read a snapshot that `pgcharter catalog export` wrote. Raises UsageError when it is none, or of an unknown version."""
    from pgcharter.catalog import codec

    text = read_text(Path(target).expanduser(), target)
    try:
        catalog = codec.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"this is not JSON: {error.msg}", place=f"{target}:{error.lineno}:{error.colno}",
                         hint=f"pgcharter catalog export DSN > {target}") from None  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{target} is JSON, but no snapshot of a catalog: {error}",
                         hint=f"pgcharter catalog export DSN > {target}") from None  # fmt: skip
    return Reading(target, "snapshot", catalog=catalog, gaps=catalog.gaps)
