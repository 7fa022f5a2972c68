"""What goes on in the loop of a Dask client: calls are sent, and their outcomes are fetched.

Other threads only append to the inbox, or to what is not wanted any more, and wake the loop. All that
is in the inbox when the loop comes to it goes to the scheduler as one graph.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import distributed
from dask import config

from amltk.backends.dask.call import DaskCall, Remote
from amltk.backends.dask.losses import loss_of
from amltk.backends.dask.outcomes import Outcomes
from amltk.backends.payload import unpack_outcome

__all__ = ["Courier"]

GRAPH = 2**20
"""Bytes of calls that are sent as one graph; a call that is larger is sent alone."""


class Courier:
    """Sends calls, and settles their futures.

    Args:
        client: The connection to the cluster.
        outcomes: How outcomes come back.
        options: Where calls may run, in keywords of `Client.map`.
    """

    def __init__(
        self, client: distributed.Client, outcomes: Outcomes, options: Mapping[str, Any]
    ) -> None:
        self.about: Callable[[str], str] = lambda _: ""
        """What else is known of the worker at an address."""
        self._client = client
        self._outcomes = outcomes
        self._options = options
        self._id = uuid4().hex
        self._inbox: deque[DaskCall] = deque()
        self._unwanted: deque[DaskCall] = deque()
        self._awake = False

    # What any thread calls.

    def take(self, call: DaskCall) -> None:
        """Send this call."""
        self._inbox.append(call)
        self._wake()

    def drop(self, call: DaskCall) -> None:
        """Tell Dask that nobody waits for this call any more."""
        self._unwanted.append(call)
        self._wake()

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self._client.loop.add_callback(self._look)

    # What happens in the loop.

    def _look(self) -> None:
        self._awake = False  # before looking: whoever puts something there after it wakes us again
        self._drop_unwanted()
        for graph in self._graphs():
            self._send(graph)

    def _drop_unwanted(self) -> None:
        remotes: list[Remote] = []
        while self._unwanted:
            remote = self._unwanted.popleft().remote
            remotes += [] if remote is None else [remote]
        if remotes:
            self._client.loop.add_callback(self._client.cancel, remotes, asynchronous=True)

    def _graphs(self) -> Iterator[list[DaskCall]]:
        graph: list[DaskCall] = []
        size = 0
        while self._inbox:
            call = self._inbox.popleft()
            if call.future.done():
                continue  # it was cancelled
            if graph and (call.needs or graph[0].needs or size + len(call.packed) > GRAPH):
                yield graph
                graph = []
                size = 0
            graph.append(call)
            size += len(call.packed)
        if graph:
            yield graph

    def _send(self, graph: list[DaskCall]) -> None:
        try:
            # It warns of large arguments, and whoever passes them knows that they are large.
            with config.set({"distributed.admin.large-graph-warning-threshold": sys.maxsize}):
                remotes = self._submit(graph)
        except Exception as error:  # noqa: BLE001
            for call in graph:
                call.settle(loss_of(call.name, error, self.about))
            return
        for call, remote in zip(graph, remotes, strict=True):
            call.remote = remote
            self._client.loop.add_callback(self._follow, call, remote)

    def _submit(self, graph: list[DaskCall]) -> list[Remote]:
        # Without a `fifo_timeout` what is submitted first runs first, however soon the rest comes.
        first = graph[0]
        if first.needs:
            remote = self._client.submit(
                self._outcomes.compute, first.packed, first.number, list(first.needs),
                key=first.key(self._id), pure=False, fifo_timeout=0, **self._options,
            )  # fmt: skip
            return [remote]
        return self._client.map(
            self._outcomes.compute, [call.packed for call in graph], [call.number for call in graph],
            key=[call.key(self._id) for call in graph], pure=False, fifo_timeout=0, **self._options,
        )  # fmt: skip

    async def _follow(self, call: DaskCall, remote: Remote) -> None:
        try:
            packed = await self._outcomes.fetch(call, remote)
        except BaseException as error:  # noqa: BLE001
            call.settle(loss_of(call.name, error, self.about))
        else:
            if packed is not None:
                call.settle(*unpack_outcome(packed))
            else:
                call.times_sent += 1
                self.take(call)
