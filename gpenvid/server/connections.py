"""Connections that bring no request, or less than they announced. uvicorn waits for ever, and each takes a file descriptor from others."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 15.0
"""How long the first line and the headers of a request may take to arrive, and what is left of its body once it is answered."""

MOST = 512
"""Connections at a time: half of the descriptors that a process usually has."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, which closes connections whose request does not arrive, and those beyond `MOST`."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.close()
        else:
            self._expect()

    def data_received(self, data: bytes) -> None:
        """A client has sent something."""
        super().data_received(data)
        self._expect()

    def on_response_complete(self) -> None:
        """The answer is out: the next request may come."""
        super().on_response_complete()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client has gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect(self) -> None:
        answered = self.cycle is not None and self.cycle.response_complete
        if self.conn.their_state is not h11.IDLE and not answered:
            self._stop_waiting()  # the app is at work, and has limits of its own for the body
        elif self._limit is None and not self.transport.is_closing():
            self._limit = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
