"""A restored copy as a server that is cut off: it hears nobody but us, sends nothing, archives nothing, runs nothing by itself."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote as percent

import psycopg

from pgcharter.db import Connection, connect
from pgcharter.errors import ConnectError, PgcharterError
from pgcharter.operate.backup_model import Prepared
from pgcharter.operate.backup_native_restore import configure
from pgcharter.servers import account as accounts
from pgcharter.servers import binaries, datafolder, folders, lifecycle
from pgcharter.servers.account import Account
from pgcharter.servers.datafolder import Login
from pgcharter.servers.lifecycle import Server

LONGEST = 3600.0
"""Seconds that a recovery may take before it is given up."""
UNREACHABLE = 60.0
"""Seconds after which a copy that is ready and answers nobody is given up."""
_CONTROL = {
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}


def cut_off(major: int) -> Mapping[str, str]:
    """Settings that win over all files of the copy, which are those of the server it was."""
    settings = {
        "listen_addresses": "", "ssl": "off", "archive_mode": "off", "archive_command": "", "archive_library": "",
        "primary_conninfo": "", "primary_slot_name": "", "synchronous_standby_names": "", "restore_command": "",
        "max_logical_replication_workers": "0", "max_replication_slots": "100", "shared_preload_libraries": "",
        "session_preload_libraries": "", "local_preload_libraries": "", "logging_collector": "off", "log_destination": "stderr",
        "log_min_messages": "warning", "log_line_prefix": "%m ", "log_timezone": "UTC", "hot_standby": "on",
        "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off", "jit": "off",
        "huge_pages": "off", "shared_buffers": "128MB", "work_mem": "64MB", "maintenance_work_mem": "256MB", "max_wal_size": "4GB",
        "checkpoint_timeout": "1h", "min_wal_size": "80MB", "dynamic_shared_memory_type": "mmap", "unix_socket_permissions": "0700",
        "cluster_name": "pgcharter drill", "wal_level": "replica", "statement_timeout": "0", "restart_after_crash": "off",
        "recovery_end_command": "", "archive_cleanup_command": "", "promote_trigger_file": "", "default_tablespace": "",
    }  # fmt: skip
    if major >= 16:
        settings.pop("promote_trigger_file")
    if major >= 17:
        settings |= {"event_triggers": "off", "summarize_wal": "off"}
    if major >= 18:
        settings |= {"io_method": "sync", "max_active_replication_origins": "100"}
    return settings


_QUIETLY = "-c session_preload_libraries= -c local_preload_libraries= -c statement_timeout=0 -c default_transaction_read_only=off"
"""Said by the client, for what roles and databases of the original are set to wins over the server's own."""


@dataclass
class Copy:
    """A running copy."""

    server: Server
    user: str
    log: Path

    def connect(self, database: str) -> Connection:
        """A session as its superuser. Raises ConnectError."""
        return connect(self.dsn(database), application_name="pgcharter drill", options=_QUIETLY)

    def dsn(self, database: str) -> str:
        """Its address: a socket in a private folder, for there is no other."""
        where = f"host={percent(str(self.server.socket_dir), '')}&port={self.server.port}"
        return f"postgresql://{percent(self.user, '')}@/{percent(database, '')}?{where}"


@contextmanager
def started(
    prepared: Prepared, conf: Path, who: Account, recovery: Mapping[str, str], *, wait: str = "ready", longest: float = LONGEST
) -> Iterator[Copy]:
    """Start a prepared folder with these settings of its recovery, and stop it at the end.

    With `wait` "paused" it is given when it stands still at its target, read only; with "ready" when it has been promoted. `conf` is
    a folder for files of its configuration. Raises PgcharterError with the server's own words when it does not get there.
    """
    major = prepared.backup.version // 10000
    tools = accounts.readable(binaries.choose(major), who)
    if "restore_command" in recovery:
        configure(prepared.folder, {}, who)  # PostgreSQL refuses a second target, wherever it stands
    settings = {**cut_off(major), **_as_before(prepared.folder, tools, who), **recovery}
    if wait == "ready":
        settings["hot_standby"] = "off"  # one that nobody looks at need not have the primary's settings
    for _ in range(8):
        server = Server(tools, prepared.folder, 5432, folders.private(who), Login(prepared.user, ""), who)
        copy = Copy(server, prepared.user, conf / "server.log")
        try:
            _launch(server, conf, settings)
            server.watchdog = lifecycle.watch(server)
            more = _await(copy, wait, longest)
            if not more:
                yield copy
                return
            settings.update(more)
        finally:
            server.stop()
    raise PgcharterError("the copy asks for ever larger settings", place=str(prepared.folder))


