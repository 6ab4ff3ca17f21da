"""A walk through an example that stands: what it claims is tried in its database there and then, and told in the words of who answered."""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pgcharter.errors import PgcharterError

if TYPE_CHECKING:
    from pgcharter.charter import Charter
    from pgcharter.db import Connection
    from pgcharter.policy.encryption_settings import EncryptionSection
    from pgcharter.policy.sync_settings import SyncSection
    from pgcharter.runtime.encryption import Encryption
    from pgcharter.runtime.keys_providers import RingFile


class UntrueError(PgcharterError):
    """What an example claims did not hold when it was tried."""


@dataclass(frozen=True)
class Ground:
    """Where a walk is taken."""

    conn: Connection
    """Of the server's superuser, in autocommit mode."""
    dsn: str
    """The same, for jobs that connect by themselves."""
    login: Callable[[str, str], str]
    """DSN of a role with a password."""
    section: EncryptionSection
    sync: SyncSection
    folder: Path
    """Where the key ring is: the user's, never the package's."""

    @property
    def ring(self) -> RingFile:
        """The key ring's file."""
        from pgcharter.runtime.keys_providers import RingFile, provider

        found = provider(self.section.keys, self.folder, self.section.master)
        assert isinstance(found, RingFile)  # noqa: S101 (the example's own charter)
        return found

    def encryption(self) -> Encryption:
        """The encrypted columns with the keys as they are now."""
        from pgcharter.runtime.encryption import Encryption

        return Encryption.from_section(self.section, self.folder)


@dataclass(frozen=True)
class Seen:
    """One thing that was tried and held."""

    text: str
    quoted: str = ""
    """What PostgreSQL or the runtime said, as it said it."""


@dataclass(frozen=True)
class Part:
    """What belongs together."""

    title: str
    seen: tuple[Seen, ...]
    seconds: float


class Walk(Protocol):
    """What a module that defines a walk offers."""

    LEAST: int
    """How many of what the fill counts there must be."""

    def encrypt(self, ground: Ground) -> int:
        """Load what only an application can write, because it encrypts it; may be repeated. How many values were loaded now."""
        ...

    def parts(self, ground: Ground) -> Iterator[Part]:
        """Try and tell. Raises UntrueError for what does not hold."""
        ...


def of_example(name: str) -> Walk | None:
    """The walk of a packaged example; None when it has none."""
    if importlib.util.find_spec(f"pgcharter.examples.{name}.walk") is None:
        return None
    return cast(Walk, importlib.import_module(f"pgcharter.examples.{name}.walk"))


def can_encrypt() -> bool:
    """Whether the extra `encryption` is installed."""
    return importlib.util.find_spec("cryptography") is not None


def ground(conn: Connection, dsn: str, login: Callable[[str, str], str], charter: Charter, folder: Path) -> Ground:
    """The ground of an example whose server belongs to `folder`; its key ring is made there when it is missing."""
    from pgcharter.policy import sync_settings
    from pgcharter.policy.encryption_settings import SECTION
    from pgcharter.runtime.keys_providers import LocalMaster

    found = Ground(conn, dsn, login, charter.section(SECTION), charter.section(sync_settings.SECTION), folder)
    file = found.ring
    if not file.path.exists():
        if isinstance(file.wrapper, LocalMaster) and not file.wrapper.path.exists():
            file.wrapper.create()
        for name in dict.fromkeys(column.key for column in found.section.column):
            file.change(lambda ring, name=name: ring.create(name))  # type: ignore[misc]
    return found


def part(title: str, seen: Callable[..., Iterable[Seen]], *given: Any) -> Part:
    """A part, with the time that it took."""
    began = time.monotonic()
    found = tuple(seen(*given))
    return Part(title, found, time.monotonic() - began)


def hold(claim: bool, what: str) -> None:
    """Raise UntrueError unless it is so; `what` says what was expected and what was found."""
    if not claim:
        raise UntrueError(
            f"the example does not keep its promise: {what}", hint="pgcharter up --fresh makes it anew; if it says so again, tell us"
        )


@contextmanager
def refusal(error: type[Exception], what: str) -> Iterator[list[str]]:
    """Inside, something must be refused with `error`; its words are in the list afterwards. Raises UntrueError when it is let through."""
    words: list[str] = []
    try:
        yield words
    except error as refused:
        words.append(_words(refused))
    else:
        hold(False, f"{what} was let through")


def _words(error: Exception) -> str:
    import psycopg

    if isinstance(error, psycopg.Error):
        return error.diag.message_primary or str(error)
    return error.message if isinstance(error, PgcharterError) else str(error)
