"""Compression with zlib: what goes in comes out, and bombs do not go off."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.compressors import Compressor, ZlibCompressor
from cqrs.exceptions import CqrsError, DecompressionError, PolicyError


@given(value=st.binary(max_size=2_000), level=st.integers(-1, 9))
def test_what_goes_in_comes_out(value: bytes, level: int) -> None:
    compressor = ZlibCompressor(level)

    assert compressor.decompress(compressor.compress(value)) == value


def test_it_reads_what_zlib_itself_has_written() -> None:
    assert ZlibCompressor().decompress(zlib.compress(b"a row of an earlier version")) == (
        b"a row of an earlier version"
    )


@pytest.mark.parametrize("size", [1, 99, 100])
def test_a_value_of_just_the_allowed_size_is_read(size: int) -> None:
    compressor = ZlibCompressor(max_size=size)

    assert compressor.decompress(compressor.compress(b"x" * size)) == b"x" * size


@pytest.mark.parametrize("size", [101, 5_000_000])
def test_a_bomb_is_refused(size: int) -> None:
    bomb = zlib.compress(b"\0" * size, 9)

    with pytest.raises(DecompressionError, match="more than 100 bytes"):
        ZlibCompressor(max_size=100).decompress(bomb)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (b"", "ends too early"),
        (b"plain text", "not a zlib stream"),
        (zlib.compress(b"a value" * 50)[:-1], "ends too early"),
        (zlib.compress(b"a value" * 50)[:-5], "ends too early"),
        (zlib.compress(b"a value") + b"more", "4 bytes follow"),
        (zlib.compress(b"a value")[:-1] + b"\0", "not a zlib stream"),
    ],
)
def test_what_is_damaged_is_refused(broken: bytes, why: str) -> None:
    with pytest.raises(DecompressionError, match=why) as caught:
        ZlibCompressor().decompress(broken)

    assert isinstance(caught.value, CqrsError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("level", [-2, 10, 1.5, True, "9"])
def test_an_impossible_level_is_refused(level: object) -> None:
    with pytest.raises(PolicyError, match="level"):
        ZlibCompressor(level)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, -1, 1.5])
def test_an_impossible_limit_is_refused(size: object) -> None:
    with pytest.raises(PolicyError, match="max_size"):
        ZlibCompressor(max_size=size)  # type: ignore[arg-type]


def test_it_satisfies_the_protocol() -> None:
    assert isinstance(ZlibCompressor(), Compressor)
