"""The commands of docs/how-to/backup.md, restore.md and drill.md run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.operate.backups import ground

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"


def test_the_pages_run(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pgcharter").write_text(f'#!/bin/sh\nexec {sys.executable} -m pgcharter "$@"\n')
    (tmp_path / "bin" / "pgcharter").chmod(0o755)
    pages = [(PAGES / f"{name}.md").read_text(encoding="utf-8") for name in ("backup", "drill", "restore")]
    with ground(settings={"archive_timeout": "150s"}, quick=False) as place:
        place.run("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 1000)")
        charter = "\n".join(b for page in pages for b in re.findall(r"```toml\n(.*?)```", page, re.DOTALL))
        (tmp_path / "pgcharter.toml").write_text(charter.replace("/srv/backup", str(place.root)))
        commands = [line for page in pages for b in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in b.splitlines()]
        assert len(commands) >= 14
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "DATABASE_URL": place.server.dsn(), "PATH": path}
        for command in commands:
            here = command.replace("/srv/new", str(place.root.parent / "new"))
            if command == "pgcharter backup check":
                here += " || true"  # there is no backup yet
            if "drill" in command:
                place.run("INSERT INTO t VALUES (5000)")
                place.switch()
            done = subprocess.run(["sh", "-c", here], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            if command.startswith("pgcharter backup drill"):
                assert "rows of postgres" in done.stdout
