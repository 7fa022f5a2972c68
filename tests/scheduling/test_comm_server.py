"""The thread that listens, and the end of a call: with real sockets, and nobody of the run."""

from __future__ import annotations

import errno
import inspect
import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amltk.exceptions import CommClosedError, CommTimeoutError
from amltk.scheduling import comm_peer, comm_server
from amltk.scheduling.comm_line import SocketLine
from amltk.scheduling.comm_peer import Peer
from amltk.scheduling.comm_server import HIGH, CommServer
from amltk.scheduling.comm_talk import ENDED, Talk
from amltk.scheduling.comm_wire import (
    ANSWER,
    CHALLENGE,
    GOODBYE,
    HEAD,
    MESSAGE,
    NONCE,
    NUMBER,
    REQUEST,
    Doorway,
    Frame,
    Invitation,
    frame,
)

SOON = 20.0
"""Seconds that something which is about to happen may take for it."""


class AnyTalk(Talk):
    """Says nothing by itself."""

    def __init__(self, identifier: str) -> None:
        self.identifier = identifier
        self.n_lines = self.n_read = self.n_bytes = 0


class Listening:
    """Hears what comes in, and leaves it to the test what becomes of it."""

    def __init__(self) -> None:
        self.talk = AnyTalk("known")
        self.came: SimpleQueue[tuple[SocketLine, int, bytes, int]] = SimpleQueue()
        self.failures: list[BaseException] = []
        self.server = CommServer("127.0.0.1", self)

    def admit(self, identifier: str) -> Talk | None:
        return self.talk if identifier == "known" else None

    def heard(self, line: SocketLine, talk: Talk, frames: list[Frame], size: int) -> None:
        assert talk is self.talk
        assert size == sum(len(content) for _, content in frames)
        for kind, content in frames:
            self.came.put((line, kind, bytes(content), len(content)))

    def failed(self, error: BaseException) -> None:
        self.failures.append(error)

    def invitation(self, identifier: str = "known") -> Invitation:
        return Invitation("127.0.0.1", self.server.port, self.server.key, identifier)

    def next(self) -> tuple[SocketLine, int, bytes]:
        line, kind, content, size = self.came.get(timeout=SOON)
        self.server.was_heard(line, size)
        return line, kind, content


@pytest.fixture
def listening() -> Generator[Listening]:
    made = Listening()
    try:
        yield made
    finally:
        made.server.close()
    assert made.failures == []


@contextmanager
def met(listening: Listening) -> Generator[Peer]:
    """A call that is known to who listens, and closes in the end."""
    peer = Peer(listening.invitation())
    try:
        yield peer
    finally:
        peer.close()


def all_that_is_said_to(stranger: socket.socket) -> bytes:
    """What somebody is told until they are hung up on."""
    stranger.settimeout(SOON)
    said = b""
    try:
        while received := stranger.recv(4096):
            said += received
    except ConnectionResetError:
        return said
    return said


def connected(listening: Listening) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listening.server.port), SOON)


# What is said and heard.


def test_what_is_sent_comes_in_and_then_the_end(listening: Listening) -> None:
    """
    In its order, on a line of its own.
    """
    with met(listening) as peer:
        peer.send(b"one")
        peer.send(b"two")
    said = [listening.next() for _ in range(4)]
    assert [(kind, content) for _, kind, content in said] == [
        (MESSAGE, b"one"),
        (MESSAGE, b"two"),
        (GOODBYE, b""),
        (ENDED, b""),
    ]
    assert len({line for line, _, _ in said}) == 1
    assert listening.talk.n_read == 4
    peer.close()
    with pytest.raises(CommClosedError):
        peer.send(b"three")


def test_a_line_that_breaks_has_an_end(listening: Listening) -> None:
    """
    Without a goodbye, and without what was not said to its end.
    """
    peer = Peer(listening.invitation())
    peer.send(b"one")
    peer._socket.sendall(frame(MESSAGE, b"two")[:-1])
    peer._socket.close()
    assert [listening.next()[1:] for _ in range(2)] == [(MESSAGE, b"one"), (ENDED, b"")]


