"""What an answer of Airflow's says, or what is wrong if it says nothing.

What goes wrong is one of two kinds. Either it may pass by itself, as with a server that is being
started anew (`AirflowUnreachableError`), or somebody has to do something about it
(`AirflowRefusedError`). How long to wait for the former is not decided here.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import httpx
from typing_extensions import TypeIs

from amltk.exceptions import BackendUnavailableError

__all__ = [
    "AirflowRefusedError",
    "AirflowUnreachableError",
    "content",
    "detail",
    "is_table",
    "is_unauthorized",
    "judged",
    "rows",
    "sending",
]

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, TOO_MANY = 401, 403, 404, 409, 429

HINTS = {
    UNAUTHORIZED: " It does not accept the token, or the username and password, that it was given.",
    FORBIDDEN: " The user may not do this: it takes a role that may trigger, edit and delete runs.",
}


class AirflowUnreachableError(BackendUnavailableError):
    """Raised when Airflow does not answer, or only says that it cannot; it may pass."""


class AirflowRefusedError(BackendUnavailableError):
    """Raised when Airflow says no, and would do so again."""


@contextmanager
def sending(url: str) -> Generator[None]:
    """Around everything that is sent: says what is wrong if nothing comes back.

    Raises:
        AirflowUnreachableError: If there is no answer.
    """
    try:
        yield
    except httpx.HTTPError as error:
        raise AirflowUnreachableError(
            f"Airflow does not answer at {url}: {type(error).__name__}: {error}"
        ) from error


def judged(response: httpx.Response) -> httpx.Response:
    """The answer, if it is one; to be told that something is not there, or is already, is one.

    Raises:
        AirflowUnreachableError: If Airflow cannot answer at the moment.
        AirflowRefusedError: If it does not want to.
    """
    status = UNAUTHORIZED if is_unauthorized(response) else response.status_code
    if response.is_success or status in {NOT_FOUND, CONFLICT}:
        return response
    request = response.request
    what = f"Airflow answers {response.status_code} to {request.method} {request.url.path}: {detail(response)}"
    if response.is_server_error or status == TOO_MANY:
        raise AirflowUnreachableError(what)
    raise AirflowRefusedError(f"{what}.{HINTS.get(status, '')}")


def is_unauthorized(response: httpx.Response) -> bool:
    """Whether it was the token that was not accepted: Airflow says 403 if it makes no sense."""
    status = response.status_code
    return status == UNAUTHORIZED or (status == FORBIDDEN and "JWT" in response.text)


def detail(response: httpx.Response) -> str:
    """The reason that an answer gives, in a line."""
    if response.is_redirect:
        return f"it is at {response.headers.get('location')}"
    try:
        said = content(response).get("detail")
    except AirflowUnreachableError:
        said = response.text
    return " ".join(str(said).split())[:300]


def content(response: httpx.Response) -> dict[str, object]:
    """What an answer consists of.

    Raises:
        AirflowUnreachableError: If it is not from Airflow's REST API, but from a proxy, say.
    """
    try:
        value: object = response.json()
    except ValueError:
        value = None
    if not is_table(value):
        raise AirflowUnreachableError(
            f"{response.request.url.copy_with(query=None)} answers {response.status_code}, and not "
            f"as the REST API of Airflow 3 does: {response.text[:100]!r}"
        )
    return value


def rows(value: object) -> list[dict[str, object]]:
    """The tables in a list, which is part of an answer."""
    return [row for row in value if is_table(row)] if is_list(value) else []


def is_list(value: object) -> TypeIs[list[object]]:
    return isinstance(value, list)


def is_table(value: object) -> TypeIs[dict[str, object]]:
    """Whether something is a table, or object, as JSON calls it."""
    return isinstance(value, dict)
