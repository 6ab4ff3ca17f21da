"""`pgcharter keys` as a user calls it, on a real database: from a clear column to one without, a rotation, a person erased."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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


SETTING = 'keys = "file:secret/ring.json"\nmaster = "file:secret/master.key"'
PLACES: dict[str, tuple[str, int, str, str]] = {
    "variable unset": ('keys = "env:NO_RING"', 3, "variable NO_RING, which is not set", "secret store"),
    "variable rubbish": ('keys = "env:RUBBISH"', 3, "RUBBISH holds no key ring of version 1, or a damaged one", "restore it"),
    "command fails": ('keys = "command:false"', 3, "the command false, which gives the key ring, failed with 1", "run it by hand"),
    "no such command": ('keys = "command:/no/such"', 3, "cannot be run: No such file or directory", "run it by hand"),
    "command rubbish": (f'keys = "command:echo {CANARY}"', 3, "the command echo holds no key ring", "restore it"),
    "command unclosed": ('keys = "command:sh -c \'x"', 2, "cannot be read: No closing quotation", "command:"),
    "command empty": ('keys = "command:  "', 2, "the command that gives the key ring is empty", "command:"),
    "no provider": ('keys = "vault:x"', 2, "'vault:x' is no place of keys", "env:VARIABLE"),
    "master elsewhere": ('master = "env:M"', 2, "'env:M' is no place of a master key", "file:"),
    "no master": ('keys = "file:secret/ring.json"', 3, "are wrapped, and no master key is named", "[encryption] master"),
    "no file": ('keys = "file:secret"', 3, "is no file, so no keys are in it", "name the file itself"),
}
"""[encryption] → exit code, what is said, what its hint says."""


@pytest.mark.parametrize("case", PLACES)
def test_keys_that_are_not_to_be_had(program: Program, shop: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """One sentence with its remedy, before the database is touched; nothing of what was read is repeated."""
    monkeypatch.setenv("RUBBISH", CANARY)
    assert program("keys", "create", cwd=with_setting(shop, SETTING)).returncode == 0
    setting, code, sentence, hint = PLACES[case]
    with_setting(shop, setting)
    for words in (("verify",), ("reencrypt", *LEAVE), ("status",)):
        one_sentence(program("keys", *words, cwd=shop), code, sentence, hint)


FILES: dict[str, tuple[Callable[[Path], object], int, str, str]] = {
    "ring readable": (lambda f: (f / "ring.json").chmod(0o644), 4, "may be read by others (mode 0644)", "chmod 600"),
    "folder writable": (lambda f: f.chmod(0o777), 4, "may be written to by others", "chmod 700"),
    "ring gone": (lambda f: (f / "ring.json").unlink(), 3, "ring.json cannot be read: No such file", "restore the one"),
    "ring empty": (lambda f: (f / "ring.json").write_text(""), 3, "or a damaged one", "make no new one"),
    "ring cut": (lambda f: (f / "ring.json").write_bytes((f / "ring.json").read_bytes()[:-90]), 3, "or a damaged one", "make no new one"),
    "ring changed": (lambda f: changed(f / "ring.json"), 3, "cannot be unwrapped with the master key", "restore it"),
    "master readable": (lambda f: (f / "master.key").chmod(0o640), 4, "may be read by others (mode 0640)", "chmod 600"),
    "master gone": (lambda f: (f / "master.key").unlink(), 3, "master.key cannot be read: No such file", "restore it"),
    "master cut": (lambda f: (f / "master.key").write_bytes(b"x" * 31), 3, "has 31 bytes, and must have 32", "restore it"),
    "another master": (lambda f: (f / "master.key").write_bytes(b"x" * 32), 3, "it is another one's, or damaged", "restore it"),
}
"""What happens to the files → exit code, what is said, what its hint says."""


@pytest.mark.parametrize("case", FILES)
def test_files_of_keys_that_are_damaged(program: Program, shop: Path, case: str) -> None:
    """Also by commands that change the ring: it stays as it is, and keys of two masters never come into one."""
    assert program("keys", "create", cwd=shop_of(shop)).returncode == 0
    harm, code, sentence, hint = FILES[case]
    harm(shop / "secret")
    before = {f.name: f.read_bytes() for f in (shop / "secret").iterdir()}
    changing = (("create", "cards"), ("rotate",)) if case != "ring gone" else (("rotate", "nobody"),)
    for words in (("verify",), ("encrypt", "app.people.email", *LEAVE)):
        one_sentence(program("keys", *words, cwd=shop), code, sentence, hint)
    for words in changing:
        assert program("keys", *words, cwd=shop).returncode in (2, code)
    assert {f.name: f.read_bytes() for f in (shop / "secret").iterdir()} == before


def test_days_that_have_come(program: Program, shop: Path) -> None:
    assert program("keys", "create", cwd=shop).returncode == 0
    today = datetime.now(UTC).date()
    for words in (("create", "cards"), ("rotate",)):
        one_sentence(program("keys", *words, "--expires", f"{today}", cwd=shop), 2, "has come already", "a later day")
    assert program("keys", "rotate", "--expires", f"{today + timedelta(days=1)}", cwd=shop).returncode == 0
    assert program("policy", "apply", "--yes", *LEAVE, cwd=shop).returncode == 0
    ring = shop / "secret" / "ring.json"
    ring.write_text(ring.read_text().replace(f"{today + timedelta(days=1)}", f"{today}"))
    one_sentence(
        program("keys", "encrypt", "app.people.email", *LEAVE, cwd=shop), 3, f"expired on {today}, so nothing", "keys rotate default"
    )
    assert f"expired on {today}, so nothing is written with it" in program("keys", "status", cwd=shop).stdout


def test_values_that_cannot_be_read(program: Program, shop: Path, database: str) -> None:
    """Damaged, cut off, of another row, of no key: each row is named, the job stops before it, and goes on when it is mended."""
    shop_of(shop)
    for words in (("keys", "create"), ("policy", "apply", "--yes", *LEAVE), ("keys", "encrypt", "app.people.email", *LEAVE)):
        assert program(*words, cwd=shop).returncode == 0
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE app.before AS SELECT * FROM app.people")
        for sql in (
            "SET email_encrypted = set_byte(email_encrypted, 40, get_byte(email_encrypted, 40) # 1) WHERE id = 3",
            "SET email_encrypted = (SELECT email_encrypted FROM app.people WHERE id = 5) WHERE id = 4",
            "SET email_encrypted = substring(email_encrypted FROM 1 FOR 45) WHERE id = 6",
            "SET email_encrypted = set_byte(email_encrypted, 10, get_byte(email_encrypted, 10) # 1) WHERE id = 7",
            "SET email_folded = set_byte(email_folded, 10, get_byte(email_folded, 10) # 1) WHERE id = 8",
        ):
            conn.execute(f"UPDATE app.people {sql}".encode())
        seen = program("keys", "verify", cwd=shop)
        assert (seen.returncode, "5 wrong" in seen.stdout) == (1, True), seen
        assert [line.split(":")[0] for line in seen.stdout.splitlines() if line.startswith("row")][:4] == [
            "row 3",
            "row 4",
            "row 6",
            "row 7",
        ]
        assert "row 8 of app.people.email would not be found by folded" in seen.stdout
        program("keys", "rotate", cwd=shop)
        one_sentence(program("keys", "reencrypt", *LEAVE, cwd=shop), 3, "row 3: a value of app.people.email", "names all such rows")
        assert b"canary" not in (shop / "secret" / "ring.json").read_bytes()
        conn.execute(
            "UPDATE app.people p SET email_encrypted = b.email_encrypted, email_folded = b.email_folded FROM app.before b WHERE p.id = b.id"
        )
    assert "50 values read back, 0 wrong" in program("keys", "reencrypt", *LEAVE, cwd=shop).stdout


def test_a_unique_index_goes_from_key_to_key(program: Program, shop: Path, database: str) -> None:
    """`keys status` names each step: reencrypt, retire, reencrypt; then no digest of the old key is left."""
    charter = CHARTER.partition("scope =")[0]
    (shop / "pgcharter.toml").write_text(charter + "unique = true\n")
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("UPDATE app.people SET email = email || id")

    def run(*words: str, code: int = 0) -> str:
        done = program(*words, cwd=shop)
        assert done.returncode == code, done
        return " ".join(done.stdout.split())

    for words in (("keys", "create"), ("policy", "apply", "--yes", *LEAVE), ("keys", "encrypt", "app.people.email", *LEAVE)):
        run(*words)
    run("keys", "rotate", "--purpose", "index")
    (old,) = [k["id"] for k in json.loads(run("keys", "list", "--format", "json"))["keys"] if k["state"] == "decrypt-only"]
    assert "50 values and blind indexes are of keys that are not active" in run("keys", "status", code=1)
    assert "50 values read back, 0 wrong" in run("keys", "reencrypt", *LEAVE)
    step = f"50 unique blind indexes carry a digest of an old key too: pgcharter keys retire {old}; then pgcharter keys reencrypt"
    assert step in run("keys", "status", code=1)
    run("keys", "retire", old, "--destroy", "--yes", *LEAVE)
    assert "a digest of an old key too: pgcharter keys reencrypt app.people.email" in run("keys", "status", code=1)
    assert "50 rows in" in run("keys", "reencrypt", *LEAVE)
    assert "an old key" not in run("keys", "status", code=1)
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT DISTINCT octet_length(email_folded) FROM app.people").fetchall() == [(20,)]


def with_setting(folder: Path, setting: str) -> Path:
    (folder / "pgcharter.toml").write_text(CHARTER.replace(SETTING, setting))
    return folder


def shop_of(folder: Path) -> Path:
    """Without persons, whose keys are of no matter here."""
    charter = CHARTER.partition("scope =")[0]
    (folder / "pgcharter.toml").write_text(charter)
    return folder


def changed(ring: Path) -> None:
    """The first key's material, one bit different."""
    data = json.loads(ring.read_text())
    material = bytearray(base64.b64decode(data["keys"][0]["material"]))
    material[20] ^= 1
    data["keys"][0]["material"] = base64.b64encode(material).decode()
    ring.write_text(json.dumps(data))


def one_sentence(done: Any, code: int, sentence: str, hint: str) -> None:
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == code, done
    assert sentence in said
    assert said.count("error:") == said.count("hint:") == 1
    assert hint in said.partition("hint:")[2]
    assert CANARY not in said.replace(f"command:echo {CANARY}", "")


def test_wrong_use_is_told_in_one_sentence(program: Program, shop: Path) -> None:
    for words, code, sentence in (
        (("keys", "activate", "zzz"), 2, "is no id of a key"),
        (("keys", "retire", "12", "--unchecked"), 3, "cannot be read: No such file"),
        (("keys", "rotate", "nobody"), 2, "has no keys called nobody"),
        (("keys", "create"), 0, ""),
        (("keys", "destroy-subject", "cat", "1", *LEAVE), 2, "no encrypted column is of subjects of kind 'cat'"),
    ):
        done = program(*words, cwd=shop)
        assert (done.returncode, sentence in " ".join(done.stderr.split())) == (code, True), done
    (shop / "pgcharter.toml").write_text(CHARTER.replace('"file:secret/ring.json"', '"env:RING"'))
    assert "can only be read here" in program("keys", "rotate").stderr
