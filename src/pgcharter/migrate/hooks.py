"""One event told to a command or a webhook: what went wrong comes back as words that hold no address, for an address may be a secret.

A webhook gets a POST of JSON. With a secret, the header `X-Pgcharter-Signature` is `sha256=` and the hexadecimal HMAC-SHA-256 of the header
`X-Pgcharter-Timestamp` (seconds since 1970), a dot, and the body: whoever checks both knows the sender, and that the words are fresh.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pgcharter import __version__
from pgcharter.migrate.notify_settings import ENV
from pgcharter.redact import redact

TIMEOUT = 10.0
"""Seconds that one telling may take."""
SAID = 2000
"""Bytes kept of what a command says on standard error."""


def command(argv: Sequence[str], body: bytes, folder: Path) -> str:
    """Run a command with the event on its standard input; what went wrong, or nothing. What it leaves running is not waited for."""
    until = time.monotonic() + TIMEOUT
    try:
        with tempfile.TemporaryFile() as event:
            event.write(body)
            event.seek(0)
            process = subprocess.Popen(
                argv, stdin=event, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder, start_new_session=True
            )
    except (OSError, ValueError) as error:
        return f"command {argv[0]} cannot be run: {getattr(error, 'strerror', '') or error}"
    said = _said(process, until)
    try:
        process.wait(max(until - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"command {argv[0]} did not end within {TIMEOUT:.0f} s"
    first = redact(said.decode("utf-8", "replace").strip().partition("\n")[0])[:200]
    return f"command {argv[0]} ended in {process.returncode}" + (f": {first}" if first else "") if process.returncode else ""


def _said(process: subprocess.Popen[bytes], until: float) -> bytes:
    """The beginning of what a command says on standard error until it ends; the rest is thrown away, for it may be without end."""
    assert process.stderr  # noqa: S101
    said, ended = b"", False
    with process.stderr as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while time.monotonic() < until:
            ready = selector.select(0 if ended else 0.05)
            data = os.read(pipe.fileno(), 65536) if ready else b""
            said = (said + data)[:SAID]
            if ended or (ready and not data):
                break
            ended = process.poll() is not None
    return said


def webhook(address: str, body: bytes, secret: str = "") -> str:
    """POST the event to the address in env:VARIABLE, twice when the first failure may pass; what went wrong, or nothing."""
    url, problem = _value(address)
    key, missing = _value(secret) if secret else ("", "")
    problem = problem or missing or _unsafe(url)
    for pause in (1.0, 0.0) if not problem else ():
        problem, passing = _post(url, body, key)
        if not passing:
            break
        time.sleep(pause)
    return f"webhook {address} {problem}" if problem else ""


def _value(reference: str) -> tuple[str, str]:
    """The value of env:VARIABLE, and what is wrong with it."""
    name = reference.removeprefix(ENV)
    value = os.environ.get(name, "").strip()
    return value, "" if value else f"is not told, because {name} is not set"


def _unsafe(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        return "" if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and local)) else "is no https address"
    except ValueError:
        return "is no https address"


def _post(url: str, body: bytes, secret: str) -> tuple[str, bool]:
    """POST the body; what went wrong, without the address, and whether it may pass. Redirections are not followed."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None:
            return None

    now = str(int(time.time()))
    headers = {"Content-Type": "application/json", "User-Agent": f"pgcharter/{__version__}", "X-Pgcharter-Timestamp": now}
    if secret:
        made = hmac.new(secret.encode(), now.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers["X-Pgcharter-Signature"] = f"sha256={made}"
    try:
        with build_opener(Stay).open(Request(url, body, headers, method="POST"), timeout=TIMEOUT / 2):  # noqa: S310  (https is checked)
            return "", False
    except HTTPError as error:
        with error:
            return f"answered {error.code}", error.code >= 500 or error.code == 429
    except (URLError, OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        said = getattr(reason, "strerror", None) or type(reason).__name__
        return f"could not be reached: {said}", True
