from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

import cqrs
from cqrs.compressors import ZlibCompressor
from cqrs.exceptions import ConfigurationTypeError, OutboxedEventError
from cqrs.outbox.codec import UndecodableEvent, _headers, check_compressor, decode, decode_headers, encode
from tests.unit.outbox.events import Joined, Keyed, joined, keyed, paid, registered


class Zlib:
    """A compressor that is known by its methods only."""

    def compress(self, value: bytes) -> bytes:
        return zlib.compress(value)

    def decompress(self, value: bytes) -> bytes:
        return zlib.decompress(value)


@pytest.mark.parametrize("compressor", [None, ZlibCompressor(), Zlib()])
@pytest.mark.parametrize("make", [joined, paid, keyed])
def test_an_event_comes_back_as_it_was(make: Any, compressor: Any) -> None:
    event = make()
    row = encode(event, compressor)
    payload, found = decode(row.event_name, row.payload, compressor)
    assert found == event
    assert (row.event_id, row.event_name, row.topic) == (event.event_id, event.event_name, event.topic)
    assert str(event.event_id) in payload.values()


def test_nothing_is_built_when_only_the_dictionary_is_wanted() -> None:
    row = encode(joined())
    payload, found = decode(row.event_name, row.payload, build=False)
    assert found is None
    assert payload["payload"] == {"name": "ada", "age": 0}


def test_the_partition_key_becomes_the_key() -> None:
    assert encode(keyed("bob")).message_key == "bob"
    assert encode(joined()).message_key is None


@pytest.mark.parametrize(("key", "error"), [(b"no", ConfigurationTypeError), ("", OutboxedEventError)])
def test_a_key_that_is_none_is_refused(key: Any, error: type[Exception]) -> None:
    class Odd(Keyed):
        @property
        def partition_key(self) -> Any:
            return key

    with registered(odd=Odd), pytest.raises(error, match="partition_key"):
        encode(Odd(event_name="odd", payload=Joined(name="ada")))


def test_headers_of_the_event_are_kept() -> None:
    row = encode(joined(headers={"tenant": "äö"}))
    assert decode_headers(row.headers) == {"tenant": "äö"}
    assert encode(joined()).headers is None


def test_the_current_span_travels_in_the_headers() -> None:
    from opentelemetry import trace

    context = trace.SpanContext(trace_id=7, span_id=9, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        row = encode(joined(headers={"tenant": "a"}))
    assert decode_headers(row.headers) == {"tenant": "a", "traceparent": f"00-{7:032x}-{9:016x}-01"}


def test_a_payload_without_form_is_refused() -> None:
    class Opaque(cqrs.NotificationEvent[Any]):
        def to_dict(self) -> dict[str, Any]:
            return {"payload": object()}

    with registered(opaque=Opaque), pytest.raises(OutboxedEventError, match=r"'opaque'.*object"):
        encode(Opaque(event_name="opaque", payload=1))


def test_a_payload_that_cannot_be_read_back_is_refused() -> None:
    class Lossy(cqrs.NotificationEvent[float]): ...

    with registered(lossy=Lossy), pytest.raises(OutboxedEventError, match="read back"):
        encode(Lossy(event_name="lossy", payload=float("nan")))  # NaN is null in JSON


def test_a_payload_that_is_too_large_is_refused_with_both_sizes() -> None:
    with pytest.raises(OutboxedEventError, match=r"has \d{4} bytes and may have 1000"):
        encode(joined("x" * 1000), max_payload_bytes=1000)
    assert encode(joined("x" * 1000), ZlibCompressor(), 1000).payload


def test_a_topic_that_no_column_holds_is_refused() -> None:
    with pytest.raises(OutboxedEventError, match="topic must be"):
        encode(joined(topic="t" * 256))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not what the outbox writes"),
        (b"\x00\xff", "not what the outbox writes"),
        (b"[1]", "not a JSON object but a list"),
        (b'{"event_name": "user_joined"}', "is no NotificationEvent"),
    ],
)
def test_an_undecodable_payload_says_why(payload: bytes, reason: str) -> None:
    with pytest.raises(UndecodableEvent, match=reason):
        decode("user_joined", payload)


def test_no_value_of_the_payload_is_told() -> None:
    payload = encode(joined("secret")).payload.replace(b'"age":0', b'"age":"secret"')
    with pytest.raises(UndecodableEvent, match=r"payload\.age") as caught:
        decode("user_joined", payload)
    assert "secret" not in str(caught.value)


def test_an_unknown_name_and_a_wrong_compression_are_undecodable() -> None:
    with pytest.raises(UndecodableEvent, match="'gone' is not registered"):
        decode("gone", b"{}")
    with pytest.raises(UndecodableEvent, match="zlib"):
        decode("user_joined", encode(joined()).payload, ZlibCompressor())


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"a": 1})])
def test_headers_that_are_no_texts_are_undecodable(text: str) -> None:
    with pytest.raises(UndecodableEvent, match="headers"):
        decode_headers(text)


@pytest.mark.parametrize("compressor", [zlib, ZlibCompressor(), None])
def test_anything_with_both_methods_compresses(compressor: object) -> None:
    check_compressor(compressor)


@pytest.mark.parametrize("compressor", ["zlib", object()])
def test_what_cannot_compress_is_refused(compressor: object) -> None:
    with pytest.raises(ConfigurationTypeError, match="compress"):
        check_compressor(compressor)


@pytest.mark.parametrize("topic", ["", "a\0b", "\udcff"])
def test_a_text_that_a_database_refuses_is_refused_before(topic: str) -> None:
    with pytest.raises(OutboxedEventError, match=r"topic must be|no form in JSON"):
        encode(joined(topic=topic))


def test_no_value_of_a_header_is_told() -> None:
    event = joined().model_copy(update={"headers": {"authorization": b"secret"}})
    with pytest.raises(OutboxedEventError, match=r"'authorization' is a bytes") as caught:
        _headers(event)
    assert "secret" not in str(caught.value)
