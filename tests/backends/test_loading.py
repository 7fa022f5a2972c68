"""Recipes that are read from TOML files, or chosen by the environment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk import Scheduler, backends
from amltk.backends import (
    LSF,
    Backend,
    Given,
    HTCondor,
    Loky,
    Processes,
    Sequential,
    Slurm,
    Threads,
    load,
)
from amltk.backends.fitting import MisfitError, fitted
from amltk.backends.loading import RECIPES, fields_of
from amltk.exceptions import BackendFileError, UnknownKeyError, WrongTypeError
from tests.helpers import echo


def file(directory: Path, text: str) -> Path:
    path = directory / "backend.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "recipe"),
    [
        ('backend = "processes"', Processes()),
        ('backend = "processes"\nmax_workers = 2\nmp_context = "fork"', Processes(2, "fork")),
        ('backend = "threads"\nthread_name_prefix = "t"', Threads(thread_name_prefix="t")),
        ('backend = "loky"\ntimeout = 3\nreuse = "auto"', Loky(timeout=3, reuse="auto")),
        (
            'backend = "loky"\nreuse = true\ninitargs = [1, "a"]',
            Loky(reuse=True, initargs=(1, "a")),
        ),
        ('backend = "loky"\n[env]\nA = "1"', Loky(env={"A": "1"})),
        ('backend = "sequential"', Sequential()),
        (
            'backend = "slurm"\nn_workers = 10\nqueue = "short"\njob_extra_directives = ["--x"]',
            Slurm(10, queue="short", job_extra_directives=["--x"]),
        ),
        (
            'backend = "htcondor"\nn_workers = 2\ndisk = "1 GB"\njob_extra_directives = {a = "b"}',
            HTCondor(2, disk="1 GB", job_extra_directives={"a": "b"}),
        ),
        (
            'backend = "lsf"\nn_workers = 2\nsecurity = false\n[scheduler_options]\nhost = "login1"',
            LSF(2, security=False, scheduler_options={"host": "login1"}),
        ),
    ],
)
def test_a_file_says_what_a_recipe_is_made_with(tmp_path: Path, text: str, recipe: Backend) -> None:
    """
    `backend` names the recipe, and every other key is one of its fields.
    """
    loaded = load(file(tmp_path, text))
    assert loaded == recipe
    assert type(loaded) is type(recipe)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", BackendFileError, "does not say which backend"),
        ("backend = threads", BackendFileError, "is not TOML"),
        ('backend = "thread"', BackendFileError, "Did you mean 'threads'"),
        ("backend = 5", BackendFileError, "backend = 5, which is not one of"),
        ("backend = ['threads']", BackendFileError, "which is not one of"),
        ('backend = "threads"\nmax_worker = 2', UnknownKeyError, "`max_worker` .*'max_workers'"),
        ('backend = "threads"\nabilities = 2', UnknownKeyError, "`abilities` is no field"),
        ('backend = "threads"\nmax_workers = "2"', WrongTypeError, "'2', .* a whole number"),
        ('backend = "threads"\nmax_workers = true', WrongTypeError, "a whole number"),
        ('backend = "threads"\nmax_workers = 2.5', WrongTypeError, "a whole number"),
        ('backend = "threads"\ninitializer = "f"', WrongTypeError, "cannot be said in a file"),
        ('backend = "processes"\nmp_context = "x"', WrongTypeError, "one of 'fork', "),
        ('backend = "loky"\nreuse = "x"', WrongTypeError, "true or false or one of 'auto'"),
        ('backend = "loky"\nenv = {A = 1}', WrongTypeError, "a table of text"),
        ('backend = "loky"\ninitargs = 1', WrongTypeError, "a list of anything"),
        ('backend = "loky"\ntimeout = 10:00:00', WrongTypeError, "a number"),
        ('backend = "threads"\nmax_workers = 0', ValueError, "has to be at least 1"),
        ('backend = "slurm"', BackendFileError, "cannot be made without `n_workers`"),
        ('backend = "slurm"\nn_workers = "2"', WrongTypeError, "a whole number"),
        ('backend = "slurm"\nn_workers = 0', ValueError, "n_workers=0"),
        ('backend = "slurm"\nn_workers = 2\nqeue = "a"', UnknownKeyError, "`qeue` .*'queue'"),
        ('backend = "slurm"\nn_workers = 2\nproject = "a"', UnknownKeyError, "`project` is no"),
        ('backend = "slurm"\nn_workers = 2\nmemory = 6', WrongTypeError, "6, .*text in quotes"),
        ('backend = "pbs"\nn_workers = 2\njob_script_prologue = "a"', WrongTypeError, "a list of"),
        ('backend = "lsf"\nn_workers = 2\nlsf_units = "x"', WrongTypeError, "one of 'kb', "),
    ],
)
def test_a_mistake_in_a_file_is_named(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    """
    What is wrong, what it has to be, and which file it stands in.
    """
    path = file(tmp_path, text)
    with pytest.raises(error, match=message) as raised:
        load(path)
    assert str(path) in " ".join([str(raised.value), *getattr(raised.value, "__notes__", [])])


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """
    It is the error that everybody knows.
    """
    with pytest.raises(FileNotFoundError, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml")


def test_bytes_that_are_no_text_are_not_toml(tmp_path: Path) -> None:
    """
    They are refused like every other thing that is not TOML.
    """
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BackendFileError, match="is not TOML"):
        load(tmp_path / "bytes.toml")


@pytest.mark.parametrize("name", RECIPES)
def test_a_name_alone_is_the_recipe_as_it_is_by_default(name: str) -> None:
    """
    If the recipe needs nothing, its name says all of it.
    """
    needed = [p for p in signature(RECIPES[name]).parameters.values() if p.default is p.empty]
    if not needed:
        assert load(name) == RECIPES[name]()


def test_what_is_neither_a_name_nor_a_file_is_refused() -> None:
    """
    The message says what could have been meant.
    """
    with pytest.raises(BackendFileError, match="Did you mean 'threads'"):
        load("treads")


def test_the_environment_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    `AMLTK_BACKEND` is a file or a name; what the program says comes first.
    """
    monkeypatch.setenv("AMLTK_BACKEND", str(file(tmp_path, 'backend = "threads"\nmax_workers = 3')))
    assert load() == Threads(3)
    assert load("sequential") == Sequential()
    monkeypatch.setenv("AMLTK_BACKEND", "loky")
    assert load() == Loky()


