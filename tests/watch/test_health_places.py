"""Faults that take a server of their own: offline damage, archiving, the machine, PgBouncer, TLS, a repository of backups."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.conftest import installation, lacking
from tests.runtime import poolers
from tests.watch.ground import Ground, until, worst
from tests.watch.test_health_faults import QUIET

from pgcharter.servers import account, lifecycle
from pgcharter.servers.lifecycle import Server, Setting
from pgcharter.watch import registry
from pgcharter.watch.collecting import Target
from pgcharter.watch.collecting_asked import Backups, System
from pgcharter.watch.judging import Past
from pgcharter.watch.model import Level

INFO, WARNING, CRITICAL = Level.INFO, Level.WARNING, Level.CRITICAL


def said(ground: Ground, id_: str, past: Past | None = None, after: float = 0.0, **changes: Any) -> Level:
    """What a check says now; gaps are failures."""
    found, _ = ground.look(id_, past=past, after=after, changes=changes)
    assert not found.gaps, found.gaps
    one = worst(found, id_)
    assert one is None or one.level is Level.OK or one.remedy
    return one.level if one else Level.OK


@contextmanager
def connected(server: Server) -> Iterator[Ground]:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        yield Ground(server, admin)


def again(server: Server, settings: dict[str, Setting]) -> None:
    """Start a server anew that was ended."""
    lifecycle.launch(server, {**lifecycle.EPHEMERAL, **settings, "listen_addresses": ""})


def tool(server: Server, name: str, *words: str) -> None:
    done = server.account.run([server.installation.program(name), *words], timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_what_is_changed_while_it_is_down_is_told(major: int) -> None:
    """Checksums, damaged pages, settings of a start, ids that have run far: each told, and quiet on the other side of a restart."""
    loose: dict[str, Setting] = {**QUIET, "max_connections": 600, "autovacuum": False}
    firm: dict[str, Setting] = {**QUIET, "shared_preload_libraries": "pg_stat_statements", "autovacuum": False}
    with lifecycle.start_ephemeral(installation(major), settings=loose) as server:
        assert server.process
        with connected(server) as ground:
            ground.run("CREATE DATABASE model TEMPLATE template0")
            with psycopg.connect(server.dsn("model"), autocommit=True) as conn:
                conn.execute("CREATE TABLE kept AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, 200) i")
                [[path]] = conn.execute("SELECT pg_relation_filepath('kept')").fetchall()
            assert said(ground, "server.checksums") is WARNING
            assert said(ground, "settings.max_connections") is INFO
            assert said(ground, "settings.statements") is INFO
            assert said(ground, "vacuum.xid_age") is Level.OK
            assert said(ground, "vacuum.mxid_age") is Level.OK
            assert said(ground, "vacuum.freeze") is Level.OK
            assert said(ground, "vacuum.freeze_multixact") is Level.OK
            _, past = ground.look("vacuum.days_left")
        lifecycle.end(server.process)
        tool(server, "pg_checksums", "--enable", "-D", str(server.data))
        again(server, firm)
        with connected(server) as ground:
            assert said(ground, "server.checksums") is Level.OK
            assert said(ground, "settings.max_connections") is Level.OK
            assert said(ground, "settings.statements") is Level.OK
            assert said(ground, "server.damaged_pages") is Level.OK
        lifecycle.end(server.process)
        with (server.data / path).open("r+b") as file:
            file.seek(5000)
            file.write(b"damaged")
        _far(server)
        again(server, firm)
        with connected(server) as ground:
            with psycopg.connect(server.dsn("model"), autocommit=True) as conn, pytest.raises(psycopg.errors.DataCorrupted):
                conn.execute("SELECT count(t) FROM kept")
            until(lambda: said(ground, "server.damaged_pages") is CRITICAL)
            assert said(ground, "vacuum.xid_age") is WARNING
            assert said(ground, "vacuum.mxid_age") is WARNING
            assert said(ground, "vacuum.freeze") is CRITICAL
            assert said(ground, "vacuum.freeze_multixact") is WARNING
            assert said(ground, "vacuum.days_left", past, 86400) is CRITICAL

            def mended() -> bool:
                """The session that read the page may tell what it has counted after a reset."""
                with psycopg.connect(server.dsn("model"), autocommit=True) as conn:
                    conn.execute("SELECT pg_stat_reset()")
                return said(ground, "server.damaged_pages") is Level.OK

            until(mended)


def _far(server: Server) -> None:
    """Have the server believe that it has used up 600 million transactions and 450 million multixacts."""
    xid, mxid = 600_000_000, 450_000_000
    tool(server, "pg_resetwal", "-x", str(xid), "-m", f"{mxid},1", "-D", str(server.data))
    page = 8192
    names = {
        "pg_xact": xid // (page * 4 * 32), "pg_multixact/offsets": mxid // (page // 4 * 32), "pg_commit_ts": -1,
    }  # fmt: skip
    for folder, segment in names.items():
        if segment >= 0:
            file = server.data / folder / f"{segment:04X}"
            file.write_bytes(bytes(page * 32))
            server.account.give(file)


def test_autovacuum_without_a_free_worker_is_told() -> None:
    settings: dict[str, Setting] = {**QUIET, "autovacuum_naptime": "1s", "autovacuum_max_workers": 1}
    with lifecycle.start_ephemeral(installation(18), settings=settings) as server, connected(server) as ground:
        ground.run("CREATE TABLE slow (i int) WITH (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,"
                   " autovacuum_vacuum_threshold = 1)")  # fmt: skip
        assert said(ground, "vacuum.workers", after=900) in (Level.OK, INFO)
        ground.run("INSERT INTO slow SELECT generate_series(1, 20000)", "DELETE FROM slow")

        def busy() -> bool:
            found, past = ground.look("vacuum.workers")
            return found.worst is INFO and said(ground, "vacuum.workers", past, 900) is WARNING

        until(busy)


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_archiving_that_fails_is_told(major: int) -> None:
    settings: dict[str, Setting] = {**QUIET, "archive_mode": True, "archive_command": "true", "archive_timeout": "5min"}
    with lifecycle.start_ephemeral(installation(major), settings=settings) as server, connected(server) as ground:
        ids = ("archive.failing", "archive.oldest", "archive.waiting", "archive.command", "archive.off", "archive.timeout")
        for id_ in ids:
            assert said(ground, id_) is Level.OK, id_
        with ground.setting(archive_timeout="0"):
            assert said(ground, "archive.timeout") is INFO
        with ground.setting(archive_command="false"):
            ground.run(*["SELECT pg_logical_emit_message(false, 'x', 'y')", "SELECT pg_switch_wal()"] * 11)
            until(lambda: said(ground, "archive.waiting") is WARNING)

            until(lambda: ground.look("archive.failing")[0].worst is INFO)
            _, past = ground.look("archive.failing")
            assert said(ground, "archive.failing", past, 120) is CRITICAL
            assert said(ground, "archive.oldest", warn=0.001, critical=0.01) is CRITICAL
        until(lambda: all(said(ground, i) is Level.OK for i in ids), 30)
        with ground.setting(archive_command=""):
            assert said(ground, "archive.command") is CRITICAL
    with lifecycle.start_ephemeral(installation(major)) as server, connected(server) as ground:
        assert said(ground, "archive.off") is INFO


def test_a_base_backup_that_hangs_is_told() -> None:
    with lifecycle.start_ephemeral(installation(18), settings=QUIET) as server, connected(server) as ground:
        assert said(ground, "backups.copying", warn=0.001) is Level.OK
        with psycopg.connect(server.dsn(), replication="true", autocommit=True) as conn:
            conn.pgconn.send_query(b"BASE_BACKUP (LABEL 'slow', CHECKPOINT 'fast', MAX_RATE 32)")
            until(lambda: said(ground, "backups.copying", warn=0.001) is WARNING)
            conn.pgconn.finish()
        until(lambda: said(ground, "backups.copying", warn=0.001) is Level.OK)


def test_an_old_minor_version_is_told() -> None:
    for major, level in ((16, WARNING), (18, Level.OK)):
        with lifecycle.start_ephemeral(installation(major)) as server, connected(server) as ground:
            assert said(ground, "server.minor") is level


# --- the machine ---


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with lifecycle.start_ephemeral(installation(18), settings=QUIET) as server, connected(server) as made:
        yield made


@pytest.fixture
def machine(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Files of the kernel in the place of this machine's, processes its own."""
    for name in ("meminfo", "loadavg", "pressure/cpu", "pressure/io", "pressure/memory", "sys/vm/overcommit_memory"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 600 kB\nSwapTotal: 100 kB\nSwapFree: 90 kB\n")
    (tmp_path / "loadavg").write_text("0.5 0.8 0.9 1/100 1\n")
    for name in ("cpu", "io", "memory"):
        (tmp_path / "pressure" / name).write_text("some avg10=0.00 avg60=1.50 avg300=0.10 total=1\n")
    (tmp_path / "sys/vm/overcommit_memory").write_text("2\n")
    monkeypatch.setattr("pgcharter.watch.collecting_host._here", lambda asked: None)
    ground.target = Target(ground.dsn, system=System(tmp_path, 2))
    yield tmp_path
    ground.target = None


@pytest.mark.parametrize(
    ("id_", "file", "text", "level"),
    [
        ("host.memory", "meminfo", "MemTotal: 1000 kB\nMemAvailable: 40 kB\n", CRITICAL),
        ("host.swap", "meminfo", "MemTotal: 1000 kB\nMemAvailable: 600 kB\nSwapTotal: 100 kB\nSwapFree: 20 kB\n", WARNING),
        ("host.load", "loadavg", "9 9.5 9 1/100 1\n", WARNING),
        ("host.pressure", "pressure/io", "some avg10=0.00 avg60=95.00 avg300=0.10 total=1\n", WARNING),
        ("host.overcommit", "sys/vm/overcommit_memory", "0\n", INFO),
    ],
)
def test_what_the_kernel_says_is_told(ground: Ground, machine: Path, id_: str, file: str, text: str, level: Level) -> None:
    assert said(ground, id_) is Level.OK
    (machine / file).write_text(text)
    _, past = ground.look(id_)
    assert said(ground, id_, past, 300) is level


def test_a_kernel_that_says_something_else_is_a_gap(ground: Ground, machine: Path) -> None:
    (machine / "meminfo").write_text("nothing\n")
    found, _ = ground.look("host.memory", "host.load")
    assert [r.check.id for r in found.readings] == ["host.load"]
    assert "cannot be understood" in found.gaps[0].why


@pytest.fixture(scope="module")
def small(ground: Ground) -> Iterator[Path]:
    """A small file system of its own with a tablespace on it."""
    folder = account.current().make_folder(ground.server.socket_dir / "small")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=100,mode=777", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here: that is root's, and not everywhere")
    try:
        place = account.current().make_folder(folder / "space")
        ground.admin.execute(f"CREATE TABLESPACE small LOCATION '{place}'".encode())
        yield folder
        ground.admin.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", folder], check=True)


