"""A mail server that counts what it is given, and throws it away."""

from __future__ import annotations

import asyncio
import email
from collections.abc import Callable
from types import TracebackType
from typing import Any

HOST = "127.0.0.1"


class MailSink:
    """Takes mail on a free loopback port while the context is open.

    Args:
        took: told the identity of each mail, from its ``Message-ID``, and each recipient.
    """

    def __init__(self, took: Callable[[str, str], object]) -> None:
        self._took = took
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> MailSink:
        from aiosmtpd.smtp import SMTP

        handler = _Handler(self._took)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SMTP(handler, hostname="sink"), HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()


class _Handler:
    def __init__(self, took: Callable[[str, str], object]) -> None:
        self._took = took

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Count a mail."""
        content = envelope.content
        message = email.message_from_bytes(content if isinstance(content, bytes) else content.encode())
        identity = str(message["Message-ID"]).strip("<>").partition("@")[0]
        for recipient in envelope.rcpt_tos:
            self._took(identity, recipient)
        return "250 OK"
