"""Key rings: states, where they are kept, and what others may not see."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.runtime.encryption_format import EncryptionError
from pgcharter.runtime.keys import ACTIVE, DATA, DECRYPT_ONLY, DESTROYED, INDEX, RETIRED, KeyRing, read_document
from pgcharter.runtime.keys_providers import LocalMaster, RingCommand, RingFile, RingVariable, provider


def test_states_of_keys() -> None:
    ring = KeyRing().create("default")
    first = ring.active("default", DATA)
    ring, second = ring.rotate("default", DATA)
    assert [k.state for k in ring.named("default", DATA)] == [ACTIVE, DECRYPT_ONLY]
    assert ring.active("default", DATA).id == second.id
    assert ring.active("default", INDEX).id != second.id
    ring, third = ring.rotate("default", DATA, announce=True)
    assert ring.active("default", DATA).id == second.id
    assert ring.by_id(third.id, "x") == third
    ring = ring.activate(third.id)
    assert ring.active("default", DATA).id == third.id
    ring = ring.end(first.id)
    assert {k.id: k.state for k in ring.keys}[first.id] == RETIRED
    assert ring.activate(first.id).active("default", DATA).id == first.id
    gone = next(k for k in ring.end(first.id, destroy=True).keys if k.id == first.id)
    assert (gone.state, gone.material) == (DESTROYED, b"")


def test_what_a_ring_refuses() -> None:
    ring = KeyRing().create("default")
    key = ring.active("default", DATA)
    uses: dict[str, Callable[[], object]] = {
        "has keys called default already": lambda: ring.create("default"),
        "has no keys called cards": lambda: ring.rotate("cards", DATA),
        "is active: what is written now needs it": lambda: ring.end(key.id),
        "has no key 0000000000000001": lambda: ring.end(1),
        "no active data key called cards": lambda: ring.active("cards", DATA),
        "is destroyed, which nothing brings back": lambda: ring.rotate("default", DATA)[0].end(key.id, destroy=True).activate(key.id),
    }
    for sentence, use in uses.items():
        with pytest.raises(PgcharterError, match=sentence):
            use()


def test_a_ring_in_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = RingFile(tmp_path / "keys" / "ring.json")
    made = file.change(lambda ring: ring.create("default"))
    assert file.read() == made
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700
    file.path.chmod(0o640)
    with pytest.raises(RefusedError, match="may be read by others"):
        file.read()
    file.path.chmod(0o600)
    file.path.parent.chmod(0o777)
    with pytest.raises(RefusedError, match="may be written to by others"):
        file.read()
    file.path.parent.chmod(0o700)
    for text in ("", "{}", "[]", "\xff", json.dumps({"format": "pgcharter-keys", "version": 1, "wrapped": False, "keys": [{"id": "1"}]})):
        file.path.write_text(text)
        with pytest.raises(EncryptionError, match="holds no key ring"):
            file.read()
    with pytest.raises(EncryptionError, match="cannot be read: No such file"):
        RingFile(tmp_path / "nothing").read()


def test_two_who_change_a_ring_lose_nothing(tmp_path: Path) -> None:
    file = RingFile(tmp_path / "ring.json")
    workers = [threading.Thread(target=file.change, args=(lambda ring, n=n: ring.create(f"k{n}"),)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {k.name for k in file.read().keys} == {f"k{n}" for n in range(8)}
    assert [p.name for p in tmp_path.iterdir()] == ["ring.json"]


def test_rings_of_variables_and_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = KeyRing().create("default")
    monkeypatch.setenv("RING", ring.document())
    assert RingVariable("RING").read() == ring
    program = tmp_path / "give.py"
    program.write_text(f"print({ring.document()!r})")
    assert RingCommand((sys.executable, str(program))).read() == ring
    secret = ring.document()[100:140]
    program.write_text(f"import sys; sys.exit({ring.document()!r})")
    with pytest.raises(EncryptionError, match="failed with 1") as error:
        RingCommand((sys.executable, str(program))).read()
    assert secret not in str(error.value)
    with pytest.raises(EncryptionError, match="cannot be run: No such file"):
        RingCommand(("/no/such/program",)).read()
    program.write_text("import subprocess; subprocess.run(['sleep', '30'])")  # a child that holds the pipe
    began = time.monotonic()
    with pytest.raises(EncryptionError, match=r"did not end within 0\.5 seconds"):
        RingCommand((sys.executable, str(program)), timeout=0.5).read()
    assert time.monotonic() - began < 10
    with pytest.raises(EncryptionError, match="UNSET, which is not set"):
        RingVariable("UNSET").read()
    assert provider("command:vault kv get 'a b'", tmp_path) == RingCommand(("vault", "kv", "get", "a b"))
    with pytest.raises(UsageError, match="no place of keys"):
        provider("ring.json", tmp_path)


def test_keys_wrapped_by_a_master_key(tmp_path: Path) -> None:
    master = LocalMaster(tmp_path / "own" / "master.key")
    master.create()
    with pytest.raises(RefusedError, match="is there"):
        master.create()
    file = RingFile(tmp_path / "ring.json", master)
    ring = file.change(lambda r: r.create("default"))
    key = ring.active("default", DATA)
    material = ring.material(key)
    assert len(material) == 32
    assert material not in key.material
    assert file.read().material(key) == material
    other = LocalMaster(tmp_path / "other" / "master.key")
    other.create()
    with pytest.raises(EncryptionError, match="cannot be unwrapped"):
        RingFile(file.path, other).read().material(key)
    with pytest.raises(EncryptionError, match="no master key is named"):
        RingFile(file.path).read()
    with pytest.raises(EncryptionError, match="are not wrapped"):
        read_document(KeyRing().create("x").document(), "it", master)
    swapped = KeyRing(tuple(k if k.purpose == DATA else type(k)(**{**k.__dict__, "material": key.material}) for k in ring.keys), master)
    with pytest.raises(EncryptionError, match="cannot be unwrapped"):
        swapped.material(swapped.active("default", INDEX))
    master.path.chmod(0o644)
    with pytest.raises(RefusedError, match="may be read by others"):
        ring.material(key)
