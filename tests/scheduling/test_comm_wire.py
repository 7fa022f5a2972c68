"""Frames, and who may say them: what holds for any bytes."""

from __future__ import annotations

import pickle
import sys
from importlib import import_module
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk.exceptions import CommClosedError, CommNotAnsweredError, NotPicklableError
from amltk.scheduling.comm_wire import (
    CHALLENGE,
    HELLO,
    LONGEST_OF_STRANGERS,
    MESSAGE,
    NONCE,
    REFUSAL,
    WELCOME,
    Approach,
    Doorway,
    Frame,
    Frames,
    Invitation,
    NotWelcomeError,
    failed,
    failure,
    frame,
    pack,
    unpack,
)
from tests.helpers import CannotBeShown, FailsWhenUnpickled, LeavesWhenUnpickled

KEY = b"k" * 32
NAME = "train-1"
kinds = st.integers(0, 255)
contents = st.binary(max_size=200)
nonces = st.binary(min_size=NONCE, max_size=NONCE)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The same bytes, cut in these places."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


def plain(frames: list[Frame]) -> list[tuple[int, bytes]]:
    return [(kind, bytes(content)) for kind, content in frames]


@given(
    said=st.lists(st.tuples(kinds, contents)),
    cuts=st.lists(st.integers(0, 10_000), max_size=30),
)
def test_frames_arrive_as_they_were_sent(said: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """
    For any frames, cut in any places: what comes out is what was put in, in its order.
    """
    frames = Frames()
    sent = b"".join(frame(kind, content) for kind, content in said)
    heard = [received for piece in pieces(sent, cuts) for received in frames.feed(piece)]
    assert plain(heard) == said


@given(said=st.lists(st.tuples(kinds, contents), min_size=1), missing=st.integers(1, 209))
def test_half_a_frame_is_no_frame(said: list[tuple[int, bytes]], missing: int) -> None:
    """
    If the end of the last frame never comes, all others are there, and nothing else is.
    """
    *whole, last = (frame(kind, content) for kind, content in said)
    cut = last[: max(0, len(last) - missing)]
    assert plain(Frames().feed(b"".join(whole) + cut)) == said[:-1]


def test_strangers_must_be_brief() -> None:
    """
    Who has not said who they are cannot have us remember much; afterwards they can.
    """
    frames = Frames()
    long = frame(MESSAGE, b"m" * (LONGEST_OF_STRANGERS + 1))
    with pytest.raises(NotWelcomeError, match="1,025 bytes"):
        frames.feed(long[:20])
    known = Frames()
    known.longest = None
    assert plain(known.feed(long)) == [(MESSAGE, long[-LONGEST_OF_STRANGERS - 1 :])]


# Who is who.


class Meeting(NamedTuple):
    """What both ends have said to each other."""

    challenge: Frame
    hello: Frame
    doorway: Doorway
    approach: Approach


def only(data: bytes) -> Frame:
    (received,) = Frames().feed(data)
    return received


def meeting(ours: bytes, theirs: bytes, *, key: bytes = KEY, identifier: str = NAME) -> Meeting:
    doorway = Doorway(KEY, ours)
    approach = Approach(Invitation("here", 1, key, identifier), theirs)
    challenge = only(doorway.challenge())
    return Meeting(challenge, only(approach.hello(*challenge)), doorway, approach)


@given(nonces, nonces, st.text(max_size=50))
def test_who_knows_the_key_is_let_in(ours: bytes, theirs: bytes, identifier: str) -> None:
    """
    For any random bytes: the scheduler learns which call it is, and the call that it may speak.
    """
    met = meeting(ours, theirs, identifier=identifier)
    assert met.doorway.hear(*met.hello) == identifier
    met.approach.hear(*only(met.doorway.welcome()))


@given(nonces, nonces, st.binary())
def test_who_does_not_know_the_key_is_not(ours: bytes, theirs: bytes, key: bytes) -> None:
    """
    With any other key, both ends notice.
    """
    met = meeting(ours, theirs, key=b"not" + key)
    with pytest.raises(NotWelcomeError):
        met.doorway.hear(*met.hello)
    with pytest.raises(NotWelcomeError):
        met.approach.hear(*only(met.doorway.welcome()))


@given(nonces, nonces, st.tuples(kinds, st.binary(max_size=150)))
def test_nonsense_lets_nobody_in(ours: bytes, theirs: bytes, nonsense: tuple[int, bytes]) -> None:
    """
    Whatever somebody says who knows nothing: neither end takes it for the other.
    """
    kind, content = nonsense[0], bytearray(nonsense[1])
    met = meeting(ours, theirs)
    with pytest.raises(NotWelcomeError):
        met.doorway.hear(kind, content)
    with pytest.raises(NotWelcomeError):
        met.approach.hear(kind, content)
    with pytest.raises(NotWelcomeError):
        Approach(Invitation("here", 1, KEY, NAME), theirs).hello(
            HELLO if kind == CHALLENGE else kind, content
        )


@given(nonces, nonces, nonces)
def test_a_proof_is_good_once(ours: bytes, theirs: bytes, later: bytes) -> None:
    """
    What somebody has overheard does not open another connection, since its challenge is another;
    and what the scheduler proves to a call cannot be turned into a proof of the call.
    """
    met = meeting(ours, theirs)
    met.doorway.hear(*met.hello)
    if later != ours:
        with pytest.raises(NotWelcomeError):
            Doorway(KEY, later).hear(*met.hello)
    _, welcome = only(met.doorway.welcome())
    turned = bytearray(theirs + welcome + NAME.encode())
    with pytest.raises(NotWelcomeError):
        Doorway(KEY, ours).hear(HELLO, turned)


@given(nonces, nonces, st.text(max_size=100))
def test_a_refusal_says_why(ours: bytes, theirs: bytes, why: str) -> None:
    """
    The call is told the reason, and only by somebody who knows the key.
    """
    met = meeting(ours, theirs)
    met.doorway.hear(*met.hello)
    kind, content = only(met.doorway.refusal(why))
    with pytest.raises(CommClosedError) as refused:
        met.approach.hear(kind, content)
    assert str(refused.value) == why
    assert kind == REFUSAL
    with pytest.raises(NotWelcomeError):
        met.approach.hear(WELCOME, content)
    with pytest.raises(NotWelcomeError):
        met.approach.hear(kind, content + b"!")


def test_the_key_is_not_shown() -> None:
    """
    An invitation in a log gives nothing away; it travels with the call as a few bytes.
    """
    invitation = Invitation("here", 1, KEY, NAME)
    assert KEY.decode() not in repr(invitation)
    assert pickle.loads(pickle.dumps(invitation)) == invitation
    assert len(pickle.dumps(invitation)) < 300


# What is said.


@given(st.recursive(st.none() | st.integers() | st.text() | st.floats(allow_nan=False), st.lists))
def test_what_is_packed_can_be_unpacked(value: object) -> None:
    """
    For any value of plain Python: it comes out as it went in.
    """
    assert unpack(pack(value, "it"), "it") == value


def test_what_cannot_be_packed_says_so() -> None:
    """
    With the reason, and what it was going to be.
    """
    with pytest.raises(NotPicklableError, match="Cannot send an answer: ValueError: no pickle"):
        pack(CannotBeShown(), "an answer")


def test_types_of_a_script_travel_where_cloudpickle_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A worker that got its call by cloudpickle knows the types in it by nothing else.
    """
    assert import_module("cloudpickle").__name__ in sys.modules
    there = type("OfAScript", (), {"__module__": "__main__", "loss": 0.5})
    assert unpack(pack(there(), "it"), "it").loss == 0.5
    monkeypatch.setitem(sys.modules, "ray.cloudpickle", sys.modules["cloudpickle"])
    monkeypatch.delitem(sys.modules, "cloudpickle")
    by_that_of_ray = pack(there(), "it")  # which imports the other one here, since it is the same
    for name in ("cloudpickle", "ray.cloudpickle"):
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(NotPicklableError, match="OfAScript"):
        pack(there(), "it")
    assert unpack(by_that_of_ray, "it").loss == 0.5


def test_types_of_a_script_travel_by_value_if_they_have_to() -> None:
    """
    Also if this process would find them by their name; what is of a module is found there.
    """
    assert unpack(pack(CannotBeShown, "it", by_value=True), "it") is CannotBeShown
    there = type("OfAScript", (), {"__module__": "__main__"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["__main__"], "OfAScript", there, raising=False)
        by_value, by_name = pack(there, "it", by_value=True), pack(there, "it")
    assert unpack(by_value, "it").__name__ == "OfAScript"
    with pytest.raises(NotPicklableError, match="Cannot unpickle it"):
        unpack(by_name, "it")


@pytest.mark.parametrize("value", [FailsWhenUnpickled(), LeavesWhenUnpickled()])
def test_what_cannot_be_unpacked_says_so(value: object) -> None:
    """
    Whatever unpickling raises, it leaves nobody's thread.
    """
    with pytest.raises(NotPicklableError, match="Cannot unpickle a message"):
        unpack(pack(value, "a message"), "a message")


@given(st.text())
def test_failures_arrive_as_what_they_are(why: str) -> None:
    """
    With their type and their text.
    """
    for kind in (CommNotAnsweredError, CommClosedError, NotPicklableError):
        received = failed(bytearray(failure(kind(why))))
        assert (type(received), str(received)) == (kind, why)
