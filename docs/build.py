"""Build the documentation: run every example, and write a page of HTML with what it printed.

A page is Markdown. Each fence that says `python` is a complete program: it is run in a process of
its own, and what it prints stands under it. One that cannot be run says so, and why:
```` ```python no-run: a notebook has a loop of its own ````. Output is never written by hand.

    python docs/build.py [directory]
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    ROOT / "README.md",
    *sorted(ROOT.joinpath("docs").rglob("*.md")),
    ROOT / "CHANGELOG.md",
)
NO_RUN = "no-run:"
LONGEST = 110.0
"""Seconds an example may take."""

markdown = MarkdownIt("commonmark").enable("table")


class ExampleFailedError(Exception):
    """Raised when an example ends with an error, or says something on stderr."""


@dataclass(frozen=True)
class Block:
    """A fence of Python on a page."""

    page: Path
    line: int
    """Where the code begins, counted from 1."""
    code: str
    no_run: str | None
    """Why it is not run; `None` if it is."""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fences of Python on a page, from top to bottom."""
    tokens = markdown.parse(page.read_text(encoding="utf-8"))
    return [block_of(page, token) for token in tokens if is_python(token)]


def is_python(token: Token) -> bool:
    """Whether this is a fence of Python."""
    return token.type == "fence" and token.info.partition(" ")[0] == "python"


def block_of(page: Path, fence: Token) -> Block:
    """The block that a fence is.

    Raises:
        ValueError: If it says anything but `python`, or `python no-run:` and a reason.
    """
    line = (fence.map or [0])[0] + 2
    _, _, said = fence.info.strip().partition(" ")
    reason = said.removeprefix(NO_RUN).strip()
    if said and (not said.startswith(NO_RUN) or not reason):
        raise ValueError(
            f"{page.name}:{line}: a fence says `python`, or `python {NO_RUN} <why>`, not {said!r}."
        )
    return Block(page, line, fence.content, reason or None)


def run(block: Block) -> str:
    """Run an example as a user would, as a script, and return what it printed.

    Raises:
        ExampleFailedError: If its exit code is not 0, or anything is on stderr.
    """
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory, "example.py")
        script.write_text(block.code, encoding="utf-8")
        ended = subprocess.run(  # noqa: S603 -- these are our own examples
            [sys.executable, script.name],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "88"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    if ended.returncode or ended.stderr:
        raise ExampleFailedError(
            f"The example at {block} ended with exit code {ended.returncode} and this on stderr:\n"
            f"{ended.stderr or '(nothing)'}"
        )
    return ended.stdout


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def headings(page: Path) -> list[str]:
    """The anchors of a page."""
    tokens = markdown.parse(page.read_text(encoding="utf-8"))
    return [slug(plain(tokens[i + 1])) for i, t in enumerate(tokens) if t.type == "heading_open"]


def plain(inline: Token) -> str:
    """The text of a token, without its markup."""
    return "".join(child.content for child in inline.children or ())


def links(page: Path) -> list[str]:
    """Where a page points to, beside the web."""
    tokens = markdown.parse(page.read_text(encoding="utf-8"))
    children = (child for token in tokens for child in token.children or ())
    targets = (str(c.attrs["href"]) for c in children if c.type == "link_open")
    return [target for target in targets if "://" not in target]


def html_name(page: Path) -> str:
    """The name of the file that a page becomes."""
    return "index.html" if page.name == "README.md" else page.with_suffix(".html").name


def render(page: Path, outputs: Mapping[int, str]) -> str:
    """A page as HTML.

    Args:
        page: The page.
        outputs: What its examples printed, by the line of the block.
    """
    tokens = markdown.parse(page.read_text(encoding="utf-8"))
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrs["id"] = slug(plain(tokens[i + 1]))
        for child in token.children or ():
            if child.type == "link_open":
                child.attrs["href"] = link_in_html(page, str(child.attrs["href"]))
    body = "".join(rendered(page, part, outputs) for part in parts(tokens))
    title = plain(next(tokens[i + 1] for i, t in enumerate(tokens) if t.type == "heading_open"))
    return TEMPLATE.format(title=escape(title), style=STYLE, body=body)


def link_in_html(page: Path, target: str) -> str:
    """Where a link of a page points to once all pages are HTML, in one directory."""
    path, _, anchor = target.partition("#")
    if "://" in target or not path:
        return target
    file = (page.parent / path).resolve()
    name = html_name(file) if file.suffix == ".md" else file.name
    return name + (f"#{anchor}" if anchor else "")


def parts(tokens: list[Token]) -> Iterable[list[Token]]:
    """The tokens, with each fence apart from those around it."""
    part: list[Token] = []
    for token in tokens:
        if token.type == "fence":
            yield part
            yield [token]
            part = []
        else:
            part.append(token)
    yield part


def rendered(page: Path, part: list[Token], outputs: Mapping[int, str]) -> str:
    """A part of a page as HTML: a fence with what it printed, or what stands between two."""
    if len(part) != 1 or part[0].type != "fence":
        return str(markdown.renderer.render(part, markdown.options, {}))
    fence = part[0]
    lexer = get_lexer_by_name(fence.info.split()[0] if fence.info else "text")
    html = str(highlight(fence.content, lexer, HtmlFormatter()))
    printed = outputs.get(block_of(page, fence).line, "") if is_python(fence) else ""
    return html + (f'<pre class="output">{escape(printed)}</pre>' if printed else "")


def build(directory: Path, pages: Iterable[Path] = PAGES) -> None:
    """Run the examples of all pages, and write the pages.

    Raises:
        ExampleFailedError: If an example fails; no page is written then.
    """
    pages = tuple(pages)
    runnable = [block for page in pages for block in blocks(page) if block.no_run is None]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        printed = dict(zip(runnable, pool.map(run, runnable), strict=True))
    directory.mkdir(parents=True, exist_ok=True)
    for page in pages:
        outputs = {block.line: text for block, text in printed.items() if block.page == page}
        (directory / html_name(page)).write_text(render(page, outputs), encoding="utf-8")
        for file in (page.parent / link.partition("#")[0] for link in links(page)):
            if file.is_file() and file.suffix != ".md":
                shutil.copy(file, directory)


STYLE = (
    "body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif }\n"
    "pre { padding: .6rem; overflow-x: auto; background: #f6f6f4; font-size: .85rem }\n"
    "pre.output { border-left: .3rem solid #9ab; background: #fff; margin-top: -.8rem }\n"
    "table { display: block; overflow-x: auto; border-collapse: collapse; font-size: .9rem }\n"
    "td, th { padding: .3rem .6rem; border: 1px solid #ccc }\n"
    "td { vertical-align: top }\n"
    f"{HtmlFormatter().get_style_defs('.highlight')}\n"
)
TEMPLATE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title><style>
{style}</style></head>
<body>
<nav><a href="index.html">amltk</a> · <a href="guide.html">Guide</a> ·
<a href="design.html">Design</a> · <a href="decisions.html">Decisions</a> ·
<a href="CHANGELOG.html">Changes</a></nav>
{body}</body>
</html>
"""

if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "docs"
    build(where)
    sys.stdout.write(f"The documentation is at {where / 'index.html'}\n")
