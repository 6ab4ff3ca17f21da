"""Something that happens while a test is busy with something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def later(seconds: float, act: Callable[[], Any]) -> Iterator[None]:
    """Inside, `act` is called after so many seconds; the end waits for it, so that it meets nothing that is closed already."""
    timer = threading.Timer(seconds, act)
    timer.start()
    yield
    timer.join()
