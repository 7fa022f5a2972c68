"""Whether a value from a TOML file is what the annotation of a field asks for.

TOML knows text, numbers, booleans, lists, tables, dates. What it has no word for, such as a
function, cannot be said in a file. A list becomes a tuple, since recipes can be hashed; nothing
else is converted, so that a mistake stays one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from typing_extensions import TypeIs

__all__ = ["MisfitError", "fitted"]

ANYTHING: tuple[object, ...] = (object, Any)

WORDS: Mapping[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: 'text in quotes, such as "this"',
    **dict.fromkeys(ANYTHING, "anything"),
}
"""The types that TOML has words for, in words."""


KINDS: Mapping[type, tuple[object, ...]] = {
    bool: (bool, *ANYTHING),
    int: (int, float, *ANYTHING),
    float: (float, *ANYTHING),
    str: (str, *ANYTHING),
}
"""What a value of a type from TOML is good for."""


class MisfitError(TypeError):
    """Raised when a value is not what is asked for; says what it has to be."""


class Fit(NamedTuple):
    """Whether a value is what was asked for, and what it then is."""

    fits: bool
    made: object


def fitted(value: object, wanted: object) -> object:
    """The value, as the annotation asks for it.

    Raises:
        MisfitError: If it is something else.
    """
    fits, made = fit(value, wanted)
    if fits:
        return made
    asked = in_words(wanted)
    has_to_be = f"has to be {asked}" if asked else "cannot be said in a file"
    raise MisfitError(f"is {value!r}, and {has_to_be}.")


def fit(value: object, wanted: object) -> Fit:
    tried = (fit_one(value, kind) for kind in alternatives(wanted))
    return next((fit for fit in tried if fit.fits), Fit(fits=False, made=value))


def alternatives(wanted: object) -> tuple[object, ...]:
    """The members of a union; TOML cannot say `None`, one leaves the key out."""
    kinds = get_args(wanted) if get_origin(wanted) in {Union, UnionType} else (wanted,)
    return tuple(kind for kind in kinds if kind is not NoneType)


def fit_one(value: object, kind: object) -> Fit:
    arguments = get_args(kind) or (object, object)
    if get_origin(kind) is Literal:
        return Fit(value in arguments and not isinstance(value, bool), value)
    if wants_table(kind):
        return fit_table(value, arguments[1])
    if wants_list(kind):
        return fit_list(value, arguments[0])
    return Fit(kind in KINDS.get(type(value), ANYTHING), value)


def fit_list(value: object, kind: object) -> Fit:
    if not is_list(value):
        return Fit(fits=False, made=value)
    made = [fit(item, kind) for item in value]
    return Fit(all(item.fits for item in made), tuple(item.made for item in made))


def fit_table(value: object, kind: object) -> Fit:
    if not is_table(value):
        return Fit(fits=False, made=value)
    made = {key: fit(item, kind) for key, item in value.items()}
    fits = all(item.fits for item in made.values())
    return Fit(fits, {key: item.made for key, item in made.items()})


def wants_list(kind: object) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Collection) and origin is not str


def wants_table(kind: object) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Mapping)


def is_list(value: object) -> TypeIs[list[object]]:
    return isinstance(value, list)


def is_table(value: object) -> TypeIs[dict[str, object]]:
    return isinstance(value, dict)


def in_words(wanted: object) -> str:
    """What has to be said; nothing for what cannot be."""
    return " or ".join(filter(None, map(one_in_words, alternatives(wanted))))


def one_in_words(kind: object) -> str:
    arguments = get_args(kind) or (object, object)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if wants_table(kind):
        return f"a table of {in_words(arguments[1])}"
    if wants_list(kind):
        return f"a list of {in_words(arguments[0])}"
    return WORDS.get(kind, "")
