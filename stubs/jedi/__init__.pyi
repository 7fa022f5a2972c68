from collections.abc import Mapping, Sequence
from typing import Any

class Name:
    name: str

class ParamName(Name):
    def to_string(self) -> str: ...

class Signature(Name):
    @property
    def params(self) -> list[ParamName]: ...

class Interpreter:
    def __init__(self, code: str, namespaces: Sequence[Mapping[str, Any]]) -> None: ...
    def complete(self) -> list[Name]: ...
    def get_signatures(self) -> list[Signature]: ...
