"""Defects of backups, and who catches them: `python -m tests.operate.drill_corpus [--major 18] [--only WORD]`.

Each is put into a copy of a good repository. Ours is `backup verify` and `backup drill` (or the command that refuses); beside it stands
what many take for a test: unpack it, start it, and ask whether it answers. "resealed" means that every checksum beside the data was written
anew, as when the damage came before the backup: then only what looks at the data can see it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import zstandard
from tests.operate.backups import Ground, ground

from pgcharter.errors import PgcharterError
from pgcharter.operate import backup_files as files
from pgcharter.operate import backup_mark, backup_wal, drill, drill_server
from pgcharter.operate.backup_cipher import Key
from pgcharter.operate.backup_model import Backup, Prepared, Until
from pgcharter.operate.backup_native import Native
from pgcharter.operate.backup_repository import Repository, open_repository
from pgcharter.operate.backup_settings import DrillSection, InvariantTable
from pgcharter.operate.backup_wal import Segment, lsn_number

QUERY = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM lines)"


@dataclass
class Scene:
    """A good repository, and what is known of it."""

    place: Ground
    paths: Mapping[str, str]
    """Relation → its file."""
    time: datetime
    """A time that a restore can reach, behind the mark."""
    marked: int
    """Position of the mark."""

    @contextmanager
    def copied(self, name: str = "damaged") -> Iterator[Copy]:
        """A copy that may be damaged."""
        root = self.place.root.parent / name
        shutil.copytree(self.place.root, root)
        self.place.server.account.give(root)
        try:
            yield Copy(self, root)
        finally:
            shutil.rmtree(root, ignore_errors=True)


@dataclass
class Copy:
    """A copy of the repository."""

    scene: Scene
    root: Path

    @property
    def repository(self) -> Repository:
        return open_repository(self.root)

    @property
    def full(self) -> Backup:
        return next(b for b in self.repository.backups() if b.kind == "full")

    @property
    def engine(self) -> Native:
        return Native(replace(self.scene.place.section, repository=str(self.root)), "")

    def log(self, number: int) -> Path:
        """The file of a segment, counted from the start of the full backup."""
        first = lsn_number(self.full.start_lsn) // self.repository.about.segment
        path = backup_wal.stored(self.repository, Segment(1, first + number, self.repository.about.segment).name)
        assert path is not None
        return path

    def repack(self, change: Callable[[str, bytes], bytes | None], *, seal: str, archive: str = "base.tar") -> None:
        """Change files inside an archive (None: leave one out); `seal`: nothing, ours, or all checksums are written anew."""
        folder = self.repository.folder(self.full.id)
        path = folder / f"{archive}.zst"
        changed: dict[str, bytes | None] = {}
        out = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(unpacked(path))) as old, tarfile.open(fileobj=out, mode="w") as new:
            for member in old:
                data = old.extractfile(member).read() if member.isreg() else b""  # type: ignore[union-attr]
                wanted = change(member.name, data) if member.isreg() else data
                if wanted != data:
                    changed[member.name] = wanted
                if wanted is not None:
                    member.size = len(wanted)
                    new.addfile(member, io.BytesIO(wanted) if member.isreg() else None)
        assert changed, "the defect changed nothing"
        path.write_bytes(packed(out.getvalue()))
        if seal == "all":
            self.manifest(changed)
        if seal:
            self.reseal()

    def manifest(self, changed: Mapping[str, bytes | None]) -> None:
        """Write PostgreSQL's manifest anew for changed files."""
        path = self.repository.folder(self.full.id) / "backup_manifest.zst"
        data = json.loads(unpacked(path))
        for file in list(data["Files"]):
            if file["Path"] in changed:
                content = changed[file["Path"]]
                if content is None:
                    data["Files"].remove(file)
                else:
                    file |= {"Size": len(content), "Checksum-Algorithm": "SHA256", "Checksum": hashlib.sha256(content).hexdigest()}
        data.pop("Manifest-Checksum")
        rows = ",\n".join(json.dumps(f) for f in data.pop("Files"))
        head = json.dumps(data)[1:-1].split('"WAL-Ranges"')
        text = f'{{ {head[0]}"Files": [\n{rows}\n],\n"WAL-Ranges"{head[1]},\n'
        path.write_bytes(packed(f'{text}"Manifest-Checksum": "{hashlib.sha256(text.encode()).hexdigest()}"}}\n'.encode()))

    def reseal(self) -> None:
        """Write our manifest anew for the files that are there."""
        folder, made = self.repository.folder(self.full.id), self.full
        told = []
        for file in made.facts["files"]:
            if (folder / file["name"]).exists():
                size, sha256 = files.digest(folder / file["name"])
                told.append({**file, "stored": size, "sha256": sha256, "raw": len(unpacked(folder / file["name"]))})
        self.repository.list(replace(made, facts={**made.facts, "files": told}))


