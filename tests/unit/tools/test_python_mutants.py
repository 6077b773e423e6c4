"""Each operator makes the mutants that it promises; what only people and type checkers read stays."""

from __future__ import annotations

import pytest
from tools.mutation.python_mutants import python_mutants


def changed(source: str, operator: str = "") -> list[str]:
    found = [mutant for mutant in python_mutants("a.py", source) if mutant.operator.startswith(operator)]
    return [mutant.apply(source) for mutant in found]


@pytest.mark.parametrize(
    ("operator", "source", "expected"),
    [
        ("condition", "if a: b()", ["if True: b()", "if False: b()", "if (not (a)): b()"]),
        ("condition", "while a: b()", ["while False: b()", "while (not (a)): b()"]),
        ("condition", "x = b if a else c", [f"x = b if {v} else c" for v in ("True", "False", "(not (a))")]),
        (
            "condition",
            "x = [b for b in c if a]",
            [f"x = [b for b in c if {v}]" for v in ("True", "False", "(not (a))")],
        ),
        ("operand of and", "x = a and b and c", ["x = b and c", "x = a and c", "x = a and b"]),
        ("operand of or", "x = (a and b) or c", ["x = (a and b)", "x = c"]),
        ("comparison", "x = a < b <= c", ["x = a <= b <= c", "x = a < b < c"]),
        ("comparison", "x = a is not b", ["x = a is b"]),
        ("comparison", "x = (a) in b", ["x = (a) not in b"]),
        ("comparison", "x = a != b", ["x = a == b"]),
        ("arithmetic", "x = a + b // c", ["x = a - b // c", "x = a + b * c"]),
        ("arithmetic", "a.b += c", ["a.b -= c"]),
        ("arithmetic", "x = a + 'text'", []),
        ("not", "x = not a", ["x = (a)"]),
        ("-", "x = -a", ["x = (a)"]),
        ("constant", "x = 1 if a else 0.5", ["x = 2 if a else 0.5", "x = 1 if a else 1.5"]),
        ("constant", "x = f(y=True)", ["x = f(y=False)"]),
        ("call", "x = max(a, b)", ["x = min(a, b)"]),
        ("return value", "def f(): return a", ["def f(): return None"]),
        ("return value", "def f(): return", []),
        ("field", "x = {'a': 1, 'b': c}", ["x = {'b': c}", "x = {'a': 1}"]),
        ("statement", "a.b = c", ["pass"]),
        ("statement", "a[b] = c", ["pass"]),
        ("statement", "await_(x)", ["pass"]),
        ("statement", "for a in b:\n    if a: continue", ["for a in b:\n    if a: pass"]),
        ("statement", "raise a", ["pass"]),
        (
            "statement",
            "def f():\n    x = 1\n    x = 2",
            ["def f():\n    pass\n    x = 2", "def f():\n    x = 1\n    pass"],
        ),
        ("statement", "def f(x):\n    x = 1", ["def f(x):\n    pass"]),
        ("statement", "def f():\n    x = y", []),
    ],
)
def test_an_operator_makes_these_mutants(operator: str, source: str, expected: list[str]) -> None:
    assert sorted(changed(source, operator)) == sorted(expected)


@pytest.mark.parametrize(
    "source",
    [
        "from a import b",
        "def f(x: Literal[1] = a) -> Literal[2]: ...",
        "@decorator(frozen=True)\nclass A: ...",
        "assert a < 1",
        "x = f'{a + 1:>{b + 2}}'",
        "def f():\n    '''Text.'''",
        "if TYPE_CHECKING:\n    x = 1",
        "__all__ = ['a' + 'b']",
        "class A(Protocol):\n    def f(self, x=1): ...",
        "@overload\ndef f(x=1): ...",
    ],
)
def test_what_is_no_behaviour_stays(source: str) -> None:
    assert changed(source) == []


def test_operands_on_several_lines_stay_together() -> None:
    source = "x = (\n    a\n    and b\n    and c\n)\n"
    assert all(compile(text, "x", "exec") for text in changed(source))
    assert len(changed(source, "operand")) == 3


def test_a_mutant_knows_its_place_behind_letters_of_several_bytes() -> None:
    source = "class A:\n    def f(self):\n        x = 'äöü', self.a < 1\n"
    (mutant,) = [m for m in python_mutants("a.py", source) if m.operator == "comparison"]
    assert (mutant.line, mutant.function) == (3, "A.f")
    assert mutant.after == "x = 'äöü', self.a <= 1"
