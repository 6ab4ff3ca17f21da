"""Which statement it is without its values, and which line of the application sent it."""

from __future__ import annotations

import re
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from types import FrameType

_VALUES = re.compile(
    r"""('(?:[^']|'')*')            # text
    |(%s|%\(\w+\)[sbt]|%[bt]|\$\d+) # parameters
    |(?<![\w$."])(\d+(?:\.\d+)?)    # numbers
    |("(?:[^"]|"")*")               # quoted names stay
    """,
    re.VERBOSE,
)
_LISTS = re.compile(r"\(\s*\?(?:::[\w. ]+(?:\[\])?)?(?:\s*,\s*\?(?:::[\w. ]+(?:\[\])?)?)+\s*\)")
_ROWS = re.compile(r"\(\?, …\)(?:\s*,\s*\(\?, …\))+")
_OURS = str(Path(__file__).parents[1]) + "/"
_EXAMPLES = _OURS + "examples/"
_LIBRARIES = tuple({str(Path(sysconfig.get_path(name))) + "/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_FLUSHES = ("/sqlalchemy/orm/persistence.py", "/sqlalchemy/orm/unitofwork.py")


@lru_cache(maxsize=4096)
def fingerprint(statement: str) -> str:
    """The text with values, parameters and the length of lists left out, on one line."""
    text = _VALUES.sub(lambda found: found[4] or "?", statement)
    text = _ROWS.sub("(?, …), …", _LISTS.sub("(?, …)", text))
    return " ".join(text.split())


@lru_cache(maxsize=4096)
def is_library(file: str) -> bool:
    """Whether code is ours or of a library, and not of the application; our examples are applications."""
    if file.startswith(_EXAMPLES):
        return False
    return file.startswith((_OURS, *_LIBRARIES, *_homes(), "<")) or "/site-packages/" in file


def _homes() -> tuple[str, ...]:
    """Where the libraries are that statements go through, as they need not be where Python has its own."""
    found = (getattr(sys.modules.get(name), "__file__", None) for name in ("sqlalchemy", "psycopg", "psycopg_pool"))
    return tuple(str(Path(file).parent) + "/" for file in found if file)


def place() -> tuple[str, bool]:
    """`file:line` of the innermost frame that is the application's, and whether SQLAlchemy flushes a session on its behalf."""
    flushed, last = False, ""
    frame: FrameType | None = sys._getframe(1)
    while frame:
        file = frame.f_code.co_filename
        if not is_library(file):
            return f"{_near(file)}:{frame.f_lineno}", flushed
        flushed = flushed or file.endswith(_FLUSHES)
        last = f"{file}:{frame.f_lineno}"
        frame = frame.f_back or _waiting(frame)
    return last, flushed


def _waiting(frame: FrameType) -> FrameType | None:
    """The frame that waits for the greenlet that `frame` is the outermost of: SQLAlchemy's async half runs in one."""
    greenlet = sys.modules.get("greenlet")
    current = greenlet.getcurrent() if greenlet else None
    seen = 0
    while current is not None and seen < 10:
        parent = current.parent
        outer: FrameType | None = parent.gr_frame if parent is not None else None
        if outer is not None and not _reaches(outer, frame):
            return outer
        current, seen = parent, seen + 1
    return None


def _reaches(inner: FrameType, wanted: FrameType) -> bool:
    frame: FrameType | None = inner
    while frame is not None:
        if frame is wanted:
            return True
        frame = frame.f_back
    return False


@lru_cache(maxsize=4096)
def _near(file: str) -> str:
    """The file as seen from the working folder, where it is inside."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
