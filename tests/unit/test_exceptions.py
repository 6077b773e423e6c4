"""The tree of errors: drawn in one place, whole."""

from __future__ import annotations

import ast
from pathlib import Path

import cqrs
from cqrs import exceptions


def test_every_kind_of_error_is_drawn_in_the_tree() -> None:
    """Branches that a package draws itself, as that of service clients, are there by their root."""
    assert exceptions.__doc__ is not None
    kinds = {
        node.name
        for path in Path(cqrs.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and "CqrsError" in [base.id for base in node.bases if isinstance(base, ast.Name)]
    }
    assert {"SagaCompensatedError", "CircuitOpenError", "HTTPClientError"} <= kinds
    words = exceptions.__doc__.split()
    assert kinds == {kind for kind in kinds if kind in words}


def test_what_is_drawn_below_another_error_derives_from_it() -> None:
    assert exceptions.__doc__ is not None
    branch: list[type[BaseException]] = []
    drawn = 0
    for line in exceptions.__doc__.splitlines():
        text = line.lstrip(" │├└─")
        kind = getattr(exceptions, text.partition(" ")[0], None)
        if not isinstance(kind, type):
            continue
        depth = (len(line) - len(text)) // 4 - 1
        assert issubclass(kind, branch[depth - 1] if depth else exceptions.CqrsError)
        branch[depth:] = [kind]
        drawn += 1
    assert drawn > 20
