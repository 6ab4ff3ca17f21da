"""Changed code in a plan is read as a difference; a change of layout alone is said to be one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgcharter.catalog.model import Function, View
from pgcharter.plan.model import Operation, Plan, Step
from pgcharter.render import plan as text
from pgcharter.render import plan_forms
from pgcharter.render.page import Page, Screen
from pgcharter.render.plan import Story

LONG = "\nBEGIN\n" + "".join(f"  PERFORM {n};\n" for n in range(40)) + "  RETURN 'a -- b';\nEND "


def function(body: str, head: str = "LANGUAGE plpgsql") -> Function:
    definition = f"CREATE OR REPLACE FUNCTION app.f()\n RETURNS text\n {head}\nAS $function${body}$function$\n"
    return Function("app", "f", "", language="plpgsql", body=body, definition=definition)


OLD = function(LONG)


def story(old: Function | View, new: Function | View, *, anew: bool = False) -> Story:
    change = Operation("alter", new.id, old, new, ("body",))
    operations = (replace(change, change="drop", new=None), replace(change, change="create", old=None)) if anew else (change,)
    step = Step(f"CREATE OR REPLACE FUNCTION {new.definition}", f"change body of {new.id}", new.id)
    return Story(Plan(steps=(step,), operations=operations, major=18), "code", "now")


def told(shown: Story) -> str:
    page = Page(Screen(width=100))
    text.write(page, shown)
    return page.text()


def test_only_what_changes_is_shown_of_a_long_body() -> None:
    shown = story(OLD, function(LONG.replace("PERFORM 20;", "PERFORM 2000;")))
    said = told(shown)
    assert "-  PERFORM 20;" in said
    assert "+  PERFORM 2000;" in said
    assert "PERFORM 23;" in said
    assert "PERFORM 24;" not in said
    marked = "".join(plan_forms.markdown(shown))
    assert "```diff\n@@" in marked
    assert "PERFORM 39;" in marked
    data = plan_forms.data(shown)["steps"][0]
    assert data["diff"]["layout_only"] is False
    assert "PERFORM 39;" in data["sql"]


@pytest.mark.parametrize(
    ("body", "layout"),
    [
        (LONG.replace("  PERFORM 7;", "\tPERFORM 7 ; -- seven\n\n/* and */"), True),
        (LONG.replace("a -- b", "a --  b"), False),
        (LONG.replace("RETURN", "return"), False),
        (LONG + "'", False),
    ],
)
def test_white_space_and_comments_alone(body: str, layout: bool) -> None:
    said = told(story(OLD, function(body)))
    assert ("only white space and comments differ" in said) is layout
    assert ("@@" in said) is not layout


def test_a_changed_head_is_no_layout() -> None:
    assert "+ LANGUAGE plpgsql SECURITY DEFINER" in told(story(OLD, function(LONG + " ", "LANGUAGE plpgsql SECURITY DEFINER")))


def test_what_is_made_anew_is_compared_with_what_was_dropped() -> None:
    view = View("app", "v", definition=" SELECT 1 AS a;")
    said = told(story(view, replace(view, definition=" SELECT 2 AS a;"), anew=True))
    assert "- SELECT 1 AS a;" in said
    assert "+ SELECT 2 AS a;" in said
    assert "made anew, just as it was" in told(story(view, view, anew=True))
    assert "+WITH (security_invoker=true)" in told(story(view, replace(view, options=("security_invoker=true",)), anew=True))


def test_a_body_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in told(story(OLD, function("\nBEGIN \x1b[31m END ")))
