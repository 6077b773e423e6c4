"""What a compressor must offer."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["Compressor"]


@runtime_checkable
class Compressor(Protocol):
    """Makes bytes fewer, and restores them."""

    def compress(self, value: bytes) -> bytes:
        """Return ``value`` compressed."""
        ...

    def decompress(self, value: bytes) -> bytes:
        """Return what ``compress`` was given.

        Raises:
            DecompressionError: it is not the output of ``compress``, or becomes too large.
        """
        ...
