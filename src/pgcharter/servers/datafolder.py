"""Data folders: making one with initdb, its settings, who may log in, and what `postmaster.pid` says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgcharter.errors import PgcharterError
from pgcharter.servers.account import Account
from pgcharter.servers.binaries import Installation

CONFIGURATION = "pgcharter.conf"
"""Our settings, in the data folder; `postgresql.conf` stays as initdb wrote it, but for the line that includes ours."""


@dataclass(frozen=True, slots=True)
class Login:
    """The bootstrap superuser of a server."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.user!r})"


def random_login(user: str = "") -> Login:
    """A login with a random password and, unless given, a name that no SQL file would use."""
    return Login(user or f"pgcharter_{secrets.token_hex(4)}", secrets.token_urlsafe(24))


def verifier(password: str) -> str:
    """What a server stores of a random password (RFC 5803): given in the password's place, it is taken over as it is, by initdb too.

    With one round of hashing where PostgreSQL makes 4,096: rounds are against guessing, and nobody guesses 192 random bits. A login
    takes half as long. Only for servers that nobody but us logs in to: there are clients (JDBC's) that refuse so few.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    client, server = (hmac.digest(salted, key, "sha256") for key in (b"Client Key", b"Server Key"))
    words = [base64.b64encode(part).decode() for part in (salt, hashlib.sha256(client).digest(), server)]
    return f"SCRAM-SHA-256$1:{words[0]}${words[1]}:{words[2]}"


def initialise(data: Path, installation: Installation, account: Account, login: Login, *, ephemeral: bool, stored: str = "") -> None:
    """Make a new data folder, UTF-8 with code-point order, every login by password (scram-sha-256).

    `stored` is given to the server in the password's place, see `verifier`. Raises PgcharterError with initdb's own words when it fails
    (disk full, folder not empty).
    """
    password_file = data.with_name(f".{data.name}.password")
    write_private(password_file, (stored or login.password) + "\n", account)
    try:
        problem = ""
        for locale in _locales(installation):
            done = account.run([installation.program("initdb"), *_options(data, installation, password_file, login, ephemeral), *locale])
            if done.returncode == 0:
                break
            problem = done.stderr.strip() or done.stdout.strip()
        else:
            raise PgcharterError(f"no data folder could be made in {data}: {_last_words(problem)}", place=str(data))
    finally:
        password_file.unlink(missing_ok=True)
    with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(f"\ninclude_if_exists = '{CONFIGURATION}'\n")


def _options(data: Path, installation: Installation, password_file: Path, login: Login, ephemeral: bool) -> list[str | Path]:
    quick = ["--no-sync", "--wal-segsize=1", *(["--no-data-checksums"] if installation.major >= 18 else [])] if ephemeral else []
    return [
        *("-D", data, "--username", login.user, "--pwfile", password_file, "--auth=scram-sha-256"),
        *("--encoding=UTF8", "--text-search-config=english", "--no-instructions", *quick),
    ]


def _locales(installation: Installation) -> list[list[str]]:
    """Code-point order with Unicode's upper and lower case on every platform: built in since 17, before that from libc where it has it."""
    if installation.major >= 17:
        return [["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]]
    return [["--locale-provider=libc", "--locale=C.UTF-8"], ["--locale-provider=libc", "--no-locale"]]


def configure(data: Path, settings: Mapping[str, str | int | float | bool], account: Account) -> None:
    """Write our settings; they win over `postgresql.conf` and lose against ALTER SYSTEM."""
    lines = [f"{name} = {_setting(value)}" for name, value in settings.items()]
    write_private(data / CONFIGURATION, "\n".join(["# written by pgcharter at every start", *lines, ""]), account)


def _setting(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def write_private(path: Path, text: str, account: Account | None = None) -> None:
    """Write a file that only we, or `account`, may read; a link that lies in its place is not followed."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    if account:
        account.give(path)


def major_of(data: Path) -> int | None:
    """The major version a data folder was made by; None when there is none."""
    try:
        return int((data / "PG_VERSION").read_text().strip())
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class PidFile:
    """What `postmaster.pid` says (PostgreSQL's src/include/utils/pidfile.h gives the lines)."""

    pid: int
    port: int
    status: str
    """starting, stopping, ready or standby; empty while it is being written."""


def read_pid_file(data: Path) -> PidFile | None:
    """Read `postmaster.pid`; None when it is missing or still empty."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        port = int(lines[3]) if len(lines) > 3 and lines[3].strip() else 0
        return PidFile(int(lines[0]), port, lines[7].strip() if len(lines) > 7 else "")
    except (OSError, ValueError, IndexError):
        return None


def _last_words(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines()[-4:]) or "initdb said nothing"
