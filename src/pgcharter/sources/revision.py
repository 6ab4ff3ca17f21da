"""A target as git has it at an earlier revision: its files written to a temporary folder, to be read like any other target.

Files come from git's object store, not from `git archive`, whose output `.gitattributes` may thin out or change.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pgcharter.errors import PgcharterError, UnavailableError, UsageError
from pgcharter.findings import Gap
from pgcharter.sources.layout import SUFFIXES

_OPTION = "--changed-since"
_TAKEN = (*SUFFIXES, ".inc", ".md", ".markdown", ".mdx", ".mkd", "sqitch.plan")
"""Ends of names that matter beside the target itself: a repository may hold much else. An include of another kind is missing in the old
state, so that what comes from it counts as new."""
_SECONDS = 120
_SUBMODULE = "160000"
_OF_A_HOOK = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
)  # fmt: skip
"""What git tells its hooks about their repository, where here the target decides; and how to understand paths, which here are names."""
_LARGE = 50_000_000
"""Bytes of a file beyond which it is not compared but taken for changed."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository's working tree, and a revision in it."""

    top: Path
    commit: str
    """The commit compared with, in full."""
    revision: str
    """As the user named it."""
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class _Blob:
    mode: str
    sha: str
    path: str


def open_revision(target: str, revision: str) -> Repository:
    """The repository that `target` lies in and the commit that `revision` means: where the current branch left it, if it did.

    Raises UsageError when the target is not in a repository or the revision is not, UnavailableError without git.
    """
    path = _real(target)
    folder = path if path.is_dir() else path.parent
    top = _top(folder, target)
    commit = _commit(top, revision)
    base = _git(top, "merge-base", commit, "HEAD", check=False)
    gaps = () if base else (Gap(f"where this branch left {revision}", "the history at hand does not show it; compared with it as it is"),)
    return Repository(top, base.splitlines()[0] if base else commit, revision, gaps)


def _real(target: str) -> Path:
    path = Path(target).expanduser()
    if target == "-" or not path.exists():
        if target != "-" and "://" not in target and "=" not in target and ":" not in target:
            raise UsageError(f"there is no file or folder {target}, so there is nothing to compare with its state in git")
        what = "standard input has" if target == "-" else "a database has" if "://" in target or "=" in target else "models have"
        raise UsageError(
            f"{_OPTION} compares files with their state in git, and {what} none",
            hint="record what is there with --known FILE --record instead: then only new findings count",
        )
    if path.suffix == ".ini" or (path.is_dir() and (path / "alembic.ini").is_file()):
        raise UsageError(
            f"{_OPTION} cannot look at an Alembic project as it was: its revisions are programs that run with today's models",
            hint="record what is there with --known FILE --record instead, or check the SQL of `alembic upgrade head --sql`",
        )
    return path.resolve()


def _top(folder: Path, target: str) -> Path:
    said = _run(folder, "rev-parse", "--show-toplevel")
    if said.returncode == 0:
        return Path(os.fsdecode(said.stdout).rstrip("\n")).resolve()
    why = os.fsdecode(said.stderr).strip()
    if "dubious ownership" in why:
        named = re.search(r"repository at '(.+)'", why)
        raise PgcharterError(f"git does not trust the repository of {target}, because it belongs to someone else",
                             hint=f"git config --global --add safe.directory '{named[1] if named else folder}'")  # fmt: skip
    if "work tree" in why:
        raise UsageError(f"the repository of {target} is bare, so there is no state of its files to compare", hint="check a clone of it")
    raise UsageError(f"{target} is not in a git repository, so nothing tells what changed in it", hint=f"leave out {_OPTION}")


def _commit(top: Path, revision: str) -> str:
    if revision.strip() and not revision.startswith("-"):
        found = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", check=False)
        if found:
            return found.splitlines()[-1]
    if not _git(top, "rev-parse", "--verify", "--quiet", "HEAD", check=False):
        raise UsageError("the git repository has no commit yet, so there is nothing to compare with", hint=f"leave out {_OPTION}")
    if _git(top, "rev-parse", "--is-shallow-repository", check=False) == "true":
        hint = "the clone is shallow: git fetch --unshallow (in GitHub Actions: fetch-depth: 0; in GitLab CI: GIT_DEPTH: 0)"
    else:
        hint = "git fetch brings what a remote has; `git branch --all` and `git tag` show what there is"
    raise UsageError(f"git knows no revision {revision!r} here", hint=hint)


def unchanged(repository: Repository, target: str) -> bool:
    """Whether the files of `target` are byte by byte those of the revision, so that there is nothing to compare.

    `git diff` would tell too, but run the filters and hooks that the repository's own configuration names.
    """
    within = _within(repository, target)
    there = _run(repository.top, "ls-files", "--cached", "--others", "-z", "--", within)
    names = {os.fsdecode(name) for name in there.stdout.split(b"\0") if name}
    blobs = {b.path: b for b in _tree(repository, within)}
    return not there.returncode and names == blobs.keys() and all(_same(repository.top / path, b) for path, b in blobs.items())