def test_an_answer_goes_to_who_asked(listening: Listening) -> None:
    """
    A big one as well, and one that is late is left aside.
    """
    with met(listening) as peer:
        with pytest.raises(CommTimeoutError, match="within"):
            peer.ask(b"early?", 0.05)
        line, _, early = listening.next()
        much = os.urandom(5_000_000)

        def answer() -> None:
            _, kind, asked = listening.next()
            assert (kind, asked[NUMBER.size :]) == (REQUEST, b"now?")
            line.say(frame(ANSWER, early[: NUMBER.size], b"too late"))
            line.say(frame(ANSWER, asked[: NUMBER.size], much))

        thread = threading.Thread(target=answer)
        thread.start()
        assert peer.ask(b"now?", SOON) == much
        thread.join()


@contextmanager
def asking(*asks: Callable[[], bytearray]) -> Generator[list[Future[bytearray]]]:
    """A thread for each that asks something."""
    with ThreadPoolExecutor(len(asks)) as pool:
        yield [pool.submit(ask) for ask in asks]


def test_threads_do_not_wait_for_the_answers_of_others(listening: Listening) -> None:
    """
    All are heard at once, and each gets its answer, or is told that its time is up, when that is so.
    """
    with met(listening) as peer:
        asks = [partial(peer.ask, b"%d" % n, SOON) for n in range(5)]
        with asking(*asks) as answers:
            asked = [listening.next() for _ in asks]
            with pytest.raises(CommTimeoutError, match=r"within 0\.01 seconds"):
                peer.ask(b"now?", 0.01)
            peer.send(b"in between")
            assert [listening.next()[1] for _ in range(2)] == [REQUEST, MESSAGE]
            for line, _, content in asked:
                number, question = content[: NUMBER.size], content[NUMBER.size :]
                line.say(frame(ANSWER, number, b"to " + question))
                assert answers[int(question)].result(SOON) == b"to " + question


def test_who_closes_lets_no_thread_wait(listening: Listening) -> None:
    """
    Each hears that it was closed here; what was sent has arrived.
    """
    peer = Peer(listening.invitation())
    with asking(*[partial(peer.ask, b"?", SOON)] * 3) as answers:
        assert [listening.next()[1] for _ in answers] == [REQUEST] * 3
        peer.send(b"last words")
        peer.close()
        for answer in answers:
            with pytest.raises(CommClosedError, match="This Comm was closed"):
                answer.result(SOON)
    assert [listening.next()[1] for _ in range(3)] == [MESSAGE, GOODBYE, ENDED]


def test_a_scheduler_that_hangs_up_lets_no_thread_wait(listening: Listening) -> None:
    """
    Each hears that it does not listen any more, as does who asks later.
    """
    with met(listening) as peer:
        with asking(*[partial(peer.ask, b"?", SOON)] * 3) as answers:
            assert [listening.next()[1] for _ in answers] == [REQUEST] * 3
            listening.server.hang_up(listening.talk)
            for answer in answers:
                with pytest.raises(CommClosedError, match="does not listen any more"):
                    answer.result(SOON)
        with pytest.raises(CommClosedError, match="does not listen any more"):
            peer.ask(b"?", None)


def test_what_nobody_waits_for_does_not_get_in_the_way(listening: Listening) -> None:
    """
    A call that has left a late answer unread is heard to its last word.
    """
    for sends in (True, False):
        peer = Peer(listening.invitation())
        with pytest.raises(CommTimeoutError):
            peer.ask(b"?", 0)
        line, _, asked = listening.next()
        line.say(frame(ANSWER, asked[: NUMBER.size], b"too late"))
        readable, _, _ = select.select([peer._socket], [], [], SOON)
        assert readable
        if sends:
            peer.send(b"last words")
            assert listening.next()[1:] == (MESSAGE, b"last words")
        peer.close()
        assert [listening.next()[1:] for _ in range(2)] == [(GOODBYE, b""), (ENDED, b"")]


def test_who_is_hung_up_on_does_not_wait(listening: Listening) -> None:
    """
    Neither for an answer, nor for anybody to hear more.
    """
    with met(listening) as peer:

        def hang_up() -> None:
            listening.next()
            listening.server.hang_up(listening.talk)

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(CommClosedError, match="does not listen any more"):
            peer.ask(b"are you there?", None)
        thread.join()
        with pytest.raises(CommClosedError):
            for _ in range(1000):
                peer.send(b"hello?" * 1000)


