"""Snapshots: what an aggregate was at a version, so that only later events are read. They are a help and never the truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pgcharter.db.flows import Steps, flow
from pgcharter.runtime.events_model import AggregateId, Event
from pgcharter.runtime.events_reading import SQL, asked
from pgcharter.runtime.events_texts import Text, checked, document
from pgcharter.runtime.events_types import Types, values


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an aggregate was after its event `version`."""

    version: int
    state: Any
    at: datetime


@flow
def keep_snapshot(types: Types, aggregate_type: str, aggregate_id: AggregateId, version: int, state: Any) -> Steps[None]:
    """Keep what an aggregate is, an object of a class that `types` knows; one of a later version stays."""
    checked("type of an aggregate", aggregate_type, 200)
    yield from types.loaded([state])
    new = types.new(state)
    body = new.data if type(new.data) is Text else document(new.data, new.type)
    data = f'{{"id": {json.dumps(str(new.id) if new.id else None)}, "state": {body}}}'
    said = {
        "type": aggregate_type,
        "id": str(aggregate_id),
        "version": version,
        "kind": new.type,
        "schema": new.schema_version,
        "data": data,
    }
    yield from asked(SQL["keep_snapshot"], said)


@flow
def read_snapshot(types: Types, aggregate_type: str, aggregate_id: AggregateId) -> Steps[Snapshot | None]:
    """The snapshot of an aggregate; None where there is none, or where its class is not known any more. Older forms are brought up to date.

    Raises EventSchemaError for one that does not fit: `forget_snapshots` does away with those of a type.
    """
    rows = yield from asked(SQL["snapshot"], {"type": aggregate_type, "id": str(aggregate_id)})
    if not rows or not types.has(rows[0][1]):
        return None
    version, kind, schema, text, at = rows[0]
    data = json.loads(text)
    id_ = UUID(data["id"]) if data["id"] else UUID(int=0)
    body = json.dumps(data["state"])
    event = Event(0, "", aggregate_type, aggregate_id, version, id_, kind, schema, body, None, None, None, None, at)
    (state,) = yield from values.steps(types, [event])
    return Snapshot(version, state, at)


@flow
def forget_snapshots(aggregate_type: str) -> Steps[None]:
    """Delete the snapshots of all aggregates of a type: after a change of what they hold."""
    yield from asked(SQL["forget_snapshots"], {"type": aggregate_type})