def _same(file: Path, blob: _Blob) -> bool:
    """Whether a file of the working tree holds what git has in `blob`."""
    try:
        if file.is_symlink() or blob.mode == "120000":
            content = os.fsencode(file.readlink())
        elif file.stat().st_size > _LARGE or not file.is_file():
            return False
        else:
            content = file.read_bytes()
    except OSError:
        return False
    digest = hashlib.sha1 if len(blob.sha) == 40 else hashlib.sha256
    return digest(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == blob.sha


def _within(repository: Repository, target: str) -> str:
    """The folder of the repository that reading `target` may look into; includes never leave it."""
    path = Path(target).expanduser().resolve()
    return (path if path.is_dir() else path.parent).relative_to(repository.top).as_posix()


@contextmanager
def checked_out(repository: Repository, target: str) -> Iterator[tuple[Path, Path | None, tuple[Gap, ...]]]:
    """A temporary folder that stands for the repository's top, in it the target as it was (None: it was not there), and what is missing."""
    within = _within(repository, target)
    relative = Path(target).expanduser().resolve().relative_to(repository.top)
    with tempfile.TemporaryDirectory(prefix="pgcharter-rev-", ignore_cleanup_errors=True) as name:
        top = Path(name).resolve()
        blobs, gaps = _listed(repository, within, relative.as_posix())
        for path, content in _contents(repository, [b for b in blobs if b.mode != "120000"]):
            _write(top, path, content)
        for path, content in _linked(repository, [b for b in blobs if b.mode == "120000"]):
            _write(top, path, content)
        old = top / relative
        yield top, old if old.exists() else None, gaps


def _listed(repository: Repository, within: str, target: str) -> tuple[list[_Blob], tuple[Gap, ...]]:
    """The files that matter, and submodules, which cannot be looked into."""
    found = _tree(repository, within)
    blobs = [b for b in found if b.mode != _SUBMODULE and (b.path == target or b.path.lower().endswith(_TAKEN))]
    why = "it is a submodule, so everything in it counts as new"
    return blobs, tuple(Gap(f"{b.path} at {repository.revision}", why) for b in found if b.mode == _SUBMODULE)


def _tree(repository: Repository, within: str) -> list[_Blob]:
    """Everything in a folder of the revision, submodules with it."""
    wanted = () if within == "." else ("--", within)
    raw = _run(repository.top, "ls-tree", "-r", "-z", "--full-tree", repository.commit, *wanted)
    if raw.returncode:
        raise PgcharterError(f"git cannot list {within} at {repository.revision}: {os.fsdecode(raw.stderr).strip()}")
    lines = (line.partition(b"\t") for line in raw.stdout.split(b"\0") if line)
    parted = ((head.decode("ascii").split(), name) for head, _, name in lines)
    return [_Blob(mode, sha, os.fsdecode(name)) for (mode, _, sha), name in parted]


def _contents(repository: Repository, blobs: Sequence[_Blob]) -> Iterator[tuple[str, bytes]]:
    """Path and content of each blob, all asked for at once."""
    if not blobs:
        return
    asked = "".join(f"{b.sha}\n" for b in blobs).encode("ascii")
    answer = _run(repository.top, "cat-file", "--batch", stdin=asked).stdout
    position = 0
    for blob in blobs:
        end = answer.find(b"\n", position)
        head = answer[position:end].split()
        if end < 0 or len(head) != 3:
            raise PgcharterError(f"git cannot read {blob.path} at {repository.revision}",
                                 hint="the clone may be partial or damaged: `git fsck` tells")  # fmt: skip
        size = int(head[2])
        yield blob.path, answer[end + 1 : end + 1 + size]
        position = end + 1 + size + 1


def _linked(repository: Repository, links: Sequence[_Blob]) -> Iterator[tuple[str, bytes]]:
    """Path and content of files that are links to files of the same revision; links that lead elsewhere are left out."""
    for path, target in _contents(repository, links):
        there = posixpath.normpath(posixpath.join(posixpath.dirname(path), os.fsdecode(target)))
        if not there.startswith(("/", "../")):
            found = _run(repository.top, "cat-file", "blob", f"{repository.commit}:{there}")
            if found.returncode == 0:
                yield path, found.stdout


def _write(top: Path, path: str, content: bytes) -> None:
    """Write one file below `top`; git itself allows no `..` in a tree, and a repository made by hand gets no further either."""
    file = Path(os.path.normpath(top / path))
    if file.is_relative_to(top) and file != top:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def references(folder: Path) -> list[str]:
    """Names of branches and tags, for shell completion; empty where there is no repository."""
    return _git(folder, "for-each-ref", "--format=%(refname:short)", check=False).split()


def _git(folder: Path, *arguments: str, check: bool = True) -> str:
    """What a git command says, without the last line end; empty when it fails and `check` is off."""
    done = _run(folder, *arguments)
    if done.returncode and check:
        raise PgcharterError(f"git {arguments[0]} failed: {os.fsdecode(done.stderr).strip()}")
    return "" if done.returncode else os.fsdecode(done.stdout).rstrip("\n")


def _run(folder: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {k: v for k, v in os.environ.items() if k not in _OF_A_HOOK}
    environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_REPLACE_OBJECTS": "1"}
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "--literal-pathspecs", *arguments]
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, input=stdin, capture_output=True, timeout=_SECONDS, check=False
        )  # fmt: skip
    except FileNotFoundError:
        raise UnavailableError(f"{_OPTION} needs git, which is not installed", hint="install git, or leave the option out") from None
    except subprocess.TimeoutExpired:
        raise PgcharterError(f"git {arguments[0]} gave no answer within {_SECONDS} seconds") from None
