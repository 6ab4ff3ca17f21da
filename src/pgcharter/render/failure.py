"""An error as text."""

from __future__ import annotations

from pgcharter.errors import PgcharterError
from pgcharter.render.page import Page, Screen, Styled


def error_page(error: PgcharterError, screen: Screen) -> str:
    """`error: place: message`, and the hint on a line of its own."""
    page = Page(screen)
    place = f"{error.place}: " if error.place else ""
    page.flow(Styled("error:", "error"), f" {place}{error.message}", hanging=7)
    if error.hint:
        page.flow(Styled("hint:", "info"), f" {error.hint}", hanging=6)
    return page.text()