def test_what_is_used_of_a_disk_is_told(ground: Ground) -> None:
    """Where no file system can be mounted, too: by other thresholds, and by a file of some size."""
    assert said(ground, "host.disk", warn=100.5, critical=101.0) is Level.OK
    assert said(ground, "host.disk", warn=0.0, critical=101.0) is WARNING
    _, past = ground.look("host.disk_forecast")
    large = ground.server.data / "large"
    large.write_bytes(os.urandom(64 << 20))
    try:
        os.sync()
        assert said(ground, "host.disk_forecast", past, 6 * 3600, warn=1e15, critical=0.0) is WARNING
    finally:
        large.unlink()


def test_a_disk_that_fills_is_told(ground: Ground, small: Path) -> None:
    def level(id_: str, past: Past | None = None, after: float = 0.0) -> Level:
        """Of the small disk: others are as full as they are."""
        found, _ = ground.look(id_, past=past, after=after)
        return max((r.level for r in found.readings if "small" in r.labels.get("holds", "")), default=Level.OK)

    assert level("host.disk") is Level.OK
    assert level("host.inodes") is Level.OK
    _, past = ground.look("host.disk_forecast")
    (small / "large").write_bytes(bytes(3_500_000))
    assert level("host.disk") is WARNING
    assert level("host.disk_forecast", past, 6 * 3600) is CRITICAL
    found, _ = ground.look("host.disk_forecast", past=past, after=60)
    assert any("look again" in gap.why for gap in found.gaps)
    (small / "large").unlink()
    for number in range(95):
        (small / f"f{number}").touch()
    assert level("host.inodes") is CRITICAL
    for number in range(95):
        (small / f"f{number}").unlink()
    assert level("host.inodes") is Level.OK
    assert level("host.disk") is Level.OK


