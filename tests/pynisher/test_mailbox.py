"""Messages from a limited process, which arrive in pieces."""

from __future__ import annotations

import os
import threading

from hypothesis import given
from hypothesis import strategies as st

from amltk.pynisher.mailbox import CALLING, OUTCOME, SETTING_UP, Mailbox, send


def written(*messages: tuple[bytes, bytes]) -> bytes:
    """What these messages are in a pipe."""
    reader, writer = os.pipe()
    for kind, body in messages:
        send(writer, kind, body)
    os.close(writer)
    with open(reader, "rb") as pipe:  # noqa: PTH123
        return pipe.read()


@given(body=st.binary(max_size=200), data=st.data())
def test_pieces_make_no_difference(body: bytes, data: st.DataObject) -> None:
    """
    However what was sent is cut: nothing is there before its last byte, and all of it after that.
    """
    sent = written((SETTING_UP, b""), (CALLING, b""), (OUTCOME, body))
    mailbox = Mailbox()
    while sent:
        assert mailbox.outcome is None
        size = data.draw(st.integers(1, len(sent)))
        mailbox.add(sent[:size])
        sent = sent[size:]
    assert mailbox.outcome == body


def test_what_is_known_of_a_process_that_says_no_more() -> None:
    """
    Whether it has begun at all, and whether it has come to the call.
    """
    mailbox = Mailbox()
    assert (mailbox.has_begun, mailbox.is_setting_up) == (False, False)
    mailbox.add(written((SETTING_UP, b"")))
    assert (mailbox.has_begun, mailbox.is_setting_up) == (True, True)
    mailbox.add(written((CALLING, b"")) + b"o")
    assert (mailbox.has_begun, mailbox.is_setting_up) == (True, False)
    assert mailbox.outcome is None


def test_a_message_larger_than_a_pipe_is_written_whole() -> None:
    """
    While somebody reads it.
    """
    reader, writer = os.pipe()
    body = os.urandom(1 << 20)
    sender = threading.Thread(target=send, args=(writer, OUTCOME, memoryview(body)))
    sender.start()
    mailbox = Mailbox()
    while mailbox.outcome is None:
        mailbox.add(os.read(reader, 1 << 16))
    sender.join()
    os.close(reader)
    os.close(writer)
    assert mailbox.outcome == body
