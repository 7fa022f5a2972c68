"""Any object as a few words on one line.

What is shown belongs to the user: its `repr` may be as long as a book, may raise, may contain
anything. Here it becomes short, printable text without line breaks; how it looks, others decide.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from reprlib import Repr
from typing import Any

from typing_extensions import override

__all__ = ["brief", "call_text", "name_of_function", "one_line", "signature_text"]

LONGEST = 160
"""Characters of the longest text; more than that nobody reads."""

FEW = 20
"""Items up to which the `repr` of an unknown kind of container is called."""

Sized = (str, bytes, bytearray, list, tuple, dict, set, frozenset, deque)
"""The containers that others are usually derived from."""


def one_line(text: str, limit: int = LONGEST) -> str:
    """The text on one line, with what cannot be printed escaped, cut where it gets too long."""
    words = " ".join(text[: 4 * limit].split())
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return cut(printable, limit) if len(text) <= 4 * limit else cut(printable + "…", limit)


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def brief(thing: object) -> str:
    """Something like the `repr` of an object; short, whatever it is, and never an exception."""
    try:
        return one_line(BRIEF.repr(thing))
    except Exception:  # noqa: BLE001 - a container that another thread changes, for instance
        return f"<{type(thing).__name__}>"


class Brief(Repr):
    """Looks only as deep into an object as there is room to show what it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxtuple = self.maxlist = self.maxarray = self.maxdict = 4
        self.maxset = self.maxfrozenset = self.maxdeque = 4
        self.maxstring = 40
        self.maxother = 60

    @override
    def repr_instance(self, x: Any, level: int) -> str:
        try:
            return one_line(self._described(x, level), self.maxother)
        except Exception:  # noqa: BLE001 - it is the user's `__repr__`
            return f"<{type(x).__name__}>"

    def repr_bytes(self, x: bytes, _level: int) -> str:
        text = repr(x[: self.maxstring])
        return text if len(x) <= self.maxstring else f"{text}…"

    repr_bytearray = repr_bytes

    def _described(self, x: Any, level: int) -> str:
        if type(x).__repr__ is object.__repr__:  # says where it is in memory, which is noise
            return f"<{type(x).__name__}>"
        if isinstance(x, Sized) and len(x) > FEW:
            return f"<{type(x).__name__} of {len(x)}>"
        if has_dataclass_repr(x):
            shown = (f"{f.name}={self.repr1(getattr(x, f.name), level - 1)}" for f in shown_in(x))
            return f"{type(x).__qualname__}({', '.join(shown)})"
        return name_of_function(x) if inspect.isroutine(x) or inspect.isclass(x) else repr(x)


BRIEF = Brief()


def has_dataclass_repr(thing: object) -> bool:
    """Whether it shows itself as dataclasses do by default, with all that is in its fields."""
    return is_dataclass(thing) and hasattr(type(thing).__repr__, "__wrapped__")


def shown_in(thing: Any) -> list[Any]:
    return [field for field in fields(thing) if field.repr]


def name_of_function(function: object) -> str:
    """What a function is called, without the functions it was defined in."""
    if isinstance(function, partial):
        return f"partial({name_of_function(function.func)})"  # pyright: ignore[reportUnknownMemberType,reportUnknownArgumentType]
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        return brief(function)
    return one_line(name.rpartition("<locals>.")[2])


def call_text(
    function: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> str:
    """A call as one would write it."""
    shown = [brief(arg) for arg in args[:FEW]]
    shown += [f"{one_line(name)}={brief(value)}" for name, value in tuple(kwargs.items())[:FEW]]
    return one_line(f"{name_of_function(function)}({', '.join(shown)})")


def signature_text(signature: inspect.Signature | None) -> str:
    """The parameters of a function and what it returns, as one would write them."""
    if signature is None:
        return "(...)"
    try:
        return one_line(str(tidied(signature)))
    except Exception:  # noqa: BLE001 - annotations may be any object
        return "(...)"


def tidied(signature: inspect.Signature) -> inspect.Signature:
    parameters = [
        p.replace(default=tidied_default(p.default), annotation=tidied_hint(p.annotation))
        for p in signature.parameters.values()
    ]
    hint = tidied_hint(signature.return_annotation)
    return signature.replace(parameters=parameters, return_annotation=hint)


def tidied_default(default: object) -> object:
    return default if default is inspect.Parameter.empty else Bare(brief(default))


def tidied_hint(hint: object) -> object:
    return Bare(hint) if isinstance(hint, str) else hint


@dataclass(frozen=True)
class Bare:
    """A text that is its own `repr`, without quotes."""

    text: str

    @override
    def __repr__(self) -> str:
        return self.text
