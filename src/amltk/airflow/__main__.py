"""The command that puts the DAG where Airflow finds it.

python -m amltk.airflow install-dag ~/airflow/dags
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

__all__ = ["install", "main"]

SOURCE = Path(__file__).with_name("dag.py")
NAME = "amltk_dag.py"
"""What the file is called where Airflow finds it."""


class NotInstalledError(Exception):
    """Raised when the file cannot be put where it should be."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Returns:
        The exit code: 0 if the file is there now, 1 if not. What cannot be understood exits with 2.
    """
    said = parser().parse_args(arguments)
    try:
        sys.stdout.write(install(said.directory, force=said.force) + "\n")
    except (NotInstalledError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def parser() -> ArgumentParser:
    """What can be said on the command line."""
    top = ArgumentParser(prog="python -m amltk.airflow", description="What amltk needs in Airflow.")
    command = top.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "install-dag",
        help="put the DAG that computes calls where Airflow finds it",
        description=f"Put the DAG that computes calls of amltk into a directory, as {NAME}. Airflow "
        "finds it there within some minutes. Its workers need the packages cloudpickle and fsspec.",
    )
    command.add_argument(
        "directory",
        type=Path,
        metavar="DIRECTORY",
        help="where Airflow looks for DAGs: `airflow config get-value core dags_folder` says it",
    )
    command.add_argument(
        "--force", action="store_true", help="replace a file that is there and differs"
    )
    return top


def install(directory: Path, *, force: bool) -> str:
    """Put the file into a directory.

    Returns:
        What was done, in a sentence.

    Raises:
        NotInstalledError: If that is no directory, or another file is there and is not to be replaced.
        OSError: If it cannot be written.
    """
    if not directory.is_dir():
        raise NotInstalledError(f"There is no directory {directory}. Nothing was installed.")
    target, content = directory / NAME, SOURCE.read_bytes()
    if target.exists() and target.read_bytes() == content:
        return f"{target} is there already."
    if target.exists() and not force:
        raise NotInstalledError(
            f"{target} is there, and differs from the file of this version of amltk. Nothing was "
            "installed. Look at what differs, and say --force to replace it."
        )
    part = target.with_suffix(".part")  # Airflow may look at any moment, and is to see all of it
    part.write_bytes(content)
    part.replace(target)
    return f"{target} is installed."


if __name__ == "__main__":
    sys.exit(main())
