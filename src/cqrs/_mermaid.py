"""What Mermaid diagrams of the library have in common: how a class is named and drawn."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, TypeVar


def type_label(message: Any, otherwise: str) -> str:
    """Return how a type is named in a diagram; ``otherwise`` when nothing concrete was declared."""
    if message is None or isinstance(message, TypeVar):
        return otherwise
    return message.__name__ if isinstance(message, type) else str(message).replace("typing.", "")


def is_drawn(message: Any) -> bool:
    """Tell whether a type is a class of the application, which class diagrams show."""
    return isinstance(message, type) and message.__module__ != "builtins"


def class_of_message(message: Any) -> Iterator[str]:
    """Yield the lines that draw a class with the fields that its own annotations declare."""
    if not is_drawn(message):
        return
    yield f"    class {message.__name__} {{"
    for klass in reversed(message.__mro__):
        # Only the classes of the application; the bases that come with a library have nothing to tell.
        if klass.__module__.partition(".")[0] in {"builtins", "abc", "typing", "pydantic", "cqrs"}:
            continue
        for name, annotation in inspect.get_annotations(klass).items():
            if not name.startswith("_"):
                yield f"        +{name} {_annotation(annotation)}"
    yield "    }"


def _annotation(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else type_label(annotation, "Any")
    return text.translate({ord("{"): "(", ord("}"): ")", ord("\n"): " "})
