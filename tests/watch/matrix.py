"""Every fault on every version: `python -m tests.watch.matrix`. Minutes."""

from __future__ import annotations

import os
import sys

import pytest

if __name__ == "__main__":
    os.environ["PGCHARTER_EVERY_FAULT"] = "1"
    sys.exit(pytest.main(["-q", "-n", "0", "tests/watch", "-k", "fault or standby or subscri or archiv", *sys.argv[1:]]))
