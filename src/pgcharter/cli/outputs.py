"""`--output FORM=FILE`: verdicts written to files, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pgcharter.errors import PgcharterError, UsageError

ENDINGS = {".sarif": "sarif", ".html": "html", ".htm": "html", ".md": "markdown", ".xml": "junit", ".json": "json", ".txt": "text"}
"""Form by the ending of a file's name, where none is given."""


@dataclass(frozen=True, slots=True)
class Output:
    """A form and the file it goes to."""

    form: str
    file: Path


def parse(word: str, forms: Iterable[str]) -> Output:
    """`sarif=findings.sarif`, or `findings.sarif` where the ending says the form.

    Raises UsageError for an unknown form, for a name whose ending says none, and for a file that could not be written at the end.
    """
    form, equals, name = word.partition("=")
    if not equals:
        form, name = ENDINGS.get(Path(word).suffix.lower(), ""), word
    known = tuple(forms)
    if form not in known:
        what = f"{form!r} is no form" if form else f"the name {word!r} does not tell its form"
        raise UsageError(f"--output: {what}", hint=f"--output FORM={name or 'FILE'}, where FORM is one of {', '.join(known)}")
    if name in ("", "-"):
        raise UsageError(f"--output {word} names no file", hint=f"--format {form} writes to standard output")
    _refuse_unwritable(Path(name), word)
    return Output(form, Path(name))


def _refuse_unwritable(file: Path, word: str) -> None:
    """Say before the work begins that its result could not be kept."""
    if file.is_dir():
        raise UsageError(f"--output {word}: {file} is a folder", hint=f"--output {word.rstrip('/')}/NAME")
    if not file.parent.is_dir():
        raise UsageError(f"--output {word}: the folder {file.parent} does not exist", hint=f"mkdir -p {file.parent}")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise UsageError(f"--output {word}: {file if file.exists() else file.parent} may not be written")


def write(file: Path, pieces: Iterable[str]) -> None:
    """Write `pieces` to `file` as a whole: until it is complete, the file keeps what it held. A device or pipe is written directly."""
    try:
        if file.exists() and not file.is_file():
            with file.open("w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.writelines(pieces)
        else:
            _replace(file.resolve(), pieces)
    except OSError as error:
        raise PgcharterError(f"{file} cannot be written: {error.strerror or error}") from None


def _replace(file: Path, pieces: Iterable[str]) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{file.name[:40]}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
            stream.writelines(pieces)
        Path(name).chmod(_mode(file))
        Path(name).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _mode(file: Path) -> int:
    """Permissions of the file that is replaced, else those that any new file gets."""
    if file.exists():
        return file.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
