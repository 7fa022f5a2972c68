from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from typing_extensions import override

from amltk import Scheduler
from amltk.rendering.export import as_html, as_text, mimebundle


class Page(HTMLParser):
    """Reads HTML: its text, and its tags with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    @override
    def handle_data(self, data: str) -> None:
        self.text += data

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def test_html_says_what_the_text_says() -> None:
    """
    HTML has the same characters as the text, and its colours in itself.
    """
    scheduler = Scheduler.with_sequential()
    scheduler.on_start(print)
    scheduler.run()
    page = Page(as_html(scheduler))
    assert trimmed(page.text) == as_text(scheduler)
    assert {tag for tag, _ in page.tags} <= {"pre", "span"}
    assert all(attributes.keys() <= {"style"} for _, attributes in page.tags)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=40))
def test_html_escapes_names(name: str) -> None:
    """For every text: what the page shows is the text, whatever it means in HTML."""
    page = Page(as_html(Text(name), width=200))
    assert page.text.strip() == name
    assert [tag for tag, _ in page.tags] == ["pre"]


@pytest.mark.parametrize("size", ["small", '1px"><script>', "{code}"])
def test_the_size_of_letters_is_no_way_into_the_page(size: str) -> None:
    """
    The font size ends up in the style, and nowhere else.
    """
    page = Page(as_html(Text("hello"), font_size=size))
    assert [tag for tag, _ in page.tags] == ["pre"]
    assert page.text.strip() == "hello"


def test_counts_are_yellow_on_the_page() -> None:
    """
    The number beside an event has a colour of its own.
    """
    scheduler = Scheduler.with_sequential()
    scheduler.run()
    assert re.search(
        r'<span style="color: #b8860b;[^"]*font-weight: bold">1</span>', as_html(scheduler)
    )


def test_a_notebook_shows_a_scheduler() -> None:
    """
    A scheduler as the last object of a cell is shown as text and as HTML.
    """
    scheduler = Scheduler.with_sequential()
    bundle = scheduler._repr_mimebundle_()
    assert bundle == mimebundle(scheduler)
    assert bundle["text/plain"].startswith("Scheduler  not run yet\n")
    assert trimmed(Page(bundle["text/html"]).text) == bundle["text/plain"]


def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What is exported is the same everywhere: without colours, in a dumb or in a wide terminal.
    """
    thing: Any = Scheduler.with_sequential()
    expected = as_html(thing)
    for name, value in {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "20"}.items():
        monkeypatch.setenv(name, value)
    assert as_html(thing) == expected