def unpacked(path: Path) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes()), read_across_frames=True).read()


def packed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def flipped(data: bytes, at: int, mask: int = 0x10) -> bytes:
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


# --- the defects: each changes a copy ---

Defect = Callable[[Copy], None]
DEFECTS: dict[str, Defect] = {}


def defect(title: str) -> Callable[[Defect], Defect]:
    def add(function: Defect) -> Defect:
        DEFECTS[title] = function
        return function

    return add


def in_relation(relation: str, change: Callable[[bytes], bytes | None], seal: str) -> Defect:
    """Change the file of a relation inside the backup."""

    def run(copy: Copy) -> None:
        wanted = copy.scene.paths[relation]
        copy.repack(lambda name, data: change(data) if name == wanted else data, seal=seal)

    return run


def text_changed(data: bytes) -> bytes:
    """A row that says something else, in a page that is as whole as before."""
    at = data.index(b"row-000100-")
    return data[:at] + b"row-000900-" + data[at + 11 :]


def pointer_dead(data: bytes) -> bytes:
    """The first row of the second page is gone: its line pointer is unused."""
    at = 8192 + 24
    return data[:at] + b"\0\0\0\0" + data[at + 4 :]


def pages_swapped(data: bytes) -> bytes:
    return data[: 8192 * 1] + data[8192 * 2 : 8192 * 3] + data[8192 * 1 : 8192 * 2] + data[8192 * 3 :]


