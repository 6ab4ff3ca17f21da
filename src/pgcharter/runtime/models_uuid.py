"""UUIDs of version 7 (RFC 9562), made by the client: they grow with time, so new rows are neighbours in an index."""

from __future__ import annotations

import os
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0


def uuid7() -> uuid.UUID:
    """A UUID that is greater than every one that this process has made before, whatever its clock does.

    As in PostgreSQL 18: 48 bits of milliseconds, 12 bits of fractions of one (RFC 9562, 6.2, method 3), 62 random bits. Where two fall
    into the same fraction, or the clock is turned back, the next fraction is taken.
    """
    global _last
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    now = milliseconds << 12 | rest * 4096 // 1_000_000
    with _lock:
        _last = now = max(now, _last + 1)
    random = int.from_bytes(os.urandom(8)) >> 2
    return uuid.UUID(int=(now >> 12) << 80 | 0x7 << 76 | (now & 0xFFF) << 64 | 0b10 << 62 | random)
