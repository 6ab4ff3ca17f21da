"""Payloads as plain JSON that any receiver can read."""

from __future__ import annotations

import dataclasses
import datetime
import json
import uuid
from decimal import Decimal
from enum import Enum
from typing import Any

from pgcharter.errors import UsageError


def encode(value: Any) -> str:
    """A value as JSON in ASCII. Raises UsageError for what JSON has no word for."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"a payload of type {type(value).__name__} is no JSON: {error}", hint="publish plain values, or bytes") from None


def _plain(value: Any) -> Any:
    """What stands for a value in JSON: its text for UUIDs, times and Decimals; the fields of dataclasses and pydantic models."""
    if isinstance(value, uuid.UUID | Decimal):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(type(value), "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain)
