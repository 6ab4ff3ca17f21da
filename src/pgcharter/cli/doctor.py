"""`pgcharter doctor`: what this machine can and cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgcharter.cli.output import Command, format_option, screen, show, show_json
from pgcharter.errors import Exit

if TYPE_CHECKING:
    from pgcharter.render.page import Page
    from pgcharter.servers.probe import Capability, MachineReport, ServerReport

EXAMPLES = (
    ("pgcharter doctor", "try every PostgreSQL on this machine and say what is missing"),
    ("pgcharter doctor --format json", "the same for programs"),
)


@click.command(cls=Command, examples=EXAMPLES)
@format_option
def doctor(form: str) -> int:
    """Say what this machine can and cannot do, and what would mend it.

    Each PostgreSQL that would be used is started once and asked. Ends in 0, or in 3 when no server can be started.
    """
    from pgcharter.servers.probe import probe

    report = probe()
    if form == "json":
        show_json({"format": "pgcharter-doctor", "version": 1, **report.to_data()})
    else:
        from pgcharter.render.page import Page

        page = Page(screen())
        _write(page, report)
        show(page)
    return Exit.FINE if report.usable else Exit.FAILED


def _write(page: Page, report: MachineReport) -> None:
    from pgcharter.render.page import Styled

    page.line(Styled("PostgreSQL", "heading"))
    tried = [server for server in report.servers if server.used]
    for server in tried:
        _write_server(page, server)
    for server in report.servers:
        if not server.used and server.reason != "another installation of its major version is preferred":
            name = f"{server.major:>4}" if server.major else "   ?"
            _write_lack(page, name, server.reason if server.major else f"{server.bin}: {server.reason}", server.remedy)
    for heading, capabilities in (("Machine", report.machine), ("Python packages", report.packages)):
        page.blank()
        page.line(Styled(heading, "heading"))
        _write_all(page, capabilities)
    page.blank()
    if report.usable:
        page.flow(Styled("✔ ", "good"), f"PostgreSQL {_listed([str(s.major) for s in reversed(tried) if s.starts])} can be started here")
    else:
        page.flow(
            Styled("✘ ", "bad"), "no server can be started here: only live databases (by connection string) and SQL text can be checked"
        )


def _write_server(page: Page, server: ServerReport) -> None:
    from pgcharter.render.page import Styled

    mark = Styled("✔", "good") if server.starts else Styled("✘", "bad")
    name = f"{server.release:<6} {server.provider:<20}"
    if not server.starts:
        page.flow("  ", mark, " ", Styled(name, "strong"), f" does not start: {server.reason}", hanging=4)
        if server.remedy:
            page.flow(Styled(server.remedy, "command"), indent=6)
        return
    tail = "   default" if server.default else ""
    page.line(
        "  ",
        mark,
        " ",
        Styled(name, "strong"),
        f" ready in {server.seconds:.2f} s, {len(server.extensions)} extensions",
        Styled(tail, "good"),
    )
    lacks: dict[str, list[str]] = {}
    for feature in server.features:
        if not feature.available:
            lacks.setdefault(feature.remedy, []).append(feature.name)
    for remedy, names in lacks.items():
        page.flow(Styled(f"no {', '.join(names)}", "dim"), " → ", Styled(remedy, "command"), indent=6, hanging=2)


def _write_all(page: Page, capabilities: tuple[Capability, ...]) -> None:
    from pgcharter.render.page import Styled

    width = max((len(capability.name) for capability in capabilities), default=0)
    for capability in capabilities:
        if capability.available:
            page.flow(Styled("✔ ", "good"), f"{capability.name:<{width}}  {capability.detail}", indent=2, hanging=width + 4)
        else:
            _write_lack(page, f"{capability.name:<{width}}", capability.detail, capability.remedy)


def _write_lack(page: Page, name: str, reason: str, remedy: str) -> None:
    from pgcharter.render.page import Styled

    page.flow(Styled("✘ ", "bad"), f"{name}  {reason} → ", Styled(remedy, "command"), indent=2, hanging=4)


def _listed(words: list[str]) -> str:
    return " and ".join(", ".join(words).rsplit(", ", 1))
