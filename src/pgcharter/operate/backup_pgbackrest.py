"""The engine that has pgBackRest copy, keep and restore: `[backup] engine = "pgbackrest"`.

What is listed is what pgBackRest's `info` lists. Marks, proofs and logical copies lie in the repository around it as with every engine,
with a manifest of each backup for those who only look. It runs as the owner of the data, and its exit codes are never believed alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pgcharter import faults
from pgcharter.errors import PgcharterError, RefusedError, UsageError
from pgcharter.findings import Evidence
from pgcharter.operate import backup_files as files
from pgcharter.operate import backup_native, backup_native_restore, backup_server
from pgcharter.operate import backup_pgbackrest_config as config
from pgcharter.operate import backup_pgbackrest_program as programs
from pgcharter.operate import backup_pgbackrest_prune as pruning
from pgcharter.operate import backup_pgbackrest_report as report
from pgcharter.operate.backup_cipher import Key
from pgcharter.operate.backup_model import Advance, Backup, Kind, Prepared, Until
from pgcharter.operate.backup_native import Native, places
from pgcharter.operate.backup_pgbackrest_config import Home, Place
from pgcharter.operate.backup_pgbackrest_log import Archive
from pgcharter.operate.backup_pgbackrest_program import Program
from pgcharter.operate.backup_pgbackrest_stanza import DATABASE, SUPERUSER, TAKE, Stanza, stanzas
from pgcharter.operate.backup_repository import Repository
from pgcharter.operate.backup_server import Facts
from pgcharter.servers import account as accounts
from pgcharter.servers.account import Account

POINTS = ("backup pgbackrest began", "backup pgbackrest copied", *pruning.POINTS)
"""Places at which a test kills."""
_LABEL = re.compile(r"new backup label = (\S+)")
_SHARE = re.compile(r"backup file .*\(\S+, (\d+(?:\.\d+)?)%\)")


@dataclass(frozen=True)
class PgBackRest(Native):
    """`Engine` by pgBackRest."""

    name: str = "pgbackrest"

    @property
    def first(self) -> Path:
        """Folder of the repository itself, whichever is read. Raises UsageError when the charter names none."""
        return replace(self, second=False).root

    @property
    def roots(self) -> tuple[Path, ...]:
        """Those of repo1 and repo2."""
        return (self.first, *([Path(self._absolute(self.section.second))] if self.section.second else []))

    @property
    def executable(self) -> str:
        """The program. Raises UnavailableError."""
        return programs.find(self.section.pgbackrest.program)

    def program(self, key: Key | None = None, password: str = "") -> Program:
        """pgBackRest with the configuration of the repository that is read. Raises UnavailableError."""
        told = config.secrets(config.passphrase(key.material) if key else "", password)
        who = backup_native_restore.owner(self.root)
        return Program(self.executable, Home(self.root).config, self.section.pgbackrest.stanza, who, told)

    def archive_command(self) -> str:
        """What the server's archive_command must be."""
        return config.archive_command(self.executable, Home(self.first).config, self.section.pgbackrest.stanza)

    def repository(self) -> Stanza:
        """The repository that is there. Raises PgcharterError."""
        return self._stanza(super().repository(), "")

    def _stanza(self, opened: Repository, password: str) -> Stanza:
        beside = None
        if opened.about.second and not self.second and Path(opened.about.second).is_dir():
            other = Repository.seconds(opened)
            beside = replace(self, second=True)._stanza(other, password) if other else None
        program, number = self.program(opened.key, password), 2 if self.second else 1
        log = Archive(Home(opened.root).repository, program.stanza, program, number, bool(opened.about.key_id))
        return Stanza(opened.root, opened.about, opened.key, log, program=program, number=number, beside=beside)

    def ready(self, facts: Facts) -> Stanza:
        """The repository for this server, configured anew, with its stanza. Raises RefusedError when it is another server's."""
        config.refuse_receiving(self.section)
        with backup_server.opened(self.dsn) as conn:
            at, password = config.place(conn), conn.info.password
        owner_of(at.data, self.roots)
        opened = super().ready(facts)
        if any(b.engine == "native" for b in Repository.backups(opened)):
            raise RefusedError(f"{opened.root} holds backups of PostgreSQL's own tools", hint="give pgBackRest a folder of its own")
        with files.refusing():
            self._configure(at, opened.key)
        stanza = self._stanza(opened, password)
        self._create(stanza, facts)
        return stanza

    def configuration(self, at: Place, key: Key | None, own: Path) -> str:
        """What `pgbackrest.conf` in a repository must say."""
        told = config.passphrase(key.material) if key and self.section.key_file else ""
        return config.render(self.section, at, self.roots, own, told)

    def _configure(self, at: Place, key: Key | None) -> None:
        for root in self.roots:
            home = Home(root)
            for name in ("repo", "lock", "log", "spool"):
                files.make(home.folder / name)
            text = self.configuration(at, key, root).encode()
            if not home.config.exists() or home.config.read_bytes() != text:
                files.write(home.config, text)

    def _create(self, stanza: Stanza, facts: Facts) -> None:
        """Have the stanza; of the server's files alone, so that the first words are about its version. Raises PgcharterError."""
        said = stanza.program.run("stanza-create", "--no-online")
        if said.code:
            what = f"pgBackRest {stanza.program.release()} takes no backups of this PostgreSQL {facts.major}"
            raise programs.failed(said, what)

    # --- Engine ---

    def check(self) -> tuple[Evidence, ...]:
        """See `backup_pgbackrest_check`."""
        from pgcharter.operate import backup_pgbackrest_check

        return backup_pgbackrest_check.check(self)

    def take(self, kind: Kind, advance: Advance | None = None) -> Backup:
        """Take a full backup, or what has changed since the last full one (pgBackRest calls that diff); the second location first."""
        if kind == "logical":
            return super().take(kind, advance)
        with backup_server.opened(self.dsn) as conn:
            facts = backup_server.facts(conn, self.dsn)
        if facts.standby:
            raise RefusedError("the server is a standby, and pgBackRest begins backups on the primary", hint="take it of the primary")
        repository = self.ready(facts)
        with repository.writing(), files.refusing():
            for at in places(repository):
                at.clean()
                refuse_baseless(at, kind)
            backup_native.room(repository, facts.size)
            made = [_taken(at, kind, facts, advance) for at in stanzas(repository)]
            for at in stanzas(repository):
                at.sync()
        return made[-1]

    def verify(self, backup: Backup, advance: Advance | None = None) -> tuple[str, ...]:
        """See `backup_pgbackrest_verify`."""
        if backup.kind == "logical":
            return super().verify(backup, advance)
        from pgcharter.operate import backup_pgbackrest_verify

        repository = self.repository()
        with repository.reading():
            return tuple(backup_pgbackrest_verify.verify(repository, backup, advance))

    def prune(self, *, dry_run: bool, now: datetime | None = None) -> tuple[Backup, ...]:
        """Have pgBackRest remove what retention does not keep, then log, here and at the second location."""
        repository = self.repository()
        going = self._gone(repository, now)
        for at in stanzas(repository):
            own = self._gone(at, now)
            pruning.refuse_more(at, own)
            if not dry_run:
                pruning.prune(at, own)
        return going

    def hold(self, backup: Backup, reason: str) -> Backup:
        """Annotate it, here and what was taken with it at the second location. pgBackRest's own expire does not know of that."""
        if backup.kind == "logical":
            return super().hold(backup, reason)
        repository = self.repository()
        with repository.writing(), files.refusing():
            for at in stanzas(repository):
                if one := at.copies(backup):
                    label = str(one.facts["label"])
                    said = at.program.run("annotate", f"--repo={at.number}", f"--set={label}", f"--annotation={report.HOLD}={reason}")
                    if said.code:
                        raise programs.failed(said, f"backup {one.id} cannot be held")
                    at.sync()
        return repository.fresh().find(backup.id)

    def restore(self, backup: Backup, until: Until, folder: Path, advance: Advance | None = None) -> Prepared:
        """See `backup_pgbackrest_restore`."""
        if backup.kind == "logical":
            raise UsageError(f"{backup.id} is a logical copy, which cannot be a data folder", hint="pg_restore")
        from pgcharter.operate import backup_pgbackrest_restore

        repository = self.repository()
        with repository.reading():
            return backup_pgbackrest_restore.restore(repository, backup, until, folder, advance)


