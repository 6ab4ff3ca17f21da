"""What `pgcharter check --record` says it wrote."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pgcharter.cli.output import screen

if TYPE_CHECKING:
    from pgcharter.cli.known import Book
    from pgcharter.known_file import Change


def show_recorded(written: Sequence[tuple[Book, Change]], *, on_stdout: bool) -> None:
    """Say what was recorded where; on stderr beside forms that machines read."""
    from pgcharter.render.page import Page, Styled
    from pgcharter.render.phrases import plural

    stream = sys.stdout if on_stdout else sys.stderr
    page = Page(screen(stream))
    for book, change in written:
        parts = [f"{change.new:,} new"] if change.new else []
        parts += [f"{change.mended:,} mended taken out"] if change.mended else []
        facts = f": {', '.join(parts)}" if parts else ": nothing changed"
        page.flow(Styled("✔", "good"), f" {plural(change.total, 'known finding')} in ", Styled(book.shown, "strong"), facts)
        if not book.from_charter:
            hint = (
                f'commit it, and write known = "{book.shown}" under [check] in pgcharter.toml, or give --known {book.shown} to each check'
            )
            page.flow(Styled("hint", "dim"), f"  {hint}", indent=2, hanging=6)
    if written:
        stream.write(("\n" if on_stdout else "") + page.text())
