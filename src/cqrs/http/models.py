"""The models of requests and responses, and how a request becomes what is sent."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

import pydantic
from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticSerializationError, from_json, to_json

from cqrs.exceptions import ConfigurationError
from cqrs.http import fields, wire
from cqrs.http.errors import HTTPRequestError
from cqrs.http.messages import HTTPRequest

_MASK = b"**********"
"""What pydantic writes for a secret."""

_ITEMS = (list, tuple, set, frozenset, deque)
"""What is a list in JSON."""


class _HiddenError(Exception):
    """A secret would have been sent as its mask."""


class Request(BaseModel):
    """Base of the parameters of a call; each field says where it goes.

    A field whose default is ``None`` is left out unless it was given; an explicit ``None`` is sent.

    >>> from cqrs.http import PathInfoField, QueryStringField
    >>> class GetUser(Request):
    ...     username: str = PathInfoField()
    ...     expand: list[str] | None = QueryStringField(None)
    >>> request = build(GetUser(username="a/b", expand=["mail", "phone"]), "GET", "http://user/users/{username}")
    >>> request.url
    'http://user/users/a%2Fb?expand=mail&expand=phone'
    """

    model_config = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True)


class Response(BaseModel):
    """Base of the models of answers; what it does not know of is ignored."""

    model_config = ConfigDict(populate_by_name=True)


RequestT = TypeVar("RequestT", bound=Request)
ResponseT = TypeVar("ResponseT", bound=Response)


class _Plan:
    """How a class of requests becomes an ``HTTPRequest``; made once per class."""

    __slots__ = ("body", "body_optional", "others", "types")

    def __init__(self, model: type[Request]) -> None:
        self.others: list[tuple[str, str, str, bool]] = []  # location, name, name on the wire, optional
        body: set[str] = set()
        optional: set[str] = set()
        for name, info in model.model_fields.items():
            location = fields.location_of(info)
            if location is None:
                raise ConfigurationError(
                    f"{model.__qualname__}.{name} does not say where it goes: make it a PathInfoField,"
                    " HeaderField, QueryStringField, PostBodyField or AttachmentField"
                )
            is_optional = info.default is None
            if location == fields.BODY:
                body.add(name)
                if is_optional:
                    optional.add(name)
                continue
            given = info.serialization_alias or info.alias
            sent = given or (name.replace("_", "-") if location == fields.HEADER else name)
            self.others.append((location, name, sent, is_optional))
        self.body = body
        self.body_optional = optional
        self.types = model


_plans: weakref.WeakKeyDictionary[type[Request], _Plan] = weakref.WeakKeyDictionary()


def plan_of(model: type[Request]) -> _Plan:
    """Return how requests of a class are sent.

    Raises:
        ConfigurationError: a field does not say where it goes.
    """
    plan = _plans.get(model)
    if plan is None:
        plan = _plans[model] = _Plan(model)
    return plan


def build(params: Request, method: str, url_pattern: str) -> HTTPRequest:
    """Return the request that ``params`` describe.

    Args:
        params: the parameters.
        method: in upper case.
        url_pattern: URL with the names of the path's values in braces.

    Raises:
        HTTPRequestError: the values cannot be sent.
    """
    plan = plan_of(type(params))
    request = HTTPRequest(method, url_pattern)
    if plan.others:
        places: dict[str, dict[str, Any]] = {}
        given = params.model_fields_set
        values = vars(params)
        for location, name, sent, optional in plan.others:
            value = values[name]
            if optional and value is None and name not in given:
                continue
            places.setdefault(location, {})[sent] = value
        for location, found in places.items():
            if location == fields.PATH:
                request.path = found
            elif location == fields.QUERY:
                request.querystring = found
            elif location == fields.HEADER:
                request.headers = found
            else:
                request.attachments = found
    if plan.body:
        try:
            _set_body(request, params, plan)
        except wire.NoTextError as error:
            raise HTTPRequestError(f"the form cannot be sent: {error}", request) from None
        except (PydanticSerializationError, UnicodeError) as error:
            raise HTTPRequestError(f"the body cannot be sent: {type(error).__name__}", request) from error
    request.check()
    return request


def _set_body(request: HTTPRequest, params: Request, plan: _Plan) -> None:
    given = params.model_fields_set
    left_out = {name for name in plan.body_optional if name not in given and getattr(params, name) is None}
    sent = plan.body - left_out if left_out else plan.body
    kind = request.header("content-type")
    kind = "" if kind is None else wire.text(kind).partition(";")[0].strip().lower()
    if request.attachments or kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        form = params.model_dump(include=sent, by_alias=True)
        if request.attachments or kind == "multipart/form-data":
            request.attachments = {**form_fields(form), **request.attachments}
        else:
            request.body = urlencode(wire.pairs(form)).encode()
        return
    body = params.__pydantic_serializer__.to_json(params, include=sent, by_alias=True)
    if _MASK in body:
        try:
            body = to_json(_revealed(from_json(body), params.model_dump(include=sent, by_alias=True)))
        except _HiddenError:
            message = "the body cannot be sent: it has a secret elsewhere than in models, lists and dicts"
            raise HTTPRequestError(message, request) from None
    request.body = body
    if not kind:
        request.headers = {**request.headers, "Content-Type": "application/json"}


class FormValue(str):
    """A plain member of a multipart form, beside its files."""

    __slots__ = ()


def form_fields(form: Mapping[str, Any]) -> dict[str, list[FormValue]]:
    """Return the members of a form as texts."""
    found: dict[str, list[FormValue]] = {}
    for name, text in wire.pairs(form):
        found.setdefault(name, []).append(FormValue(text))
    return found


def _revealed(shown: Any, values: Any) -> Any:
    """Put the secrets of ``values`` in the place of their masks in ``shown``.

    Raises:
        _HiddenError: there is a secret that cannot be found in ``values``.
    """
    if hasattr(values, "get_secret_value"):
        secret = values.get_secret_value()
        return secret.decode() if isinstance(secret, bytes) else secret
    kind, of = cast("object", type(shown)), values.__class__  # not narrowed: what is in them is anything
    if kind is dict and issubclass(of, dict) and len(shown) == len(values):
        return {
            _revealed(key, name): _revealed(item, value)
            for (key, item), (name, value) in zip(shown.items(), values.items(), strict=True)
        }
    if kind is list and issubclass(of, _ITEMS) and len(shown) == len(values):
        return [_revealed(item, value) for item, value in zip(shown, values, strict=True)]
    if shown != values and _MASK in to_json(shown):
        raise _HiddenError
    return shown


ModelError = pydantic.ValidationError
