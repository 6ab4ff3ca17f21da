"""Changes posted to a URL in batches, signed as the outbox's webhooks are (`runtime.targets_signing.verify_webhook` checks them).

A request's body is `{"format": "pgcharter-changes", "version": 1, "sink": …, "upto": …, "rows": [ … ]}`, rows as `nats_json.message` has
them, at most 500 or a megabyte in one. `webhook-id` is made of what the batch says, so the same batch has the same one.

**What holds.** When `write` returns, each request was answered by a status of 2xx, one after the other. 5xx, 408, 425, 429, no answer: all
of it is sent again later, in pieces that may be cut otherwise. Any other status stops the sink. The receiver compares `order` of each row
for its key and takes what is greater than it has. Nothing is kept there and nothing can be read back: how far the copy is, its worker must
know.

Options: `secret_env`, the variable with the secret; `key_id`, its name (`default`); `topic`. Without a secret nothing is signed.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pgcharter.errors import CharterError
from pgcharter.policy.sync_settings import SinkTable
from pgcharter.runtime.feeds_model import TargetDownError
from pgcharter.runtime.outbox import Message
from pgcharter.runtime.targets_webhook import Webhook
from pgcharter.sinks import nats_json
from pgcharter.sinks.redis_layout import stamp_text
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Row, Shape, Sink, Stamp

_ROWS, _BYTES = 500, 1 << 20


def make(table: SinkTable, url: str, folder: Path, environ: Mapping[str, str] = os.environ) -> Sink:  # noqa: ARG001
    """The sink of a table of the charter. Raises CharterError for an option that there is not, or a secret that is not there."""
    if unknown := set(table.options) - {"secret_env", "key_id", "topic"}:
        raise CharterError(f"sink {table.name} has the option {min(unknown)}, and a webhook has key_id, secret_env, topic")
    if table.form:
        raise CharterError(f"sink {table.name} has form {table.form!r}, and a webhook has one form only")
    secrets = {}
    if variable := table.options.get("secret_env"):
        if not environ.get(variable):
            raise CharterError(f"environment variable {variable} is not set, so requests of sink {table.name} cannot be signed")
        secrets = {table.options.get("key_id", "default"): environ[variable]}
    return WebhookSink(url, table.name, secrets=secrets, topic=table.options.get("topic", "changes"))


class WebhookSink:
    """A sink that passes changes on."""

    whole = False
    keeps = False

    def __init__(
        self, url: str, name: str, *, secrets: Mapping[str, str] | None = None, topic: str = "changes", timeout: float = 30
    ) -> None:
        self._name, self._topic = name, topic
        self._target = Webhook(url, secrets=secrets, timeout=timeout, concurrency=1)

    def open(self, shapes: Sequence[Shape]) -> Stamp | None:  # noqa: ARG002
        """Send a batch of no rows: somebody must be there and take what is signed so."""
        self._send(self._body([], None), "open", "an empty batch")
        return None

    def write(self, rows: Sequence[Row], upto: Stamp) -> None:
        """Post rows."""
        what = "changes of " + ", ".join(sorted({row.shape.to for row in rows}))
        for piece, last in _pieces(rows):
            body = self._body(piece, stamp_text(upto) if last else None)
            self._send(body, f"{self._name} {body}", what)

    def _body(self, rows: Sequence[str], upto: str | None) -> str:
        head = {"format": "pgcharter-changes", "version": 1, "sink": self._name, "upto": upto}
        return json.dumps(head, ensure_ascii=False)[:-1] + ', "rows": [' + ",".join(rows) + "]}"

    def _send(self, body: str, id_of: str, what: str) -> None:
        message_id = uuid.uuid5(uuid.NAMESPACE_OID, id_of)
        message = Message(0, message_id, self._topic, None, body, None, None, "", None, None, datetime.now(UTC))
        try:
            (outcome,) = self._target.deliver([message])
        except TargetDownError as error:
            raise SinkDownError(str(error)) from error
        if outcome is None:
            return
        if outcome.final:
            raise SinkRefusedError(f"{outcome.error} to {what}, and would again")
        raise SinkDownError(f"{outcome.error} to {what}, which is sent again")

    def close(self) -> None:
        """Close the connection; once more changes nothing."""
        self._target.close()


def _pieces(rows: Sequence[Row]) -> Iterator[tuple[list[str], bool]]:
    """Rows as JSON, so many at a time, and whether they are the last."""
    piece: list[str] = []
    size = 0
    for at, row in enumerate(rows, 1):
        text = nats_json.body(row).decode()
        piece.append(text)
        size += len(text)
        if at == len(rows) or len(piece) >= _ROWS or size >= _BYTES:
            yield piece, at == len(rows)
            piece, size = [], 0
