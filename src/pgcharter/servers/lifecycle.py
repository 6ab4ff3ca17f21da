"""Starting and stopping PostgreSQL servers of our own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote as percent

from pgcharter.errors import PgcharterError
from pgcharter.servers import account as accounts
from pgcharter.servers import datafolder, folders, templates
from pgcharter.servers.account import Account
from pgcharter.servers.binaries import Installation
from pgcharter.servers.datafolder import Login

Setting = str | int | float | bool

START_SECONDS = 60.0
"""How long a server may take until it accepts connections; crash recovery of a large folder is the slow case."""

EPHEMERAL: Mapping[str, Setting] = {
    "fsync": False,
    "synchronous_commit": False,
    "full_page_writes": False,
    "autovacuum": False,
    "dynamic_shared_memory_type": "mmap",
}
"""Settings of a server whose data nobody will miss. What its processes share lies in its folder and goes with that, even after kill -9."""


@dataclass
class Server:
    """A running server that this process started."""

    installation: Installation
    data: Path
    port: int
    socket_dir: Path
    login: Login
    account: Account
    tcp: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    folder: Path | None = None
    """Removed when the server stops."""
    lock: int | None = field(default=None, repr=False)
    """Descriptor that marks the folder as in use."""
    watchdog: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    starter: int = field(default_factory=os.getpid)

    @property
    def major(self) -> int:
        """The major version: 15 to 18."""
        return self.installation.major

    @property
    def version(self) -> int:
        """As `server_version_num`."""
        return self.installation.version

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.data.with_name("server.log")

    def dsn(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """The URI of a database, by the private socket folder; user and password are the bootstrap superuser's unless given."""
        name, secret = user or self.login.user, password or self.login.password
        where = f"host={percent(str(self.socket_dir), '')}&port={self.port}"
        return f"postgresql://{percent(name, '')}:{percent(secret, '')}@/{percent(database, '')}?{where}"

    def stop(self) -> None:
        """Stop the server (open connections are ended); what was ephemeral is removed. Harmless when done twice or in a forked child."""
        if os.getpid() != self.starter:
            return
        if self.process:
            end(self.process)
            self.process = None
        folders.remove(self.folder or self.socket_dir)
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None
        if self.watchdog and self.watchdog.stdin:
            with contextlib.suppress(OSError):
                self.watchdog.stdin.write(b"done\n")
                self.watchdog.stdin.close()
            self.watchdog.wait(timeout=10)
            self.watchdog = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def start_ephemeral(installation: Installation, *, settings: Mapping[str, Setting] | None = None, memory: int = 0) -> Server:
    """Start a server in a new folder that disappears with it, reachable only through a private Unix socket.

    It dies with this process, however that ends. `memory` limits the address space of each of its processes, in bytes.
    """
    who = accounts.current()
    usable = accounts.readable(installation, who)
    _sweep_once(who)
    folder = folders.private(who)
    lock = folders.hold(folder)
    try:
        data = folder / "data"
        login = templates.initialise(data, usable, who)
        server = Server(usable, data, 5432, who.make_folder(folder / "s"), login, who, folder=folder, lock=lock)
        launch(server, {**EPHEMERAL, **(settings or {}), "listen_addresses": ""}, memory)
    except BaseException:
        folders.remove(folder)
        os.close(lock)
        raise
    server.watchdog = watch(server)
    return server


@cache
def _sweep_once(who: Account) -> None:
    folders.sweep(who)


def start(folder: Path, installation: Installation, *, settings: Mapping[str, Setting] | None = None, ephemeral: bool = False) -> Server:
    """Start a server on the data in `folder/data`, which is made when it is missing, as a child of this process.

    It listens on a free port of 127.0.0.1 and on a private Unix socket; its superuser is `postgres`, whose password lies in
    `folder/pgpass`. An ephemeral one skips every wait for the disk and dies with this process. What is in `folder` stays. Raises
    PgcharterError with the last lines of the server's log when it does not come up, or when another major version made the data.
    """
    who = accounts.current()
    usable = accounts.readable(installation, who)
    login = prepare(folder, usable, who, ephemeral=ephemeral)
    server = Server(usable, folder / "data", free_port(), folders.private(who), login, who, tcp=True)
    try:
        launch(server, {**(EPHEMERAL if ephemeral else {}), "listen_addresses": "127.0.0.1", **(settings or {})})
    except BaseException:
        folders.remove(server.socket_dir)
        raise
    if ephemeral:
        server.watchdog = watch(server)
    return server


_PARTIAL = "data.partial-"
"""A name of its own for each try: the initdb of a killed run may still be at work in, or removing, the one before."""


