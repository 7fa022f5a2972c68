"""Recipes out of files: the same program on another backend, without touching the program.

A file says in TOML which recipe it is, and what its fields are:

    backend = "slurm"
    n_workers = 10
    memory = "6 GB"
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from inspect import Parameter, signature
from pathlib import Path
from typing import get_type_hints

from amltk.backends.airflow import Airflow
from amltk.backends.base import Backend
from amltk.backends.dask import Dask
from amltk.backends.fitting import MisfitError, fitted
from amltk.backends.jobqueue import LSF, OAR, PBS, SGE, HTCondor, Moab, Slurm
from amltk.backends.local import Processes, Threads
from amltk.backends.loky import Loky
from amltk.backends.ray import Ray
from amltk.backends.sequential import Sequential
from amltk.callbacks import name_of
from amltk.exceptions import BackendFileError, UnknownKeyError, WrongTypeError

__all__ = ["load"]

VARIABLE = "AMLTK_BACKEND"
"""The environment variable that says what to load if the program does not."""

RECIPES: Mapping[str, Callable[..., Backend]] = {
    recipe.__name__.lower(): recipe
    for recipe in (
        Airflow,
        Dask,
        HTCondor,
        LSF,
        Loky,
        Moab,
        OAR,
        PBS,
        Processes,
        Ray,
        SGE,
        Sequential,
        Slurm,
        Threads,
    )
}
"""Every recipe there is, by the name that a file calls it."""


def load(source: str | os.PathLike[str] | None = None) -> Backend:
    """Make a recipe from a file, or by its name.

    Args:
        source: The path of a TOML file, in which `backend` names the recipe and every other key
            is a field of it; or only the name of a recipe, such as `"threads"`, which then is as
            it is by default. If `None`, the environment variable `AMLTK_BACKEND` says which.

    Raises:
        BackendFileError: If it names no recipe, is not TOML, or if the environment says nothing.
        UnknownKeyError: If a key is not a field of the recipe.
        WrongTypeError: If a value is of a type that the field does not take.
        FileNotFoundError: If there is no such file.
        ValueError: If the recipe refuses a value.
    """
    chosen = os.fspath(from_environment() if source is None else source)
    if chosen in RECIPES:
        require_all(RECIPES[chosen], {}, "a TOML file")
        return RECIPES[chosen]()
    path = Path(chosen)
    if path.suffix != ".toml":
        raise BackendFileError(
            f"{chosen!r} is neither a TOML file, whose name would end in .toml, nor "
            f"{one_of(RECIPES, chosen)}"
        )
    return made_of(read(path), path)


def from_environment() -> str:
    if not os.environ.get(VARIABLE):
        raise BackendFileError(
            f"The environment variable {VARIABLE} is not set, so there is no backend to load. Set "
            f"it to a TOML file or to the name of a recipe ({VARIABLE}=threads), or say "
            'load("backend.toml").'
        )
    return os.environ[VARIABLE]


def read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BackendFileError(f"{path} is not TOML: {error}") from error


def made_of(content: Mapping[str, object], path: Path) -> Backend:
    values = dict(content)
    name = values.pop("backend", None)
    if name is None:
        raise BackendFileError(
            f'{path} does not say which backend it is for: add a line such as backend = "threads".'
        )
    if not isinstance(name, str) or name not in RECIPES:
        raise BackendFileError(
            f"{path} says backend = {name!r}, which is not {one_of(RECIPES, name)}"
        )
    recipe = RECIPES[name]
    require_all(recipe, values, str(path))
    try:
        return recipe(**{key: field_of(recipe, key, value) for key, value in values.items()})
    except (ValueError, TypeError) as error:
        error.add_note(f"This is said in {path}.")
        raise


def require_all(recipe: Callable[..., Backend], said: Mapping[str, object], place: str) -> None:
    """Refuse to make a recipe of which something is not said that has no default."""
    parameters = signature(recipe).parameters.values()
    needed = [p.name for p in parameters if p.default is Parameter.empty and p.name not in said]
    if needed:
        raise BackendFileError(
            f"{name_of(recipe)} cannot be made without {', '.join(f'`{key}`' for key in needed)}: "
            f"say so in {place}."
        )


def field_of(recipe: Callable[..., Backend], key: str, value: object) -> object:
    hints = fields_of(recipe)
    if key not in hints:
        raise UnknownKeyError(
            f"`{key}` is no field of {name_of(recipe)}. It is not {one_of(hints, key)}"
        )
    try:
        return fitted(value, hints[key])
    except MisfitError as misfit:
        raise WrongTypeError(f"`{key}` of {name_of(recipe)} {misfit}") from None


def fields_of(recipe: Callable[..., Backend]) -> dict[str, object]:
    """The fields that a recipe is made with, and what each may be."""
    hints = get_type_hints(recipe)
    return {name: hints[name] for name in signature(recipe).parameters}


def one_of(names: Mapping[str, object], said: object) -> str:
    """What could have been said, the likely one first."""
    close = get_close_matches(str(said), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"one of {', '.join(sorted(names))}.{hint}"
