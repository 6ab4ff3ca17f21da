"""The machine that a server runs on, where that is ours too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pgcharter.errors import PgcharterError
from pgcharter.watch.collecting_asked import Asked, Row

PLACES = """
SELECT 'data' AS holds, pg_catalog.current_setting('data_directory') AS path
UNION ALL SELECT 'log of changes', pg_catalog.current_setting('data_directory') || '/pg_wal'
UNION ALL SELECT 'tablespace ' || pg_catalog.quote_ident(t.spcname), pg_catalog.pg_tablespace_location(t.oid)
            FROM pg_catalog.pg_tablespace t WHERE pg_catalog.pg_tablespace_location(t.oid) <> ''
"""


def _here(asked: Asked) -> None:
    """Raise PgcharterError unless the process that serves us is one of this machine, as its title tells."""
    session = asked.server
    pid = session.conn.info.backend_pid
    try:
        title = (asked.system.proc / str(pid) / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        title = ""
    if not title.startswith("postgres:") or session.database not in title:
        raise PgcharterError("the server runs on another machine, or in a container: look from there, or by its node exporter")


def disks(asked: Asked) -> Iterable[Row]:
    """File systems that the server's files are on, each once."""
    _here(asked)
    seen: dict[int, dict[str, object]] = {}
    for holds, path in asked.server.conn.execute(PLACES):
        at = _nearest(Path(path))
        device = at.stat().st_dev
        if device in seen:
            seen[device]["holds"] = f"{seen[device]['holds']}, {holds}"
            continue
        facts = os.statvfs(at)
        size, free = facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize
        used = (facts.f_blocks - facts.f_bfree) * facts.f_frsize
        seen[device] = {
            "holds": holds, "path": str(at), "size_bytes": size, "free_bytes": free, "used_bytes": used,
            "used_percent": 100.0 * used / (used + free) if used + free else None,
            "inodes_percent": 100.0 * (1 - facts.f_favail / facts.f_files) if facts.f_files else None,
        }  # fmt: skip
    return list(seen.values())


def _nearest(path: Path) -> Path:
    """The path itself, or the nearest folder above that we may look at. Raises PgcharterError where that is not ours to see."""
    for one in (path, *path.parents):
        try:
            one.stat()
        except PermissionError:
            continue
        return one
    raise PgcharterError(f"{path} cannot be looked at from this account")


def _pairs(path: Path) -> Iterator[tuple[str, float]]:
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            yield name, float(words[0]) * (1024 if words[-1] == "kB" else 1)


def memory(asked: Asked) -> Iterable[Row]:
    """Memory that programs could still have, and swap (/proc/meminfo; proc(5))."""
    _here(asked)
    said = dict(_pairs(asked.system.proc / "meminfo"))
    total, swap = said["MemTotal"], said.get("SwapTotal", 0.0)
    return (
        {
            "total_bytes": total, "available_bytes": said["MemAvailable"], "available_percent": 100.0 * said["MemAvailable"] / total,
            "swap_used_percent": 100.0 * (swap - said.get("SwapFree", 0.0)) / swap if swap else None,
        },
    )  # fmt: skip


def load(asked: Asked) -> Iterable[Row]:
    """Processes that run or wait, for each processor (/proc/loadavg)."""
    _here(asked)
    five = float((asked.system.proc / "loadavg").read_text(encoding="ascii").split()[1])
    return ({"load5": five, "cores": asked.system.cores, "load_per_core": five / asked.system.cores},)


def pressure(asked: Asked) -> Iterable[Row]:
    """Share of the last minute in which somebody waited for a resource (/proc/pressure; Documentation/accounting/psi.rst)."""
    _here(asked)
    rows = []
    for resource in ("cpu", "io", "memory"):
        try:
            some = (asked.system.proc / "pressure" / resource).read_text(encoding="ascii").partition("\n")[0]
        except OSError as error:
            raise PgcharterError("the kernel keeps no pressure figures here: boot with psi=1") from error
        figures = dict(word.split("=") for word in some.split()[1:])
        rows.append({"resource": resource, "some_percent": float(figures["avg60"])})
    return rows


def kernel(asked: Asked) -> Iterable[Row]:
    """Settings of the kernel that a database server needs (PostgreSQL's documentation, "Linux Memory Overcommit")."""
    _here(asked)
    mode = int((asked.system.proc / "sys/vm/overcommit_memory").read_text(encoding="ascii"))
    return ({"overcommits": int(mode != 2), "mode": mode},)