def prepare(folder: Path, installation: Installation, who: Account, *, ephemeral: bool = False) -> Login:
    """Make `folder/data` when it is missing, whole or not at all, and return its superuser's login. Raises PgcharterError otherwise."""
    data, secret = folder / "data", folder / "pgpass"
    made_by = datafolder.major_of(data)
    if made_by is None:
        login = datafolder.random_login("postgres")
        datafolder.write_private(secret, f"*:*:*:{login.user}:{login.password}\n")
        for left in folder.glob(f"{_PARTIAL}*"):
            folders.remove(left)
        partial = folder / f"{_PARTIAL}{secrets.token_hex(4)}"
        datafolder.initialise(who.make_folder(partial), installation, who, login, ephemeral=ephemeral)
        partial.rename(data)
        return login
    if made_by != installation.major:
        aside = f"mv {shlex.quote(str(data))} {shlex.quote(f'{data}-{made_by}')}"
        raise PgcharterError(
            f"the data in {data} was made by PostgreSQL {made_by}, so PostgreSQL {installation.release} cannot open it",
            hint=f"ask for it with --major {made_by}, or move the data away: {aside}",
        )
    return stored_login(secret)


def stored_login(secret: Path) -> Login:
    """The superuser's login, from the password file beside a data folder. Raises PgcharterError when it is not there."""
    try:
        user, password = secret.read_text(encoding="utf-8").strip().split(":")[3:5]
    except (OSError, ValueError):
        raise PgcharterError(
            f"the password file {secret} is missing or damaged, so nobody can log in to the server beside it",
            hint=f"remove {shlex.quote(str(secret.parent))} to begin with an empty server",
            place=str(secret),
        ) from None
    return Login(user, password)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_LAUNCH = """
[ "$1" = 0 ] || ulimit -v "$1" 2>/dev/null
ulimit -c 0 2>/dev/null
[ "$2" = 0 ] || { echo "$2" > /proc/self/oom_score_adj; } 2>/dev/null
shift 2
exec "$@"
"""


def launch(server: Server, settings: Mapping[str, Setting], memory: int = 0) -> None:
    """Start postgres as our direct child (`sh` replaces itself by it) and wait until it accepts connections."""
    base: dict[str, Setting] = {"port": server.port, "unix_socket_directories": str(server.socket_dir), "unix_socket_permissions": "0700"}
    datafolder.configure(server.data, {**base, **settings}, server.account)
    command = [server.installation.program("postgres"), "-D", server.data]
    limits = [str(memory // 1024), "500" if memory else "0"]
    log = os.open(server.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        server.process = subprocess.Popen(
            ["/bin/sh", "-c", _LAUNCH, "postgres", *limits, *[str(part) for part in command]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **server.account.options(),
        )
    finally:
        os.close(log)
    try:
        wait_until_ready(server.data, server.process, server.log)
    except BaseException:
        end(server.process, signal.SIGQUIT)
        raise


def wait_until_ready(data: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the server accepts connections. Raises PgcharterError with its last words when it ended or took too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PgcharterError(f"the PostgreSQL server in {data} ended while starting: {last_words(log)}", place=str(data))
        status = datafolder.read_pid_file(data)
        if status and status.pid == process.pid and status.status == "ready":
            return
        time.sleep(0.004)
    raise PgcharterError(f"the PostgreSQL server in {data} was not ready after {START_SECONDS:.0f} s: {last_words(log)}", place=str(data))


def last_words(log: Path) -> str:
    """The end of a server's log, on one line."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "it left no log"
    signs = ("FATAL", "PANIC", "ERROR", "HINT", "could not", "unrecognized", "invalid")
    telling = [line.strip() for line in lines if any(sign in line for sign in signs)]
    return " ".join((telling or lines)[-3:]) or "it left no log"


def end(process: subprocess.Popen[bytes], first: signal.Signals = signal.SIGINT) -> None:
    """Stop a postmaster of ours: fast, then immediately, then by force."""
    for how, seconds in ((first, 10.0), (signal.SIGQUIT, 8.0), (signal.SIGKILL, 5.0)):
        if process.poll() is not None:
            return
        process.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return


_WATCH = """
trap '' HUP INT TERM QUIT
read -r word
[ "$word" = done ] && exit 0
if [ "$(head -n 1 "$2/postmaster.pid" 2>/dev/null)" = "$1" ]; then
    kill -QUIT "$1" 2>/dev/null
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ -e "$2/postmaster.pid" ] || break
        kill -0 "$1" 2>/dev/null || break
        sleep 0.5
    done
    kill -KILL "$1" 2>/dev/null
fi
rm -rf -- "$3"
"""


def watch(server: Server) -> subprocess.Popen[bytes]:
    """Start the one who outlives us: when our end of its pipe closes, even by kill -9, it ends the server and removes its folder."""
    process = server.process
    pid = process.pid if process else 0
    return subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, "watchdog", str(pid), str(server.data), str(server.folder or server.socket_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **server.account.options(),
    )
