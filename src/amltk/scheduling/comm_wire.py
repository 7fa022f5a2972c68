"""What goes over the wire between a call and its scheduler: frames, and who may say them.

There are no sockets here, only bytes. A frame is the length of its content, a kind, and the
content. Before anything else is said, each end proves to the other that it knows the key of the
run, without saying it:

    scheduler ── CHALLENGE: random bytes ─────────────────────────────────▶ call
    scheduler ◀─ HELLO: random bytes, proof, for which call ─────────────── call
    scheduler ── WELCOME: proof (or REFUSAL: proof, and why) ─────────────▶ call

Only then is anything unpickled. A proof is an HMAC over the random bytes of both ends, so it is
of no use on any other connection, nor to the other end.
"""

from __future__ import annotations

import hmac
import pickle
import sys
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, TypeAlias

from amltk.backends.payload import said
from amltk.exceptions import CommClosedError, CommError, CommNotAnsweredError, NotPicklableError

__all__ = ["Approach", "Doorway", "Frame", "Frames", "Invitation", "NotWelcomeError"]

CHALLENGE, HELLO, WELCOME, REFUSAL, MESSAGE, REQUEST, GOODBYE, ANSWER, FAILURE = range(9)
"""The kinds of frames: the first four until both know each other, the next three from the call,
the last two from the scheduler."""

HEAD = Struct(">QB")
NUMBER = Struct(">Q")
NONCE = PROOF = 32
"""Bytes."""
LONGEST_OF_STRANGERS = 1024
"""Bytes that a frame may have before it is known who sends it."""

Frame: TypeAlias = tuple[int, bytearray]
"""Its kind and its content."""

FAILURES: tuple[type[CommError | NotPicklableError], ...] = (
    CommNotAnsweredError,
    CommClosedError,
    NotPicklableError,
)
"""What can come instead of an answer, by its number on the wire."""


class NotWelcomeError(Exception):
    """Raised when the other end is not who it has to be."""


def frame(kind: int, *contents: bytes) -> bytes:
    """The bytes of a frame."""
    content = contents[0] if len(contents) == 1 else b"".join(contents)
    return HEAD.pack(len(content), kind) + content


class Frames:
    """Cuts the bytes of one direction into frames, in whatever pieces they arrive."""

    def __init__(self) -> None:
        self.longest: int | None = LONGEST_OF_STRANGERS
        """The most bytes that the content of a frame may have; no bound if `None`."""
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes; returns the frames that they complete.

        Raises:
            NotWelcomeError: If a frame would be too long.
        """
        held = self._bytes
        held += data
        frames: list[Frame] = []
        begin = 0
        while len(held) - begin >= HEAD.size:
            length, kind = HEAD.unpack_from(held, begin)
            if self.longest is not None and length > self.longest:
                raise NotWelcomeError(f"a frame of {length:,} bytes")
            content = begin + HEAD.size
            if len(held) - content < length:
                break
            begin = content + length
            frames.append((kind, held[content:begin]))
        del held[:begin]
        return frames


# Who is who.


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a call needs to reach its scheduler; it travels with the call."""

    host: str
    port: int
    key: bytes = field(repr=False)
    """The secret of the run."""
    identifier: str
    """Which call it is."""


def proof(key: bytes, *said_before: bytes) -> bytes:
    """What only somebody with the key can say after all this."""
    lengths = b"".join(NUMBER.pack(len(part)) for part in said_before)
    return hmac.digest(key, lengths + b"".join(said_before), "sha256")


class Doorway:
    """The scheduler's end of a connection, until it is known who calls.

    Args:
        key: The secret of the run.
        nonce: Random bytes, never used before.
    """

    def __init__(self, key: bytes, nonce: bytes) -> None:
        self._key = key
        self._nonce = nonce
        self._theirs = b""

    def challenge(self) -> bytes:
        """What to say first."""
        return frame(CHALLENGE, self._nonce)

    def hear(self, kind: int, content: bytearray) -> str:
        """Take what they say to that; returns the identifier of their call.

        Raises:
            NotWelcomeError: If they do not know the key.
        """
        theirs, claim = bytes(content[:NONCE]), content[NONCE : NONCE + PROOF]
        identifier = bytes(content[NONCE + PROOF :])
        right = proof(self._key, b"call", self._nonce, theirs, identifier)
        if kind != HELLO or not hmac.compare_digest(right, claim):
            raise NotWelcomeError("it does not know the key")
        self._theirs = theirs
        return identifier.decode()

    def welcome(self) -> bytes:
        """What to say when they may speak."""
        return frame(WELCOME, proof(self._key, b"welcome", self._theirs, self._nonce))

    def refusal(self, why: str) -> bytes:
        """What to say when they know the key, but may not speak."""
        reason = why.encode()
        return frame(
            REFUSAL, proof(self._key, b"refusal", self._theirs, self._nonce, reason), reason
        )


