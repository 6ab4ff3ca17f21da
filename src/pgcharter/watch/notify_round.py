"""One round of telling, and what is remembered of it in a file, so that nothing is told twice after a restart."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pgcharter import faults
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.watch import notify, notify_send
from pgcharter.watch.model import Health, Level
from pgcharter.watch.notify import State, Told
from pgcharter.watch.notify_settings import NotifyTable, SilenceTable

FORMAT = "pgcharter-notify-state"
POINTS = ("notify told", "notify remembered")
"""Where tests end the process."""


@dataclass(frozen=True)
class Crowd:
    """Who is told of one server, and what nobody is."""

    server: str
    who: tuple[NotifyTable, ...]
    silences: tuple[SilenceTable, ...]
    state: Path

    def round(self, health: Health, now: datetime, complain: Callable[[PgcharterError], None]) -> State:
        """Tell everybody what is due. Who cannot be reached now is tried in the next round, and keeps nobody else waiting."""
        state = read(self.state)
        found, answered = notify.matters(health, state, now), notify.judged(health)
        state = notify.remembered(state, found, answered)
        write(self.state, state)
        for one in self.who:
            notices = notify.due(one, found, answered, self.silences, state, now)
            if not notices:
                continue
            try:
                notify_send.send(one, self.server, notices, now)
            except PgcharterError as error:
                complain(error)
                continue
            faults.point("notify told")
            state = notify.after_telling(state, one.name, notices, now)
            write(self.state, state)
            faults.point("notify remembered")
        return state


def read(path: Path) -> State:
    """What is remembered; nothing where there is no file. Raises UsageError for one that holds something else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT or data["version"] != 1:
            raise ValueError
        told = {who: {check: _told(one) for check, one in some.items()} for who, some in data["told"].items()}
        return State({check: datetime.fromisoformat(at) for check, at in data["since"].items()}, told)
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} does not hold what was told earlier ({type(error).__name__})", hint=f"rm {path}, and what is wrong is told anew"
        ) from None


def _told(one: Any) -> Told:
    return Told(
        Level(one["level"]), datetime.fromisoformat(one["at"]), datetime.fromisoformat(one["since"]), one["title"], tuple(one["says"])
    )


def _row(one: Told) -> dict[str, Any]:
    times = {"at": one.at.isoformat(), "since": one.since.isoformat()}
    return {"level": int(one.level), **times, "title": one.title, "says": list(one.says)}


def write(path: Path, state: State) -> None:
    """Remember, whole or not at all, readable by us alone. Raises PgcharterError."""
    data = {
        "format": FORMAT, "version": 1, "since": {check: at.isoformat() for check, at in state.since.items()},
        "told": {who: {check: _row(one) for check, one in some.items()} for who, some in state.told.items()},
    }  # fmt: skip
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(data, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise PgcharterError(f"{path} cannot be written: {error.strerror}, so it would be told twice") from None


def complete(who: Sequence[NotifyTable]) -> None:
    """Raise UsageError for an address that the environment lacks, or two of one name."""
    names = [one.name for one in who]
    for one in who:
        if names.count(one.name) > 1:
            raise UsageError(f"two of [[watch.notify]] are called {one.name}, and what each was told is kept by name")
        for name in filter(None, (one.to_env, one.secret_env)):
            notify_send.variable(one, name)
