"""Signatures of webhooks as Standard Webhooks has them, made where they leave and checked where they arrive. Needs nothing but Python.

message_id = verify_webhook(request.body, request.headers, {"2026-11": os.environ["WEBHOOK_SECRET"]})
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping

from pgcharter.errors import PgcharterError, UsageError

_PREFIX = "whsec_"


class SignatureError(PgcharterError):
    """A request is not from whom it should be, was changed, or is too old."""


def verify_webhook(
    body: bytes, headers: Mapping[str, str], secrets: Mapping[str, str], *, tolerance: float = 300.0, now: float | None = None
) -> str:
    """Check a webhook's signature and time; the id of its message. A receiver does nothing with an id it has seen before.

    `body`: as it came, not parsed and written again. `secrets` by key id; where the request names ids, only those are tried, else all.
    `tolerance`: seconds that clocks may differ and a request may have been under way. Raises SignatureError.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, said = given["webhook-id"], given["webhook-timestamp"]
        signatures = given["webhook-signature"].split()
        timestamp = int(said)
    except (KeyError, ValueError):
        raise SignatureError("the request has no webhook-id, webhook-timestamp or webhook-signature, so nobody knows whose it is") from None
    if abs((time.time() if now is None else now) - timestamp) > tolerance:
        raise SignatureError(f"the request was signed at {timestamp}, more than {tolerance:g} s from now")
    names = given.get("webhook-key-id", "").split()
    known = [secrets[n] for n in names if n in secrets] if names else list(secrets.values())
    wanted = [_signature(secret_bytes(s), message_id, said, body) for s in known]
    if not any([hmac.compare_digest(w.encode(), s.encode()) for w in wanted for s in signatures]):  # noqa: C419 - all are compared
        raise SignatureError("no signature of the request is of a known secret, so it is from somebody else or was changed")
    return message_id


def signed(message_id: str, timestamp: int, body: bytes, secrets: Mapping[str, bytes]) -> dict[str, str]:
    """Headers that say what a request is, and sign it with each secret."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if secrets:
        headers["webhook-signature"] = " ".join(_signature(s, message_id, str(timestamp), body) for s in secrets.values())
        headers["webhook-key-id"] = " ".join(secrets)
    return headers


def secret_bytes(secret: str) -> bytes:
    """The key of a secret: what `whsec_` is followed by, as Base64; the text itself otherwise. Raises UsageError for what is too short."""
    try:
        key = base64.b64decode(secret[len(_PREFIX) :], validate=True) if secret.startswith(_PREFIX) else secret.encode()
    except binascii.Error:
        raise UsageError("a secret begins with whsec_ and goes on with what is no Base64") from None
    if len(key) < 16:
        raise UsageError("the secret of a webhook has less than 16 bytes, and could be guessed", hint="openssl rand -base64 32")
    return key


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    text = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