for _title, _relation, _change, _seal in (
    ("byte flipped in a table, after it was stored", "orders", lambda d: flipped(d, 8192 + 4000), ""),
    ("byte flipped in a table, resealed by us alone", "orders", lambda d: flipped(d, 8192 + 8000), "ours"),
    ("row changed in a table, resealed", "orders", text_changed, "all"),
    ("row gone from a table, resealed", "orders", pointer_dead, "all"),
    ("page of zeros in a table, resealed", "orders", lambda d: d[:8192] + b"\0" * 8192 + d[16384:], "all"),
    ("table cut off by five pages, resealed", "orders", lambda d: d[: 8192 * (len(d) // 8192 - 5)], "all"),
    ("byte flipped in an index, resealed by us alone", "orders_pkey", lambda d: flipped(d, 8192 + 8100), "ours"),
    ("index entries garbled, resealed", "orders_pkey", lambda d: d[: 8192 + 8000] + b"\xff" * 100 + d[8192 + 8100 :], "all"),
    ("pages of an index swapped, resealed", "orders_pkey", pages_swapped, "all"),
    ("byte flipped in a TOAST table, resealed", "toast", lambda d: flipped(d, 4096), "all"),
    ("file of a table missing, resealed by us alone", "lines", lambda _: None, "ours"),
    ("file of a table missing, resealed", "lines", lambda _: None, "all"),
    ("file of a table emptied, resealed", "lines", lambda _: b"", "all"),
):
    DEFECTS[_title] = in_relation(_relation, _change, _seal)


@defect("archive of a backup cut off")
def _(copy: Copy) -> None:
    path = copy.repository.folder(copy.full.id) / "base.tar.zst"
    path.write_bytes(path.read_bytes()[:-3000])


@defect("archive of a backup missing")
def _(copy: Copy) -> None:
    (copy.repository.folder(copy.full.id) / "base.tar.zst").unlink()


@defect("byte flipped in our manifest")
def _(copy: Copy) -> None:
    path = copy.repository.folder(copy.full.id) / "manifest.json"
    path.write_text(path.read_text().replace(copy.full.stop_lsn, "0/1"))


@defect("byte flipped in PostgreSQL's manifest, resealed by us")
def _(copy: Copy) -> None:
    path = copy.repository.folder(copy.full.id) / "backup_manifest.zst"
    data = unpacked(path)
    path.write_bytes(packed(flipped(data, data.index(b'"Size": ') + 8, 0x01)))
    copy.reseal()


@defect("manifest of another backup")
def _(copy: Copy) -> None:
    other = next(b for b in copy.repository.backups() if b.kind == "full" and b.id != copy.full.id)
    name = "manifest.json"
    shutil.copy(copy.repository.folder(other.id) / name, copy.repository.folder(copy.full.id) / name)


@defect("PostgreSQL's manifest of another backup, resealed by us")
def _(copy: Copy) -> None:
    other = next(b for b in copy.repository.backups() if b.kind == "full" and b.id != copy.full.id)
    name = "backup_manifest.zst"
    shutil.copy(copy.repository.folder(other.id) / name, copy.repository.folder(copy.full.id) / name)
    copy.reseal()


@defect("control file of an older checkpoint, and no backup_label, resealed")
def _(copy: Copy) -> None:
    """As when the newest checkpoint never reached the disk."""
    old = Path(copy.scene.paths["control"]).read_bytes()
    changes = {"global/pg_control": old, "backup_label": None}
    copy.repack(lambda name, data: changes.get(name, data), seal="all")


@defect("backup_label missing, resealed")
def _(copy: Copy) -> None:
    copy.repack(lambda name, data: None if name == "backup_label" else data, seal="all")


@defect("commit log emptied, resealed")
def _(copy: Copy) -> None:
    copy.repack(lambda name, data: b"\0" * len(data) if name == "pg_xact/0000" else data, seal="all")


@defect("tablespace missing, resealed by us")
def _(copy: Copy) -> None:
    folder = copy.repository.folder(copy.full.id)
    next(p for p in folder.glob("*.tar.zst") if p.name[0].isdigit()).unlink()
    copy.reseal()


@defect("byte flipped in a stored segment")
def _(copy: Copy) -> None:
    path = copy.log(1)
    data = path.read_bytes()
    path.write_bytes(flipped(data, len(data) // 2))


@defect("byte flipped in a segment before it was archived")
def _(copy: Copy) -> None:
    path = copy.log(1)
    data = unpacked(path)
    at = next(n for n in range(60_000, len(data)) if data[n])
    path.write_bytes(packed(flipped(data, at)))


@defect("segment missing in the middle")
def _(copy: Copy) -> None:
    copy.log(1).unlink()


@defect("segment of the backup itself missing")
def _(copy: Copy) -> None:
    copy.log(0).unlink()


@defect("segments missing at the end, archived by nobody")
def _(copy: Copy) -> None:
    first = lsn_number(copy.full.start_lsn) // copy.repository.about.segment
    for segment in backup_wal.segments(copy.repository, 1):
        if segment.number > first:
            path = backup_wal.stored(copy.repository, segment.name)
            assert path is not None
            path.unlink()


@defect("segment of length zero")
def _(copy: Copy) -> None:
    copy.log(1).write_bytes(packed(b""))


@defect("segment with the content of another")
def _(copy: Copy) -> None:
    copy.log(1).write_bytes(copy.log(2).read_bytes())


@defect("segment of zeros, as from a disk that lost it")
def _(copy: Copy) -> None:
    path = copy.log(1)
    path.write_bytes(packed(b"\0" * len(unpacked(path))))


@defect("backup and log of another server")
def _(copy: Copy) -> None:
    path = copy.root / "repository.json"
    path.write_text(path.read_text().replace(copy.repository.about.system, "7000000000000000001"))


@defect("history of the timeline missing")
def _(copy: Copy) -> None:
    shutil.copytree(copy.root / "wal" / "00000001", copy.root / "wal" / "00000002")
    for path in (copy.root / "wal" / "00000002").iterdir():
        path.rename(path.with_name("00000002" + path.name[8:]))


@defect("timeline that branched off before the backup")
def _(copy: Copy) -> None:
    folder = files.make(copy.root / "wal" / "00000002")
    (folder / "00000002.history.zst").write_bytes(packed(b"1\t0/300000\tno recovery target specified\n"))


# --- who catches it ---


def ours(copy: Copy) -> tuple[str, str]:
    """What verify and the drill say; empty: nothing."""
    try:
        problems = [p for b in copy.repository.backups() for p in copy.engine.verify(b)] + list(copy.repository.damaged())
    except PgcharterError as error:
        problems = [error.message]
    section = replace(copy.engine.section, drill=DrillSection(heap_all_indexed=True))
    try:
        made = drill.drill(replace(copy.engine, section=section), until=Until(time=copy.scene.time))
        wrong = [f"{c.name}: {c.seen}" for c in made.checks if c.holds is False and c.name not in ("rpo", "rto")]
    except PgcharterError as error:
        wrong = [error.message]
    return (problems or [""])[0], (wrong or [""])[0]


def started(copy: Copy) -> str:
    """Unpack, lay the log beside it, start, ask: what goes wrong with that; empty: it answers."""
    who = copy.scene.place.server.account
    home = who.make_folder(copy.root.with_name("naive"))
    try:
        folder, log = who.make_folder(home / "data"), who.make_folder(home / "log")
        for path in [at / "base.tar.zst" for at in sorted((copy.root / "backups").glob("*-full"))[:1]]:
            with tarfile.open(fileobj=io.BytesIO(unpacked(path))) as tar:
                tar.extractall(folder, filter="fully_trusted")
            for link in (folder / "pg_tblspc").iterdir():
                link.unlink()
                space = who.make_folder(home / link.name)
                with tarfile.open(fileobj=io.BytesIO(unpacked(path.with_name(f"{link.name}.tar.zst")))) as tar:
                    tar.extractall(space, filter="fully_trusted")
                link.symlink_to(space)
        for path in (copy.root / "wal").glob("*/*.zst"):
            (log / path.name.removesuffix(".zst")).write_bytes(unpacked(path))
        for path in (home, *home.rglob("*")):
            who.give(path)
        prepared = Prepared(folder, copy.scene.place.engine.backups()[0], {}, copy.scene.place.server.login.user)
        settings = {"restore_command": f'cp {log}/%f "%p"', "recovery_target_timeline": "latest"}
        with drill_server.started(prepared, home / "conf", who, settings, longest=20) as server, server.connect("postgres") as conn:
            conn.execute(QUERY).fetchone()
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:80]}"
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return ""


# --- what is no damage of files ---


def _said(work: Callable[[], Any]) -> str:
    try:
        work()
    except PgcharterError as error:
        return error.message
    return ""


def lost_keys(_: Scene) -> Iterator[tuple[str, str, str, str]]:
    """A key that is gone, and another one in its place."""
    os.environ["CORPUS_KEY"] = base64.b64encode(b"k" * 32).decode()
    with ground(None, quick=False, key_env="CORPUS_KEY") as place:
        file = place.root.parent / "key"
        file.write_text(os.environ["CORPUS_KEY"])
        place.server.account.give(file)
        place.section = replace(place.section, key_env="", key_file=str(file))
        place.engine.take("full")
        for title, text in (("key lost", ""), ("another key in its place", base64.b64encode(b"o" * 32).decode())):
            file.write_text(text)
            said = _said(lambda: drill.drill(replace(place.engine, dsn="")))
            yield title, said, said, "it cannot even be unpacked"
        assert Key(b"k" * 32).id not in os.environ.values()


def silent_archive(scene: Scene) -> Iterator[tuple[str, str, str, str]]:
    """archive_command says yes and stores nothing."""
    place = replace(scene.place, section=replace(scene.place.section, wait="2s"))
    place.run("ALTER SYSTEM SET archive_command = '/bin/true'", "SELECT pg_reload_conf()")
    try:
        place.run("SELECT pg_switch_wal()")
        check = next(e for e in place.engine.check() if e.name == "backup.archive")
        take = _said(lambda: place.engine.take("full"))
    finally:
        place.run("ALTER SYSTEM RESET archive_command", "SELECT pg_reload_conf()")
    yield "archive_command says yes and stores nothing", "" if check.holds else check.seen, take, ""


def stale_replica(scene: Scene) -> Iterator[tuple[str, str, str, str]]:
    """A standby that follows nobody, as the source of a backup."""
    place = scene.place
    prepared = place.engine.restore(place.engine.choose(Until()), Until(), place.root.parent / "replica")
    (prepared.folder / "recovery.signal").unlink()
    from pgcharter.servers.datafolder import write_private

    write_private(prepared.folder / "standby.signal", "", place.server.account)
    for segment in prepared.work[0].iterdir():
        shutil.copy(segment, prepared.folder / "pg_wal" / segment.name)
        place.server.account.give(prepared.folder / "pg_wal" / segment.name)
    conf = place.root.parent / "replica.conf"
    settings = {"hot_standby": "on", "primary_conninfo": "host=/nowhere", "max_wal_senders": "6"}
    with drill_server.started(prepared, conf, place.server.account, settings, wait="recovering", longest=20) as copy:
        (conf / "pg_hba.conf").write_text("local all all trust\nlocal replication all trust\n")
        with copy.connect("postgres") as conn:
            conn.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)
        engine = replace(place.engine, dsn=copy.dsn("postgres"))
        said = _said(lambda: engine.take("full"))
        check = next((e.seen for e in engine.check() if e.name == "backup.source" and not e.holds), "")
    yield "standby that follows nobody as source", check, said, ""


def base_gone(scene: Scene) -> Iterator[tuple[str, str, str, str]]:
    """An incremental backup whose base was removed."""
    if scene.place.server.major < 17:
        return
    with scene.copied() as copy:
        last = copy.repository.backups()[-1]
        assert last.kind == "incremental"
        shutil.rmtree(copy.repository.folder(last.base))
        verify = "; ".join(copy.engine.verify(last))
        said = _said(lambda: copy.engine.restore(last, Until(), copy.root.with_name("restored")))
        yield "incremental backup whose base is gone", verify, said, "pg_combinebackup needs it"


def wrong_clock(scene: Scene) -> Iterator[tuple[str, str, str, str]]:
    """A clock that jumped: retention must not remove by it."""
    past = _said(lambda: scene.place.engine.prune(dry_run=True, now=datetime(2020, 1, 1, tzinfo=UTC)))
    future = scene.place.engine.prune(dry_run=True, now=datetime(2099, 1, 1, tzinfo=UTC))
    kept = "" if len(future) == len(scene.place.engine.backups()) else "the newest full backup stays whatever the clock says"
    yield "clock set back", past, past, ""
    yield "clock set ahead", kept, kept, ""


SPECIAL = (lost_keys, silent_archive, stale_replica, base_gone, wrong_clock)


# --- the scene ---


@contextmanager
def scene(major: int | None = None) -> Iterator[Scene]:
    """A server with data of all kinds, backups and a mark."""
    invariant = (InvariantTable("lines_have_orders", "SELECT id FROM lines WHERE order_id NOT IN (SELECT id FROM orders)"),)
    with ground(major, invariant=invariant) as place:
        space = place.server.account.make_folder(place.root.parent / "space")
        place.run(
            "CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL)",
            "INSERT INTO orders SELECT i, format('row-%s-%s', lpad(i::text, 6, '0'), repeat('x', 60)) FROM generate_series(1, 2000) i",
            "CREATE TABLE lines (id int PRIMARY KEY, order_id int NOT NULL)",
            "INSERT INTO lines SELECT i, 1 + i % 2000 FROM generate_series(1, 3000) i",
            "CREATE TABLE long (id int, body text)",
            "ALTER TABLE long ALTER body SET STORAGE EXTERNAL",
            "INSERT INTO long SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 20) i",
            f"CREATE TABLESPACE far LOCATION '{space}'",
            "CREATE TABLE distant TABLESPACE far AS SELECT generate_series(1, 100) AS n",
            "VACUUM FREEZE", "INSERT INTO distant SELECT generate_series(101, 200)", "CHECKPOINT",
        )  # fmt: skip
        control = place.root.parent / "old_control"
        shutil.copy(place.server.data / "global" / "pg_control", control)
        place.engine.take("full")
        place.run("INSERT INTO orders SELECT i, repeat('z', 300) FROM generate_series(3001, 3200) i")
        mark = backup_mark.take(place.engine)
        place.switch()
        place.run("INSERT INTO orders SELECT i, repeat('y', 200) FROM generate_series(4001, 6000) i", "DELETE FROM lines WHERE id > 2990")
        at = place.run("SELECT clock_timestamp()")[0][0]
        assert isinstance(at, datetime)
        place.run("INSERT INTO lines VALUES (10000, 1)")
        place.switch()
        place.engine.take("full")
        if place.server.major >= 17:
            place.engine.take("incremental")
        place.switch()
        toast = "(SELECT reltoastrelid FROM pg_class WHERE relname = 'long')"
        names = {"orders": "'orders'", "orders_pkey": "'orders_pkey'", "lines": "'lines'", "toast": toast}
        paths = {n: str(place.run(f"SELECT pg_relation_filepath({w})")[0][0]) for n, w in names.items()}
        yield Scene(place, {**paths, "control": str(control)}, at + timedelta(microseconds=1), lsn_number(mark.lsn))


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    title: str
    verify: str
    drill: str
    started: str

    @property
    def caught(self) -> bool:
        return bool(self.verify or self.drill)


def judge(made: Scene, title: str) -> Row:
    """Put one defect into a copy, and ask."""
    with made.copied() as copy:
        DEFECTS[title](copy)
        return Row(title, *ours(copy), started(copy))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def show(row: Row) -> None:
    word = {True: "caught", False: "-"}
    line = f"{row.title:68} {word[bool(row.verify)]:8} {word[bool(row.drill)]:8} {word[bool(row.started)]:8}"
    say(f"{line} {(row.drill or row.verify)[:150]}")


def main(major: int | None, only: str) -> int:
    """Print the table; how many were missed."""
    with scene(major) as made:
        say(f"PostgreSQL {made.place.server.installation.release}")
        say(f"{'defect':68} {'verify':8} {'drill':8} {'started':8} what ours says")
        with made.copied() as copy:
            good = Row("(none)", *ours(copy), started(copy))
            show(good)
        rows = [judge(made, t) for t in DEFECTS if only in t]
        for row in rows:
            show(row)
        for special in SPECIAL:
            for words in special(made) if not only else ():
                rows.append(Row(*words))
                show(rows[-1])
    missed = [r.title for r in rows if not r.caught]
    say(f"{len(rows)} defects: ours catches {sum(r.caught for r in rows)}, starting it {sum(bool(r.started) for r in rows)}")
    return len(missed) + good.caught


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--major", type=int)
    arguments.add_argument("--only", default="")
    given = arguments.parse_args()
    sys.exit(1 if main(given.major, given.only) else 0)
