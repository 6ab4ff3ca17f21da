"""Times and sizes as the charter and the command line write them: the way PostgreSQL does."""

from __future__ import annotations

import re

from pgcharter.errors import UsageError

_TIMES = {"us": 1e-6, "ms": 1e-3, "": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


def seconds(text: str, place: str = "") -> float:
    """A duration as PostgreSQL writes it (`500ms`, `2s`, `10min`; a bare number is seconds), in seconds. Raises UsageError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d|)\s*", text)
    if found is None:
        raise UsageError(f"{text!r} is no duration", hint="write 500ms, 2s, 10min or 1h", place=place)
    return float(found[1]) * _TIMES[found[2]]


def size(text: str, place: str = "") -> int:
    """A size as PostgreSQL writes it (`64MB`, `1GB`; a bare number is bytes), in bytes. Raises UsageError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB|)\s*", text)
    if found is None:
        raise UsageError(f"{text!r} is no size", hint="write 512kB, 64MB or 1GB", place=place)
    return int(float(found[1]) * _SIZES[found[2]])