def test_another_machine_is_not_judged_by_ours(ground: Ground, tmp_path: Path) -> None:
    ground.target = Target(ground.dsn, system=System(tmp_path, 2))
    found, _ = ground.look("host.memory", "host.disk")
    ground.target = None
    assert not found.readings
    assert {g.what for g in found.gaps} == {"host.memory", "host.disk"}
    assert "another machine" in found.gaps[0].why


# --- PgBouncer ---


def test_a_pool_that_is_full_is_told(ground: Ground) -> None:
    user, password = ground.server.login.user, ground.server.login.password
    who = f"auth_type = plain\nadmin_users = {user}\nmax_db_connections = 0\n"
    with poolers.pooler(ground.server, {user: password}, 1, who) as port:
        console = f"host=127.0.0.1 port={port} user={user} password={password} dbname=pgbouncer"
        through = console.replace("dbname=pgbouncer", "dbname=postgres")
        ground.target = Target(ground.dsn, pooler=console)
        for id_ in ("pooler.reachable", "pooler.clients", "pooler.waiting", "pooler.fill", "pooler.stopped"):
            assert said(ground, id_) is Level.OK, id_
        with psycopg.connect(through, autocommit=True, prepare_threshold=None) as busy:
            busy.execute("BEGIN")
            assert said(ground, "pooler.fill") is WARNING
            assert said(ground, "pooler.clients", warn=0.1, critical=50) is WARNING
            with Ground.waiting(_Through(through), "SELECT 1"):
                until(lambda: said(ground, "pooler.waiting", warn=0.01, critical=100) is WARNING)
                busy.execute("COMMIT")
        with psycopg.connect(console, autocommit=True, prepare_threshold=None) as admin:
            admin.execute("DISABLE postgres")
            until(lambda: said(ground, "pooler.stopped") is WARNING)
            admin.execute("ENABLE postgres")
        with pytest.raises(Exception, match="leads to a pooler"):
            Ground(ground.server, ground.admin, target=Target(through)).look("server.reachable")
    assert said(ground, "pooler.reachable") is CRITICAL
    ground.target = None


