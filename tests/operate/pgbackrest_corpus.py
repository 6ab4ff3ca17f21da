"""Defects of backups by pgBackRest, and who catches them: `python -m tests.operate.pgbackrest_corpus [--only WORD]`.

Ours is `backup verify` and `backup drill`; beside it stand pgBackRest's own verify, by its exit code and by what it prints, and what many
take for a test: restore it with pgBackRest, start it, and ask whether it answers. "before" means that the damage was there before the
backup: the server's own page on the disk.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.operate.backups import Ground, ground
from tests.operate.drill_corpus import QUERY, pages_swapped, pointer_dead, text_changed
from tests.operate.test_pgbackrest import changed, engine, flipped, repo

from pgcharter.errors import PgcharterError
from pgcharter.operate import backup_mark, backup_wal, drill, drill_server
from pgcharter.operate import backup_pgbackrest_report as report
from pgcharter.operate.backup_model import Backup, Prepared, Until
from pgcharter.operate.backup_settings import DrillSection
from pgcharter.operate.backup_wal import Segment, lsn_number


@dataclass(frozen=True)
class Scene:
    """A server with one good backup, a mark behind it, and more log."""

    place: Ground
    backup: Backup
    mark: backup_mark.Mark

    @property
    def folder(self) -> Path:
        return repo(self.place) / "backup/main" / str(self.backup.facts["label"])

    def file(self, relation: str) -> Path:
        """A relation's file in the backup."""
        return self.folder / "pg_data" / f"{path_of(self.place, relation)}.zst"

    def log(self, number: int) -> Path:
        """A segment, counted from the start of the backup; -1: the one that holds the mark."""
        size = engine(self.place).repository().about.segment
        first = lsn_number(self.backup.start_lsn if number >= 0 else self.mark.lsn) // size
        path = backup_wal.stored(engine(self.place).repository(), Segment(1, first + max(0, number), size).name)
        assert path is not None
        return path


def path_of(place: Ground, relation: str) -> str:
    return str(place.run(f"SELECT pg_relation_filepath('{relation}')")[0][0])


@contextmanager
def scene() -> Iterator[Scene]:
    with ground(15, engine="pgbackrest", drill=DrillSection(heap_all_indexed=True)) as place:
        place.run(
            "CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL)",
            "INSERT INTO orders SELECT i, format('row-%s-%s', lpad(i::text, 6, '0'), repeat('x', 60)) FROM generate_series(1, 2000) i",
            "CREATE TABLE lines (id int PRIMARY KEY, order_id int NOT NULL)",
            "INSERT INTO lines SELECT i, 1 + i % 2000 FROM generate_series(1, 3000) i", "VACUUM FREEZE", "CHECKPOINT",
        )  # fmt: skip
        yield taken(place)


def taken(place: Ground) -> Scene:
    made = place.engine.take("full")
    mark = backup_mark.take(place.engine)
    place.run("UPDATE lines SET order_id = 1 WHERE id = 7")
    place.switch()
    return Scene(place, made, mark)


Defect = Callable[[Scene], list[tuple[Path, bytes | None]]]
STORED: dict[str, Defect] = {
    "byte flipped in a stored table": lambda s: [(s.file("orders"), flipped(s.file("orders")))],
    "stored table cut off": lambda s: [(s.file("orders"), s.file("orders").read_bytes()[:900])],
    "stored table gone": lambda s: [(s.file("orders"), None)],
    "another table's file in its place": lambda s: [(s.file("orders"), s.file("lines").read_bytes())],
    "byte flipped in a stored index": lambda s: [(s.file("orders_pkey"), flipped(s.file("orders_pkey")))],
    "manifest damaged, and its copy": lambda s: [(s.folder / f"backup.manifest{e}", b"x") for e in ("", ".copy")],
    "manifest gone, and its copy": lambda s: [(s.folder / f"backup.manifest{e}", None) for e in ("", ".copy")],
    "backup.info damaged, and its copy": lambda s: [(s.folder.with_name(f"backup.info{e}"), b"x") for e in ("", ".copy")],
    "archive.info gone, and its copy": lambda s: [(repo(s.place) / f"archive/main/archive.info{e}", None) for e in ("", ".copy")],
    "byte flipped in the log of the backup": lambda s: [(s.log(0), flipped(s.log(0)))],
    "log of the backup cut off": lambda s: [(s.log(0), s.log(0).read_bytes()[:-20])],
    "log of the backup gone": lambda s: [(s.log(0), None)],
    "log behind the backup gone, newer is there": lambda s: [(s.log(-1), None)],
    "byte flipped in the log behind the backup": lambda s: [(s.log(-1), flipped(s.log(-1)))],
    "segment empty": lambda s: [(s.log(-1), b"")],
}
BEFORE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "row changed in a table, before": ("orders", text_changed),
    "row gone from a table, before": ("orders", pointer_dead),
    "page of zeros in a table, before": ("orders", lambda d: d[:8192] + b"\0" * 8192 + d[16384:]),
    "pages of a table swapped, before": ("orders", pages_swapped),
    "table cut off by a page, before": ("orders", lambda d: d[:-8192]),
    "index damaged, before": ("orders_pkey", lambda d: d[: 8192 + 8000] + b"\xff" * 100 + d[8192 + 8100 :]),
    "index of another time, before": ("lines_pkey", lambda d: d[:8192] + d[8192:16384][::1].replace(b"\x10\x00", b"\x11\x00") + d[16384:]),
}


