"""Rows as JSON for databases of any encoding."""

from __future__ import annotations

import json
from typing import Any


def written(rows: list[dict[str, Any]]) -> str:
    """Rows as JSON in which every character stands for itself: escapes mean nothing to a server of another encoding than UTF-8."""
    return json.dumps(rows, ensure_ascii=False)
