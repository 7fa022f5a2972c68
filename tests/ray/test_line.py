"""The connection between a worker and whoever gives it calls: messages, and who may send them."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk.backends.ray import line as line_module
from amltk.backends.ray.future import RayFuture
from amltk.backends.ray.inbox import Inbox
from amltk.backends.ray.line import (
    KEY,
    LONGEST_OF_STRANGERS,
    Line,
    NotWelcomeError,
    accepted,
    connected,
    listening,
)
from amltk.backends.ray.worker import RayWorker
from tests.ray.certificates import certified

HERE = "127.0.0.1"
RIGHT, WRONG = b"r" * KEY, b"w" * KEY
BIG = os.urandom(5_000_000)


@contextmanager
def pair() -> Generator[tuple[Line, Line]]:
    """Both ends."""
    left, right = map(Line, socket.socketpair())
    try:
        yield left, right
    finally:
        left.close()
        right.close()


@contextmanager
def worker(key: bytes = RIGHT) -> Generator[tuple[int, Callable[[], Line]]]:
    """Somebody who listens: the port, and to wait for the line of who was accepted."""
    with ThreadPoolExecutor(1) as other, listening(HERE) as listener:
        line = other.submit(accepted, listener, key)
        try:
            yield listener.getsockname()[1], line.result
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # nobody waits there any more


def has_to_send(line: Line) -> bool:
    return line.has_to_send


def talks(line: Line) -> Line:
    """The end of whoever does not wait, made to."""
    line.introduced(waits=True)
    return line


@given(st.lists(st.binary(max_size=300), min_size=1), st.lists(st.integers(1, 50)))
def test_messages_arrive_as_they_were_sent(messages: list[bytes], cuts: list[int]) -> None:
    """
    Whole and in their order, in whatever pieces their bytes come in.
    """
    with pair() as (left, right), pair() as (heard, speaks):
        for message in messages:
            left.send_bytes(message)
        raw = received(right, sum(8 + len(message) for message in messages))
        arrived: list[bytes] = []
        for piece in pieces(raw, cuts):
            os.write(speaks.fileno(), piece)
            while heard.is_readable(0) and (whole := heard.read()) is not None:
                arrived.append(whole)
        while len(arrived) < len(messages):
            arrived.append(heard.recv_bytes())
    assert arrived == messages


def received(line: Line, size: int) -> bytes:
    raw = b""
    while len(raw) < size:
        raw += os.read(line.fileno(), size)
    return raw


def pieces(raw: bytes, cuts: Iterable[int]) -> Iterable[bytes]:
    for cut in cuts:
        if raw:
            yield raw[:cut]
        raw = raw[cut:]
    if raw:
        yield raw


def test_a_line_ends_for_both() -> None:
    """
    What was sent before arrives, and then nobody waits any more.
    """
    with pair() as (left, right):
        left.send_bytes(b"last")
        left.close()
        assert right.recv_bytes() == b"last"
        with pytest.raises(EOFError):
            right.recv_bytes()
        with pytest.raises(OSError, match="Broken pipe"):
            right.send_bytes(BIG)


@pytest.mark.parametrize("is_secret", [False, True])
def test_who_knows_the_key_may_speak(
    is_secret: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Both ways, and much; secretly if Ray is told to be secret.
    """
    if is_secret:
        for name, value in certified(tmp_path / "certificates", [HERE]).items():
            monkeypatch.setenv(name, value)
    with worker() as (port, line):
        mine = talks(connected(HERE, port, RIGHT))
        theirs = line()
        echo = threading.Thread(target=lambda: theirs.send_bytes(theirs.recv_bytes()))
        echo.start()
        mine.send_bytes(BIG)
        assert mine.recv_bytes() == BIG
        echo.join()
        assert not mine.is_readable(0)
        mine.close()
        theirs.close()


def test_who_does_not_know_the_key_is_sent_away() -> None:
    """
    The next one who does is heard.
    """
    with worker() as (port, line):
        with pytest.raises((EOFError, OSError)):
            connected(HERE, port, WRONG)
        connected(HERE, port, RIGHT).close()
        line().close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n", bytes(1_000_000), b"\xff" * 64])
