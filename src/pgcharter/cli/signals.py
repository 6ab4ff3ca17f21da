"""SIGTERM and SIGHUP (a service that is stopped, a lost ssh connection) end the work in order, as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C, what shells expect."""
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class EndingError(KeyboardInterrupt):
    """The system asked the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number
        """The exit code that says so: 143 for SIGTERM, 129 for SIGHUP."""


class Asked:
    """Whether the program was asked to end."""

    code: int = INTERRUPTED
    """Exit code of an interrupted run."""

    def end(self, number: int, _frame: object) -> None:
        """Handle the first such signal; those that follow it must not disturb the tidying up."""
        for other in _ENDING:
            signal.signal(other, signal.SIG_IGN)
        self.code = 128 + number
        raise EndingError(number)


@contextmanager
def endable() -> Iterator[Asked]:
    """Inside, SIGTERM and SIGHUP raise EndingError in the main thread; what was ignored (under nohup) stays ignored."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, asked.end)
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
