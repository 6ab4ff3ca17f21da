"""What JetStream answers to messages, and errors of NATS as those of a sink."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

from pgcharter.stream.errors import SinkDownError, SinkRefusedError


class Answers:
    """What the stream says to the messages of one batch."""

    def __init__(self, count: int) -> None:
        self._left, self._name = count, secrets.token_hex(8)
        self.done = asyncio.Event()
        self.failed: SinkDownError | SinkRefusedError | None = None

    def reply(self, inbox: str) -> str:
        """Where answers to this batch go."""
        return f"{inbox}.{self._name}"

    def note(self, message: Any) -> None:
        """Take an answer; those of batches before are nothing to this one."""
        if not message.subject.endswith(self._name):
            return
        self._left -= 1
        if message.headers and message.headers.get("Status") == "503":
            self.failed = self.failed or SinkDownError("no stream of NATS takes the messages any more, and it must be opened anew")
        elif b'"error"' in message.data:
            self.failed = self.failed or _refusal(json.loads(message.data)["error"])
        if self._left == 0:
            self.done.set()

    def lost(self) -> None:
        """The connection has ended."""
        self.failed = SinkDownError("NATS has ended the connection, so nobody knows which messages it has")
        self.done.set()


def _refusal(error: dict[str, Any]) -> SinkDownError | SinkRefusedError:
    """An error as JetStream tells it."""
    code, said = error.get("err_code"), f"{error.get('description')} (code {error.get('err_code')})"
    if code in _FULL:
        return SinkDownError(
            f"the stream of NATS is full, so messages wait until it has room: {said}", hint="nats stream edit … --max-bytes …"
        )
    return (
        SinkDownError(f"JetStream cannot do it just now: {said}")
        if error.get("code") == 503
        else SinkRefusedError(f"JetStream refuses: {said}")
    )


def named(error: Exception) -> SinkDownError | SinkRefusedError:
    """An error of the client as one of a sink."""
    import nats
    from nats.js import errors

    what = type(error).__name__
    if isinstance(error, errors.APIError):
        return _refusal({"code": error.code, "err_code": error.err_code, "description": error.description})
    if "authorization" in str(error).lower() or "permissions violation" in str(error).lower():
        return SinkRefusedError(
            "NATS does not let us in, or forbids what a copy needs", hint="permissions to $JS.API.>, $KV.pgcharter_sync.>"
        )
    if isinstance(error, nats.errors.Error | OSError | TimeoutError | errors.Error):
        return SinkDownError(f"NATS does not answer ({what})")
    return SinkRefusedError(f"a message could not be made ({what}: {error})")


_FULL = {10023, 10047, 10077, 10054, 10110, 10122}
"""Insufficient resources, storage resources exceeded, maximum messages or bytes exceeded: errors.json of nats-server."""
