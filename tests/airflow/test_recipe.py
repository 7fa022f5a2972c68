"""What can be said of an Airflow, and what cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amltk import Scheduler
from amltk.backends import Airflow, load
from amltk.exceptions import BackendFileError

GOOD: dict[str, Any] = {"url": "http://127.0.0.1:8080", "storage": "/calls", "token": "abc"}
LOGIN: dict[str, Any] = {"token": None, "username": "me", "password": "word"}

NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"url": ""}, "url"),
    ({"url": "127.0.0.1:8080"}, "url"),
    ({"url": "ftp://host"}, "url"),
    ({"url": "http://"}, "url"),
    ({"url": "http://host:port"}, "url"),
    ({"url": "http://[::1"}, "url"),
    ({"url": "http://host/?a=b"}, "url"),
    ({"url": "http://me:word@host"}, "username"),
    ({"url": 5}, "url"),
    ({"storage": ""}, "storage"),
    ({"storage": "calls"}, "storage"),
    ({"storage": Path("calls")}, "storage"),
    ({"storage": None}, "storage"),
    ({"worker_storage": "calls"}, "worker_storage"),
    ({"token": None}, "either"),
    ({"username": "me", "password": "word"}, "either"),
    ({"password": "word"}, "either"),
    ({**LOGIN, "password": None}, "password"),
    ({**LOGIN, "username": None}, "username"),
    ({**LOGIN, "password": ""}, "password"),
    ({"token": ""}, "token"),
    ({"token": 5}, "token"),
    ({"dag_id": ""}, "dag_id"),
    ({"keep_runs": "no"}, "keep_runs"),
    ({"storage_options": ["key"]}, "storage_options"),
    ({"poll_interval": 0}, "poll_interval"),
    ({"poll_interval": "1"}, "poll_interval"),
    ({"patience": -1}, "patience"),
    ({"patience": float("nan")}, "patience"),
    ({"patience": True}, "patience"),
]


@pytest.mark.parametrize(("said", "name"), NONSENSE, ids=[str(said) for said, _ in NONSENSE])
def test_what_cannot_work_cannot_be_built(said: dict[str, Any], name: str) -> None:
    """
    The error names what is wrong; `with_airflow` refuses the same.
    """
    for make in (Airflow, Scheduler.with_airflow):
        with pytest.raises((TypeError, ValueError), match=name):
            make(**{**GOOD, **said})


@pytest.mark.parametrize(
    "said",
    [
        {},
        LOGIN,
        {"token": lambda: "abc"},
        {"url": "https://host/airflow/"},
        {"storage": "s3://bucket/calls"},
        {"storage": Path("/calls")},
        {"worker_storage": "file:///calls", "poll_interval": 2, "patience": float("inf")},
    ],
)
def test_what_can_work_can_be_built(said: dict[str, Any]) -> None:
    """
    Frozen, hashable, and equal to another one with the same fields.
    """
    recipe = Airflow(**{**GOOD, **said})
    assert recipe == Airflow(**{**GOOD, **said})
    assert hash(recipe) == hash(Airflow(**{**GOOD, **said}))


def test_a_secret_is_not_shown() -> None:
    """
    Neither by the recipe nor by the scheduler, nor by the error for one that makes no sense.
    """
    options: dict[str, Any] = {"storage_options": {"secret": "swordfish"}}
    secrets: list[dict[str, Any]] = [{"token": "swordfish"}, {**LOGIN, "password": "swordfish"}]
    nonsense: list[dict[str, Any]] = [
        {"url": "http://me:swordfish@host"},
        {"token": ["swordfish"]},
    ]
    for secret in secrets:
        recipe = Airflow(**{**GOOD, **secret, **options})
        assert "swordfish" not in f"{recipe!r} {Scheduler(recipe)!r}"
        assert "127.0.0.1" in repr(Scheduler(recipe))
    for said in nonsense:
        with pytest.raises((TypeError, ValueError)) as refused:
            Airflow(**{**GOOD, **said})
        assert "swordfish" not in str(refused.value)


def test_a_name_alone_will_not_do(tmp_path: Path) -> None:
    """
    A file has to say where Airflow is, and which storage.
    """
    with pytest.raises(BackendFileError, match="without `url`, `storage`"):
        load("airflow")
    (tmp_path / "a.toml").write_text('backend = "airflow"\nurl = "http://127.0.0.1:8080"')
    with pytest.raises(BackendFileError, match="without `storage`"):
        load(tmp_path / "a.toml")


def test_it_can_be_read_from_a_file(tmp_path: Path) -> None:
    """
    Except for functions.
    """
    file = tmp_path / "airflow.toml"
    file.write_text(
        'backend = "airflow"\nurl = "http://127.0.0.1:8080"\nstorage = "/calls"\ntoken = "abc"\n'
        '[storage_options]\nkey = "value"\n'
    )
    assert load(file) == Airflow(**GOOD, storage_options={"key": "value"})
