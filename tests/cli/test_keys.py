"""`pgcharter keys` as a user calls it, on a real database: from a clear column to one without, a rotation, a person erased."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

Program = Callable[..., Any]
CANARY = "canary-5512-x"
CHARTER = """
[environments.live]
dsn_env = "KEYS_DB"
production = true

[encryption]
keys = "file:secret/ring.json"
master = "file:secret/master.key"

[[encryption.column]]
table = "app.people"
column = "email"
search = ["folded"]
scope = "subject"
subject = "id"
subject_kind = "person"
"""
LEAVE = ("--env", "live", "--confirm", "live")


@pytest.fixture
def shop(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    monkeypatch.setenv("KEYS_DB", database)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA app; CREATE TABLE app.people (id int PRIMARY KEY, email text)")
        conn.execute(f"INSERT INTO app.people SELECT i, '{CANARY}-' || i % 7 FROM generate_series(1, 50) i".encode())
    return tmp_path


def test_from_clear_to_encrypted_to_erased(program: Program, shop: Path, database: str) -> None:
    said: list[str] = []

    def run(*words: str, code: int = 0) -> Any:
        done = program(*words, cwd=shop)
        assert done.returncode == code, done
        said.append(done.stdout + done.stderr)
        return done

    run("keys", "list", code=3)
    run("keys", "create")
    assert "has keys called default already" in run("keys", "create", code=4).stderr
    assert "policy apply" in run("keys", "encrypt", "app.people.email", *LEAVE, code=2).stderr
    run("policy", "apply", "--yes", *LEAVE)
    assert "--confirm live" in run("keys", "encrypt", "app.people.email", code=4).stderr
    assert "50 values are in clear only" in run("keys", "status", code=1).stdout
    assert "50 values read back, 0 wrong" in run("keys", "encrypt", "app.people.email", *LEAVE).stdout
    assert "7 different among 50; 8 rows share the most frequent" in run("keys", "status", code=1).stdout
    run("keys", "rotate")
    first = [k for k in json.loads(run("keys", "list", "--format", "json").stdout)["keys"] if k["state"] == "decrypt-only"]
    assert [k["purpose"] for k in first] == ["data", "index"]
    for key in first:
        assert "is still needed by" in run("keys", "retire", key["id"], *LEAVE, code=4).stderr
    run("keys", "reencrypt", *LEAVE)
    for key in first:
        run("keys", "retire", key["id"], "--destroy", "--yes", *LEAVE)
    assert "50 values read back, 0 wrong" in run("keys", "verify").stdout
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("UPDATE app.people SET email = 'other', email_encrypted = email_encrypted || '' WHERE id = 2")
        conn.execute("UPDATE app.people a SET email_encrypted = b.email_encrypted FROM app.people b WHERE a.id = 3 AND b.id = 4")
    assert "1 wrong" in run("keys", "verify", code=1).stdout
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("UPDATE app.people SET email_encrypted = NULL WHERE id = 3")
    assert "still stands in clear" in run("keys", "destroy-subject", "person", "9", "--yes", *LEAVE, code=4).stderr
    run("keys", "encrypt", "app.people.email", *LEAVE)
    run("keys", "encrypt", "app.people.email", "--clear", "--yes", *LEAVE)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("DROP TRIGGER email_pgcharter_stale ON app.people; ALTER TABLE app.people DROP COLUMN email")
    assert "is destroyed" in run("keys", "destroy-subject", "person", "9", "--yes", *LEAVE).stdout
    assert "has no key" in run("keys", "destroy-subject", "person", "99", "--yes", *LEAVE).stdout
    assert "49 values read back, 1 erased, 0 wrong" in run("keys", "verify").stdout
    run("keys", "status")
    assert CANARY not in "".join(said)
    ring = json.loads((shop / "secret" / "ring.json").read_text())
    assert not [k["material"] for k in ring["keys"] if k["material"] and k["material"] in "".join(said)]


def test_wrong_use_is_told_in_one_sentence(program: Program, shop: Path) -> None:
    for words, code, sentence in (
        (("keys", "activate", "zzz"), 2, "is no id of a key"),
        (("keys", "retire", "12", "--unchecked"), 3, "makes a key ring"),
        (("keys", "rotate", "nobody"), 2, "has no keys called nobody"),
        (("keys", "destroy-subject", "cat", "1", *LEAVE), 2, "no encrypted column is of subjects of kind 'cat'"),
    ):
        done = program(*words, cwd=shop)
        assert (done.returncode, sentence in done.stderr) == (code, True), done
    (shop / "pgcharter.toml").write_text(CHARTER.replace('"file:secret/ring.json"', '"env:RING"'))
    assert "can only be read here" in program("keys", "rotate").stderr
