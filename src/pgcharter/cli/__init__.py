"""The command line: one file per command group; the only place where errors become output.

Nothing heavy is imported here: a command's module is imported when that command is called, so that `pgcharter --version` and
`pgcharter --help` answer at once.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the program on `sys.argv` and leave with its exit code (see `pgcharter.errors`)."""
    from pgcharter.cli.failures import run

    sys.exit(run(sys.argv[1:]))