@pytest.mark.parametrize("value", [None, ""])
def test_an_environment_that_says_nothing_is_an_error(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It says which variable to set.
    """
    monkeypatch.delenv("AMLTK_BACKEND", raising=False)
    if value is not None:
        monkeypatch.setenv("AMLTK_BACKEND", value)
    with pytest.raises(BackendFileError, match="AMLTK_BACKEND is not set"):
        load()


def test_what_is_loaded_runs(tmp_path: Path) -> None:
    """
    A scheduler takes it like every recipe.
    """
    scheduler = Scheduler(load(file(tmp_path, 'backend = "threads"\nmax_workers = 1')))
    heard: list[int] = []
    scheduler.on_start(lambda: scheduler.submit(echo, 5))
    scheduler.on_future_result.add(lambda _, result: heard.append(result))
    scheduler.run()
    assert heard == [5]


def test_every_recipe_has_a_name() -> None:
    """
    Whatever recipe the package exports can be loaded, and its fields can be read.
    """
    exported = [getattr(backends, name) for name in backends.__all__]
    recipes = {r for r in exported if isinstance(r, type) and hasattr(r, "open")}
    assert recipes - {Backend, Given} == set(RECIPES.values())
    for recipe in RECIPES.values():
        assert set(fields_of(recipe)) == set(signature(recipe).parameters)


# Whether a value fits.

values = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
kinds: list[Any] = [bool, int, float, str, Literal["a", 1], tuple[int, ...], Sequence[str]]
kinds += [Mapping[str, int], list[float], int | None, str | bool, Collection[str] | None]


def fits(value: Any, kind: Any) -> bool:
    try:
        fitted(value, kind)
    except MisfitError:
        return False
    return True


@given(value=values, kind=st.sampled_from(kinds), other=st.sampled_from(kinds))
def test_a_union_takes_what_one_of_its_members_takes(value: Any, kind: Any, other: Any) -> None:
    """
    For every value and any two kinds: it fits `a | b` exactly if it fits `a` or `b`.
    """
    assert fits(value, kind | other) == (fits(value, kind) or fits(value, other))


@given(values=st.lists(values), kind=st.sampled_from(kinds))
def test_a_list_fits_if_each_item_does(values: list[Any], kind: Any) -> None:
    """
    For every list: it fits `tuple[a, ...]` exactly if all its items fit `a`, and becomes a tuple.
    """
    assert fits(values, tuple[kind, ...]) == all(fits(value, kind) for value in values)
    assert fitted(values, tuple[object, ...]) == tuple(values)


@given(value=values)
def test_one_kind_at_most_is_right_for_a_value(value: Any) -> None:
    """
    For every value: it is one of true or false, a number, text, a list, a table, and no other.
    """
    basic: list[Any] = [bool, float, str, tuple[object, ...], Mapping[str, object]]
    assert sum(fits(value, kind) for kind in basic) == 1
