"""ClickHouse over HTTP: one connection, statements, and errors as those of a sink. Works from server 18.16 on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pgcharter.stream.errors import SinkDownError, SinkRefusedError

_CODE = re.compile(r"Code: (\d+)")
_SAID = re.compile(r"DB::Exception: (.*?)(?:, e\.what\(\)|\. \([A-Z_0-9]+\)| \(version |$)", re.DOTALL)
_PASSING = frozenset({
    159, 160, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 285, 286, 290, 319, 364, 415, 425, 439, 473, 494, 519, 667, 702, 999,
})  # fmt: skip
"""Time-outs, too many queries or parts, no memory, no room on the disk, network, Keeper: see ErrorCodes.cpp of ClickHouse."""
_FULL = {243: "its disk is full", 252: "a table has too many parts, merges do not keep up", 241: "its memory limit is reached"}


def quoted(name: str) -> str:
    """A name as ClickHouse's SQL has it."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(value: str) -> str:
    """A text as ClickHouse's SQL has it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Http:
    """A server at an address `http://user:password@host:8123/database`."""

    def __init__(self, url: str, timeout: float = 300) -> None:
        import httpx

        self._down = (httpx.TransportError, httpx.TimeoutException)
        address = httpx.URL(url)
        name = address.path.strip("/")
        parameters = dict(address.params) | ({"database": name} if name else {})
        self._login = (address.username, address.password) if address.username else None
        self._made = partial(
            httpx.Client,
            base_url=address.copy_with(path="/", query=None, userinfo=b""),
            params=parameters,
            auth=self._login,
            timeout=httpx.Timeout(timeout, connect=5),
            trust_env=False,
        )
        self._client = self._made()

    def run(self, statement: str, data: Sequence[bytes] = (), settings: Mapping[str, str] | None = None) -> bytes:
        """Send a statement, with data behind it; give back what it says. Raises SinkDownError, SinkRefusedError."""
        if self._client.is_closed:
            self._client = self._made()
        body = b"".join((statement.encode(), b"\n", *data)) if data else statement.encode()
        try:
            answer = self._client.post("/", content=body, params=dict(settings) if settings else None)
        except self._down as error:
            raise SinkDownError(f"ClickHouse does not answer ({type(error).__name__})") from error
        if answer.status_code != 200:
            raise self._named(answer)
        return answer.content

    def table(self, statement: str) -> list[list[str]]:
        """The rows of a query, as texts without tabs or line ends in them."""
        answer = self.run(f"{statement} FORMAT TabSeparatedRaw").decode(errors="replace")
        return [line.split("\t") for line in answer.split("\n")[:-1]]

    def _named(self, answer: Any) -> SinkDownError | SinkRefusedError:
        said = answer.text
        code = int(found[1]) if (found := _CODE.search(said)) else 0
        what = (found[1] if (found := _SAID.search(said)) else said).strip().splitlines()
        if self._login and self._login[1] and what and self._login[1] in what[0]:
            what = ["its message names the password"]
        if code in _PASSING or "No space left on device" in said or answer.status_code in (429, 502, 503, 504):
            return SinkDownError(f"ClickHouse cannot do it just now: {_FULL.get(code) or (what or ['?'])[0][:200]} (code {code})")
        return SinkRefusedError(f"ClickHouse refuses: {(what or ['?'])[0][:300]} (code {code or answer.status_code})")

    def close(self) -> None:
        """Close the connection; the next statement makes another."""
        self._client.close()
