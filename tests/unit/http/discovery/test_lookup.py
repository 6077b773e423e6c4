"""What every discovery that asks a server does: remember, bridge outages, avoid instances that are down."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, State
from cqrs.exceptions import ConfigurationError
from cqrs.http.errors import DiscoveryError, HTTPError, HTTPPoolTimeoutError, HTTPResponseError
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from tests.unit.http.discovery.side import Side, body, hanging, refused

ONE, TWO, THREE = (f"http://10.0.0.{number}:8000/v1" for number in (1, 2, 3))


class TestMemory:
    def test_an_answer_is_used_until_its_time_is_over(self, side: Side) -> None:
        discovery = side.make(cache_ttl=10.0)
        assert {side.find(discovery) for _ in range(50)} == {ONE}
        side.clock.advance(9.9)
        assert side.find(discovery) == ONE
        assert len(side.server.asked) == 1

    def test_known_answers_without_asking(self, side: Side) -> None:
        discovery = side.make()
        assert discovery.known("user", "v1") is None
        assert side.server.asked == []
        side.find(discovery)
        assert discovery.known("user", "v1") == ONE
        assert discovery.known("user", None) is None

    def test_versions_and_services_are_told_apart(self, side: Side) -> None:
        discovery = side.make()
        side.find(discovery, "user", "v1")
        assert side.find(discovery, "user", None) == "http://10.0.0.1:8000"
        assert side.find(discovery, "user-data", "v2") == "http://10.0.0.1:8000/v2"
        assert [request.url.split("?")[0].rsplit("/", 1)[1] for request in side.server.asked] == [
            "user-v1",
            "user",
            "user-data-v2",
        ]

    def test_a_list_is_renewed_beside_the_calls(self, side: Side) -> None:
        discovery = side.make(cache_ttl=10.0)
        side.find(discovery)
        side.clock.advance(10.0)
        side.server.answer = side.listing("10.0.0.2")
        side.server.gate.clear()  # nobody waits for the answer
        assert side.find(discovery) == ONE
        assert side.server.entered.wait(30)
        assert [side.find(discovery) for _ in range(10)] == [ONE] * 10
        side.server.gate.set()
        side.settle()
        assert side.find(discovery) == TWO
        assert len(side.server.asked) == 2

    def test_a_list_that_nobody_needed_for_long_is_renewed_first(self, side: Side) -> None:
        discovery = side.make(cache_ttl=10.0)
        side.find(discovery)
        side.clock.advance(20.0)
        side.server.answer = side.listing("10.0.0.2")
        assert side.find(discovery) == TWO

    def test_30_first_calls_at_once_ask_once(self, side: Side) -> None:
        discovery = side.make()
        assert side.at_once(discovery, 30) == [ONE] * 30
        assert len(side.server.asked) == 1

    def test_a_question_whose_asker_is_gone_is_asked_again(self, side: Side) -> None:
        discovery = side.make(cache_ttl=10.0, timeout=2.0)
        side.find(discovery)
        side.clock.advance(10.0)
        side.server.gate.clear()
        side.find(discovery)  # begins to ask
        side.clock.advance(2.9)
        side.find(discovery)
        side.clock.advance(0.2)
        side.find(discovery)
        side.server.gate.set()
        side.settle()
        assert len(side.server.asked) == 3

    def test_questions_have_a_short_timeout(self, side: Side) -> None:
        side.find(side.make(timeout=3))
        side.find(side.make(timeout=HTTPTimeout(5, 1, 4)))
        assert side.server.timeouts == [HTTPTimeout(3, 3, 3), HTTPTimeout(5, 1, 4)]


class TestOutage:
    @pytest.mark.parametrize("error", [refused(), hanging(), body({}, 500)], ids=["refused", "hangs", "500"])
    def test_the_last_list_is_used_with_one_warning(
        self, side: Side, error: BaseException, caplog: pytest.LogCaptureFixture
    ) -> None:
        discovery = side.make(cache_ttl=10.0, stale_for=600.0)
        side.find(discovery)
        side.server.answer = error
        for _ in range(30):
            side.clock.advance(20.0)
            assert side.fresh(discovery) == ONE
        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(warnings) == 1
        assert "is used for up to 600 s" in warnings[0].getMessage()
        assert ("Consul at" if side.kind == "consul" else "Nomad at") in warnings[0].getMessage()

    def test_not_for_ever(self, side: Side) -> None:
        discovery = side.make(cache_ttl=10.0, stale_for=600.0)
        side.find(discovery)
        side.server.answer = refused()
        side.clock.advance(609.9)
        assert side.find(discovery) == ONE
        side.settle()
        side.clock.advance(0.2)
        with pytest.raises(DiscoveryError, match="refused"):
            side.find(discovery)

    def test_its_end_is_noticed_and_told(self, side: Side, caplog: pytest.LogCaptureFixture) -> None:
        discovery = side.make(cache_ttl=10.0)
        side.find(discovery)
        side.server.answer = refused()
        side.clock.advance(10.0)
        side.fresh(discovery)
        side.server.answer = side.listing("10.0.0.2")
        side.clock.advance(1.0)
        assert side.fresh(discovery) == TWO
        assert "tells again where 'user-v1' is" in caplog.records[-1].getMessage()
        assert discovery.breaker.state is State.CLOSED

    def test_no_call_waits_while_there_is_a_list(self, side: Side) -> None:
        discovery = side.make(cache_ttl=10.0)
        side.find(discovery)
        side.server.answer = hanging()
        side.clock.advance(10.0)
        side.fresh(discovery)
        side.clock.advance(500.0)
        side.server.gate.clear()  # who waited would wait for ever
        assert [side.find(discovery) for _ in range(10)] == [ONE] * 10

    def test_without_a_list_it_costs_one_question_for_each_wait(self, side: Side) -> None:
        discovery = side.make()
        side.server.answer = hanging()
        asked = []
        for wait in (0.0, 1.0, 2.0, 4.0):
            side.clock.advance(wait)
            for service in ("user", "cart", "mail"):  # the wait is one for all services
                for _ in range(20):
                    with pytest.raises(DiscoveryError):
                        side.find(discovery, service)
            asked.append(len(side.server.asked))
        assert asked == [1, 2, 3, 4]

    def test_errors_say_where_what_and_when(self, side: Side) -> None:
        where = "http://discovery.internal:1234/v1"
        discovery = side.make(addr=where)
        side.server.answer = refused()
        with pytest.raises(DiscoveryError) as first:
            side.find(discovery)
        assert str(first.value).startswith("service user v1: ")
        for part in (where, "did not answer about 'user-v1': no connection: refused", "again in 1.0 s"):
            assert part in str(first.value)
        assert (first.value.service, first.value.version) == ("user", "v1")
        assert isinstance(first.value.__cause__, type(side.server.answer))
        with pytest.raises(DiscoveryError, match="refused") as second:
            side.find(discovery)
        assert second.value is not first.value
        with pytest.raises(DiscoveryError, match=rf"{where} is left alone for now, since .*refused") as other:
            side.find(discovery, "cart", None)
        assert str(other.value).startswith("service cart: ")

    def test_back_after_an_outage_without_a_list(self, side: Side) -> None:
        discovery = side.make()
        side.server.answer = refused()
        with pytest.raises(DiscoveryError):
            side.find(discovery)
        side.server.answer = side.listing("10.0.0.1")
        with pytest.raises(DiscoveryError):
            side.find(discovery)
        side.clock.advance(1.0)
        assert side.find(discovery) == ONE

    def test_a_probe_that_never_comes_back_is_given_up(self, side: Side) -> None:
        discovery = side.make(cache_ttl=10.0, timeout=2.0)
        side.find(discovery)
        side.server.answer = refused()
        side.clock.advance(10.0)
        side.fresh(discovery)
        side.clock.advance(1.0)
        side.server.gate.clear()
        side.find(discovery)  # begins the probe
        side.clock.advance(3.1)
        side.server.answer = side.listing("10.0.0.2")
        side.find(discovery)
        side.clock.advance(4.0)  # a lost probe is no success: there is another wait
        side.find(discovery)
        side.server.gate.set()
        side.settle()
        assert len(side.server.asked) == 4
        assert side.find(discovery) == TWO

    def test_a_policy_of_ones_own(self, side: Side) -> None:
        discovery = side.make(policy=CircuitBreakerPolicy.consecutive(3, ttl=60))
        side.server.answer = refused()
        for _ in range(10):
            with pytest.raises(DiscoveryError):
                side.find(discovery)
            side.clock.advance(2.0)
        assert len(side.server.asked) == 3
        assert discovery.breaker.state is State.OPEN


BAD = {
    "500": (body({}, 500), r"answered 500 Internal Server Error about 'user-v1'"),
    "403": (body({}, 403), r"answered 403 Forbidden about 'user-v1': the token does not permit it"),
    "401": (body({}, 401), r"answered 401 Unauthorized about 'user-v1': it wants a token"),
    "302": (body({}, 302), r"answered 302 Found about 'user-v1'"),
    "raised 503": (
        HTTPError.of(HTTPRequest("GET", "http://there"), HTTPResponse(503)),
        r"answered 503 Service Unavailable about 'user-v1'",
    ),
    "no JSON": (HTTPResponse(200, content=b"<html>"), r"answered about 'user-v1' with something that is not"),
    "no UTF-8": (HTTPResponse(200, content=b"\xff\xfe\xff"), r"with something that is not JSON"),
    "nothing": (HTTPResponse(200), r"with no list but NoneType"),
    "no list": (body({"Services": []}), r"with no list but dict"),
    "no instances": (body([1, "two", None, [], {}]), r"with an entry that is no instance"),
    "cut off": (
        HTTPResponseError("the answer was cut off"),
        r"did not answer about 'user-v1': the answer was",
    ),
    "a bug": (ZeroDivisionError("oh"), r"could not be asked about 'user-v1': ZeroDivisionError: oh"),
}


class TestBadAnswers:
    @pytest.mark.parametrize("name", BAD)
    def test_is_a_discovery_error(self, side: Side, name: str) -> None:
        side.server.answer, message = BAD[name]
        with pytest.raises(DiscoveryError, match=message):
            side.find(side.make())

    @pytest.mark.parametrize("name", BAD)
    def test_the_last_list_is_used(self, side: Side, name: str) -> None:
        discovery = side.make(cache_ttl=10.0)
        side.find(discovery)
        side.server.answer, _ = BAD[name]
        side.clock.advance(10.0)
        assert side.fresh(discovery) == ONE

    @pytest.mark.parametrize(
        ("address", "port"),
        [("10.0.0.1", 0), ("10.0.0.1", "80"), ("10.0.0.1", 70000), ("10.0.0.1", True), ("a/b", 80), (7, 80)],
    )
    def test_an_instance_that_cannot_be_is_left_out(self, side: Side, address: str, port: object) -> None:
        discovery = side.make()
        side.server.answer = body([side.entry(address, port)])
        with pytest.raises(DiscoveryError, match=r"with an (instance at|entry that is no instance)"):
            side.find(discovery)
        side.server.answer = body([side.entry(address, port), side.entry("10.0.0.2")])
        side.clock.advance(1.0)
        assert {side.find(discovery) for _ in range(5)} == {TWO}

    def test_a_refusal_about_one_service_says_nothing_about_others(self, side: Side) -> None:
        discovery = side.make()

        def answer(request: HTTPRequest) -> HTTPResponse:
            return body({}, 403) if "secret" in request.url else side.listing("10.0.0.1")

        side.server.answer = answer
        for _ in range(5):
            with pytest.raises(DiscoveryError, match="403"):
                side.find(discovery, "secret")
        assert len(side.server.asked) == 1
        assert side.find(discovery) == ONE

    @pytest.mark.parametrize(
        ("answer", "state"),
        [
            (body({}, 500), State.OPEN),
            (body({}, 429), State.OPEN),
            (HTTPResponse(200, content=b"<html>"), State.OPEN),
            (HTTPResponseError("the answer was cut off"), State.OPEN),
            (hanging(), State.OPEN),
            (body({}, 403), State.CLOSED),
            (body([{}]), State.CLOSED),
            (HTTPPoolTimeoutError("all connections are in use"), State.CLOSED),
            (ZeroDivisionError("oh"), State.CLOSED),
        ],
        ids=[
            "500",
            "429",
            "no JSON",
            "cut off",
            "hangs",
            "403",
            "no instance",
            "no connection free",
            "a bug",
        ],
    )
    def test_what_makes_it_be_left_alone(self, side: Side, answer: Any, state: State) -> None:
        discovery = side.make()
        side.server.answer = answer
        for _ in range(10):
            with pytest.raises(DiscoveryError):
                side.find(discovery)
        assert discovery.breaker.state is state
        assert len(side.server.asked) == 1  # about this service, in any case

    def test_retry_after_is_honoured(self, side: Side) -> None:
        discovery = side.make()
        side.server.answer = HTTPResponse(429, {"Retry-After": "20"})
        with pytest.raises(DiscoveryError, match="429 Too Many Requests"):
            side.find(discovery)
        side.server.answer = side.listing("10.0.0.1")
        side.clock.advance(19.9)
        with pytest.raises(DiscoveryError):
            side.find(discovery)
        side.clock.advance(0.1)
        assert side.find(discovery) == ONE

    def test_an_unknown_service(self, side: Side) -> None:
        discovery = side.make(cache_ttl=10.0)
        side.server.answer = body([])
        for _ in range(20):
            with pytest.raises(DiscoveryError, match="knows no healthy instance of 'user-v1'"):
                side.find(discovery)
        assert len(side.server.asked) == 1
        side.clock.advance(1.0)  # asked for again soon: it may be starting
        side.server.answer = side.listing("10.0.0.1")
        assert side.find(discovery) == ONE

    def test_an_empty_list_is_believed(self, side: Side) -> None:
        discovery = side.make(cache_ttl=10.0)
        side.find(discovery)
        side.server.answer = body([])
        side.clock.advance(10.0)
        side.find(discovery)
        side.settle()
        with pytest.raises(DiscoveryError, match="no healthy instance"):
            side.find(discovery)


class TestInstances:
    def test_each_in_its_turn(self, side: Side) -> None:
        side.server.answer = side.listing("10.0.0.1", "10.0.0.2", "10.0.0.3")
        discovery = side.make()
        assert [side.find(discovery) for _ in range(6)] == [ONE, TWO, THREE] * 2

    def test_a_fleet_does_not_begin_with_the_same(self, side: Side) -> None:
        side.server.answer = side.listing("10.0.0.1", "10.0.0.2")
        firsts = {side.find(side.make(random=lambda number=number: number / 1000)) for number in (0, 1)}
        assert firsts == {ONE, TWO}

    def test_one_that_failed_is_avoided_for_a_while(self, side: Side) -> None:
        side.server.answer = side.listing("10.0.0.1", "10.0.0.2", "10.0.0.3")
        discovery = side.make(avoid_for=5.0, cache_ttl=10.0)
        side.find(discovery)
        discovery.failed("user", "v1", ONE)
        for _ in range(4):
            side.fresh(discovery)
            assert {side.find(discovery) for _ in range(6)} == {TWO, THREE}
            side.clock.advance(1.2)  # also when the server goes on to list it
        side.clock.advance(0.3)
        side.fresh(discovery)
        assert {side.find(discovery) for _ in range(6)} == {ONE, TWO, THREE}

    def test_a_failure_renews_the_list_early(self, side: Side) -> None:
        side.server.answer = side.listing("10.0.0.1", "10.0.0.2")
        discovery = side.make(cache_ttl=10.0)
        side.find(discovery)
        side.server.answer = side.listing("10.0.0.2", "10.0.0.3")
        for _ in range(30):
            discovery.failed("user", "v1", ONE)
            assert side.fresh(discovery) == TWO  # not more than a question in a second
        assert len(side.server.asked) == 1
        side.clock.advance(1.0)
        side.fresh(discovery)
        assert len(side.server.asked) == 2
        assert {side.find(discovery) for _ in range(6)} == {TWO, THREE}

    def test_when_all_failed_the_one_whose_failure_is_longest_ago_is_tried(self, side: Side) -> None:
        side.server.answer = side.listing("10.0.0.1", "10.0.0.2", "10.0.0.3")
        discovery = side.make(avoid_for=60.0, cache_ttl=600.0)
        side.find(discovery)
        for url in (TWO, THREE, ONE):
            discovery.failed("user", "v1", url)
            side.clock.advance(0.01)
        tried = []
        for _ in range(6):
            tried.append(side.find(discovery))
            discovery.failed("user", "v1", tried[-1])
            side.clock.advance(0.01)
        assert tried == [TWO, THREE, ONE] * 2

    def test_when_all_failed_a_newer_list_is_waited_for(self, side: Side) -> None:
        discovery = side.make(cache_ttl=600.0)
        side.find(discovery)
        side.clock.advance(1.0)
        side.server.answer = side.listing("10.0.0.2")
        discovery.failed("user", "v1", ONE)
        assert side.find(discovery) == TWO

    def test_when_all_failed_and_nobody_answers_they_are_tried(self, side: Side) -> None:
        discovery = side.make(cache_ttl=600.0)
        side.find(discovery)
        side.clock.advance(1.0)
        side.server.answer = hanging()
        discovery.failed("user", "v1", ONE)
        assert {side.find(discovery) for _ in range(10)} == {ONE}
        assert len(side.server.asked) == 2

    def test_failures_of_what_is_not_known_mean_nothing(self, side: Side) -> None:
        discovery = side.make()
        discovery.failed("user", "v1", ONE)
        side.find(discovery)
        discovery.failed("user", "v1", "")
        discovery.failed("user", "v1", THREE)
        side.clock.advance(5.0)
        assert side.fresh(discovery) == ONE
        assert len(side.server.asked) == 1

    def test_a_failure_during_an_outage_does_not_hurry_it(self, side: Side) -> None:
        side.server.answer = side.listing("10.0.0.1", "10.0.0.2")
        discovery = side.make(cache_ttl=10.0)
        side.find(discovery)
        side.server.answer = refused()
        asked = []
        for wait in (10.0, 0.5, 0.4):
            side.clock.advance(wait)
            discovery.failed("user", "v1", ONE)
            assert side.fresh(discovery) == TWO
            asked.append(len(side.server.asked))
        assert asked == [2, 2, 2]


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"addr": "consul:8500"}, "addr must begin with http"),
            ({"addr": "http://"}, "addr must be the URL of an API"),
            ({"addr": "http://{host}/v1"}, "addr must be the URL of an API"),
            ({"addr": "http://a/v1?dc=x"}, "addr must be the URL of an API"),
            ({"service_url_fmt": "http://{host}"}, "service_url_fmt must be a string with no other places"),
            ({"service_url_fmt": "http://{address.x}"}, "service_url_fmt"),
            ({"service_url_fmt": "http://{address!r}"}, "service_url_fmt"),
            ({"service_url_fmt": "http://{address"}, "service_url_fmt"),
            ({"service_url_fmt": "http://{{address}}"}, "service_url_fmt"),
            ({"service_url_fmt": "{address}"}, "service_url_fmt must begin with http"),
            ({"unversioned_service_url_fmt": "http://{version}"}, "unversioned_service_url_fmt"),
            ({"unversioned_service_name_fmt": "{service}-{version}"}, "unversioned_service_name_fmt"),
            ({"cache_ttl": 0}, "cache_ttl=0"),
            ({"stale_for": -1}, "stale_for=-1"),
            ({"avoid_for": "5"}, "avoid_for='5'"),
            ({"timeout": 0}, "timeout=0"),
            ({"cache": 5}, "has no argument cache"),
        ],
    )
    def test_are_checked(self, side: Side, options: dict[str, object], message: str) -> None:
        with pytest.raises(ConfigurationError, match=re.escape(message)):
            side.make(**options)

    def test_a_password_in_the_address_is_refused_and_not_told(self, side: Side) -> None:
        with pytest.raises(ConfigurationError, match="must not hold a user or password") as info:
            side.make(addr="http://me:hunter2@consul:8500/v1")
        assert "hunter2" not in str(info.value)

    def test_zero_is_allowed_where_it_has_a_meaning(self, side: Side) -> None:
        discovery = side.make(stale_for=0, avoid_for=0, cache_ttl=10.0)
        side.find(discovery)
        side.clock.advance(10.0)
        side.server.answer = refused()
        with pytest.raises(DiscoveryError):
            side.find(discovery)
