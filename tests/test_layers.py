"""Who may know whom: read from the imports that run when a module is loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import amltk

SRC = Path(amltk.__file__).parent.parent

LAYERS = (
    "exceptions pace types callbacks filtered_warnings",
    "events",
    "backends",
    "airflow",
    "scheduling.lifecycle scheduling.call scheduling.task_events scheduling.from_config scheduling.comm_wire scheduling.by_manager",
    "scheduling.around scheduling.comm_replies",
    "scheduling.outcomes scheduling.on_cluster scheduling.run_options scheduling.interrupts scheduling.comm_msg scheduling.comm_peer",
    "scheduling.on_backend scheduling.attempts scheduling.open_backend scheduling.scheduler_events scheduling.waiting scheduling.feeding",
    "scheduling.services scheduling.elsewhere",
    "scheduling.companions",
    "scheduling.task_plugin scheduling.submission scheduling.escorts scheduling.notebook scheduling.comm_talk",
    "scheduling.run scheduling.comm_line",
    "scheduling.task scheduling.comm_server",
    "scheduling.scheduler scheduling.retry scheduling.warning_filter scheduling.comm_board",
    "scheduling.comm_in_place",
    "scheduling.comm_plugin",
    "scheduling.comms",
    "scheduling",
    "pynisher threadpoolctl rendering testing",
    "_doc",
)
"""From the bottom up; a module may import from those below, and within its own package here."""

LOOP = {
    f"amltk.{name}"
    for name in (
        "scheduling.run",
        "scheduling.scheduler",
        "scheduling.notebook",
        "_doc",
        "backends.dask.loop",
        "backends.jobqueue.commands",
        "backends.jobqueue.desk",
        "backends.jobqueue.keeper",
        "backends.jobqueue.patient_scheduler",
    )
}
"""The run has an event loop; others start one, look whether there is one, or name its future.

What talks to Dask does so in a loop of Dask's own, in another thread.
"""

MODULES = {
    ".".join(p.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): p
    for p in SRC.glob("amltk/**/*.py")
}

TREES = {
    module: ast.parse(path.read_text(encoding="utf-8")) for module, path in sorted(MODULES.items())
}


def layer(module: str) -> tuple[int, str]:
    """The number of the layer, and what the module is listed as."""
    name = module.removeprefix("amltk").removeprefix(".")
    if not name:
        return len(LAYERS), name
    for number, names in enumerate(LAYERS):
        for known in names.split():
            is_package = known != "scheduling"
            if name == known or (is_package and name.startswith(f"{known}.")):
                return number, known
    pytest.fail(f"{module} has no place in LAYERS: give it one, as low as it can be")


def imports(node: ast.AST) -> Iterator[str]:
    """What is imported when this is executed: not in functions, not for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            full = [f"{child.module}.{alias.name}" for alias in child.names]
            yield from (name if name in MODULES else str(child.module) for name in full)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(child)


def test_nothing_points_up() -> None:
    """
    A module imports what is below it.
    """
    for module, tree in TREES.items():
        number, mine = layer(module)
        for imported in set(imports(tree)) & set(MODULES):
            other, theirs = layer(imported)
            assert other < number or theirs == mine, f"{module} imports {imported}"


def test_only_the_run_knows_the_event_loop() -> None:
    """
    Of asyncio, all others know the type of a future, and what makes one; most not even that.
    """
    types = ("Future", "AbstractEventLoop")
    for module in MODULES.keys() - LOOP:
        allowed = set(types if module.startswith("amltk.scheduling.") else ())
        assert used_of_asyncio(TREES[module]) <= allowed, module


def used_of_asyncio(tree: ast.Module) -> set[str]:
    return {
        *(a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names
          if n.module == "asyncio"),
        *(n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)
          if ast.unparse(n.value) == "asyncio"),
    }  # fmt: skip


def test_drawing_is_left_to_those_who_draw() -> None:
    """
    Where nothing is drawn, rich is not even loaded.
    """
    draw = {
        module
        for module, tree in TREES.items()
        if any(name.partition(".")[0] == "rich" for name in imports(tree))
    }
    assert draw
    assert all(module.startswith(("amltk.rendering", "amltk._doc")) for module in draw), draw


def test_every_file_can_be_read_at_once() -> None:
    """
    No file is longer than 400 lines.
    """
    lengths = {
        module: len(path.read_text(encoding="utf-8").splitlines())
        for module, path in MODULES.items()
    }
    assert not {module: n for module, n in lengths.items() if n > 400}


def test_importing_amltk_is_cheap() -> None:
    """
    It loads no engine, no rich, no numpy: of what is installed, nothing but typing_extensions.
    """
    code = "import sys; before = set(sys.modules); import amltk; print(*set(sys.modules) - before)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SRC)},
        capture_output=True,
        check=True,
        text=True,
    )
    loaded = {name.partition(".")[0] for name in ran.stdout.split()}
    assert "amltk" in loaded
    assert loaded - set(sys.stdlib_module_names) <= {"amltk", "typing_extensions", "__mp_main__"}
