"""A saga as a worker has it in hand: its row, its steps, what it was told, and what is to be written of all that."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from pgcharter.runtime.sagas_data import Raw

SPACE = uuid.UUID("b6ad1b1c-9e0f-4d6c-8f53-0d7f8c1a5a55")
"""Of ids that are the same whenever the same thing is written again."""


@dataclass(slots=True)
class Row:
    """A step that has been begun."""

    number: int
    name: str
    kind: str
    status: str = "pending"
    failed: int = 0
    """Attempts that failed."""
    undo_failed: int = 0
    uncertain: bool = False
    error: str | None = None
    result: Any = None
    """As JSON."""
    due: float | None = None
    """When it is tried again, or its waiting ends; monotonic clock."""
    began: bool = False
    """It is to be written that it begins."""

    @classmethod
    def read(cls, raw: Raw) -> Row:
        """From what `saga_claim` gives."""
        due = None if raw["due_in"] is None else time.monotonic() + float(raw["due_in"])
        return cls(
            raw["step_number"], raw["step_type"], raw["kind"], raw["status"], raw["retry_count"], raw["compensation_count"],
            raw["uncertain"], raw["error_message"], raw["result"], due,
        )  # fmt: skip

    def written(self, saga: str) -> Raw:
        """For the checkpoint."""
        return {
            "saga": saga, "number": self.number, "name": self.name, "kind": self.kind, "status": self.status, "failed": self.failed,
            "undo_failed": self.undo_failed, "uncertain": self.uncertain, "error": self.error, "result": self.result, "began": self.began,
            "after": None if self.due is None else max(0.0, self.due - time.monotonic()),
        }  # fmt: skip


@dataclass(slots=True)
class Letter:
    """What a saga was told."""

    id: str
    kind: str
    name: str
    payload: Any
    actor: str | None
    reason: str | None


@dataclass(slots=True)
class Changes:
    """What a checkpoint is to write."""

    steps: set[int] = field(default_factory=set)
    patch: Raw = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    history: list[Raw] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    children: list[Raw] = field(default_factory=list)
    told: list[Raw] = field(default_factory=list)
    whole: bool = False
    """The saga's own row has changed."""

    @property
    def empty(self) -> bool:
        """There is nothing to write."""
        rest = self.patch or self.gone or self.history or self.taken or self.children or self.told
        return not (self.steps or self.whole or rest)

    def copy(self) -> Changes:
        """A copy that can be changed by itself."""
        return Changes(
            set(self.steps), dict(self.patch), [*self.gone], [*self.history], [*self.taken], [*self.children], [*self.told], self.whole
        )


@dataclass(slots=True)
class Instance:
    """A saga under a lease."""

    id: str
    token: int
    type: str
    version: int
    status: str
    step: int
    raw: Raw
    why: Any
    """Why it turned round."""
    result: Any
    error: str | None
    round: int
    stuck: bool
    known: int
    """Signals that had been noticed when it was claimed."""
    deadline: float | None
    """Monotonic clock."""
    tenant: str
    key: str | None
    correlation: str | None
    parent: str | None
    parent_step: int | None
    rows: dict[int, Row]
    letters: list[Letter]
    waiting: str | None = None
    active: frozenset[int] = frozenset()
    """Steps that are being done in this process right now."""
    changes: Changes = field(default_factory=Changes)
    lost: bool = False
    """Somebody else has it, or may have."""
    sure: float = 0.0
    """Until then the lease is held for sure; monotonic clock. A process that was stopped asks before it does another step."""

    @classmethod
    def read(cls, raw: Raw) -> Instance:
        """From what `saga_claim` gives."""
        deadline = None if raw["deadline_in"] is None else time.monotonic() + float(raw["deadline_in"])
        rows = {r["step_number"]: Row.read(r) for r in raw["steps"]}
        letters = [Letter(x["signal_id"], x["kind"], x["name"], x["payload"], x["actor"], x["reason"]) for x in raw["letters"]]
        return cls(
            raw["saga_id"], raw["fencing_token"], raw["saga_type"], raw["definition_version"], raw["status"], raw["current_step"],
            raw["saga_data"], raw["compensation_data"], raw["result"], raw["error"], raw["round"], raw["stuck_at"] is not None,
            raw["signals"], deadline, raw["tenant"], raw["business_key"], raw["correlation"], raw["parent_id"], raw["parent_step"], rows,
            letters,
        )  # fmt: skip

    @property
    def ended(self) -> bool:
        """It is completed or failed."""
        return self.status in ("completed", "failed")

    def fork(self) -> Instance:
        """A copy in which what may yet be rolled back is noted."""
        rows = {n: replace(r) for n, r in self.rows.items()}
        return replace(self, raw=dict(self.raw), rows=rows, letters=[*self.letters], changes=self.changes.copy())

    def row(self, number: int) -> Row:
        """A step's row, which is to be written."""
        self.changes.steps.add(number)
        return self.rows[number]

    def note(
        self, event: str, message: str | None = None, *, step: int | None = None, attempt: int | None = None, actor: str | None = None
    ) -> None:
        """Write into the history."""
        entry = {
            "id": str(uuid.uuid4()),
            "saga": self.id,
            "step": step,
            "event": event,
            "attempt": attempt,
            "message": message,
            "actor": actor,
        }
        self.changes.history.append(entry)

    def take(self, letter: Letter) -> None:
        """Use up what it was told."""
        self.letters.remove(letter)
        self.changes.taken.append(letter.id)

    def tell(self, saga: str, kind: str, name: str, payload: Any, mark: str, reason: str | None = None) -> None:
        """Tell another saga; the same mark is the same signal."""
        told = {"id": str(uuid.uuid5(SPACE, f"{self.id} {saga} {kind} {mark}")), "guard": self.id, "saga": saga, "kind": kind, "name": name}
        self.changes.told.append({**told, "payload": payload, "reason": reason})

    def document(self, owner: str, release: bool, after: float | None) -> Raw:
        """What the checkpoint writes of its own row; `after` seconds from now it is due again, None: never by itself."""
        changes = self.changes
        return {
            "id": self.id, "token": self.token, "owner": owner, "status": self.status, "step": self.step, "known": self.known,
            "patch": changes.patch or None, "gone": changes.gone or None, "release": release, "after": after,
            "waiting": self.waiting, "stuck": self.stuck, "error": self.error, "result": self.result, "why": self.why, "round": self.round,
        }  # fmt: skip
