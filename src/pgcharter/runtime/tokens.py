"""What somebody has written, as a token that travels with requests: whoever reads with it sees at least that.

    with seen(request.cookies.get("pgcharter_seen", "")) as scope:
        …                                   # db.run(…), db.run(…, readonly=True)
        response.set_cookie("pgcharter_seen", scope.text())

A token is a position in the log of one system on one timeline. Inside `seen` a read waits for what this scope has written or was shown;
outside of any, for all that this process has written through the same `Database`.

What is no token of ours (garbage, a wrong signature, one signed with an unknown secret, too long) counts as if none had been sent: the
reader sees replicas as anybody else does, nothing is raised. `scope.refused` says why.
"""

from __future__ import annotations

import base64
import hmac
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from pgcharter.errors import UsageError

log = logging.getLogger("pgcharter.runtime")
Secret = bytes | Sequence[bytes] | None
"""Signs tokens; of several the first one signs and all are known, so that it can be changed. None: tokens are not signed."""

LONGEST = 1000
"""Characters of a token's text that are looked at."""
SHORTEST = 16
"""Bytes of a secret."""
_SYSTEMS = 8
_FORM = re.compile(r"([0-9]{1,20})\.([0-9a-f]{1,8})\.([0-9a-f]{1,16})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """A position in the log of one system: what has been committed up to there is to be seen."""

    system: str
    """The system identifier: positions of another one mean nothing here."""
    lsn: int
    timeline: int = 1
    """The history that the position is of: each promotion begins another one."""

    def __str__(self) -> str:
        return f"{self.system}.{self.timeline:x}.{self.lsn:x}"

    def newer(self, other: Token | None) -> bool:
        """Whether it asks for more than another one of the same system."""
        return other is None or (self.timeline, self.lsn) > (other.timeline, other.lsn)

    def covers(self, need: Token) -> bool:
        """Whether a server that has come here has come to another position as well: no earlier in the log, nor on an earlier timeline."""
        return self.lsn >= need.lsn and self.timeline >= need.timeline and self.system == need.system


def lsn_of(text: str) -> int:
    """A position as PostgreSQL writes it, `16/B374D848`, as a number of bytes."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def ended(lsn: int, page: int, segment: int) -> int:
    """The end of the last record before an insert position.

    Where a record ends with its page, the insert position is already behind the header of the next page (24 bytes, 40 at the beginning of
    a segment: XLogBytePosToRecPtr in xlog.c), and a replica comes to the end of the page only until something else is written.
    `page` and `segment` are wal_block_size and wal_segment_size; 0: not known, the position stays.
    """
    if page:
        for header in (24, 40):
            start = lsn - header
            if start % page == 0 and (start % segment == 0) == (header == 40):
                return start
    return lsn


class Seen:
    """What a scope has written or was shown: the newest token of each system. Threads and tasks started inside share it."""

    def __init__(self, secret: Secret = None, outer: Seen | None = None) -> None:
        self.refused = ""
        """Why the text that was sent is no token of ours; empty where it is one, or none was sent."""
        self.blind = False
        """A commit is of unknown position, so the rest of this scope is read from the primary."""
        self._outer = outer
        self._secrets = secrets_of(secret)
        self._tokens: dict[str, Token] = {}
        self._lock = threading.Lock()

    def note(self, token: Token) -> None:
        """From now on this is to be seen too, here and in the scopes around."""
        self._keep(token)
        if self._outer is not None:
            self._outer.note(token)

    def lost(self) -> None:
        """Something was committed whose position nobody knows, as the answer was lost."""
        self.blind = True
        if self._outer is not None:
            self._outer.lost()

    def _keep(self, token: Token) -> None:
        with self._lock:
            if token.newer(self._tokens.get(token.system)):
                self._tokens[token.system] = token

    def of(self, system: str) -> Token | None:
        """What is to be seen of a system."""
        return self._tokens.get(system)

    def text(self) -> str:
        """What to send back, safe in a header or cookie; empty where there is nothing to be seen."""
        body = "~".join(str(token) for token in list(self._tokens.values())[-_SYSTEMS:])
        return f"{body}~{_signature(body, self._secrets[0])}" if body and self._secrets else body

    def take(self, text: str) -> None:
        """Note what a text says, or in `refused` why it says nothing."""
        tokens, self.refused = _read(text, self._secrets)
        if self.refused:
            log.debug("a token was refused: %s", self.refused)
        for token in tokens:
            self._keep(token)


_scope: ContextVar[Seen | None] = ContextVar("pgcharter_seen", default=None)


@contextmanager
def seen(text: str = "", *, secret: Secret = None) -> Iterator[Seen]:
    """Inside, what is read is at least as new as `text` says and as what is written inside. Raises UsageError for a weak secret only.

    What is written inside is seen by a scope around it too.
    Tasks and `asyncio.to_thread` started inside belong to it; a thread does when it is started with `contextvars.copy_context().run`.
    """
    scope = Seen(secret, _scope.get())
    if text:
        scope.take(text)
    mark = _scope.set(scope)
    try:
        yield scope
    finally:
        _scope.reset(mark)


def current_seen() -> Seen | None:
    """The scope of this thread or task; None outside."""
    return _scope.get()


def token_text() -> str:
    """What the current scope has written or was shown, to be sent along; empty outside of one."""
    scope = _scope.get()
    return scope.text() if scope else ""


def secrets_of(secret: Secret) -> tuple[bytes, ...]:
    """The secrets, as many as there are. Raises UsageError for one that could be guessed."""
    found = () if secret is None else (secret,) if isinstance(secret, bytes) else tuple(secret)
    if secret is not None and (not found or any(len(each) < SHORTEST for each in found)):
        raise UsageError(f"a secret that signs tokens has at least {SHORTEST} bytes", hint="secrets.token_bytes(32)")
    return found


def _read(text: str, secrets: tuple[bytes, ...]) -> tuple[list[Token], str]:
    if len(text) > LONGEST:
        return [], f"it has more than {LONGEST} characters"
    body = text
    if secrets:
        body, _, sent = text.rpartition("~")
        known = [hmac.compare_digest(_signature(body, each).encode(), sent.encode(errors="replace")) for each in secrets]
        if not any(known):
            return [], "its signature is not ours"
    found = [_FORM.fullmatch(part) for part in body.split("~")]
    tokens = [Token(m[1], int(m[3], 16), int(m[2], 16)) for m in found if m]
    return (tokens, "") if len(tokens) == len(found) <= _SYSTEMS else ([], "it has not the form of a token")


def _signature(body: str, secret: bytes) -> str:
    digest = hmac.digest(secret, b"pgcharter token " + body.encode(errors="replace"), "sha256")
    return base64.urlsafe_b64encode(digest[:18]).decode()
