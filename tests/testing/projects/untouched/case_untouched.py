from __future__ import annotations

import sys


def test_nothing_is_imported():
    ours = {name for name in sys.modules if name.startswith(("pgcharter", "psycopg", "sqlalchemy"))}
    assert ours == {"pgcharter", "pgcharter.testing", "pgcharter.testing.plugin"}
