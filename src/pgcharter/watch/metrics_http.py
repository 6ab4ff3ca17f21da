"""`/metrics` and `/healthz`, by prometheus_client. The only module that imports it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from pgcharter.errors import PgcharterError, UnavailableError, UsageError
from pgcharter.watch import registry
from pgcharter.watch.metrics_asking import Exporter
from pgcharter.watch.model import Health, Level

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import CollectorRegistry

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], Any]
WAIT = 8.0
"""Seconds that a scrape waits for answers where Prometheus does not say how long it does."""
MARGIN = 0.5
"""Seconds before it gives up by which it has what there is."""
MOST = 100
"""Readings in the answer of /healthz."""


class _Collected:
    """What prometheus_client asks: one look."""

    def __init__(self, exporter: Exporter, wait: float | None) -> None:
        self._exporter, self._wait = exporter, wait

    def collect(self) -> Iterator[Metric]:
        """Ask, wait, and tell."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        self._exporter.ask(self._wait)
        for one in self._exporter.series():
            made: Any = CounterMetricFamily if one.kind == "counter" else GaugeMetricFamily
            family = made(one.name, one.help, labels=one.labels)
            for labels, value in one.values.items():
                family.add_metric(labels, value)
            yield family


def collected(exporter: Exporter, wait: float | None) -> CollectorRegistry:
    """A registry of prometheus_client over one look. Raises UnavailableError without prometheus_client."""
    try:
        from prometheus_client import CollectorRegistry
    except ImportError:
        raise UnavailableError(
            "prometheus-client is not installed, which writes metrics", hint="pip install 'pgcharter[metrics]'"
        ) from None
    made = CollectorRegistry()
    made.register(_Collected(exporter, wait))
    return made


def text(exporter: Exporter) -> str:
    """One look as Prometheus's text, everything waited for. Raises UnavailableError."""
    registry_ = collected(exporter, None)
    from prometheus_client import generate_latest

    return generate_latest(registry_).decode()


def application(exporter: Exporter) -> Callable[[Environ, Start], Iterable[bytes]]:
    """The two pages, as WSGI. Raises UnavailableError."""
    collected(exporter, None)

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        from prometheus_client import make_wsgi_app

        path = environ.get("PATH_INFO", "/")
        if environ.get("REQUEST_METHOD") != "GET":
            return _said(start, "405 Method Not Allowed", "text/plain; charset=utf-8", b"GET only\n", ("Allow", "GET"))
        if path == "/metrics":
            page: Iterable[bytes] = make_wsgi_app(collected(exporter, _wait(environ)))(environ, start)
            return page
        if path == "/healthz":
            return _healthz(exporter, environ, start)
        status = "200 OK" if path == "/" else "404 Not Found"
        return _said(start, status, "text/plain; charset=utf-8", b"/metrics and /healthz are here\n")

    return answer


def _wait(environ: Environ) -> float:
    try:
        said = float(environ.get("HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS", ""))
    except ValueError:
        return WAIT
    return min(max(said - MARGIN, said / 2), 60.0) if 0 < said < float("inf") else WAIT


def _healthz(exporter: Exporter, environ: Environ, start: Start) -> Iterable[bytes]:
    only = tuple(word for value in parse_qs(environ.get("QUERY_STRING", "")).get("only", []) for word in value.split(",") if word)
    try:
        for word in only:
            registry.known(word)
    except UsageError as error:
        return _json(start, "400 Bad Request", {"status": "wrong question", "problem": error.message, "hint": error.hint})
    exporter.ask(_wait(environ))
    found = exporter.health(only)
    return _json(start, "503 Service Unavailable" if found.worst is Level.CRITICAL or not exporter.reached else "200 OK", body(found))


def body(found: Health) -> dict[str, Any]:
    """What /healthz says."""
    wrong = [r for r in found.readings if r.level > Level.OK]
    return {
        "format": "pgcharter-healthz", "version": 1, "status": found.worst.word,
        "readings": [
            {"check": r.check.id, "level": r.level.word, "says": r.says, "remedy": r.remedy, "labels": dict(r.labels),
             "since": r.since.isoformat() if r.since else None}
            for r in wrong[:MOST]
        ],
        "more": max(len(wrong) - MOST, 0),
        "gaps": [{"what": g.what, "why": g.why} for g in found.gaps[:MOST]],
    }  # fmt: skip


def _json(start: Start, status: str, data: object) -> Iterable[bytes]:
    return _said(
        start, status, "application/json", json.dumps(data, ensure_ascii=False, indent=1).encode() + b"\n", ("Cache-Control", "no-store")
    )


def _said(start: Start, status: str, kind: str, content: bytes, *more: tuple[str, str]) -> Iterable[bytes]:
    start(status, [("Content-Type", kind), ("Content-Length", str(len(content))), *more])
    return [content]


def listening(exporter: Exporter, host: str, port: int) -> Any:
    """A server for both pages, bound already; `serve_forever` answers. Port 0: a free one. Raises PgcharterError, UnavailableError."""
    app = application(exporter)
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    from prometheus_client.exposition import ThreadingWSGIServer

    class Quiet(WSGIRequestHandler):
        """Tells nobody of each request, and waits for no slow one for ever."""

        timeout = 30

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = type("Listening", (ThreadingWSGIServer,), {"address_family": family, "request_queue_size": 64})
        return make_server(host, port, app, made, Quiet)
    except OSError as error:
        raise PgcharterError(
            f"nobody can listen on {host}, port {port}: {error.strerror}", hint="--port 0 takes one that is free"
        ) from None
