"""Where calls and their outcomes lie."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from pathlib import Path

import fsspec
import pytest

from amltk.airflow.storage import Found, Storage
from amltk.exceptions import BackendNotInstalledError, BackendUnavailableError


@pytest.fixture(params=["path", "file", "memory"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    """Storage of several kinds, with nothing in it."""
    kinds = {"path": str(tmp_path / "s"), "file": (tmp_path / "s").as_uri()}
    yield kinds.get(request.param, f"memory://{uuid.uuid4().hex}")
    fsspec.filesystem("memory").store.clear()


def written(uri: str, name: str, content: bytes) -> None:
    """What a worker does."""
    files, path = fsspec.url_to_fs(f"{uri}/{name}")
    files.pipe_file(path, content)


def test_a_box_is_where_it_is_said_to_be(uri: str) -> None:
    """
    Airflow is told a URI, and finds the call there.
    """
    storage = Storage(uri, "mine")
    box = storage.put("1", b"call")
    assert box == f"{uri}/mine/1"
    files, path = fsspec.url_to_fs(box)
    assert files.cat_file(f"{path}/call") == b"call"


def test_a_box_may_be_elsewhere_for_others(uri: str) -> None:
    """
    Then they are told where it is for them.
    """
    assert Storage(uri, "mine", seen_as="/mnt/calls/").put("1", b"") == "/mnt/calls/mine/1"


def test_what_came_of_a_call_is_found(uri: str) -> None:
    """
    Nothing at first; then who has begun; then the outcome.
    """
    storage = Storage(uri, "mine")
    box = storage.put("1", b"call")
    assert storage.look("1") == Found(None, None)
    written(box, "started", b"somebody")
    assert storage.look("1") == Found(None, "somebody")
    written(box, "outcome", b"done")
    assert storage.look("1") == Found(b"done", None)


def test_nothing_is_left_of_what_is_removed(uri: str) -> None:
    """
    Neither of a box nor, in the end, of all of them; to remove it twice is no mistake.
    """
    storage = Storage(uri, "mine")
    files, path = fsspec.url_to_fs(uri)
    assert files.ls(f"{path}/mine") == []
    storage.put("1", b"")
    storage.put("2", b"")
    storage.remove("1")
    storage.remove("1")
    assert not files.exists(f"{path}/mine/1")
    assert files.exists(f"{path}/mine/2/call")
    storage.close()
    storage.close()
    assert not files.exists(f"{path}/mine")


def test_storage_that_cannot_be_written_to_says_so(tmp_path: Path) -> None:
    """
    When it is opened, and with its name.
    """
    (tmp_path / "file").touch()
    with pytest.raises(BackendUnavailableError, match=r"Cannot write to .*/file/calls'"):
        Storage(str(tmp_path / "file" / "calls"), "mine")


def test_storage_that_nobody_knows_says_so() -> None:
    """
    And so does one for which a package is missing.
    """
    with pytest.raises(BackendUnavailableError, match="nowhere"):
        Storage("nowhere://bucket", "mine")
    fsspec.register_implementation("imagined", "not_a_package.Imagined", errtxt="install imagined")
    with pytest.raises(BackendNotInstalledError, match="install imagined"):
        Storage("imagined://bucket", "mine")


def test_options_are_for_the_file_system(tmp_path: Path) -> None:
    """
    It is opened with them.
    """
    assert Storage(str(tmp_path), "mine", options={"auto_mkdir": True})._files.auto_mkdir
    assert not Storage(str(tmp_path), "mine", options={"auto_mkdir": False})._files.auto_mkdir
