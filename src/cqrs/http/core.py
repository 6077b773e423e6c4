"""What a call of a client is before and after it is sent: pure, the same for both kinds of clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from cqrs.http.collections import CollectionIterator, CollectionParser
from cqrs.http.errors import (
    HTTPError,
    HTTPRequestError,
    HTTPResponseError,
    UnregisteredResourceError,
    UnregisteredVerbError,
    WrongRequestModelError,
)
from cqrs.http.messages import HTTPRequest, HTTPResponse
from cqrs.http.models import Request, Response
from cqrs.http.registry import Endpoint, Resource, Route, members
from cqrs.http.results import ResponseBox, Result

E = TypeVar("E")

Params: TypeAlias = Request | Mapping[str, Any] | None
"""Parameters of a call: an instance of the model, its values by name, or nothing."""


class Call:
    """One verb of one endpoint of a client, ready to be called."""

    __slots__ = ("client_name", "endpoint", "many", "parser", "resource", "route", "where")

    def __init__(
        self, client_name: str, resource: Resource, verb: str, many: bool, parser: type[CollectionParser]
    ) -> None:
        endpoint = resource.many if many else resource.one
        what = "collection of the resource" if many else "resource"
        where = f"client {client_name!r}: {what} {resource.name!r}"
        if endpoint is None:
            raise UnregisteredVerbError(f"{where} is not registered")
        route = endpoint.routes.get(verb)
        if route is None:
            known = ", ".join(endpoint.routes)
            raise UnregisteredVerbError(f"{where} has no contract for {verb}, only for {known}")
        self.client_name = client_name
        self.endpoint: Endpoint = endpoint
        self.route: Route = route
        self.resource = resource.name
        self.where = f"{where}, {verb}"
        self.many = many
        self.parser = resource.parser or parser

    def params(self, given: Params) -> Request:
        """Return the parameters as a model of the contract.

        Raises:
            WrongRequestModelError: they are of another model.
            HTTPRequestError: they do not fit the model.
        """
        models = self.route.requests
        if isinstance(given, models):
            return given
        names = " or ".join(model.__qualname__ for model in models)
        if given is not None and not isinstance(given, Mapping):
            raise WrongRequestModelError(f"{self.where} takes {names}, not {type(given).__qualname__}")
        problem: ValidationError | None = None
        for model in models:
            try:
                return model.model_validate(given or {})
            except ValidationError as error:
                problem = problem or error
        assert problem is not None
        raise HTTPRequestError(f"{self.where}: the parameters are no {names}: {_told(problem)}") from None

    def conclude(
        self, request: HTTPRequest, response: HTTPResponse, parse_error: Callable[[HTTPError], E]
    ) -> ResponseBox[Any, E] | Result[Any, E]:
        """Return the result that an answer is.

        Raises:
            HTTPResponseError: its status is good, but its body is not what the contract says.
        """
        if not response.is_success:
            return ResponseBox(error=parse_error(HTTPError.of(request, response)), response=response)
        try:
            if self.many and self.route.verb == "GET":
                return ResponseBox(self._list(response), response=response)
            return ResponseBox(self._one(response), response=response)
        except ValidationError as error:
            raise self._unusable(f"not as its model says: {_told(error)}", request, response) from None
        except _NoList as error:
            raise self._unusable(str(error), request, response) from error.__cause__
        except ValueError as error:
            raise self._unusable(str(error), request, response) from None

    def _one(self, response: HTTPResponse) -> Any:
        reader = self.route.reader
        if reader is None or self.route.verb == "HEAD":
            return _json_or_none(response)
        if not response.content and not response.json_bytes.strip():
            return reader.validate_python(None)  # fine where the contract allows for it
        return reader.validate_json(response.json_bytes)

    def _list(self, response: HTTPResponse) -> CollectionIterator[Any]:
        parser = self.parser(response)
        try:
            items, meta = list(parser.json), parser.meta
        except (LookupError, TypeError, AttributeError) as error:  # as of json["items"], of an object without
            raise _NoList(f"no list that {type(parser).__qualname__} can find the items of") from error
        reader = self.route.reader
        return CollectionIterator(
            items, _unchanged if reader is None else _item_reader(reader), meta, response
        )

    def _unusable(self, why: str, request: HTTPRequest, response: HTTPResponse) -> HTTPResponseError:
        kind = _shown(response.headers.get("content-type", "no type"))
        return HTTPResponseError(f"the answer ({response.status_code}, {kind}) is {why}", request, response)


class Calls(Generic[E]):
    """The calls of a client by resource, verb and kind; each is looked up once."""

    __slots__ = ("_known", "_parser", "client_name", "errors_as_results", "parse_error", "resources")

    def __init__(
        self,
        client_name: str,
        resources: Mapping[str, Resource],
        parser: type[CollectionParser],
        parse_error: Callable[[HTTPError], E],
        errors_as_results: bool,
    ) -> None:
        self.client_name = client_name
        self.resources = resources
        self.parse_error = parse_error
        self.errors_as_results = errors_as_results
        self._parser = parser
        self._known: dict[tuple[str, str, bool], Call] = {}

    def of(self, resource: str, verb: str, many: bool) -> Call:
        """Return a call.

        Raises:
            UnregisteredVerbError: the resource has no contract for it.
        """
        key = (resource, verb, many)
        call = self._known.get(key)
        if call is None:
            call = Call(self.client_name, self.resources[resource], verb, many, self._parser)
            self._known[key] = call
        return call

    def check(self, resource: str) -> str:
        """Return the name of a resource.

        Raises:
            UnregisteredResourceError: there is none.
        """
        if resource not in self.resources:
            known = ", ".join(self.resources)
            raise UnregisteredResourceError(
                f"client {self.client_name!r} has no resource {resource!r}, only {known}"
            )
        return resource

    def answering(self, model: type[Response], name: str | None) -> str:
        """Return the name of the resource whose answers are of a model.

        Raises:
            UnregisteredResourceError: there is none, or there are several and no ``name`` tells which.
        """
        found = [
            resource.name
            for resource in self.resources.values()
            if any(
                model in members(route.response)
                for endpoint in (resource.one, resource.many)
                if endpoint is not None
                for route in endpoint.routes.values()
            )
        ]
        if name is not None:
            found = [each for each in found if each == self.check(name)]
        if len(found) != 1:
            which = f"resource {name!r}" if name is not None else "resource"
            several = f"several resources that answer with it ({', '.join(found)}): give its name as well"
            raise UnregisteredResourceError(
                f"client {self.client_name!r} has "
                + (several if found else f"no {which} that answers with {model.__qualname__}")
            )
        return found[0]

    def returns(self, call: Call, model: type[Response]) -> None:
        """Check that a call answers with a model.

        Raises:
            UnregisteredVerbError: it does not.
        """
        if model not in members(call.route.response):
            raise UnregisteredVerbError(
                f"{call.where} does not answer with {model.__qualname__} by its contract, but with"
                f" {_named(call.route.response)}: use client.{call.resource}"
            )

    def makes_result_of(self, error: Exception) -> bool:
        """Whether an error is a result, or is raised."""
        return self.errors_as_results or isinstance(error, HTTPError)

    def failed(self, error: Exception) -> ResponseBox[Any, Any]:
        """Return an error as a result."""
        if isinstance(error, HTTPError):
            return ResponseBox(error=self.parse_error(error), response=error.response)
        return ResponseBox(error=error)


class _NoList(Exception):
    """A collection parser could make nothing of an answer."""


def _item_reader(reader: TypeAdapter[Any]) -> Callable[[Any], Any]:
    """Return what makes the model of one item of a list."""

    def read(item: Any) -> Any:
        try:
            return reader.validate_python(item)
        except ValidationError as error:
            # A strict model takes texts for moments, lists for sets and so on from JSON only.
            try:
                text = json.dumps(item)
            except (TypeError, ValueError):  # of a parser that makes something else of it
                raise error from None
            return reader.validate_json(text)

    return read


def _told(error: ValidationError) -> str:
    """Return what is wrong, without the values: there may be secrets among them."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    parts = [f"{'.'.join(map(_shown, each['loc'])) or 'it'}: {each['msg']}" for each in problems[:3]]
    return "; ".join(parts) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")


def _shown(given: str | int) -> str:
    """Return a word of an answer as it may be shown: not too long, and without control characters."""
    text = str(given)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _json_or_none(response: HTTPResponse) -> Any:
    try:
        return response.json
    except ValueError:
        return None


def _unchanged(value: Any) -> Any:
    return value


def _named(model: Any) -> str:
    return model.__qualname__ if isinstance(model, type) else str(model)
