"""What was corrected, in pgcharter.sync_corrections: which keys and fields, never a value that may be secret."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid4

from pgcharter.db import Connection
from pgcharter.stream.reconcile_model import Difference
from pgcharter.stream.reconcile_moment import query
from pgcharter.stream.reconcile_rows import canonical
from pgcharter.stream.values import text


class Log:
    """Corrections of one comparison. Values are hashed under a secret that is thrown away: they tell what differed from what, no more."""

    def __init__(self, conn: Connection, run: UUID, slot: str, sink: str, mapping: str) -> None:
        self._conn, self._run, self._of = conn, run, (slot, sink, mapping)
        self._secret = secrets.token_bytes(32)

    def begin(self, differences: Sequence[Difference]) -> list[UUID]:
        """Note what is about to be corrected, as reported so far; gives ids for `end`."""
        ids = [uuid4() for _ in differences]
        slot, sink, mapping = ([x] * len(ids) for x in self._of)
        keys = [json.dumps(dict(zip(d.shape.key, map(_plain, d.key), strict=True)), ensure_ascii=False) for d in differences]
        differed = [json.dumps(self._differed(d)) for d in differences]
        parameters = (ids, [self._run] * len(ids), slot, sink, mapping, keys, differed, ["reported"] * len(ids))
        self._conn.execute(query(self._conn, "log"), parameters)
        return ids

    def end(self, ids: Sequence[UUID], differences: Sequence[Difference]) -> None:
        """Note that it was done."""
        deleted = [i for i, d in zip(ids, differences, strict=True) if d.kind == "extra"]
        self._conn.execute(query(self._conn, "done"), (deleted, list(ids)))

    def _differed(self, one: Difference) -> dict[str, Any]:
        """Field by field the hash of what the source has and of what the copy had; null where there was no row."""
        wanted = one.wanted.values if one.wanted else None
        there = one.stored.values if one.stored else None
        names = one.fields or tuple(f.name for f in one.shape.fields if not f.key)
        return {
            "kind": one.kind, "to": one.shape.to,
            "fields": {n: [self._hash(wanted, n), self._hash(there, n)] for n in names},
        }  # fmt: skip

    def _hash(self, values: Any, name: str) -> str | None:
        return None if values is None else blake2b(canonical(values.get(name)), key=self._secret, digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    """A value of a key as JSON says it."""
    return value if value is None or isinstance(value, bool | int) else text(value)