def started(made: Scene) -> str:
    """pgBackRest's own restore, started and asked; empty: it answers."""
    who, program = made.place.server.account, engine(made.place).repository().program
    folder = who.make_folder(made.place.root.parent / "naive")
    conf = folder.with_name("naive.conf")
    try:
        said = program.run("restore", f"--set={made.backup.facts['label']}", f"--pg1-path={folder}", "--archive-mode=off", "--job-retry=0")
        if said.code:
            return said.error[1] or "it fails"
        command = f'{program.path} --config={program.config} --stanza=main --pg1-path={folder} archive-get %f "%p"'
        prepared = Prepared(folder, made.backup, {}, made.place.server.login.user)
        settings = {"restore_command": command, "recovery_target_timeline": "latest"}
        with drill_server.started(prepared, conf, who, settings, longest=30) as server, server.connect("postgres") as conn:
            conn.execute(QUERY.encode()).fetchone()
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:80]}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(conf, ignore_errors=True)
    return ""


def ours(made: Scene) -> tuple[str, str]:
    """What verify and the drill say; empty: nothing."""
    try:
        chosen = made.place.engine
        wrong = [*chosen.repository().damaged(), *chosen.verify(made.backup)]
    except PgcharterError as error:
        wrong = [error.message]
    try:
        found = drill.drill(made.place.engine, until=Until(lsn=made.mark.lsn, inclusive=False))
        held = [f"{c.name}: {c.seen}" for c in found.checks if c.holds is False and c.name not in ("rpo", "rto")]
    except PgcharterError as error:
        held = [error.message]
    return (wrong or [""])[0], (held or [""])[0]


def show(made: Scene, title: str) -> bool:
    """One line of the table; whether ours caught it."""
    program = engine(made.place).repository().program
    said = program.run("verify", "--output=text", "--verbose", "--job-retry=0", "--log-level-console=info")
    told = "caught" if report.verified(said.out).status != "ok" else "-"
    verify, drilled = ours(made)
    word = {True: "caught", False: "-"}
    sys.stdout.write(
        f"{title:46} {word[bool(verify)]:8} {word[bool(drilled)]:8} {'caught' if said.code else '-':9} {told:9}"
        f" {word[bool(started(made))]:8} {(drilled or verify)[:110]}\n"
    )
    sys.stdout.flush()
    return bool(verify or drilled)


def main(only: str) -> int:
    """Print the table; how many were missed."""
    missed = 0
    with scene() as made:
        sys.stdout.write(f"{'defect':46} {'verify':8} {'drill':8} {'its exit':9} {'its words':9} {'started':8} what ours says\n")
        if show(made, "(none)"):
            return 1
        for title in (t for t in STORED if only in t):
            with ExitStack() as stack:
                for path, data in STORED[title](made):
                    stack.enter_context(changed(path, data))
                missed += not show(made, title)
        for title in (t for t in BEFORE if only in t):
            relation, change = BEFORE[title]
            path = made.place.server.data / path_of(made.place, relation)
            kept = path.read_bytes()
            assert change(kept) != kept, title
            with changed(path, change(kept)):
                again = made.place.engine.take("full")
            mark = backup_mark.take(made.place.engine)
            made.place.switch()
            missed += not show(replace(made, backup=again, mark=mark), title)
    sys.stdout.write(f"{missed} missed\n")
    return missed


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--only", default="")
    sys.exit(1 if main(arguments.parse_args().only) else 0)