def _as_before(data: Path, tools: binaries.Installation, who: Account) -> Mapping[str, str]:
    """Settings that a standby must have at least as large as its primary (documentation, "Hot Standby", Administrator's Overview)."""
    done = who.run([tools.program("pg_controldata"), data])
    if done.returncode:
        raise PgcharterError(f"the copy in {data} has no usable control file: {' '.join(done.stderr.split())}", place=str(data))
    said = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    return {name: said[word].strip() for word, name in _CONTROL.items() if word in said}


def _launch(server: Server, conf: Path, settings: Mapping[str, str]) -> None:
    who = server.account
    if not conf.is_dir():
        who.make_folder(conf)
    datafolder.write_private(conf / "postgresql.conf", "# nothing: all is said on the command line\n", who)
    datafolder.write_private(conf / "pg_hba.conf", "local all all trust\n", who)  # the socket lies in a folder that only we may enter
    datafolder.write_private(conf / "pg_ident.conf", "", who)
    all_ = {
        **settings, "config_file": str(conf / "postgresql.conf"), "hba_file": str(conf / "pg_hba.conf"),
        "ident_file": str(conf / "pg_ident.conf"),
        "external_pid_file": str(conf / "server.pid"), "port": str(server.port), "unix_socket_directories": str(server.socket_dir),
    }  # fmt: skip
    command = [str(server.installation.program("postgres")), "-D", str(server.data)]
    for name, value in all_.items():
        command += ["-c", f"{name}={value}"]
    log = os.open(conf / "server.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        server.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **who.options())
    finally:
        os.close(log)


_SMALL = re.compile(r"(\w+) = \d+ is a lower setting than on the primary server, where its value was (\d+)")


def _await(copy: Copy, wanted: str, longest: float) -> Mapping[str, str]:
    """Return when it is where it is wanted; with settings when it must be started anew with those: its primary had larger ones later."""
    deadline = time.monotonic() + longest
    ready = float("inf")
    server = copy.server
    while time.monotonic() < deadline:
        if server.process is None or server.process.poll() is not None:
            raise PgcharterError(f"the copy does not recover: {lifecycle.last_words(copy.log)}", place=str(server.data))
        status = datafolder.read_pid_file(server.data)
        if status and status.pid == server.process.pid and status.status == "ready":
            ready = min(ready, time.monotonic())
            where = _where(copy)
            if not where and time.monotonic() - ready > UNREACHABLE:
                raise PgcharterError(f"the copy lets nobody in as {copy.user!r}: {lifecycle.last_words(copy.log)}")
            if where == "paused" and (small := _SMALL.findall(copy.log.read_text(encoding="utf-8", errors="replace"))):
                return dict(small)
            if where == wanted:
                return {}
        time.sleep(0.02)
    raise PgcharterError(f"the copy did not recover within {longest:.0f} s: {lifecycle.last_words(copy.log)}")


def _where(copy: Copy) -> str:
    """ready: promoted; paused: it stands still at its target; recovering; nothing when it cannot be asked."""
    try:
        with copy.connect("template1") as conn:
            row = conn.execute(
                "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN 'ready'"
                " WHEN pg_catalog.pg_get_wal_replay_pause_state() = 'paused' THEN 'paused' ELSE 'recovering' END"
            ).fetchone()
    except (ConnectError, psycopg.Error):
        return ""
    return str(row[0]) if row else ""
