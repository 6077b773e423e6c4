"""Diagrams of chains of responsibility."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import cqrs
from cqrs.exceptions import RequestHandlerTypeError
from cqrs.requests.cor_request_handler import CORRequestHandler
from cqrs.requests.fallback import RequestHandlerFallback
from cqrs.requests.mermaid import CoRMermaid


class Pay(cqrs.Request):
    amount: int
    method: str | None = None


@dataclasses.dataclass
class Paid:
    receipt: str


class Card(CORRequestHandler[Pay, Paid]):
    async def handle(self, request: Pay) -> Paid | None:
        return None


class CardByMail(CORRequestHandler[Pay, Paid]):
    async def handle(self, request: Pay) -> Paid | None:
        return None


class CardByHand(CardByMail):
    pass


class Cash(CORRequestHandler[Pay, Paid]):
    async def handle(self, request: Pay) -> Paid | None:
        return None


def test_the_sequence_asks_one_handler_after_the_other() -> None:
    assert CoRMermaid([Card, Cash]).sequence().splitlines() == [
        "sequenceDiagram",
        "    participant Caller",
        "    participant H1 as Card",
        "    participant H2 as Cash",
        "    Caller->>H1: Pay",
        "    alt answers",
        "        H1-->>Caller: Paid",
        "    else passes on",
        "        H1->>H2: Pay",
        "        alt answers",
        "            H2-->>Caller: Paid",
        "        else end of the chain",
        "            H2-->>Caller: None",
        "        end",
        "    end",
    ]


def test_the_sequence_shows_fallbacks() -> None:
    link = RequestHandlerFallback(Card, RequestHandlerFallback(CardByMail, CardByHand))

    lines = [line.strip() for line in CoRMermaid([link, Cash]).sequence().splitlines()]

    assert "participant H1F2 as CardByHand" in lines
    assert lines[lines.index("opt Card fails or its circuit is open") + 1] == "H1->>H1F1: Pay"
    assert lines[lines.index("opt CardByMail fails or its circuit is open") + 1] == "H1F1->>H1F2: Pay"
    assert "H1->>H2: Pay" in lines


def test_the_class_diagram_shows_the_chain_and_its_messages() -> None:
    lines = CoRMermaid([RequestHandlerFallback(Card, CardByMail), Cash]).class_diagram().splitlines()

    assert lines[0] == "classDiagram"
    for expected in [
        "    class Pay {",
        "        +amount int",
        "        +method str | None",
        "    class Paid {",
        "        +receipt str",
        '    class H1["Card"]',
        '    class H1F1["CardByMail"]',
        '    class H2["Cash"]',
        "    CORRequestHandler <|-- H1",
        "    H1 --> H2 : next",
        "    H1 ..> H1F1 : fallback",
        "    H1 ..> Pay : handles",
        "    H1 ..> Paid : returns",
    ]:
        assert expected in lines, expected


def test_braces_are_balanced_whatever_the_annotations() -> None:
    diagram = CoRMermaid([Card]).class_diagram()

    assert diagram.count("{") == diagram.count("}") == 3


class Untyped(CORRequestHandler):  # type: ignore[type-arg]
    async def handle(self, request: Any) -> Any:
        return None


def test_a_handler_that_names_no_types_is_drawn_too() -> None:
    assert "Caller->>H1: request" in CoRMermaid([Untyped]).sequence()
    assert "handles" not in CoRMermaid([Untyped]).class_diagram()


def test_an_empty_chain_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one handler"):
        CoRMermaid([])


@pytest.mark.parametrize("link", [int, "Card", Card()])
def test_only_links_are_drawn(link: Any) -> None:
    with pytest.raises(RequestHandlerTypeError, match="must be a CORRequestHandler class"):
        CoRMermaid([link])
