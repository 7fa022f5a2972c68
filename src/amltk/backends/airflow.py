"""Running work as runs of a DAG in Airflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from amltk.backends.abilities import Abilities
from amltk.backends.base import keep_copies, needs

if TYPE_CHECKING:
    from amltk.airflow.executor import AirflowExecutor

__all__ = ["Airflow"]


@dataclass(frozen=True, slots=True)
class Airflow:
    """The workers of an Airflow 3: each call is a run of a DAG that comes with amltk.

    For calls that take minutes. A second or two is added to each, and Airflow starts but a few in a
    second. `docs/engines/airflow.md` says what has to be set up, and who has to be trusted.

    Airflow has to know who asks: give a `token`, or a `username` and a `password` for which Airflow
    itself gives tokens.
    """

    abilities: ClassVar[Abilities] = Abilities(
        stops_running=True,
        survives_dead_worker=True,
        isolates_culprit=True,
        messages=False,
        functions="by value",
        overhead=0.5,
    )

    url: str
    """Where Airflow's API server is, such as `"https://airflow.example.org"`."""
    storage: str | Path
    """Where calls and results lie on their way, which Airflow's workers have to see as well: an
    absolute path, or a URI that fsspec understands, such as `"s3://bucket/calls"`."""
    token: str | Callable[[], str] | None = field(default=None, repr=False)
    """What Airflow knows us by, or a function that gets it, which is called again when it has
    expired."""
    username: str | None = None
    """Who logs in to Airflow."""
    password: str | None = field(default=None, repr=False)
    """With which password."""
    worker_storage: str | None = None
    """What the storage is called where Airflow's workers are; as it is here if `None`."""
    storage_options: Mapping[str, object] | None = field(default=None, repr=False, hash=False)
    """What fsspec opens the storage with on this side. Airflow is not told: its workers have
    settings of their own."""
    dag_id: str = "amltk"
    """Which DAG, should there be several."""
    poll_interval: float = 0.5
    """Seconds between two looks at the runs, at least; they become more while nothing happens."""
    patience: float = 300.0
    """Seconds for which Airflow may give no answer, while it is started anew for instance. After
    that, what is pending counts as lost."""
    keep_runs: bool = False
    """Leave the runs in Airflow, with their logs, once their results have arrived."""

    def __post_init__(self) -> None:
        require_url(self.url)
        require_place("storage", self.storage)
        if self.worker_storage is not None:
            require_place("worker_storage", self.worker_storage)
        require_credentials(self.token, self.username, self.password)
        require_text("dag_id", self.dag_id)
        require_positive("poll_interval", self.poll_interval)
        require_positive("patience", self.patience)
        require_flag("keep_runs", self.keep_runs)
        require_mapping("storage_options", self.storage_options)
        keep_copies(self)

    def open(self) -> AirflowExecutor:
        """Make a new executor, once Airflow and the storage have turned out to be ready for it.

        Raises:
            BackendNotInstalledError: If something is not installed that is needed on this side.
            BackendUnavailableError: If Airflow or the storage is not ready.
        """
        for package in ("httpx", "cloudpickle", "fsspec"):
            with needs(package, extra="airflow"):
                import_module(package)
        from amltk.airflow.opening import open_executor  # noqa: PLC0415

        return open_executor(self)


def require_text(name: str, value: object) -> None:
    """Refuse what is no text, or empty; it is not shown, since it may be a secret."""
    if not isinstance(value, str):
        raise TypeError(f"`{name}` has to be text, not {type(value).__qualname__}.")
    if not value.strip():
        raise ValueError(f"`{name}` is empty.")


def require_url(url: object) -> None:
    """Refuse what is not the address of a web server; a password in it is not shown."""
    require_text("url", url)
    try:
        parts = urlsplit(str(url))
        is_address = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # the port is no number, or a bracket is not closed
        parts, is_address = urlsplit(""), False
    if parts.username is not None or parts.password is not None:
        raise ValueError("`url` has a name or a password in it: give `username` and `password`.")
    if not is_address or parts.query or parts.fragment:
        raise ValueError(
            f"`url={url!r}` is not where an Airflow could be. It looks like "
            "'https://airflow.example.org' or 'http://127.0.0.1:8080'."
        )


def require_place(name: str, place: object) -> None:
    if not isinstance(place, Path):
        require_text(name, place)
    if "://" not in str(place) and not Path(str(place)).is_absolute():
        raise ValueError(
            f"`{name}={str(place)!r}` would be somewhere else on each machine. Give an absolute "
            "path, or a URI such as 's3://bucket/calls'."
        )


def require_credentials(token: object, username: object, password: object) -> None:
    if (token is None) == (username is None and password is None):
        raise ValueError("Give Airflow either a `token`, or a `username` and a `password`.")
    if token is None:
        require_text("username", username)
        require_text("password", password)
    elif not callable(token):
        require_text("token", token)


def require_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"`{name}={value!r}` has to be True or False.")


def require_mapping(name: str, value: object) -> None:
    if value is not None and not isinstance(value, Mapping):
        kind = type(value).__qualname__
        raise TypeError(f"`{name}` has to be a mapping from names to values, not {kind}.")


def require_positive(name: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"`{name}={value!r}` has to be a number of seconds.")
    if not value > 0:
        raise ValueError(f"`{name}={value!r}` has to be more than 0 seconds.")
