from collections.abc import Mapping
from contextlib import AbstractContextManager

def set(arg: Mapping[str, object], /) -> AbstractContextManager[object]: ...  # noqa: A001
def get(key: str, default: object = ...) -> object: ...
