"""Compression with zlib, which every Python has."""

from __future__ import annotations

import zlib

from cqrs.circuit_breaker import validation
from cqrs.exceptions import DecompressionError, PolicyError

__all__ = ["ZlibCompressor"]


class ZlibCompressor:
    """Compresses with zlib (RFC 1950).

    Args:
        level: 0 (none) to 9 (smallest); -1, the default, is zlib's own compromise.
        max_size: bytes that a decompressed value may have, at least 1; 64 MiB by default. A few kilobytes can
            decompress to gigabytes, so what is larger is refused before it is in memory.

    Raises:
        PolicyError: an argument is outside its range.

    >>> compressor = ZlibCompressor()
    >>> compressor.decompress(compressor.compress(b"again and again" * 9)) == b"again and again" * 9
    True
    """

    def __init__(self, level: int = -1, *, max_size: int = 64 * 1024 * 1024) -> None:
        if type(level) is not int or not -1 <= level <= 9:
            raise PolicyError("level", level, "a whole number from -1 to 9")
        self._level = level
        self._max_size = validation.count("max_size", max_size)

    def compress(self, value: bytes) -> bytes:
        """Return ``value`` compressed."""
        return zlib.compress(value, self._level)

    def decompress(self, value: bytes) -> bytes:
        """Return what ``compress`` was given.

        Raises:
            DecompressionError: not a zlib stream, cut off, followed by something else, or larger than
                ``max_size`` when decompressed.
        """
        stream = zlib.decompressobj()
        try:
            found = stream.decompress(value, self._max_size)
            # The limit may be reached with only the checksum left to read.
            if not stream.eof and stream.decompress(stream.unconsumed_tail, 1):
                raise DecompressionError(f"decompresses to more than {self._max_size} bytes")
        except zlib.error as error:
            raise DecompressionError(f"not a zlib stream: {error}") from error
        if not stream.eof:
            raise DecompressionError(f"the zlib stream ends too early, after {len(value)} bytes")
        if stream.unused_data:
            raise DecompressionError(f"{len(stream.unused_data)} bytes follow the zlib stream")
        return found
