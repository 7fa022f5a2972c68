"""The command that puts the DAG where Airflow finds it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import amltk.airflow
from amltk.airflow.__main__ import NAME, SOURCE, main


def test_the_dag_is_put_where_it_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    As it is; and it is said where.
    """
    assert main(["install-dag", str(tmp_path)]) == 0
    assert (tmp_path / NAME).read_bytes() == SOURCE.read_bytes()
    assert str(tmp_path / NAME) in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_to_install_it_again_is_no_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Nothing happens, and that is said.
    """
    main(["install-dag", str(tmp_path)])
    assert main(["install-dag", str(tmp_path)]) == 0
    assert "already" in capsys.readouterr().out


def test_what_somebody_has_changed_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Unless that is said.
    """
    (tmp_path / NAME).write_text("mine")
    assert main(["install-dag", str(tmp_path)]) == 1
    assert (tmp_path / NAME).read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert main(["install-dag", str(tmp_path), "--force"]) == 0
    assert (tmp_path / NAME).read_bytes() == SOURCE.read_bytes()


def test_a_directory_that_is_not_there_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    It would be one in which Airflow does not look.
    """
    assert main(["install-dag", str(tmp_path / "typo")]) == 1
    assert "typo" in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("said", [[], ["install-dag"], ["install"], ["install-dag", "a", "b"]])
def test_what_is_not_understood_is_refused(
    said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """
    With the usage, and exit code 2.
    """
    with pytest.raises(SystemExit, match="2"):
        main(said)
    assert "usage" in capsys.readouterr().err


def test_it_is_a_command(tmp_path: Path) -> None:
    """
    `python -m amltk.airflow` needs nothing that is not installed with amltk, and has a `--help`.
    """
    command = [sys.executable, "-W", "error", "-m", "amltk.airflow", "install-dag"]
    source = str(Path(amltk.airflow.__file__).parents[2])
    for argument in (str(tmp_path), "--help"):
        ran = subprocess.run(
            [*command, argument],
            env={**os.environ, "PYTHONPATH": source},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stderr == ""
    assert "dags_folder" in ran.stdout
    assert (tmp_path / NAME).exists()


def test_the_executor_is_imported_when_it_is_asked_for() -> None:
    """
    The package alone, which the command is part of, loads none of what talks to Airflow.
    """
    code = (
        "import sys, amltk, amltk.airflow, amltk.backends; print(*sys.modules)\n"
        "from amltk.airflow import AirflowExecutor; print(AirflowExecutor.__name__)"
    )
    source = str(Path(amltk.airflow.__file__).parents[2])
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded, name = ran.stdout.splitlines()
    assert not {"httpx", "fsspec", "cloudpickle"} & set(loaded.split())
    assert name == "AirflowExecutor"
    with pytest.raises(AttributeError, match="no attribute 'Executor'"):
        getattr(amltk.airflow, "Executor")  # noqa: B009 - checkers would refuse it


def test_both_sides_agree() -> None:
    """
    The file that Airflow runs cannot import from amltk what it shares with it.
    """
    said = {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert said["DAG_ID"] == amltk.airflow.DAG_ID
    assert said["PROTOCOL"] == amltk.airflow.PROTOCOL


def test_the_dag_needs_nothing_of_amltk() -> None:
    """
    It imports what Airflow's side has: Airflow, cloudpickle, fsspec, Python.
    """
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(SOURCE.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
        )
    }
    assert imported - set(sys.stdlib_module_names) == {"airflow", "cloudpickle", "fsspec"}
