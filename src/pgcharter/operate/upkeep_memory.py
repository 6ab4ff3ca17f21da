"""What PostgreSQL does not remember of upkeep: when a materialized view was refreshed and from what, how small a new index was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Memory:
    """Remembered in a file, or nowhere. What is lost of it is done once more."""

    file: Path | None = None
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: `at`, `seen` (what its tables had been written to when its refresh began)."""
    indexes: dict[str, int] = field(default_factory=dict)
    """Pages of an index when it was new."""

    @classmethod
    def read(cls, file: Path | None) -> Memory:
        """What a file holds; nothing where there is none, or it is damaged."""
        made = cls(file)
        with suppress(OSError, ValueError, TypeError, AttributeError):
            if file:
                found = json.loads(file.read_text(encoding="utf-8"))
                made.views = {k: {"at": str(v["at"]), "seen": str(v["seen"])} for k, v in found["views"].items()}
                made.indexes = {k: int(v) for k, v in found["indexes"].items()}
        return made

    def refreshed(self, view: str) -> datetime | None:
        """When a view was refreshed."""
        with suppress(KeyError, ValueError):
            return datetime.fromisoformat(self.views[view]["at"])
        return None

    @contextmanager
    def changed(self) -> Iterator[Memory]:
        """Change it inside; then it is written, whole or not at all."""
        yield self
        if self.file is None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        new.write_text(json.dumps({"views": self.views, "indexes": self.indexes}, indent=1), encoding="utf-8")
        new.replace(self.file)
