"""How to come by a token, without which Airflow's REST API answers nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import httpx

from amltk.airflow.answers import (
    AirflowRefusedError,
    AirflowUnreachableError,
    content,
    judged,
)
from amltk.backends.payload import said

__all__ = ["NewToken", "from_user", "logging_in"]

NewToken: TypeAlias = Callable[[httpx.Client], str]
"""Gets a token that is valid now."""

LOGIN = "/auth/token"
"""Where Airflow gives tokens."""

NOT_FOUND = 404


def from_user(token: str | Callable[[], str]) -> NewToken:
    """Use a token that we were given, as long as it lasts, or a function that gets one."""
    if not isinstance(token, str):
        return lambda _: checked(called(token))
    unused = [token]

    def use(_: httpx.Client) -> str:
        if unused:
            return checked(unused.pop())
        raise AirflowRefusedError(
            "Airflow does not accept the token that it was given, or does not any more. Give the "
            "recipe a function that gets one, or a `username` and a `password`: that can be asked again."
        )

    return use


def logging_in(username: str, password: str) -> NewToken:
    """Ask Airflow itself for a token, as can be done where its auth manager knows passwords."""

    def log_in(client: httpx.Client) -> str:
        response = client.post(LOGIN, json={"username": username, "password": password})
        if response.status_code == NOT_FOUND:
            raise AirflowRefusedError(
                f"The auth manager of the Airflow at {client.base_url} gives no tokens for "
                "passwords. Give the recipe a `token`, or a function that gets one."
            )
        return checked(content(judged(response)).get("access_token"))

    return log_in


def called(get: Callable[[], str]) -> str:
    try:
        return get()
    except Exception as error:  # it asks somebody who may answer the next time
        raise AirflowUnreachableError(
            f"The function given as `token` raised {said(error)}"
        ) from error


def checked(token: object) -> str:
    """The token, if it can be one; it is not shown if it cannot."""
    if isinstance(token, str) and token.isascii() and len(token.split()) == 1:
        return token.strip()
    raise AirflowRefusedError(
        "The token for Airflow is none that could be sent: it has to be a word of ASCII characters."
    )
