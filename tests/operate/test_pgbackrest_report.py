"""What pgBackRest's reports say, read from its words."""

from __future__ import annotations

import json

import pytest

from pgcharter.errors import PgcharterError, RefusedError, UnavailableError
from pgcharter.operate import backup_pgbackrest_report as report
from pgcharter.operate.backup_pgbackrest_program import Said, failed
from pgcharter.operate.backup_pgbackrest_prune import fulls_with_log

_DAMAGED = """\
2026-11-22 08:51:20.660 P00   INFO: verify command begin 2.45: --config=/b/20261122-085110F/x.conf2 --output=text --stanza=main --verbose
2026-11-22 08:51:20.889 P01   INFO: invalid checksum '20261122-085110F/pg_data/base/5/2654.zst'
2026-11-22 08:51:20.890 P01   INFO: invalid result 15-1/0000000100000000/000000010000000000000006-4e.zst: [29] unexpected eof
2026-11-22 08:51:20.905 P00   INFO: stanza: main
                                    status: error
stanza: main
status: error
  archiveId: 15-1, total WAL checked: 5, total valid WAL: 4
    missing: 0, checksum invalid: 0, size invalid: 0, other: 1
  backup: 20261122-085110F, status: invalid, total files checked: 965, total valid files: 964
    missing: 0, checksum invalid: 1, size invalid: 0, other: 0
  backup: 20261123-085110F, status: valid, total files checked: 965, total valid files: 965
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
2026-11-22 08:51:20.905 P00   INFO: verify command end: completed successfully (59ms)
"""


def test_verify_is_read_by_its_words() -> None:
    found = report.verified(_DAMAGED)
    assert found.status == "error"
    assert found.backups == {"20261122-085110F": "invalid", "20261123-085110F": "valid"}
    mine = list(found.of(frozenset(["20261122-085110F"]), "15-1"))
    assert mine[0] == "pgBackRest says that backup 20261122-085110F is invalid"
    assert len(mine) == 3
    assert [p for p in found.of(frozenset(["20261123-085110F"]), "15-1") if "2654" in p] == []
    assert "did not get to its end" in next(report.verified("").of(frozenset(), "15-1"))


def _stanza(**more: object) -> str:
    backup = {
        "label": "20261122-085110F", "type": "full", "database": {"id": 2, "repo-key": 1}, "archive": {"start": "0" * 7 + "3" + "0" * 16},
        "lsn": {"start": "0/700028", "stop": "0/800050"}, "timestamp": {"start": 1795337470, "stop": 1795337477}, "error": True,
        "info": {"size": 10, "repository": {"delta": 5}}, "backrest": {"version": "2.45"}, "prior": None, "reference": None,
    }  # fmt: skip
    old = {**backup, "label": "20250101-000000F", "database": {"id": 1, "repo-key": 1}}
    db = [{"id": n, "repo-key": 1, "system-id": 7710898724304543770 + n, "version": v} for n, v in ((1, "14"), (2, "15"))]
    return json.dumps([{"backup": [old, backup], "db": db, "archive": [], "status": {"code": 0, "message": "ok"}, **more}])


def test_info_is_read() -> None:
    found = report.info(_stanza(), 1)
    (one,) = found.backups  # that of the system before is another's
    assert (one.id, one.system, one.version, one.timeline) == ("20261122T085110Z-full", "7710898724304543772", 150000, 3)
    assert one.ended.timestamp() == 1795337478  # whole seconds, cut off
    assert one.facts["error"]
    assert found.archive == "15-2"
    assert report.info(_stanza(), 2) == report.Info()
    assert report.info("[]", 1).problems == ("missing stanza",)
    broken = {"key": 1, "status": {"code": 99, "message": "backup.info cannot be read"}}
    assert report.info(_stanza(repo=[broken]), 1).problems == ("backup.info cannot be read",)
    for text in ("", "{}", '[{"status": 1}]'):
        with pytest.raises(PgcharterError, match="report cannot be read"):
            report.info(text, 1)


def test_its_errors_are_ours() -> None:
    words = (
        "ERROR: [050]: unable to acquire lock on file '/x': Resource temporarily unavailable\n       HINT: is another process running?\n"
    )
    assert isinstance(failed(Said(50, "", words), "no"), RefusedError)
    words = "ERROR: [046]: unexpected control version = 1700\n       HINT: is this version of PostgreSQL supported?\n"
    assert isinstance(failed(Said(46, "", words), "no"), UnavailableError)
    assert failed(Said(46, "", words), "no").message == "no: it does not know that version (unexpected control version = 1700)"
    logged = "x\n2026-11-22 09:04:12.1 P00  ERROR: [082]: no log\n       HINT: look\n2026-11-22 09:04:12.4 P00   INFO: end\n"
    assert failed(Said(82, logged, ""), "no").message == "no: the log did not arrive in time (no log)"
    assert failed(Said(9, "", ""), "no").message == "no: it said nothing (pgBackRest's error 9)"


def test_how_much_log_is_kept() -> None:
    (one,) = report.info(_stanza(), 1).backups
    assert fulls_with_log((one,)) == 1
    assert fulls_with_log(()) == 0
