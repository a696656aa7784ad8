"""Connections that do not say what they want, and how many there may be."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN_S = 10.0
"""How long the head of a request may take to come, from the connection or from the answer before."""
MOST_CONNECTIONS = 600
"""Open at once: below the files that a process may have open, and room for 200 pages that listen and ask."""


class PromptProtocol(H11Protocol):
    """HTTP/1.1 for who comes to the point."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for a request, unless too many wait already."""
        super().connection_made(transport)
        self._late: asyncio.TimerHandle | None = None
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._expect_head()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = self.loop.call_later(HEAD_WITHIN_S, self._give_up)

    def _give_up(self) -> None:
        if self.conn.their_state is h11.IDLE:  # no whole head has come
            self.transport.close()
