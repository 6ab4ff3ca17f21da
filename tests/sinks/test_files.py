from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sinks.conformance import Conformance, Harness, Rows, delete, put, shape, whole

from pgcharter.errors import CharterError
from pgcharter.policy.sync_settings import SinkTable
from pgcharter.sinks import files_manifest, files_sink, jsonl, nats_json, parquet, registry
from pgcharter.sinks.files_sink import FilesSink, checked
from pgcharter.stream.errors import SinkDownError, SinkRefusedError
from pgcharter.stream.model import Field, Shape, Stamp

_FORMS = {"jsonl": jsonl.Jsonl, "parquet": parquet.Parquet}


def _comparable(value: Any) -> Any:
    return "NaN" if value != value else [_comparable(v) for v in value] if isinstance(value, list) else value


class FilesHarness(Harness):
    """A folder. Every look at it goes by the manifest and checks every file that it names."""

    kind = "jsonl"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sink(self) -> FilesSink:
        return FilesSink(self.folder, _FORMS[self.kind](), rotate=1 << 20)

    def rows(self, shape: Shape) -> Rows:
        manifest = files_manifest.read(self.folder, self.kind)
        assert all(checked(self.folder, file) for file in manifest.files)
        found: dict[str, tuple[tuple[int, int], bool, Rows]] = {}
        cleared = (0, 0)
        for file in manifest.of(shape.to):
            for op, stamp, row in self.lines(self.folder / file.name, shape):
                key = tuple(_comparable(row.get(k)) for k in shape.key)
                if op == "clear":
                    cleared = max(cleared, stamp)
                elif repr(key) not in found or found[repr(key)][0] <= stamp:
                    found[repr(key)] = (stamp, op == "put", {key: row})
        return {k: r for stamp, there, rows in found.values() if there and stamp >= cleared for k, r in rows.items()}

    def lines(self, file: Path, shape: Shape) -> Iterator[tuple[str, tuple[int, int], dict[str, Any]]]:
        for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
            row = json.loads(line)
            row.update((f.name, str(row[f.name])) for f in shape.fields if f.type == "numeric" and row.get(f.name) is not None)
            yield row.pop("pgcharter_op"), (row.pop("pgcharter_lsn"), row.pop("pgcharter_ordinal")), row

    def value(self, field: Field, value: Any) -> Any:
        if field.type == "numeric" and value is not None:
            return str(value)
        return nats_json.plain(value)

    def stop(self) -> None:
        self.folder.rename(self.folder.with_name("away"))
        self.folder.write_text("no folder")

    def start(self) -> None:
        self.folder.unlink()
        self.folder.with_name("away").rename(self.folder)

    def spoil(self, shape: Shape) -> None:
        self.folder.mkdir()
        (self.folder / shape.to).write_text("a file where a folder should be")

    def fill(self) -> Callable[[], None]:
        """No file may be longer than one megabyte."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)


class ParquetHarness(FilesHarness):
    kind = "parquet"

    def lines(self, file: Path, shape: Shape) -> Iterator[tuple[str, tuple[int, int], dict[str, Any]]]:
        for row in parquet.Parquet().read(file, shape):
            values = row.values if row.op == "put" else dict(zip(shape.key, row.key, strict=False))
            yield row.op, row.stamp, {n: _comparable(v) for n, v in values.items()}

    def value(self, field: Field, value: Any) -> Any:
        return _comparable(value)


class TestJsonl(Conformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        return FilesHarness(tmp_path / "copies")


class TestParquet(Conformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        return ParquetHarness(tmp_path / "copies")


@pytest.fixture(params=["jsonl", "parquet"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> FilesHarness:
    return (FilesHarness if request.param == "jsonl" else ParquetHarness)(tmp_path / "copies")


def test_small_files_are_merged(harness: FilesHarness) -> None:
    """Many batches leave few files, and files that were read from stay for a while."""
    of = shape()
    sink = harness.sink()
    sink.open([of])
    count = 80
    for n in range(1, count + 1):
        sink.write([whole(of, n, n % 40)], Stamp(n, 1))
    manifest = files_manifest.read(harness.folder, harness.kind)
    assert len(manifest.files) < 24
    assert sum(f.rows for f in manifest.files) == count
    assert len(harness.rows(of)) == 40
    assert all((harness.folder / name).exists() for name, _ in manifest.retired)
    old = files_manifest.without_retired(harness.folder, manifest, time.time() + 1000)
    assert not old.retired
    assert {f.name for f in manifest.files} == {str(p.relative_to(harness.folder)) for p in harness.folder.glob(f"*/*.{harness.kind}")}
    sink.close()


def test_large_files_are_left_alone(harness: FilesHarness) -> None:
    of = shape()
    sink = FilesSink(harness.folder, _FORMS[harness.kind](), rotate=10)
    sink.open([of])
    for n in range(1, 20):
        sink.write([whole(of, n, n)], Stamp(n, 1))
    assert len(files_manifest.read(harness.folder, harness.kind).files) == 19
    sink.close()


def test_files_of_other_columns_are_not_merged(harness: FilesHarness) -> None:
    sink = harness.sink()
    shapes = [shape(), shape("orders", Field("id", "bigint", key=True), Field("note", "text"))]
    sink.open(shapes)
    for n in range(1, 41):
        of = shapes[n // 20 % 2]
        sink.write([put(of, n, n, **{f.name: None for f in of.fields[1:]})], Stamp(n, 1))
    assert len({f.fields for f in files_manifest.read(harness.folder, harness.kind).files}) == 2
    assert len(harness.rows(shapes[1])) == 40
    sink.close()


def test_what_is_read_back(harness: FilesHarness) -> None:
    of = shape()
    sink = harness.sink()
    sink.open([of])
    sink.write([whole(of, 1, 1), whole(of, 2, 2), whole(of, 3, 3, name=None), delete(of, 4, 2), whole(of, 5, 4)], Stamp(5, 1))
    found = {r.key: (r.stamp, r.values) for r in sink.read(of, (1,), (3,))}
    assert found == {(3,): (Stamp(3, 1), whole(of, 3, 3, name=None).values)}
    assert sorted(r.key for r in sink.read(of, None, None)) == [(1,), (3,), (4,)]
    sink.close()


def test_tenants_cannot_leave_the_folder(harness: FilesHarness, tmp_path: Path) -> None:
    sink = harness.sink()
    shapes = [shape(to) for to in ("../../evil", "..", ".", "/etc/x", "a/b", "ü" * 200, "con\0trol")]
    sink.open(shapes)
    for n, of in enumerate(shapes, 1):
        sink.write([whole(of, n, 1)], Stamp(n, 1))
        assert len(harness.rows(of)) == 1
    assert {p.name for p in tmp_path.iterdir()} == {"copies"}
    assert len([p for p in harness.folder.iterdir() if p.is_dir()]) == len(shapes)
    sink.close()


def test_one_writer(harness: FilesHarness) -> None:
    first, second = harness.sink(), harness.sink()
    first.open([])
    with pytest.raises(SinkDownError, match="another process writes"):
        second.open([])
    first.close()
    assert second.open([]) is None
    second.close()


def test_a_manifest_of_something_else(harness: FilesHarness) -> None:
    harness.folder.mkdir()
    for text in ('{"name": "an app"}', "no json", '{"format": "pgcharter-copies", "version": 1, "kind": "other", "files": []}'):
        (harness.folder / "manifest.json").write_text(text)
        with pytest.raises(SinkRefusedError, match=r"manifest\.json is "):
            harness.sink().open([])


_WRITER = """
import sys
from pathlib import Path
from tests.sinks.conformance import shape, whole
from tests.sinks.test_files import _FORMS
from pgcharter.sinks.files_sink import FilesSink
from pgcharter.stream.model import Stamp
sink = FilesSink(Path(sys.argv[1]), _FORMS[sys.argv[2]]())
of = shape()
kept = sink.open([of])
for n in range(kept.lsn + 1 if kept else 1, 41):
    sink.write([whole(of, n, n), whole(of, n, 0, name=str(n))], Stamp(n, 1))
