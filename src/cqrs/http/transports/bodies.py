"""Bodies of answers: decoded, and never more of them in memory than was agreed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from cqrs.http.errors import HTTPResponseError
from cqrs.http.messages import HTTPRequest

ENCODINGS = "gzip, deflate"
"""What transports ask for, and what is decoded here."""

DEFAULT_LIMIT = 16 * 1024 * 1024

_BODILESS = frozenset({204, 304})


class Body:
    """Collects the body of one answer.

    Args:
        limit: bytes at most, as sent and as decoded.
        request: for errors; an answer to HEAD has no body whatever its headers say.
        status: of the answer.
        length: its ``Content-Length`` header.
        encoding: its ``Content-Encoding`` header.

    Raises:
        HTTPResponseError: it announces more than ``limit``, or an encoding that nobody asked for.
    """

    __slots__ = ("_decoders", "_limit", "_parts", "_request", "_size")

    def __init__(
        self, limit: int, request: HTTPRequest, status: int, length: str | None, encoding: str | None
    ) -> None:
        self._limit = limit
        self._request = request
        self._parts: list[bytes] = []
        self._size = 0
        bodiless = request.method == "HEAD" or status in _BODILESS
        if length is not None and not bodiless and length.strip().isdecimal() and int(length) > limit:
            raise self._too_large(f"{int(length)} bytes")
        self._decoders = [] if encoding is None or bodiless else list(self._decoders_of(encoding))

    def add(self, chunk: bytes) -> None:
        """Take the next piece as it was received.

        Raises:
            HTTPResponseError: the body is too large, or not encoded as its headers say.
        """
        if self._decoders:
            for decoder in self._decoders:
                try:
                    chunk = decoder.decode(chunk, self._limit - self._size + 1)
                except zlib.error as error:
                    raise HTTPResponseError(f"its body cannot be decoded: {error}", self._request) from error
        self._size += len(chunk)
        if self._size > self._limit:
            raise self._too_large("more")
        self._parts.append(chunk)

    def end(self) -> bytes:
        """Return the body.

        Raises:
            HTTPResponseError: what it was compressed to is not complete.
        """
        if any(decoder.unfinished for decoder in self._decoders):
            raise HTTPResponseError(
                "its body cannot be decoded: the compressed data ends early", self._request
            )
        parts = self._parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_large(self, what: str) -> HTTPResponseError:
        return HTTPResponseError(
            f"its body is larger than max_body_size={self._limit} bytes ({what})", self._request
        )

    def _decoders_of(self, encoding: str) -> Iterable[_Inflater]:
        for name in reversed(encoding.lower().split(",")):
            name = name.strip()
            if name in ("gzip", "x-gzip", "deflate"):
                yield _Inflater(name != "deflate")
            elif name not in ("", "identity"):
                raise HTTPResponseError(
                    f"its Content-Encoding is {name!r}; only {ENCODINGS} are decoded", self._request
                )


class _Inflater:
    """Decodes gzip, several members as well, or deflate with or without the header of zlib."""

    __slots__ = ("_begun", "_gzip", "_zlib")

    def __init__(self, gzip: bool) -> None:
        self._gzip = gzip
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16 if gzip else zlib.MAX_WBITS)
        self._begun = False

    @property
    def unfinished(self) -> bool:
        return self._begun and not self._zlib.eof

    def decode(self, chunk: bytes, most: int) -> bytes:
        """Return what ``chunk`` decodes to, ``most`` bytes of it; what is beyond them is lost."""
        found = b""
        while chunk and len(found) < most:
            if self._zlib.eof:
                if not self._gzip or not chunk.lstrip(b"\0"):
                    break  # padding after the end
                self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                found += self._zlib.decompress(chunk, most - len(found))
            except zlib.error:
                if self._gzip or self._begun:
                    raise
                self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)  # without the header, as some send it
                found += self._zlib.decompress(chunk, most - len(found))
            self._begun = True
            chunk = self._zlib.unused_data
        return found
