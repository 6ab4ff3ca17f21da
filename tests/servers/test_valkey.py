"""The embedded Valkey: whose it is, and that it ends with the process that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import redis

from pgcharter.servers import account
from pgcharter.servers.valkey import embedded


def _process(url: str) -> tuple[int, Path]:
    """The server's process id and folder."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"]), Path(client.config_get("dir")["dir"])


def test_it_never_runs_as_root_and_its_folder_is_its_account_s_own() -> None:
    who = account.current()
    with embedded() as url:
        pid, folder = _process(url)
        status = Path(f"/proc/{pid}/status").read_text()
        ids = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
        assert who.uid != 0
        assert ids == [str(who.uid)] * 4
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (who.uid, 0o700)
    assert not Path(f"/proc/{pid}").exists()
    assert not folder.exists()


def test_it_ends_with_a_process_that_is_killed() -> None:
    script = "import time; from pgcharter.servers.valkey import embedded\nwith embedded() as url: print(url, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        pid, _ = _process(child.stdout.readline().strip())
        os.kill(child.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while _lives(pid):
        assert time.monotonic() < until
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