class _Through:
    """Sessions by another way."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    @contextmanager
    def session(self, *_: Any, **__: Any) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.dsn, autocommit=True, prepare_threshold=None) as conn:
            yield conn


# --- TLS ---


def _certificate(folder: Path, days: int) -> None:
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db")]), datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(days)
    signed = made.not_valid_before(now).not_valid_after(now + timedelta(days=days)).sign(key, hashes.SHA256())
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    for name in ("key.pem", "cert.pem"):
        (folder / name).chmod(0o600)
        account.current().give(folder / name)


@contextmanager
def networked(*addresses: str) -> Iterator[tuple[Server, dict[str, Setting]]]:
    """A server that listens on these addresses and lets in whoever comes, and the settings it was started with."""
    with lifecycle.start_ephemeral(installation(15), settings=QUIET) as server:
        assert server.process
        lifecycle.end(server.process)
        server.port = lifecycle.free_port()
        base: dict[str, Setting] = {**lifecycle.EPHEMERAL, **QUIET, "listen_addresses": ",".join(addresses)}
        with (server.data / "pg_hba.conf").open("a") as file:
            file.write("host all all 0.0.0.0/0 trust\n")
        lifecycle.launch(server, base)
        yield server, base


def _with_tls(server: Server, base: dict[str, Setting]) -> Path:
    """Have it offer TLS; where its certificate is."""
    assert server.process
    lifecycle.end(server.process)
    folder = server.account.make_folder(server.socket_dir / "tls")
    _certificate(folder, 365)
    tls: dict[str, Setting] = {"ssl": True, "ssl_cert_file": str(folder / "cert.pem"), "ssl_key_file": str(folder / "key.pem")}
    lifecycle.launch(server, {**base, **tls})
    return folder


def test_a_certificate_that_ends_is_told() -> None:
    with networked("127.0.0.1") as (server, base):
        folder = _with_tls(server, base)
        with connected(server) as ground:
            assert said(ground, "security.certificate") is Level.OK
            for days, level in ((20, WARNING), (3, CRITICAL)):
                _certificate(folder, days)
                ground.reload()
                until(lambda level=level: said(ground, "security.certificate") is level)


def test_what_goes_over_the_network_in_the_clear_is_told() -> None:
    address = _address()
    with networked("127.0.0.1", address) as (server, base):
        with connected(server) as ground:
            assert said(ground, "security.tls") is WARNING
            assert said(ground, "security.plain") is Level.OK
            with psycopg.connect(f"host={address} port={server.port} user={server.login.user} dbname=postgres sslmode=disable"):
                assert said(ground, "security.plain") is WARNING
            until(lambda: said(ground, "security.plain") is Level.OK)
        _with_tls(server, base)
        with connected(server) as ground:
            assert said(ground, "security.tls") is Level.OK


def _address() -> str:
    """An address of this machine that is not the loopback's."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("no network address here beside the loopback's")
        return str(one.getsockname()[0])


