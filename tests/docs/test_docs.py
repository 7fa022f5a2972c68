"""What the documentation shows is run, checked by a type checker, and found where it points to."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def builder() -> ModuleType:
    """`docs/build.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("amltk_docs", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for the module they are in
    spec.loader.exec_module(module)
    return module


docs = builder()
BLOCKS = [block for page in docs.PAGES for block in docs.blocks(page)]


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.no_run is None], ids=str)
def test_an_example_runs(block: object) -> None:
    """
    Each example is a program that ends well and has nothing to say on stderr.
    """
    docs.run(block)


@pytest.mark.timeout(300)
def test_an_example_has_the_types_it_says(tmp_path: Path) -> None:
    """
    Whoever copies an example into a strictly typed program gets no complaints.
    """
    for block in BLOCKS:
        if block.no_run is None:
            name = f"{block.page.stem.lower()}_{block.line}.py"
            (tmp_path / name).write_text(block.code, encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "."],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": f"{ROOT / 'src'}:{ROOT / 'stubs'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("page", docs.PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    """
    Each link of a page, beside those to the web, is to a file that exists and a heading in it.
    """
    for link in docs.links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in docs.headings(target), link


def test_every_page_is_reachable_from_the_readme() -> None:
    """
    Who begins with the README finds all pages by following links.
    """
    found: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        found.add(page)
        linked = {(page.parent / link.partition("#")[0]).resolve() for link in docs.links(page)}
        waiting += [p for p in linked if p.suffix == ".md" and p not in found]
    assert found >= set(docs.PAGES)


def test_the_design_describes_what_stands() -> None:
    """
    Every module of the package is named on the page that describes its design.
    """
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    modules = [path for path in (ROOT / "src").rglob("*.py") if path.name != "__init__.py"]
    assert modules
    assert not [path.name for path in modules if path.name not in design]


# The builder.


def page_with(directory: Path, text: str) -> Path:
    page = directory / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_what_an_example_prints_stands_under_it(tmp_path: Path) -> None:
    """
    A page is built with the output of its examples, next to their code.
    """
    page = page_with(tmp_path, "# A\n\n```python\nprint(6 * 7, '<b>')\n```\n\nafter\n")
    docs.build(tmp_path / "out", [page])
    html = (tmp_path / "out" / "page.html").read_text(encoding="utf-8")
    assert '<pre class="output">42 &lt;b&gt;\n</pre><p>after</p>' in html


def test_an_example_that_is_not_to_be_run_is_shown_all_the_same(tmp_path: Path) -> None:
    """
    `no-run:` with a reason shows the code and runs nothing.
    """
    page = page_with(tmp_path, "# A\n\n```python no-run: it fails\nraise SystemExit(1)\n```\n")
    docs.build(tmp_path / "out", [page])
    assert "SystemExit" in (tmp_path / "out" / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "code", ["raise SystemExit(3)", "import sys; sys.stderr.write('oh')"], ids=["exit", "stderr"]
)
def test_an_example_that_fails_is_named(tmp_path: Path, code: str) -> None:
    """
    One example that fails fails the build, which says where it is and writes no page.
    """
    page = page_with(tmp_path, f"# A\n\ntext\n\n```python\n{code}\n```\n")
    with pytest.raises(docs.ExampleFailedError, match=r"page\.md:6"):
        docs.build(tmp_path / "out", [page])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("info", ["python no-run:", "python skip", "python no-run"])
def test_a_fence_gives_its_reason(tmp_path: Path, info: str) -> None:
    """
    A fence that is not run without a reason is refused, and so is a word that means nothing.
    """
    page = page_with(tmp_path, f"# A\n\n```{info}\nprint()\n```\n")
    with pytest.raises(ValueError, match=r"page\.md:4"):
        docs.blocks(page)


def test_links_between_pages_become_links_between_their_html(tmp_path: Path) -> None:
    """
    `guide.md#running` is `guide.html#running` in what is built, a heading has the name that it has
    on GitHub, and a file that is linked to is there.
    """
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "code.py").touch()
    links = "[to](sub/guide.md#running) [out](https://x.org/a.md) [code](sub/code.py)"
    page = page_with(tmp_path, f"# A `b` c\n\n{links}\n")
    docs.build(tmp_path / "out", [page])
    html = (tmp_path / "out" / "page.html").read_text(encoding="utf-8")
    assert 'href="guide.html#running"' in html
    assert 'href="https://x.org/a.md"' in html
    assert 'href="code.py"' in html
    assert (tmp_path / "out" / "code.py").exists()
    assert 'id="a-b-c"' in html
