"""pgBackRest as a program: found, run as the owner of the data, its words made ours. What it ends with is never believed alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgcharter.errors import PgcharterError, RefusedError, UnavailableError
from pgcharter.servers.account import Account

PROGRAM = "PGCHARTER_PGBACKREST"
"""Environment variable: the program, where it is not on the path."""
_CODE = re.compile(r"ERROR: \[(\d+)\]: (.*?)(?=\n(?:\S+ \S+ P\d\d\s+)?[A-Z]+: |\Z)", re.DOTALL)
Line = Callable[[str], None]


@dataclass(frozen=True)
class Said:
    """What a run of the program said."""

    code: int
    out: str
    errors: str

    @property
    def error(self) -> tuple[int, str]:
        """The first error: its number in src/common/error.auto.c of pgBackRest, and its words without hints; 0 when there is none."""
        found = _CODE.search(self.errors) or _CODE.search(self.out)
        if found is None:
            return (self.code, self._last()) if self.code else (0, "")
        return int(found[1]), _sentence(found[2])

    def _last(self) -> str:
        return " ".join((self.errors or self.out).strip().splitlines()[-3:]) or "it said nothing"


def _sentence(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith(("HINT:", "[", "STACK")))


@dataclass(frozen=True)
class Program:
    """pgBackRest with one configuration."""

    path: str
    config: Path
    stanza: str
    who: Account
    """The owner of the data; never root."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment that it is given: the key and the password of the server, which stand on no command line."""

    def run(self, *arguments: str, line: Line | None = None) -> Said:
        """Run it; each line of its log is told to `line` as it comes. Raises UnavailableError when it cannot be run."""
        command = [self.path, f"--config={self.config}", f"--stanza={self.stanza}", "--log-level-file=off", *arguments]
        options = self.who.options()
        options["env"] = {**options["env"], **self.secrets}
        if not any(a.startswith("--log-level-console") for a in arguments):
            command += ["--log-level-console=off", "--log-level-stderr=error"]
        try:
            return _told(command, options, line)
        except OSError as error:
            raise missing(self.path, (error.strerror or str(error)).lower()) from None

    def read(self, path: str, repo: int) -> bytes:
        """A file of the repository, decrypted. Raises PgcharterError."""
        command = [self.path, f"--config={self.config}", f"--repo={repo}", "--log-level-file=off", "--log-level-console=off",
                   "--log-level-stderr=error", "repo-get", path]  # fmt: skip
        options = self.who.options()
        options["env"] = {**options["env"], **self.secrets}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, **options)
        if done.returncode:
            raise failed(Said(done.returncode, "", done.stderr.decode("utf-8", "replace")), f"{path} could not be read")
        return bytes(done.stdout)

    def release(self) -> str:
        """Its version: 2.45."""
        return self.run("version").out.split()[-1]


def _told(command: list[str], options: Mapping[str, Any], line: Line | None) -> Said:
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE if line is None else subprocess.STDOUT,
        text=True, errors="replace", **options,
    ) as process:  # fmt: skip
        try:
            if line is None:
                out, errors = process.communicate()
                return Said(process.returncode, out, errors)
            lines = []
            for text in process.stdout or ():
                lines.append(text)
                line(text.rstrip("\n"))
            return Said(process.wait(), "".join(lines), "")
        except BaseException:
            process.terminate()  # it then gives its locks back, and lists nothing
            process.wait()
            raise


def find(word: str) -> str:
    """The program. Raises UnavailableError when there is none."""
    named = word or os.environ.get(PROGRAM, "")
    found = named or shutil.which("pgbackrest") or ""
    if not found or (named and not Path(named).is_file()):
        raise missing(named or "pgbackrest", "it is not there")
    return found


def missing(name: str, why: str) -> UnavailableError:
    """The error of a program that cannot be run."""
    return UnavailableError(
        f"pgBackRest cannot be run as {name}: {why}",
        hint='apt install pgbackrest, name it with [backup.pgbackrest] program, or write [backup] engine = "native"',
    )


def failed(said: Said, what: str) -> PgcharterError:
    """What went wrong as one of our errors. Known numbers get a remedy."""
    number, words = said.error
    if "is this version of PostgreSQL supported" in said.errors + said.out or "PostgreSQL version" in words:
        return UnavailableError(f"{what}: it does not know that version ({words})", hint=NEWER)
    if number == 50:
        return RefusedError(f"{what}: another pgBackRest is at work in this repository at this moment", hint="wait for it, then try again")
    if number == 62:
        return RefusedError(f"{what}: pgBackRest was told to stop, and was not started again", hint="pgbackrest start")
    if number in (28, 51):
        return RefusedError(f"{what}: the stanza is that of another server ({words})", hint="give each server a repository of its own")
    if number == 82:
        return PgcharterError(f"{what}: the log did not arrive in time ({words})", hint="pgcharter backup check says what is wrong")
    if number == 95 or "cipher" in words.lower():
        return PgcharterError(f"{what}: the key does not fit what is encrypted ({words})", hint="[backup] key_env or key_file")
    return PgcharterError(f"{what}: {words or 'pgBackRest ended without a word'} (pgBackRest's error {number})")


NEWER = 'install a newer pgBackRest, or write [backup] engine = "native"'
