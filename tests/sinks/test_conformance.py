"""Every kind of sink that the charter may name has a module, and says what it lacks."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from pgcharter.errors import CharterError, UnavailableError
from pgcharter.policy.sync_settings import Kind, SinkTable
from pgcharter.sinks import registry
from pgcharter.stream import model

_FORMS = {"redis": "hash"}
_PACKAGES = {"redis": "redis", "nats": "nats", "webhook": "httpx", "parquet": "pyarrow"}
_ADDRESSES = {"postgresql": "postgresql://x", "redis": "redis://x", "clickhouse": "http://x", "nats": "nats://x", "webhook": "https://x"}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_has_a_sink(kind: Any, tmp_path: Path) -> None:
    """Made without touching its store."""
    table = SinkTable("copies", kind, url_env="URL", folder="f", form=_FORMS.get(kind, ""))
    sink: model.Sink = registry.make(table, tmp_path, {"URL": _ADDRESSES.get(kind, "")})
    assert isinstance(sink.whole, bool)
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "package"), _PACKAGES.items())
def test_an_extra_that_is_missing(kind: Any, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return given(name, *more, **named)

    for name in [n for n in sys.modules if n.partition(".")[0] == package or n == f"pgcharter.sinks.{kind}"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    table = SinkTable("copies", kind, url_env="URL", folder="f", form=_FORMS.get(kind, ""))
    with pytest.raises(UnavailableError, match=package) as missing:
        registry.make(table, environ={"URL": _ADDRESSES.get(kind, "")}).open([])
    assert missing.value.hint == f"pip install 'pgcharter[{registry.EXTRAS[kind]}]'"


def test_addresses_stay_out_of_the_charter() -> None:
    with pytest.raises(CharterError, match="names no address"):
        registry.make(SinkTable("copies", "redis"))
    with pytest.raises(CharterError, match="variable NOT_SET is not set"):
        registry.make(SinkTable("copies", "redis", url_env="NOT_SET"), environ={})