class Approach:
    """The call's end of a connection, until it is known that this is the scheduler.

    Args:
        invitation: For which call, and the secret.
        nonce: Random bytes, never used before.
    """

    def __init__(self, invitation: Invitation, nonce: bytes) -> None:
        self._key = invitation.key
        self._identifier = invitation.identifier.encode()
        self._nonce = nonce
        self._theirs = b""

    def hello(self, kind: int, content: bytearray) -> bytes:
        """What to say to a challenge.

        Raises:
            NotWelcomeError: If this was none.
        """
        if kind != CHALLENGE or len(content) != NONCE:
            raise NotWelcomeError("it does not speak like the scheduler")
        self._theirs = bytes(content)
        mine = proof(self._key, b"call", self._theirs, self._nonce, self._identifier)
        return frame(HELLO, self._nonce, mine, self._identifier)

    def hear(self, kind: int, content: bytearray) -> None:
        """Take what comes back; returns if the call may speak.

        Raises:
            CommClosedError: If the scheduler does not want to hear of this call.
            NotWelcomeError: If it is not the scheduler.
        """
        claim, reason = content[:PROOF], bytes(content[PROOF:])
        welcome = proof(self._key, b"welcome", self._nonce, self._theirs)
        refusal = proof(self._key, b"refusal", self._nonce, self._theirs, reason)
        if kind == REFUSAL and hmac.compare_digest(refusal, claim):
            raise CommClosedError(reason.decode())
        if kind != WELCOME or not hmac.compare_digest(welcome, claim):
            raise NotWelcomeError("it does not know the key")


# What is said.


CLOUDPICKLES = ("cloudpickle", "ray.cloudpickle")
"""Where there may be one; Ray has its own."""


def pack(value: object, what: str, *, by_value: bool = False) -> bytes:
    """Pickle something that is to be said.

    Args:
        value: What to pickle.
        what: What it is, for the error.
        by_value: Whether types of the program are to travel with it. Otherwise they do only if
            they have no name by which they could be found.

    Raises:
        NotPicklableError: If that cannot be done.
    """
    packed = packed_by_value(value) if by_value else None
    if packed is not None:
        return packed
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        packed = packed_by_value(value)
        if packed is None:
            raise NotPicklableError(f"Cannot send {what}: {said(error)}.") from error
        return packed


def packed_by_value(value: object) -> bytes | None:
    """What cloudpickle makes of it, if somebody has loaded that.

    Where the call itself came by cloudpickle, its process knows the types of a script only by it.
    """
    loaded = [sys.modules[name] for name in CLOUDPICKLES if name in sys.modules]
    if not loaded:
        return None
    try:
        packed: bytes = loaded[0].dumps(value)
    except BaseException:  # noqa: BLE001 - what pickle said of it is clearer
        return None
    return packed


def unpack(content: bytes | bytearray, what: str) -> Any:
    """Unpickle something that was said.

    Raises:
        NotPicklableError: If that cannot be done.
    """
    try:
        return pickle.loads(content)
    except BaseException as error:
        raise NotPicklableError(
            f"Cannot unpickle {what}: {said(error)}. Its types have to be importable on both sides, "
            "under the names that they were defined with."
        ) from error


def failure(error: CommError | NotPicklableError) -> bytes:
    """The content of a frame that says why there is no answer."""
    return bytes([FAILURES.index(type(error))]) + str(error).encode()


def failed(content: bytearray) -> CommError | NotPicklableError:
    """The error that such a frame is about."""
    return FAILURES[content[0]](content[1:].decode())