# --- backups ---


def _manifest(root: Path, id_: str, kind: str, ended: datetime) -> None:
    folder = root / "backups" / id_
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"kind": kind, "ended": ended.isoformat()}))


def test_what_a_repository_records_is_told(ground: Ground, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    (tmp_path / "evidence").mkdir()
    ground.target = Target(ground.dsn, backups=Backups(tmp_path, 86400.0))
    found, _ = ground.look("backups.missing")
    assert "holds no repository" in found.gaps[0].why
    (tmp_path / "repository.json").write_text("{}")
    assert said(ground, "backups.missing") is CRITICAL
    _manifest(tmp_path, "20260101T000000Z-full", "full", now - timedelta(days=3))
    assert said(ground, "backups.missing") is Level.OK
    assert said(ground, "backups.age") is CRITICAL
    _manifest(tmp_path, "20260103T000000Z-full", "full", now - timedelta(hours=20))
    assert said(ground, "backups.age") is Level.OK
    begun = tmp_path / "backups" / "20260104T000000Z-full"
    begun.mkdir()
    assert said(ground, "backups.unfinished") is Level.OK
    os.utime(begun, (time.time() - 50_000,) * 2)
    assert said(ground, "backups.unfinished") is WARNING
    for id_ in ("backups.proof_broken", "backups.proof_expired"):
        assert said(ground, id_) is Level.OK
    for number, (holds, until_, id_, level) in enumerate(
        ((True, now + timedelta(days=1), "", Level.OK), (False, None, "backups.proof_broken", CRITICAL),
         (True, now - timedelta(days=1), "backups.proof_expired", WARNING), (True, now + timedelta(days=1), "", Level.OK))
    ):  # fmt: skip
        proof = {"name": "backup.drill", "holds": holds, "seen": "x", "at": now.isoformat(), "until": until_ and until_.isoformat()}
        (tmp_path / "evidence" / f"2026010{number}T000000.000000Z-backup.drill.json").write_text(json.dumps(proof))
        for one in ("backups.proof_broken", "backups.proof_expired"):
            assert said(ground, one) is (level if one == id_ else Level.OK)
    ground.target = None


def test_what_pgbackrest_lists_is_told(ground: Ground, tmp_path: Path) -> None:
    program = os.environ.get("PGCHARTER_PGBACKREST") or shutil.which("pgbackrest")
    if program is None:
        lacking('no pgBackRest here: export PGCHARTER_PGBACKREST="$(bash tools/fetch_service.sh pgbackrest)"')
    (tmp_path / "repository.json").write_text("{}")
    (tmp_path / "backups").mkdir()
    ground.target = Target(ground.dsn, backups=Backups(tmp_path, 86400.0))
    assert said(ground, "backups.missing") is CRITICAL
    with lifecycle.start_ephemeral(installation(15)) as server:
        assert server.process
        lifecycle.end(server.process)
        own = server.account.make_folder(server.socket_dir / "own")
        words = [program, "--stanza=main", f"--pg1-path={server.data}", f"--repo1-path={own}/repo", "--log-level-file=off",
                 f"--lock-path={own}/lock", "--no-online"]  # fmt: skip
        for command in (["stanza-create"], ["backup", "--force", "--type=full"]):
            done = server.account.run([*words, *command], timeout=60)
            assert done.returncode == 0, done.stderr
        shutil.copytree(own / "repo" / "backup", tmp_path / "pgbackrest" / "repo" / "backup", symlinks=True)
    assert said(ground, "backups.missing") is Level.OK
    assert said(ground, "backups.age") is Level.OK
    ground.now = datetime.now(UTC) + timedelta(days=3)
    assert said(ground, "backups.age") is CRITICAL
    ground.now = None
    next((tmp_path / "pgbackrest").glob("repo/backup/*/backup.info")).write_bytes(b"Salted__\xff")
    found, _ = ground.look("backups.age")
    assert "encrypted" in found.gaps[0].why
    ground.target = None


def test_nothing_is_said_of_what_is_not_declared(ground: Ground) -> None:
    wanted = [
        c for c in registry.load().checks.values() if c.family in ("backups", "pooler", "flow", "evidence") and c.id != "backups.copying"
    ]
    found, _ = ground.judge([replace(c) for c in wanted], Past())
    assert (found.readings, found.gaps) == ((), ())