def test_a_stranger_is_sent_away(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whatever it says, and if it says nothing: after a while then.
    """
    monkeypatch.setattr(line_module, "PATIENCE_WITH_STRANGERS", 60.0 if said else 5.0)
    with worker() as (port, line):
        with socket.create_connection((HERE, port)) as stranger:
            with suppress(OSError):  # it may be sent away before it has said all
                stranger.sendall(said)
            connected(HERE, port, RIGHT).close()
        line().close()


def test_a_stranger_in_place_of_the_worker_is_given_nothing() -> None:
    """
    It would be told calls, and could say anything of them.
    """
    with worker(WRONG) as (port, line):
        with pytest.raises((EOFError, OSError)):
            connected(HERE, port, RIGHT)
        connected(HERE, port, WRONG).close()
        line().close()


def test_an_echo_is_no_proof() -> None:
    """
    Who repeats what the other end has said does not know the key; who says less than has to be
    said first could make that so.
    """

    def repeat(listener: socket.socket, first: bytes) -> None:
        line = Line(listener.accept()[0])
        line.send_bytes(first)
        with suppress(EOFError, OSError):
            line.send_bytes(line.recv_bytes()[32:])
        line.close()

    for first, why in ((bytes(32), "does not know the key"), (b"", "has to be said first")):
        with listening(HERE) as listener, ThreadPoolExecutor(1) as other:
            repeated = other.submit(repeat, listener, first)
            with pytest.raises(NotWelcomeError, match=why):
                connected(HERE, listener.getsockname()[1], RIGHT)
            repeated.result()


def test_strangers_say_little() -> None:
    """
    What is too long is not waited for.
    """
    with pair() as (left, right):
        right.longest = LONGEST_OF_STRANGERS
        left.send_bytes(bytes(LONGEST_OF_STRANGERS))
        with pytest.raises(NotWelcomeError, match="264 bytes"):
            right.recv_bytes()


def test_without_a_certificate_nobody_comes_near(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The worker says nothing to who does not encrypt, or is certified by somebody else.
    """
    for name, value in certified(tmp_path / "right", [HERE]).items():
        monkeypatch.setenv(name, value)
    other = certified(tmp_path / "other", [HERE])
    context = ssl.create_default_context(cafile=os.environ["RAY_TLS_CA_CERT"])
    context.load_cert_chain(other["RAY_TLS_SERVER_CERT"], other["RAY_TLS_SERVER_KEY"])
    with worker() as (port, line):
        with socket.create_connection((HERE, port)) as stranger:
            stranger.sendall(b"\0" * 40)
            assert is_sent_away(stranger)
        with (
            socket.create_connection((HERE, port)) as plain,
            context.wrap_socket(plain, server_hostname=HERE) as stranger,
        ):
            assert is_sent_away(stranger)
        connected(HERE, port, RIGHT).close()
        line().close()


def is_sent_away(stranger: socket.socket) -> bool:
    line = Line(stranger)
    try:
        line.recv_bytes()
    except (EOFError, OSError):
        return True
    return False


def test_the_last_words_of_a_worker_are_heard() -> None:
    """
    An outcome that is on its way when it is known to be gone; half of one is none, and nobody
    listens who does not want to know.
    """
    actor: Any = None
    for said, awaited in ((b"outcome", True), (b"", True), (b"outcome", False)):
        with pair() as (line, theirs):
            worker = RayWorker(actor, RIGHT, line=line, future=RayFuture(work, work))
            line.introduced(waits=False)
            if said:
                theirs.send_bytes(said)
            os.write(theirs.fileno(), b"half")
            theirs.close()
            if not awaited:
                assert worker.future
                worker.future.cancel()
            assert worker.last_words() == (said if said and awaited else None)


def work(*_: object) -> None:
    """What it computes."""


@pytest.mark.parametrize("is_secret", [False, True])
def test_an_inbox_sends_what_is_taken(
    is_secret: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It does not wait for who takes it slowly, and hears what they say meanwhile.
    """
    if is_secret:
        for name, value in certified(tmp_path / "certificates", [HERE]).items():
            monkeypatch.setenv(name, value)
    inbox = Inbox()
    heard: list[bytes] = []
    with worker() as (port, line):
        mine = connected(HERE, port, RIGHT)
        theirs = line()

        def hear() -> None:
            message = mine.read()
            if message is not None:
                heard.append(message)

        inbox.listen(mine, hear)
        inbox.send(mine, BIG)
        inbox.send(mine, b"small")
        assert has_to_send(mine)
        theirs.send_bytes(b"first")
        while not heard:
            for message in inbox.next(60):
                message()
        assert has_to_send(mine)

        def take() -> None:
            theirs.send_bytes(theirs.recv_bytes() + theirs.recv_bytes())

        with ThreadPoolExecutor(1) as other:
            taken = other.submit(take)
            while len(heard) < 2:
                for message in inbox.next(60):
                    message()
            taken.result()
        assert not has_to_send(mine)
        inbox.close()
        mine.close()
        theirs.close()
    assert heard == [b"first", BIG + b"small"]


def test_what_is_sent_to_nobody_is_dropped() -> None:
    """
    That there is nobody, is heard.
    """
    with pair() as (left, right):
        left.introduced(waits=False)
        right.close()
        left.send(b"a")
        left.send(b"b")
        assert not left.has_to_send
        with pytest.raises(EOFError):
            left.read()


def test_an_inbox_tells_what_comes_in() -> None:
    """
    From other threads, and on lines; nothing of those that are forgotten meanwhile, nor when it
    is closed.
    """
    inbox = Inbox()
    heard: list[str] = []
    with pair() as (left, right), pair() as (other, one):

        def hear(line: Line, forgotten: Line) -> None:
            heard.append(line.recv_bytes().decode())
            inbox.forget(forgotten)
            forgotten.close()

        inbox.listen(right, partial(hear, right, one))
        inbox.listen(one, partial(hear, one, right))
        left.send_bytes(b"line")
        other.send_bytes(b"line")
        for message in inbox.next(60):
            message()
        assert heard == ["line"]
        teller = threading.Thread(target=inbox.put, args=[lambda: heard.append("message")])
        teller.start()
        while len(heard) < 2:
            for message in inbox.next(60):
                message()
        teller.join()
        inbox.close()
        inbox.put(lambda: heard.append("too late"))
    assert heard == ["line", "message"]