def owner_of(data: Path, roots: tuple[Path, ...]) -> Account:
    """Who owns the data: who pgBackRest must run as. Makes folders that are not there. Raises RefusedError when that cannot work."""
    entry, who = data.stat(), accounts.current()
    if entry.st_uid == 0 or (not who.dropped and entry.st_uid != who.uid):
        raise RefusedError(f"the data in {data} is not that of {who.name}, who runs this", hint="run pgcharter as the owner of the data")
    owner = Account(str(entry.st_uid), entry.st_uid, entry.st_gid, dropped=who.dropped)
    for root in roots[:1]:
        if not root.is_dir():
            root.mkdir(mode=0o700, parents=True)
            owner.give(root)
    for root in roots:
        if root.is_dir() and who.dropped and root.stat().st_uid != owner.uid:
            raise RefusedError(
                f"{root} does not belong to the owner of the data, as whom pgBackRest runs", hint=f"chown -R {owner.uid}:{owner.gid} {root}"
            )
    return owner


def refuse_baseless(at: Repository, kind: Kind) -> None:
    """Raise PgcharterError where pgBackRest would silently make a full backup instead."""
    if kind == "incremental" and not any(b.kind == "full" for b in at.backups()):
        raise PgcharterError(
            f"there is no full backup in {at.root} that an incremental one could be made on", hint="pgcharter backup take full"
        )


def _taken(at: Stanza, kind: Kind, facts: Facts, advance: Advance | None) -> Backup:
    """Take one backup. Its word for being done is that `info` lists it."""
    what = f"copying {'the database' if kind == 'full' else 'changes'}"

    def line(text: str) -> None:
        if advance and (found := _SHARE.search(text)):
            advance(what, int(float(found[1]) * facts.size / 100), facts.size)

    faults.point(POINTS[0])
    notes = {TAKE: f"{facts.now.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z", SUPERUSER: facts.superuser, DATABASE: facts.database}
    said = at.program.run(
        "backup", f"--repo={at.number}", f"--type={'full' if kind == 'full' else 'diff'}", "--log-level-console=detail",
        "--log-level-stderr=off", *(f"--annotation={n}={v}" for n, v in notes.items()), line=line,
    )  # fmt: skip
    if said.code:
        raise programs.failed(said, "no backup was made")
    faults.point(POINTS[1])
    label = _LABEL.search(said.out)
    made = next((b for b in at.fresh().backups() if label and b.facts.get("label") == label[1]), None)
    if made is None:
        raise PgcharterError("pgBackRest says that it made a backup, but lists none", place=str(at.root))
    return made