def test_a_line_that_is_finished_is_read_to_its_end(listening: Listening) -> None:
    """
    What is there is heard, and nothing is after that.
    """
    peer = Peer(listening.invitation())
    peer.send(b"one")
    assert listening.next()[1:] == (MESSAGE, b"one")
    listening.server.finish(listening.talk)
    assert listening.next()[1:] == (ENDED, b"")
    with pytest.raises(CommClosedError):
        peer.ask(b"?", None)
    peer.close()


def test_who_talks_faster_than_is_heard_has_to_wait(listening: Listening) -> None:
    """
    Little more is read than fits, and when it was heard the rest is read, all of it.
    """
    piece = b"m" * 100_000
    everything = memoryview(frame(MESSAGE, piece) * 500)
    with met(listening) as peer:
        peer._socket.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                sent += peer._socket.send(everything[sent:])
        assert sent < len(everything)
        assert listening.talk.n_bytes <= HIGH + 2 * len(piece) + (1 << 20)
        peer._socket.settimeout(None)
        rest = threading.Thread(target=peer._socket.sendall, args=(everything[sent:],))
        rest.start()
        assert [listening.next()[1:] for _ in range(500)] == [(MESSAGE, piece)] * 500
        rest.join()


class Interrupted(Exception):
    """Raised in the middle of something."""


def interrupt(*_: object) -> None:
    raise Interrupted


def test_a_thread_that_is_interrupted_leaves_the_others_their_answers(
    listening: Listening,
) -> None:
    """
    Whoever of them reads, and what is sent afterwards arrives.
    """
    before = signal.signal(signal.SIGALRM, interrupt)

    def ask_and_interrupt() -> bytes:
        listening.next()  # the first one has asked
        with asking(partial(peer.ask, b"second", SOON)) as (answer,):
            line, _, asked = listening.next()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
            main_is_out.wait(SOON)
            line.say(frame(ANSWER, asked[: NUMBER.size], b"yes"))
            return bytes(answer.result(SOON))

    main_is_out = threading.Event()
    try:
        with met(listening) as peer, ThreadPoolExecutor(1) as pool:
            answer = pool.submit(ask_and_interrupt)
            with pytest.raises(Interrupted):
                peer.ask(b"first", 3 * SOON)
            main_is_out.set()
            assert answer.result(SOON) == b"yes"
            peer.send(b"and on")
            assert listening.next()[1:] == (MESSAGE, b"and on")
    finally:
        signal.signal(signal.SIGALRM, before)


def interrupt_sending(_: int, frame: FrameType | None) -> None:
    """Raise if this comes while something is sent, not just before."""
    lines, first = inspect.getsourcelines(Peer._write)
    [sending] = [first + n for n, line in enumerate(lines) if "sendall" in line]
    if frame and (frame.f_code, frame.f_lineno) == (Peer._write.__code__, sending):
        raise Interrupted


