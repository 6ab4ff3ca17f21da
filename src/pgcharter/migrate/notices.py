"""What hooks hear of a run: begun, waiting for long, paused, ended.

They are told by a thread of its own, so that a hook which hangs or fails never holds a migration up; that it failed is said once.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgcharter import __version__
from pgcharter.measures import seconds
from pgcharter.migrate import hooks
from pgcharter.render.secrets import without_secrets

if TYPE_CHECKING:
    from pgcharter.migrate.endings import Outcome
    from pgcharter.migrate.notify_settings import NotifySection, Word
    from pgcharter.migrate.watch import Event, Watch

FLUSH, MOST = 15.0, 100
"""Seconds that the end of a run waits for the last tellings, and how many may be waiting."""


class Notices:
    """Tells hooks of one run. A Watch; then `ended`, then `close`."""

    def __init__(self, section: NotifySection, facts: Mapping[str, Any], folder: Path, watch: Watch) -> None:
        self._section, self._folder, self._watch = section, folder, watch
        self._facts = {"format": "pgcharter-migrate-event", "version": 1, "run": str(uuid.uuid4()), "tool": __version__, **facts}
        self._limit = seconds(section.waiting)
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(MOST)
        self._failure = ""
        self._said = self._begun = False
        self._waits: float | None = None
        self._waiting_told = False
        self._thread: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        """Tell what is worth telling of an event of the runner."""
        from pgcharter.migrate.watch import BatchDone, Begun, Paused, Resumed, Retries, RunnerWaits, UnitDone, Waits

        self._say_failure()
        match event:
            case Begun() if not self._begun:
                self._begun = True
                self.tell("begun", f"{event.migration.title} begins", migration=event.migration.title, units=event.units)
            case RunnerWaits() if event.waited >= self._limit:
                self._wait("another runner is at work", event.holders, event.waited)
            case Waits() | Retries():
                self._waits = self._waits or time.monotonic()
                waited = time.monotonic() - self._waits
                if waited >= self._limit:
                    self._wait(f"{event.migration.title} waits for locks", event.blockers, waited)
            case BatchDone() | UnitDone():
                self._waits, self._waiting_told = None, False
            case Paused():
                because = "; ".join(event.reasons)
                self.tell("paused", f"{event.migration.title} pauses: {because}", migration=event.migration.title)
            case Resumed():
                self.tell("resumed", f"{event.migration.title} goes on after {event.paused:.0f} s", migration=event.migration.title)

    def _wait(self, message: str, blockers: tuple[Any, ...], waited: float) -> None:
        if not self._waiting_told:
            self._waiting_told = True
            self.tell("waiting", message, waited_s=round(waited, 1), blockers=[str(b) for b in blockers])

    def ended(self, outcome: Outcome) -> None:
        """Tell how the run ended; where it did nothing, nothing is told. Details of failed statements stay here: they may hold rows."""
        if outcome.status == "planned" or (outcome.status == "done" and not outcome.applied):
            return
        word: Word = "finished" if outcome.status == "done" else outcome.status
        at = {"migration": outcome.migration.title, "unit": outcome.number + 1, "units": outcome.units} if outcome.migration else {}
        hint = outcome.hint if outcome.reason != "statement" else ""
        self.tell(
            word, outcome.message, hint=hint, place=outcome.place, reason=outcome.reason, sqlstate=outcome.sqlstate,
            applied=[m.title for m in outcome.applied], blockers=[str(b) for b in outcome.blockers], **at,
        )  # fmt: skip

    def failed(self, message: str, hint: str = "") -> None:
        """Tell of a run that could not begin, or in which nothing was run."""
        self.tell("failed", message, hint=hint)

    def tell(self, word: Word, message: str, **more: Any) -> None:
        """Tell one thing, as soon as the thread comes to it."""
        if word not in self._section.on or not self._section.any:
            return
        made = {**self._facts, "event": word, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), "message": message, **more}
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="pgcharter notices", daemon=True)
            self._thread.start()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(made)

    def close(self) -> None:
        """Wait until everything is told, for `FLUSH` seconds at most, and say when that went wrong."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._queue.put_nowait(None)
            self._thread.join(FLUSH)
            if self._thread.is_alive():
                self._failure = self._failure or f"not everything was told within {FLUSH:.0f} s"
        self._say_failure()

    def _say_failure(self) -> None:
        from pgcharter.migrate.watch import Note

        if self._failure and not self._said:
            self._said = True
            self._watch(Note(f"[migrate.notify] {self._failure}; the run itself is not harmed"))

    # in the thread

    def _work(self) -> None:
        while (made := self._queue.get()) is not None:
            body = json.dumps(without_secrets(made), ensure_ascii=False).encode("utf-8", "replace")
            section = self._section
            try:
                problems = [
                    hooks.command(section.command, body, self._folder) if section.command else "",
                    hooks.webhook(section.url, body, section.secret) if section.url else "",
                ]
            except Exception as error:  # whatever a hook does, the run goes on
                problems = [f"cannot be told: {type(error).__name__}"]
            self._failure = self._failure or next(filter(None, problems), "")


def facts(environment: str, database: str, production: bool, direction: str, by: str) -> dict[str, Any]:
    """What every event says of the run."""
    return {"environment": environment, "database": database, "production": production, "direction": direction, "by": by}
