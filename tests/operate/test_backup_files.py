"""Files, keys, log and retention of repositories, without a server."""

from __future__ import annotations

import base64
import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.operate import backup_files as files
from pgcharter.operate import backup_repository, backup_wal
from pgcharter.operate.backup_cipher import CHUNK, Key, KeyPlace
from pgcharter.operate.backup_model import Backup
from pgcharter.operate.backup_repository import About, Repository
from pgcharter.operate.backup_retention import gone
from pgcharter.operate.backup_wal import Branch, Segment

SIZE = 1 << 20
SYSTEM = "7000000000000000001"
KEY = Key(b"k" * 32)


def write(path: Path, data: bytes, form: files.Form, name: str = "backups/x/base.tar") -> files.Stored:
    output = files.Output(path.with_name(path.name + form.ending()), name, form)
    for at in range(0, len(data), 100_000):
        output.write(data[at : at + 100_000])
    return output.finish()


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_what_is_written_is_read(tmp_path: Path, compression: str, key: Key | None, size: int) -> None:
    form, data = files.Form(compression, 1, key), os.urandom(size)
    stored = write(tmp_path / "f", data, form)
    path = tmp_path / stored.name
    assert files.content(path, "backups/x/base.tar", form) == data
    assert files.digest(path) == (stored.stored, stored.sha256)
    assert stored.raw == size


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_encrypted_files_cannot_be_changed_cut_or_moved(tmp_path: Path, compression: str) -> None:
    form, data = files.Form(compression, 1, KEY), os.urandom(2 * CHUNK + 7)
    path = tmp_path / write(tmp_path / "f", data, form).name
    whole = path.read_bytes()
    for cut in (0, 10, 56, 57, 56 + CHUNK + 16, len(whole) - 1, len(whole) - 23):
        path.write_bytes(whole[:cut])
        with pytest.raises(PgcharterError, match="damaged"):
            files.content(path, "backups/x/base.tar", form)
    for at in (20, 30, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(PgcharterError):
            files.content(path, "backups/x/base.tar", form)
    path.write_bytes(whole)
    with pytest.raises(PgcharterError, match="belongs to another file"):
        files.content(path, "backups/y/base.tar", form)


def test_lost_and_wrong_keys_are_clear_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / write(tmp_path / "f", b"data", files.Form("gzip", 1, KEY)).name
    place = KeyPlace("BACKUP_KEY")
    monkeypatch.delenv("BACKUP_KEY", raising=False)
    with pytest.raises(UsageError, match="the key of backups is not there: environment variable BACKUP_KEY is empty or not set"):
        files.content(path, "backups/x/base.tar", files.Form("gzip", 1, None, place))
    monkeypatch.setenv("BACKUP_KEY", base64.b64encode(b"o" * 32).decode())
    with pytest.raises(PgcharterError, match=f"is encrypted with key {KEY.id}, but environment variable BACKUP_KEY holds key"):
        files.content(path, "backups/x/base.tar", files.Form("gzip", 1, None, place))
    monkeypatch.setenv("BACKUP_KEY", "too short")
    with pytest.raises(UsageError, match="is no key"):
        place.read()
    assert "kkkk" not in repr(KEY)


# --- the log ---


def segment(number: int, *, timeline: int = 1, system: str = SYSTEM, fill: bytes = b"a") -> bytes:
    """A segment whose first page has a right head."""
    head = struct.pack("<HHIQI4xQII", 0xD118, 2, timeline, number * SIZE, 0, int(system), SIZE, 8192)
    return head + fill * (SIZE - len(head))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    second = tmp_path / "second"
    second.mkdir()
    return backup_repository.create(tmp_path / "first", About(SYSTEM, SIZE, "gzip", second=str(second)))


def put(repository: Repository, tmp_path: Path, name: str, data: bytes) -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return backup_wal.archive(repository, path, name)


def test_archive_is_safe(repository: Repository, tmp_path: Path) -> None:
    name = Segment(1, 7, SIZE).name
    assert name == "000000010000000000000007"
    assert put(repository, tmp_path, name, segment(7)) == "stored"
    assert put(repository, tmp_path, name, segment(7)) == "there"
    with pytest.raises(RefusedError, match="another 000000010000000000000007 is in the repository already"):
        put(repository, tmp_path, name, segment(7, fill=b"b"))
    for data, why in (
        (b"", "has 0 bytes instead of 1048576"),
        (segment(7)[:-1], "it was cut off"),
        (segment(8), "holds log of position 0/800000, not of 0/700000"),
        (segment(7, system="7000000000000000002"), "is of another server"),
        (b"\0" * SIZE, "does not begin as log does"),
    ):
        with pytest.raises(RefusedError, match=why):
            put(repository, tmp_path, name, data)
    for odd in ("../../etc/passwd", "00000001000000000000000", "000000010000000000000007.zst", "x"):
        with pytest.raises(RefusedError, match="is not the name of a file of the log"):
            backup_wal.archive(repository, tmp_path / name, odd)
    second = repository.seconds()
    assert second is not None
    for at in (repository, second):
        assert backup_wal.fetch(at, name, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == segment(7)
        assert [p.name for p in (at.wal / "00000001").iterdir()] == [f"{name}.gz"]
    assert not backup_wal.fetch(repository, Segment(1, 8, SIZE).name, tmp_path / "none")


def test_a_segment_that_only_the_first_place_has_is_doubled(repository: Repository, tmp_path: Path) -> None:
    name = Segment(1, 7, SIZE).name
    put(repository, tmp_path, name, segment(7))
    second = repository.seconds()
    assert second is not None
    path = backup_wal.stored(second, name)
    assert path is not None
    path.unlink()  # killed between the two
    assert put(repository, tmp_path, name, segment(7)) == "stored"
    assert backup_wal.stored(second, name) == path


def test_the_second_place_is_not_left_out_in_silence(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "second").rename(tmp_path / "gone")
    with pytest.raises(PgcharterError, match=r"the second location .* is not there"):
        put(repository, tmp_path, Segment(1, 7, SIZE).name, segment(7))


def test_damage_of_a_stored_segment_is_told(repository: Repository, tmp_path: Path) -> None:
    name = Segment(1, 7, SIZE).name
    put(repository, tmp_path, name, segment(7))
    path = backup_wal.stored(repository, name)
    assert path is not None
    data = path.read_bytes()
    path.write_bytes(data[:-6] + bytes([data[-6] ^ 0xFF]) + data[-5:])
    assert "damaged" in backup_wal.look(repository, name)
    with pytest.raises(PgcharterError, match="damaged"):
        backup_wal.fetch(repository, name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(RefusedError, match="and damaged there"):
        put(repository, tmp_path, name, segment(7))


def test_gaps_and_ways(repository: Repository, tmp_path: Path) -> None:
    for number in (3, 4, 6, 9):
        put(repository, tmp_path, Segment(1, number, SIZE).name, segment(number))
    assert [s.number for s in backup_wal.gaps(repository, 1, 3 * SIZE)] == [5, 7, 8]
    put(repository, tmp_path, "00000002.history", b"1\t0/680000\tno recovery target specified\n")
    put(repository, tmp_path, "00000003.history", b"1\t0/680000\tx\n2\t0/890000\ty\n")
    branches = backup_wal.way(repository, 3)
    assert branches == (Branch(1, 0, 0x680000), Branch(2, 0x680000, 0x890000), Branch(3, 0x890000, None))
    names = [s.name for s in backup_wal.needed(branches, 1, 0x480000, 0x9F0000, SIZE)]
    assert names == [
        "000000010000000000000004", "000000010000000000000005", "000000020000000000000006", "000000020000000000000007",
        "000000030000000000000008", "000000030000000000000009",
    ]  # fmt: skip
    with pytest.raises(PgcharterError, match="does not come from timeline 1 at 0/700000"):
        list(backup_wal.needed(branches, 1, 0x700000, 0x9F0000, SIZE))
    with pytest.raises(PgcharterError, match="the history of timeline 9 is missing"):
        backup_wal.way(repository, 9)


def test_segment_names_of_large_positions() -> None:
    for size in (1 << 20, 1 << 24, 1 << 30):
        for lsn in (0, size, (1 << 32) - 1, 1 << 32, 0x1234_5678_9ABC):
            made = Segment.at(3, lsn, size)
            assert Segment.named(made.name, size) == made
            assert made.start <= lsn < made.end
    assert Segment.at(1, 0x16_B374D848, 1 << 24).name == "0000000100000016000000B3"


# --- what is kept ---

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def backup(days: float, kind: str = "full", base: str = "", hold: str = "") -> Backup:
    at = NOW - timedelta(days=days)
    return Backup(f"{at:%Y%m%dT%H%M%S}Z-{kind}", kind, "native", SYSTEM, 180000, at, at, 1, 1, base=base, hold=hold)  # type: ignore[arg-type]


def test_retention_keeps_what_any_moment_of_the_time_needs() -> None:
    old, full, new = backup(30), backup(15), backup(1)
    part = backup(14.5, "incremental", full.id)
    later = backup(13, "incremental", part.id)
    assert gone([old, full, part, later, new], NOW, 14 * 86400, 0) == (old,)
    assert gone([old, full, new], NOW, 14 * 86400, 0) == (old,)
    assert gone([old], NOW, 14 * 86400, 0) == ()  # the last one is never removed
    assert gone([old, full, part, later, new], NOW, 0, 1) == (old, full, part, later)
    assert gone([old, full, part, later, new], NOW, 0, 2) == (old,)
    assert gone([old, full, new], NOW, 0, 0) == ()


def test_retention_keeps_what_is_held_with_what_it_is_built_on() -> None:
    base = backup(40)
    held = backup(39, "incremental", base.id, hold="case 4711")
    rest = [backup(30), backup(20), backup(1)]
    assert gone([base, held, *rest], NOW, 14 * 86400, 0) == (rest[0],)


def test_retention_does_not_believe_a_wrong_clock() -> None:
    with pytest.raises(RefusedError, match="which is in the future: a clock is wrong, so nothing is removed"):
        gone([backup(30), backup(1)], NOW - timedelta(days=20), 14 * 86400, 0)


# --- manifests ---


def test_manifests_are_whole_and_in_their_place(repository: Repository) -> None:
    made, other = backup(2), backup(1)
    for one in (made, other):
        files.make(repository.folder(one.id))
        repository.list(one)
    assert repository.backups() == (made, other)
    path = repository.folder(made.id) / "manifest.json"
    text = path.read_text()
    path.write_text(text.replace('"size": 1,', '"size": 2,'))
    assert repository.backups() == (other,)
    assert "its checksum does not fit" in repository.damaged()[0]
    path.write_text((repository.folder(other.id) / "manifest.json").read_text())
    assert "it is that of backup" in repository.damaged()[0]
    path.write_text(text[: len(text) // 2])
    assert "it cannot be read" in repository.damaged()[0]
    with pytest.raises(PgcharterError, match="is damaged"):
        repository.find(made.id)
    with pytest.raises(PgcharterError, match="there is no backup 20200101T000000Z-full"):
        repository.find("20200101T000000Z-full")


def test_a_repository_is_of_one_server(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="holds backups of another server"):
        backup_repository.create(repository.root, About("7000000000000000002", SIZE, "gzip"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(RefusedError, match="is not empty and no repository"):
        backup_repository.create(tmp_path / "full", About(SYSTEM, SIZE, "gzip"))


def test_a_new_key_does_not_make_old_backups_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKUP_KEY", base64.b64encode(b"k" * 32).decode())
    about = About(SYSTEM, SIZE, "gzip", key_id=KEY.id, key_env="BACKUP_KEY")
    backup_repository.create(tmp_path / "r", about)
    for other in (Key(b"o" * 32).id, ""):
        with pytest.raises(RefusedError, match=f"is encrypted with key {KEY.id}, so its backups could not be read"):
            backup_repository.create(tmp_path / "r", About(SYSTEM, SIZE, "gzip", key_id=other, key_env="BACKUP_KEY" if other else ""))
    assert backup_repository.create(tmp_path / "r", About(SYSTEM, SIZE, "gzip", 3, KEY.id, "BACKUP_KEY")).about.level == 3


def test_locks(repository: Repository) -> None:
    with repository.writing(), pytest.raises(RefusedError, match="another backup is being taken"), repository.writing():
        pass
    with repository.reading(), repository.reading(), pytest.raises(RefusedError, match="reads this repository"), repository.removing():
        pass
    with repository.removing(), pytest.raises(RefusedError, match="being removed"), repository.reading():
        pass