def test_half_a_message_is_not_followed_by_others(listening: Listening) -> None:
    """
    If sending is interrupted, nobody knows how much was sent: the connection is closed.
    """
    peer = Peer(listening.invitation())
    peer.send(b"m" * 2 * HIGH)  # until somebody hears this, nothing more is read
    before = signal.signal(signal.SIGALRM, interrupt_sending)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3, 0.3)
        with pytest.raises(Interrupted):
            peer.send(b"m" * 50_000_000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(CommClosedError):
        peer.send(b"and on")
    peer.close()
    assert [listening.next()[1] for _ in range(2)] == [MESSAGE, ENDED]


# Who comes in.


def test_a_line_of_a_call_that_is_over_is_refused(listening: Listening) -> None:
    """
    The call hears why.
    """
    with pytest.raises(CommClosedError, match="does not listen to this call any more"):
        Peer(listening.invitation("unknown"))


def test_strangers_cannot_stay(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Who does not say who they are is sent away after a while.
    """
    with met(listening) as peer, monkeypatch.context() as patch, connected(listening) as silent:
        patch.setattr(comm_server, "PATIENCE", 0.1)
        said = all_that_is_said_to(silent)
        assert (said[: HEAD.size], len(said)) == (HEAD.pack(NONCE, CHALLENGE), HEAD.size + NONCE)
        peer.send(b"who is known can stay")
        assert listening.next()[1] == MESSAGE


def test_strangers_cannot_be_many(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    If they come in numbers, the first ones have to go, and who is known still gets in.
    """
    monkeypatch.setattr(comm_server, "STRANGERS", 3)
    with ExitStack() as stack:
        strangers = [stack.enter_context(connected(listening)) for _ in range(8)]
        for stranger in strangers[:5]:
            all_that_is_said_to(stranger)
        with met(listening) as peer:
            peer.send(b"hello")
            assert listening.next()[1] == MESSAGE


@given(nonsense=st.binary(min_size=1, max_size=3000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_nonsense_is_hung_up_on(listening: Listening, nonsense: bytes) -> None:
    """
    Whatever somebody says who does not know the key: they are told nothing, and nobody else is
    disturbed.
    """
    with connected(listening) as stranger:
        stranger.sendall(nonsense)
        stranger.shutdown(socket.SHUT_WR)
        assert len(all_that_is_said_to(stranger)) <= HEAD.size + NONCE
    assert listening.came.empty()


def test_too_many_open_files_are_waited_out(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever could not be let in then is let in when there is room.
    """
    accept = socket.socket.accept
    refusals = iter([errno.EMFILE, errno.ECONNABORTED])

    def refuse_first(listener: socket.socket) -> tuple[socket.socket, Any]:
        for number in refusals:
            raise OSError(number, "not now")
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", refuse_first)
    with met(listening) as peer:
        peer.send(b"hello")
        assert listening.next()[1] == MESSAGE


def test_a_server_that_fails_says_so_and_hangs_up() -> None:
    """
    Nobody waits for one that is no more.
    """
    listening = Listening()
    listening.talk.n_bytes = "not a number"  # type: ignore[assignment]
    with met(listening) as peer:
        peer._write(frame(MESSAGE, b"hello"))
        with pytest.raises(CommClosedError):
            peer.ask(b"?", None)
    listening.server.close()
    assert [type(error) for error in listening.failures] == [TypeError]
    with pytest.raises(CommClosedError, match="Cannot reach"):
        Peer(listening.invitation())


# Who is not the scheduler.


@contextmanager
def impostor(say: Callable[[socket.socket], object]) -> Generator[Invitation]:
    """Somebody else who listens, and says something to whoever comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                say(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Invitation("127.0.0.1", listener.getsockname()[1], b"k" * 32, "known")
        thread.join()


def say_nonsense(connection: socket.socket) -> None:
    connection.sendall(b"220 smtp.example.org ESMTP and much more than that" * 10)
    connection.recv(1)


def say_nothing(connection: socket.socket) -> None:
    connection.recv(1)


def hang_up(_: socket.socket) -> None: ...


def have_another_key(connection: socket.socket) -> None:
    doorway = Doorway(b"another key", os.urandom(NONCE))
    connection.sendall(doorway.challenge())
    connection.recv(4096)
    with suppress(OSError):  # it did not wait for so long
        connection.sendall(doorway.welcome())
        connection.recv(1)


@pytest.mark.parametrize("say", [say_nonsense, say_nothing, hang_up, have_another_key])
def test_a_call_speaks_to_its_scheduler_only(
    say: Callable[[socket.socket], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Before it says anything it knows that this is not it.
    """
    monkeypatch.setattr(comm_peer, "CONNECTING", 1.0)
    with impostor(say) as invitation, pytest.raises(CommClosedError, match="is not the scheduler"):
        Peer(invitation)


def test_where_nobody_listens_nobody_is_reached() -> None:
    """
    Which says what may be the reason.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CommClosedError, match=r"Cannot reach the scheduler at 127.*Plugin\(host="):
        Peer(Invitation("127.0.0.1", port, b"key", "known"))


def test_who_cannot_listen_leaves_nothing_open() -> None:
    """
    An address of somebody else is an error.
    """
    with pytest.raises(OSError, match="assign"):
        CommServer("192.0.2.1", Listening.__new__(Listening))
