"""Calls of a client: what is sent, what comes back, and what is refused."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.exceptions import PolicyError
from cqrs.http import (
    CollectionParser,
    DiscoveryError,
    HTTPConnectionError,
    HTTPDeadlineError,
    HTTPError,
    HTTPPoolTimeoutError,
    HTTPRequestError,
    HTTPResponse,
    HTTPResponseError,
    HTTPTimeout,
    HTTPTimeoutError,
    PathInfoField,
    Registry,
    Request,
    Response,
    UnregisteredClientError,
    UnregisteredResourceError,
    UnregisteredVerbError,
    WrongRequestModelError,
)
from tests.unit.http.support import AddUser, GetUser, Kit, ListUsers, Script, User


def test_a_good_answer_is_a_model(kit: Kit) -> None:
    script = Script()
    result = kit.run(kit.client(script).users.get(GetUser(username="alice")))
    assert result.is_ok()
    assert result.unwrap() == User(username="alice")
    assert result.response.status_code == 200
    assert [(each.method, each.url) for each in script.sent] == [("GET", "http://user:8000/v1/users/alice")]


def test_parameters_may_be_a_mapping(kit: Kit) -> None:
    script = Script()
    kit.run(kit.client(script).users.get({"username": "a/b"}))
    assert script.sent[0].url == "http://user:8000/v1/users/a%2Fb"


def test_an_error_status_is_an_error_with_everything_to_know(kit: Kit) -> None:
    script = Script(HTTPResponse(404, {"X-Why": "gone"}, json={"detail": "no such user"}))
    result = kit.run(kit.client(script).users.get({"username": "bob"}))
    assert result.is_err()
    error = result.unwrap_err()
    assert isinstance(error, HTTPError)
    assert (error.status_code, error.is_client_error, error.is_server_error) == (404, True, False)
    assert error.json == result.json == {"detail": "no such user"}
    assert error.headers["x-why"] == "gone"
    assert str(error) == "GET http://user:8000/v1/users/{username}: 404 Not Found"
    assert result.unwrap_or(None) is None
    with pytest.raises(HTTPError) as raised:
        result.unwrap()
    assert raised.value is error


@pytest.mark.parametrize("status", [301, 304, 400, 429, 500, 503, 599])
def test_whatever_is_not_2xx_is_an_error(kit: Kit, status: int) -> None:
    assert kit.run(kit.client(Script(status)).users.get({"username": "bob"})).is_err()


def test_an_http_error_that_a_transport_raises_is_the_same(kit: Kit) -> None:
    def refuse(request: Any) -> Exception:
        return HTTPError("422", request, HTTPResponse(422, {}, json={"detail": "why"}))

    result = kit.run(kit.client(Script(refuse)).users.get({"username": "bob"}))
    assert (result.unwrap_err().status_code, result.json) == (422, {"detail": "why"})


def test_errors_are_parsed_by_the_factorys_parser(kit: Kit) -> None:
    client = kit.client(Script(418), error_parser=lambda error: f"status {error.status_code}")
    assert kit.run(client.users.get({"username": "bob"})).unwrap_err() == "status 418"


@pytest.mark.parametrize(
    "error", [HTTPTimeoutError("late"), HTTPConnectionError("refused"), HTTPResponseError("cut")], ids=repr
)
def test_what_is_no_answer_is_raised(kit: Kit, error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        kit.run(kit.client(Script(error)).users.get({"username": "bob"}))
    assert raised.value is error
    result = kit.run(kit.client(Script(error), errors_as_results=True).users.get({"username": "bob"}))
    assert result.unwrap_err() is error
    assert result.json is None


def test_rejections_are_raised_or_results(kit: Kit) -> None:
    client = kit.client(Script(503), kit.breaker(1))
    assert kit.run(client.users.get({"username": "bob"})).is_err()
    with pytest.raises(CircuitOpenError):
        kit.run(client.users.get({"username": "bob"}))
    client = kit.client(Script(503), kit.breaker(1), errors_as_results=True)
    kit.run(client.users.get({"username": "bob"}))
    assert isinstance(kit.run(client.users.get({"username": "bob"})).unwrap_err(), CircuitOpenError)


def test_a_bug_is_never_a_result(kit: Kit) -> None:
    client = kit.client(Script(ZeroDivisionError("a bug")), errors_as_results=True)
    with pytest.raises(ZeroDivisionError):
        kit.run(client.users.get({"username": "bob"}))


def test_a_list_is_of_models_and_has_its_figures(kit: Kit) -> None:
    link = {"Total-Count": "12", "Link": '<http://user/users?page=2>; rel="next"'}
    script = Script(HTTPResponse(200, link, json=[{"username": "alice"}, {"username": "bob"}]))
    found = kit.run(kit.client(script).users.collection_get({"limit": 2})).unwrap()
    assert script.sent[0].url == "http://user:8000/v1/users?limit=2"
    assert [user.username for user in found] == ["alice", "bob"]
    assert (len(found), found[1].username) == (2, "bob")
    assert (found.meta.count, found.meta.total_count, found.meta.total) == (2, 12, 12)
    assert found.meta.links["next"]["url"] == "http://user/users?page=2"


class Enveloped(CollectionParser):
    @property
    def json(self) -> list[Any]:
        items: list[Any] = self.response.json["items"]
        return items


def test_lists_in_another_form(kit: Kit) -> None:
    script = Script(HTTPResponse(200, {}, json={"items": [{"username": "alice"}]}))
    client = kit.client(script, collection_parser=Enveloped)
    assert [user.username for user in kit.run(client.users.collection_get()).unwrap()] == ["alice"]


def test_a_body_without_a_model_is_json_or_nothing(kit: Kit) -> None:
    created = HTTPResponse(201, {}, content=b'{"id": 7}')
    client = kit.client(Script(created, HTTPResponse(204), HTTPResponse(200, {}, content=b"fine")))
    assert [kit.run(client.users.collection_post(AddUser(username="x"))).unwrap() for _ in range(3)] == [
        {"id": 7},
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>", "not as its model says"),
        (b'{"username": ', "not as its model says"),
        (b'{"name": "secret"}', "username: Field required"),
        (b"[1, 2]", "not as its model says"),
        (b"", "not as its model says"),
        (b"\xff\xfe", "not as its model says"),
    ],
)
def test_an_answer_that_is_not_as_agreed(kit: Kit, content: bytes, why: str) -> None:
    client = kit.client(Script(HTTPResponse(200, {"Content-Type": "text/html"}, content=content)))
    with pytest.raises(HTTPResponseError, match=why) as raised:
        kit.run(client.users.get({"username": "bob"}))
    assert raised.value.response is not None
    assert raised.value.response.content == content
    assert "secret" not in str(raised.value)
    assert "200, text/html" in str(raised.value)


@pytest.mark.parametrize("content", [b'{"items": []}', b"3", b"nonsense", b'[{"name": 1}]', b""])
def test_a_list_that_is_none(kit: Kit, content: bytes) -> None:
    client = kit.client(Script(HTTPResponse(200, {}, content=content)))
    with pytest.raises(HTTPResponseError):
        kit.run(client.users.collection_get())


class Items(CollectionParser):
    @property
    def json(self) -> list[Any]:
        found: list[Any] = self.response.json["items"]
        return found


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"{}", b'{"items": null}', b'{"items": 5}', b'{"items": [{"name": 1}]}']
)
def test_a_list_that_its_parser_can_make_nothing_of(kit: Kit, content: bytes) -> None:
    client = kit.client(Script(HTTPResponse(200, {}, content=content)), collection_parser=Items)
    with pytest.raises(HTTPResponseError, match=r"no list that Items|not as its model says") as raised:
        kit.run(client.users.collection_get())
    assert raised.value.response is not None


@pytest.mark.parametrize("said", ["\u00b2", "9" * 5000, "-1", "many", ""], ids=lambda said: said[:5])
def test_a_total_that_is_no_number_is_the_count(kit: Kit, said: str) -> None:
    client = kit.client(Script(HTTPResponse(200, {"Total-Count": said}, json=[{"username": "al"}])))
    assert kit.run(client.users.collection_get()).unwrap().meta.total_count == 1


def test_json_that_is_nested_too_deeply_is_none(kit: Kit) -> None:
    deep = b"[" * 200_000
    client = kit.client(Script(HTTPResponse(200, {}, content=deep)))
    with pytest.raises(HTTPResponseError, match="nested too deeply"):
        kit.run(client.users.collection_get())
    assert kit.run(client.users.delete({"username": "bob"})).unwrap() is None
    failed = kit.run(kit.client(Script(HTTPResponse(503, {}, content=deep))).users.get({"username": "bob"}))
    assert failed.json is None
    assert failed.unwrap_err().json is None


class Event(Response):
    model_config = ConfigDict(strict=True)
    at: datetime
    tags: set[str]


def test_items_of_a_strict_model_are_read_as_json(kit: Kit) -> None:
    registry = Registry()
    contract = {"GET": (ListUsers, Event)}
    registry.register("api", "events", "user", "v1", "/event", contract, "/events", contract)
    event = {"at": "2026-01-02T03:04:05Z", "tags": ["a", "b"]}
    script = Script(
        HTTPResponse(200, {}, json=event),
        HTTPResponse(200, {}, json=[event]),
        HTTPResponse(200, {}, json=[1]),
    )
    client = kit.client(script, registry=registry)
    one = kit.run(client.events.get()).unwrap()
    assert list(kit.run(client.events.collection_get()).unwrap()) == [one]
    assert one.tags == {"a", "b"}
    with pytest.raises(HTTPResponseError, match="not as its model says"):
        kit.run(client.events.collection_get())


@pytest.mark.parametrize(
    "timeout",
    [0, -1, True, "3", 10**400, float("nan"), float("inf"), (), (1, 2, 3, 4), (1, 0), [1, 2]],
    ids=repr,
)
def test_timeouts_that_are_none_are_refused(kit: Kit, timeout: Any) -> None:
    script = Script()
    with pytest.raises(PolicyError):
        kit.run(kit.client(script).users.get({"username": "bob"}, timeout))
    assert script.sent == []


def test_a_timeout_is_never_longer_than_a_thread_can_wait() -> None:
    longest = HTTPTimeout(1e300, 1e300, 1e300)
    for seconds in (longest.read + longest.connect, longest.limit):
        assert seconds < threading.TIMEOUT_MAX
    assert HTTPTimeout(10**9).read == 10**9


def test_timeouts_of_the_factory_and_of_the_call(kit: Kit) -> None:
    script = Script()
    client = kit.client(script, timeout=5)
    kit.run(client.users.get({"username": "bob"}))
    kit.run(client.users.get({"username": "bob"}, timeout=(1, 2)))
    kit.run(client.users.get({"username": "bob"}, timeout=HTTPTimeout(1, 2, 2.5)))
    assert script.timeouts == [HTTPTimeout(5), HTTPTimeout(1, 2, 3), HTTPTimeout(1, 2, 2.5)]


# ---------------------------------------------------------------------- what is refused


def test_an_unregistered_client_is_named_with_those_that_are(kit: Kit) -> None:
    with pytest.raises(UnregisteredClientError, match=r"no client 'other' is registered \(registered: api\)"):
        kit.client(Script(), name="other")


def test_an_unregistered_resource_and_verb(kit: Kit) -> None:
    client = kit.client(Script())
    with pytest.raises(UnregisteredResourceError, match="has no resource 'user', only users"):
        _ = client.user
    with pytest.raises(
        UnregisteredVerbError, match="'users' has no contract for PUT, only for GET, HEAD, DELETE"
    ):
        kit.run(client.users.put())


def test_a_resource_without_a_collection(kit: Kit) -> None:
    registry = Registry()
    registry.register("api", "users", "user", "v1", "/users/{username}", {"GET": (GetUser, User)})
    client = kit.client(Script(), registry=registry)
    with pytest.raises(UnregisteredVerbError, match="collection of the resource 'users' is not registered"):
        kit.run(client.users.collection_get())


def test_parameters_of_another_model(kit: Kit) -> None:
    client = kit.client(Script())
    with pytest.raises(WrongRequestModelError, match="GET takes GetUser, not AddUser"):
        kit.run(client.users.get(AddUser(username="bob")))
    with pytest.raises(WrongRequestModelError, match="GET takes GetUser, not str"):
        kit.run(client.users.get("bob"))


def test_parameters_that_do_not_fit_and_their_values_are_not_told(kit: Kit) -> None:
    client = kit.client(Script())
    with pytest.raises(HTTPRequestError, match=r"the parameters are no GetUser: username: Field required"):
        kit.run(client.users.get({"name": "secret"}))
    with pytest.raises(HTTPRequestError) as raised:
        kit.run(client.users.get({"username": ["secret"]}))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("value", ["..", ".", ""])
def test_a_path_value_that_would_leave_its_segment_is_not_sent(kit: Kit, value: str) -> None:
    script = Script()
    breaker = kit.breaker(1)
    client = kit.client(script, breaker)
    with pytest.raises(HTTPRequestError, match="would leave its segment"):
        kit.run(client.users.get({"username": value}))
    assert script.sent == []
    assert breaker.breakers["api"].snapshot().admitted == 0, "no circuit has heard of it"


def test_a_client_can_be_asked_what_resources_it_has(kit: Kit) -> None:
    client = kit.client(Script())
    assert hasattr(client, "users")
    assert not hasattr(client, "groups")
    assert getattr(client, "groups", None) is None


def test_private_names_are_no_resources(kit: Kit) -> None:
    with pytest.raises(AttributeError):
        _ = kit.client(Script())._nothing
    assert not hasattr(kit.client(Script()), "__deepcopy__")


# ---------------------------------------------------------------------- typed access


class Group(Response):
    name: str


class GetGroup(Request):
    name: str = PathInfoField()


def two_resources() -> Registry:
    registry = Registry()
    registry.register("api", "users", "user", "v1", "/users/{username}", {"GET": (GetUser, User | Group)})
    registry.register(
        "api",
        "groups",
        "user",
        "v1",
        "/groups/{name}",
        {"GET": (GetGroup, Group), "DELETE": (GetGroup, None)},
    )
    return registry


def test_a_resource_by_the_model_of_its_answers(kit: Kit) -> None:
    script = Script(HTTPResponse(200, {}, json={"name": "staff"}))
    client = kit.client(script, registry=two_resources())
    assert kit.run(client.resource(Group, "groups").get(GetGroup(name="staff"))).unwrap() == Group(
        name="staff"
    )
    assert script.sent[0].url == "http://user:8000/v1/groups/staff"


def test_a_model_that_none_or_several_resources_answer_with(kit: Kit) -> None:
    client = kit.client(Script(), registry=two_resources())
    with pytest.raises(
        UnregisteredResourceError, match=r"several resources .* \(users, groups\): give its name"
    ):
        client.resource(Group)

    class Other(Response):
        pass

    with pytest.raises(UnregisteredResourceError, match=r"no resource that answers with .*Other"):
        client.resource(Other)
    with pytest.raises(UnregisteredResourceError, match=r"no resource 'users' that answers with .*Other"):
        client.resource(Other, "users")


def test_a_verb_that_answers_with_something_else_is_refused(kit: Kit) -> None:
    client = kit.client(Script(), registry=two_resources())
    with pytest.raises(
        UnregisteredVerbError, match=r"does not answer with Group .* but with None: use client.groups"
    ):
        kit.run(client.resource(Group, "groups").delete(GetGroup(name="x")))


def test_unions_take_the_first_that_fits(kit: Kit) -> None:
    registry = Registry()

    class ById(Request):
        id: int = PathInfoField()

    class ByName(Request):
        id: str = PathInfoField()

    registry.register("api", "users", "user", "v1", "/users/{id}", {"GET": (ById | ByName, User | Group)})
    script = Script(
        HTTPResponse(200, {}, json={"name": "staff"}), HTTPResponse(200, {}, json={"username": "al"})
    )
    client = kit.client(script, registry=registry)
    assert kit.run(client.users.get({"id": "x7"})).unwrap() == Group(name="staff")
    found: BaseModel = kit.run(client.users.get(ById(id=7))).unwrap()
    assert found == User(username="al")
    assert [each.path for each in script.sent] == [{"id": "x7"}, {"id": 7}]


class Cat(Response):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(Response):
    kind: Literal["dog"] = "dog"
    tricks: int


ANIMAL = Annotated[Cat | Dog, Field(discriminator="kind")]
REX = {"kind": "dog", "tricks": 3, "username": "rex"}


@pytest.mark.parametrize(
    ("model", "answer", "expected"),
    [
        (User | Dog, REX, User(username="rex")),
        (Dog | User, REX, Dog(tricks=3)),
        (User | Dog | None, REX, User(username="rex")),
        (User | Dog | None, None, None),
        (User | None, None, None),
        (ANIMAL, REX, Dog(tricks=3)),
        (ANIMAL | None, {"kind": "cat"}, Cat()),
        (RootModel[list[User]], [{"username": "al"}], RootModel[list[User]]([User(username="al")])),
    ],
    ids=repr,
)
def test_models_of_answers(kit: Kit, model: Any, answer: Any, expected: Any) -> None:
    registry = Registry()
    contract = {"GET": (ListUsers, model)}
    registry.register("api", "pets", "user", "v1", "/pet", contract, "/pets", contract)
    script = Script(HTTPResponse(200, {}, json=answer), HTTPResponse(200, {}, json=[answer]))
    client = kit.client(script, registry=registry)
    assert kit.run(client.pets.get()).unwrap() == expected
    assert list(kit.run(client.pets.collection_get()).unwrap()) == [expected]


def test_what_an_answer_says_is_told_in_short_and_without_control_characters(kit: Kit) -> None:
    class Closed(Response):
        model_config = ConfigDict(extra="forbid")

    registry = Registry()
    registry.register("api", "users", "user", "v1", "/users", {"GET": (ListUsers, Closed)})
    answer = HTTPResponse(200, {"Content-Type": "x" * 5000}, json={"\n\x1b[31m" + "y" * 5000: 1})
    with pytest.raises(HTTPResponseError, match="Extra inputs are not permitted") as raised:
        kit.run(kit.client(Script(answer), registry=registry).users.get())
    assert len(str(raised.value)) < 400
    assert str(raised.value).isprintable()


# ---------------------------------------------------------------------- discovery


class Moody:
    """A discovery that knows nothing, and is told what could not be reached."""

    def __init__(self, asynchronous: bool, *answers: Any) -> None:
        self.told: list[tuple[str, str | None, str]] = []
        self.answers = list(answers)
        self.get_endpoint: Any = self.later if asynchronous else self.now

    def now(self, service: str, version: str | None) -> str:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    async def later(self, service: str, version: str | None) -> str:
        return self.now(service, version)

    def failed(self, service: str, version: str | None, url: str) -> None:
        self.told.append((service, version, url))


def test_a_discovery_that_is_down(kit: Kit) -> None:
    script = Script()
    breaker = kit.breaker(1)
    sd = Moody(kit.asynchronous, DiscoveryError("it does not answer", "user", "v1"))
    client = kit.client(script, breaker, sd=sd)
    with pytest.raises(DiscoveryError, match="service user v1: it does not answer"):
        kit.run(client.users.get({"username": "bob"}))
    assert script.sent == []
    assert breaker.breakers["api"].snapshot().failed == 0, "the service itself was not reached"
    assert sd.told == []


@pytest.mark.parametrize("error", [HTTPConnectionError("refused"), HTTPTimeoutError("late")], ids=repr)
def test_a_discovery_is_told_of_an_instance_that_does_not_answer(kit: Kit, error: Exception) -> None:
    sd = Moody(kit.asynchronous, "http://dead:1", "http://alive:2")
    script = Script(error, 200)
    client = kit.client(script, sd=sd)
    with pytest.raises(type(error)):
        kit.run(client.users.get({"username": "bob"}))
    assert sd.told == [("user", "v1", "http://dead:1")]
    assert kit.run(client.users.get({"username": "bob"})).is_ok()
    assert script.sent[1].url == "http://alive:2/users/bob"


@pytest.mark.parametrize(
    "answer",
    [503, 404, HTTPPoolTimeoutError("all in use"), HTTPDeadlineError("passed"), HTTPResponseError("cut")],
    ids=repr,
)
def test_a_discovery_is_not_told_of_what_is_no_fault_of_an_instance(kit: Kit, answer: Any) -> None:
    sd = Moody(kit.asynchronous, "http://a:1")
    client = kit.client(Script(answer), sd=sd, errors_as_results=True)
    assert kit.run(client.users.get({"username": "bob"})).is_err()
    assert sd.told == []
