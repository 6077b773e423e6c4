"""Making bytes fewer: the port, and zlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs._lazy import lazy_exports

if TYPE_CHECKING:
    from cqrs.compressors.protocol import Compressor as Compressor
    from cqrs.compressors.zlib import ZlibCompressor as ZlibCompressor

_EXPORTS = {
    "Compressor": "cqrs.compressors.protocol",
    "ZlibCompressor": "cqrs.compressors.zlib",
}

__all__ = [*_EXPORTS]  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