sink.close()
"""


@pytest.mark.parametrize(("point", "occurrence"), list(zip(files_sink.POINTS, (3, 17, 1, 2), strict=True)))
def test_a_writer_killed_anywhere(tmp_path: Path, point: str, occurrence: int) -> None:
    """What the manifest names is whole; the next writer goes on from there, and all is there in the end."""
    harness = FilesHarness(tmp_path / "copies")
    command = [sys.executable, "-c", _WRITER, str(harness.folder), "jsonl"]
    fault = {**os.environ, "PGCHARTER_FAULT": f"{point}:{occurrence}", "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(command, env=fault, check=False).returncode == -signal.SIGKILL
    of = shape()
    kept = files_manifest.read(harness.folder, "jsonl").upto
    assert set(harness.rows(of)) == ({(n,) for n in range(kept.lsn + 1)} if kept else set())
    subprocess.run(command, env={**fault, "PGCHARTER_FAULT": ""}, check=True)
    assert set(harness.rows(of)) == {(n,) for n in range(41)}
    assert harness.rows(of)[(0,)]["name"] == "40"
    named = files_manifest.read(harness.folder, "jsonl")
    files = {str(p.relative_to(harness.folder)) for p in harness.folder.glob("*/*")}
    assert files == {f.name for f in named.files} | {name for name, _ in named.retired}, "what the killed writer left is still there"


def test_from_the_charter(tmp_path: Path) -> None:
    table = SinkTable("files", "jsonl", folder="out", options={"rotate": "1MB"})
    sink = registry.make(table, tmp_path)
    assert sink.open([shape()]) is None
    assert (tmp_path / "out" / "orders").is_dir()
    sink.close()
    with pytest.raises(CharterError, match="option colour, which parquet has not"):
        registry.make(SinkTable("files", "parquet", folder="out", options={"colour": "red"}), tmp_path)
    with pytest.raises(CharterError, match="names no folder"):
        registry.make(SinkTable("files", "jsonl"), tmp_path)
