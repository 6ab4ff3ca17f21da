"""An Alembic project as a folder of migrations: its revisions in the order of its graph, and what of them a database has.

`alembic_version` decides what is applied, the ledger keeps the history of it. Both are brought together here: what Alembic did by hand
since is taken into the ledger as a baseline, so that `alembic current` and `pgcharter migrate status` never differ.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgcharter.errors import RefusedError
from pgcharter.migrate import ledger
from pgcharter.migrate.files import Folder, checksum
from pgcharter.migrate.ledger import Run
from pgcharter.migrate.model import ALEMBIC, Migration, Unit
from pgcharter.migrate.state import Entry, Standing, applied_runs, find
from pgcharter.sources.alembic import Project

if TYPE_CHECKING:
    from pgcharter.db import Connection

_GATE = re.compile(
    r'^def upgrade\([^\n]*\n(?:[ \t]*"""[^"]*"""[ \t]*\n)?(?:[ \t]*(?:#[^\n]*)?\n)*?[ \t]+# pgcharter: gate (?P<words>[^\n]+)', re.MULTILINE
)
"""The mark above the first statement of upgrade(): what must be true of the application before the revision is run."""
_DOWN = re.compile(r"^def downgrade\b", re.MULTILINE)


@dataclass(frozen=True)
class Revisions(Folder):
    """The revisions of an Alembic project, all that come before one standing before it."""

    project: Project | None = None

    @property
    def alembic(self) -> Project:
        """The project itself."""
        assert self.project is not None  # noqa: S101  (`read` gives one)
        return self.project

    @cached_property
    def below(self) -> dict[str, tuple[str, ...]]:
        """For each revision those that it stands on directly, by `down_revision` and `depends_on`."""
        scripts = {m.version: self.alembic.script.get_revision(m.version) for m in self.migrations}
        return {version: tuple(script._all_down_revisions) if script else () for version, script in scripts.items()}

    def closure(self, versions: Iterable[str]) -> frozenset[str]:
        """Revisions with all that they stand on."""
        found, rest = set[str](), list(versions)
        while rest:
            version = rest.pop()
            if version not in found:
                found.add(version)
                rest += self.below[version]
        return frozenset(found)

    def applied(self, heads: Iterable[str]) -> frozenset[str]:
        """All revisions of a database whose version table holds `heads`. Raises RefusedError for one that has no file."""
        heads = tuple(heads)
        unknown = next((head for head in heads if head not in self.below), None)
        if unknown:
            raise RefusedError(
                f"the database is at revision {unknown}, which the files of {self.target} do not have: they are older than the database",
                hint="take the files of the release that made it: git pull",
            )
        return self.closure(heads)

    # what the commands ask

    def last(self, standing: Standing) -> list[Entry]:
        """What is applied, in the order in which it can be taken back: each time the last one applied of those that nothing stands on."""
        entries = {e.version: e for e in standing.applied if e.version in self.below}
        above = Counter(low for version in entries for low in self.below[version])
        free = [(-(e.run.id if e.run else 0), version) for version, e in entries.items() if not above[version]]
        heapify(free)
        found: list[Entry] = []
        while free:
            _, version = heappop(free)
            found.append(entries[version])
            for low in self.below[version]:
                above[low] -= 1
                if not above[low] and low in entries:
                    run = entries[low].run
                    heappush(free, (-(run.id if run else 0), low))
        return found

    def after(self, standing: Standing, wanted: Entry) -> tuple[Entry, ...]:
        """What is applied and stands on `wanted`; other branches are left alone."""
        above = {wanted.version}
        for m in self.migrations:
            if not above.isdisjoint(self.below[m.version]):
                above.add(m.version)
        return tuple(e for e in self.last(standing) if e.version in above and e.version != wanted.version)

    def upto(self, standing: Standing, wanted: Entry) -> tuple[Entry, ...]:
        """What is pending of `wanted` and what it stands on."""
        within = self.closure([wanted.version])
        return tuple(e for e in standing.pending if e.version in within)

    def with_units(self, migrations: Sequence[Migration], dsn: str, *, shown: bool) -> list[Migration]:
        """The migrations with what runs them; `shown`: and with their SQL, as far as it can be told beforehand."""
        from pgcharter.migrate.alembic_run import Revision
        from pgcharter.migrate.alembic_sitting import Sitting
        from pgcharter.migrate.alembic_text import rendered

        sitting = Sitting(self, dsn)

        def units(m: Migration, direction: ledger.Direction) -> tuple[Unit, ...]:
            sql, why = texts.get((m.version, direction), ((), ""))
            gate = _GATE.search(m.text) if direction == "up" else None
            work = Unit(sql, program=Revision(sitting, m.version, direction, m is migrations[-1], why))
            return (Unit(gate=gate["words"], line=m.text.count("\n", 0, gate.start("words")) + 1), work) if gate else (work,)

        texts = rendered(self.alembic, [m.version for m in migrations]) if shown else {}
        return [replace(m, up=units(m, "up"), down=None if m.down is None else units(m, "down")) for m in migrations]

    def seen(self, runs: Iterable[Run], heads: Iterable[str]) -> tuple[Run, ...]:
        """The ledger as the version table corrects it: what Alembic itself did since is a baseline."""
        names = {m.version: m.name for m in self.migrations}
        own = [replace(r, name=names.get(r.version, r.name)) for r in runs if r.file.endswith(".py")]
        number = max((r.id for r in own), default=0)
        made = [
            Run(number + n, m.version, m.name, m.kind, way, "baseline", m.checksum, m.description, file=m.file, tool=ALEMBIC)
            for n, (m, way) in enumerate(self._missed(own, heads), 1)
        ]
        return (*own, *made)

    def by_hand(self, runs: Iterable[Run], heads: Iterable[str]) -> str:
        """What Alembic itself did since, in one sentence; empty when it did nothing."""
        missed = list(self._missed([r for r in runs if r.file.endswith(".py")], heads))
        told = [
            f"{word} {', '.join(titles[:4])}" + (f" and {len(titles) - 4} more" if len(titles) > 4 else "")
            for way, word in (("up", "applied"), ("down", "taken back"))
            if (titles := [m.title for m, side in missed if side == way])
        ]
        found = " and ".join(told)
        return f"without pgcharter, Alembic has {found}; the ledger takes that over with the next revision that is run" if found else ""

    def find(self, entries: Sequence[Entry], word: str) -> Entry:
        """The revision that a person means, also in Alembic's words: `head`, `billing@head`. Raises UsageError for none or several."""
        from alembic.util import CommandError

        try:
            scripts = self.alembic.script.get_revisions(word)
        except CommandError:
            scripts = ()
        return find(entries, scripts[0].revision if len(scripts) == 1 and scripts[0] else word)

    def take_over(self, conn: Connection, heads: Iterable[str]) -> None:
        """Write what Alembic itself did since into the ledger."""
        runs = [r for r in ledger.read(conn) if r.file.endswith(".py")]
        with conn.transaction():
            for migration, way in self._missed(runs, heads):
                ledger.record(conn, migration, way, outcome="baseline")

    def _missed(self, runs: Sequence[Run], heads: Iterable[str]) -> Iterator[tuple[Migration, ledger.Direction]]:
        applied, known = self.applied(heads), {r.version: r for r in applied_runs(runs)}
        for m in self.migrations:
            if m.version in applied and m.version not in known:
                yield m, "up"
        for version, run in reversed(known.items()):
            if version not in applied:
                yield Migration(version, run.name, path=Path(run.file), file=run.file, checksum=run.checksum), "down"


def read(target: str) -> Revisions:
    """The revisions of the project `target` (a folder or its alembic.ini), each after what it stands on.

    Raises UsageError when it is none, PgcharterError when its revisions cannot be loaded, UnavailableError when Alembic is missing.
    """
    project = Project(target)
    scripts: list[Any] = [step.revision for step in project.script._upgrade_revs("heads", ())]  # type: ignore[arg-type]
    made = tuple(_migration(project, script.path, script.revision, script.doc or "") for script in scripts)
    notes = (f"the revisions end in {len(project.heads)} heads ({', '.join(project.heads)}): all of them are applied",)
    return Revisions(target, made, notes=notes if len(project.heads) > 1 else (), project=project)


def _migration(project: Project, path: str, version: str, doc: str) -> Migration:
    """One revision; how it ends is read in its source, because only a run would tell otherwise."""
    text = Path(path).read_text("utf-8", "replace")
    name = re.sub(r"[^\w]+", "_", doc.strip().splitlines()[0].lower() if doc.strip() else "").strip("_")
    back = _DOWN.search(text)
    why = _refuses(_function(text, "downgrade")) if back and "raise" in text else ""
    file = project.files[str(Path(path).resolve())]
    return Migration(
        version, name, "versioned", ALEMBIC, Path(path), file, checksum(text), text, down=() if back else None,
        one_way=bool(why), why_one_way=why, description=doc.strip(),
    )  # fmt: skip


def _function(text: str, name: str) -> ast.FunctionDef | None:
    body = ast.parse(text).body
    return next((node for node in body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _refuses(function: ast.FunctionDef | None) -> str:
    """Why a way back is none, when all it does is raise an error; empty when it does something."""
    said = [node for node in function.body if not isinstance(node, ast.Expr)] if function else []
    if len(said) != 1 or not isinstance(said[0], ast.Raise):
        return ""
    texts = [n.value for n in ast.walk(said[0]) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return texts[0] if texts else "its downgrade() raises an error"
