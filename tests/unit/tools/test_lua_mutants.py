"""Each operator makes the mutants that it promises, and nothing that is not Lua."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.mutation.lua_mutants import lua_mutants
from tools.mutation.lua_syntax import parse

ROOT = Path(__file__).parents[3]


def changed(source: str, operator: str) -> list[str]:
    found = [mutant for mutant in lua_mutants("a.lua", source) if mutant.operator.startswith(operator)]
    return [mutant.apply(source) for mutant in found]


@pytest.mark.parametrize(
    ("operator", "source", "expected"),
    [
        ("condition", "if a then b() end", ["true", "false", "not (a)"]),
        ("condition", "if x then elseif a then b() end", ["true", "false", "not (a)"]),
        ("condition", "while a do b() end", ["false", "not (a)"]),
        ("condition", "repeat b() until a", ["true", "not (a)"]),
    ],
)
def test_conditions_are_removed_and_negated(operator: str, source: str, expected: list[str]) -> None:
    found = [text for text in changed(source, operator) if "x" not in source or "if x" in text]
    assert found == [source.replace(" a", f" {value}") for value in expected]


@pytest.mark.parametrize(
    ("operator", "source", "expected"),
    [
        ("operand of and", "x = a and b", ["x = a", "x = b"]),
        ("operand of or", "x = a or b or c", ["x = a or b", "x = c", "x = a or c", "x = b or c"]),
        ("operand of or", "x = a and b or c", ["x = a and b", "x = c"]),
        ("comparison", "x = a < b", ["x = a <= b"]),
        ("comparison", "x = a >= b", ["x = a > b"]),
        ("comparison", "x = a == b", ["x = a ~= b"]),
        ("arithmetic", "x = a + b", ["x = a - b"]),
        ("arithmetic", "x = a*b", ["x = a/b"]),
        ("arithmetic", "x = a+-b", ["x = a- -b"]),
        ("not", "x = not a", ["x = a"]),
        ("-", "x = -a", ["x = a"]),
        ("constant", "x = 9", ["x = 10"]),
        ("constant", "x = 0.5", ["x = 1.5"]),
        ("constant", "x = true", ["x = false"]),
        ("call", "x = math.max(a, b)", ["x = math.min(a, b)"]),
        ("call", "x = math.ceil(a)", ["x = math.floor(a)"]),
        ("statement", "f() a = b", [" a = b", "f() "]),
        ("statement", "redis.call('DEL', k)", [""]),
        ("statement", "if a then f() return end", ["if a then  return end", "if a then f()  end"]),
        ("assignment", "a, b = 1, 2", ["a = 1", "b = 2"]),
        ("return value", "return a, nil", ["return nil, nil"]),
        ("field", "t = { a = 1, 2, b }", ["t = { 2, b }", "t = { a = 1, b }", "t = { a = 1, 2 }"]),
        ("field", "t = { a }", ["t = {  }"]),
    ],
)
def test_an_operator_makes_these_mutants(operator: str, source: str, expected: list[str]) -> None:
    assert sorted(changed(source, operator)) == sorted(expected)


@pytest.mark.parametrize(
    "source",
    [
        "local x = f",
        "x = 'text'",
        "-- if a then b() end",
        "local function f() return end",
        "if a then return end",
    ],
)
def test_strings_comments_and_declarations_stay(source: str) -> None:
    assert [
        m for m in lua_mutants("a.lua", source) if not m.operator.startswith(("condition", "statement"))
    ] == []


def test_a_mutant_knows_its_place() -> None:
    source = "local function f(a)\n  -- why\n  if a\n    < 1 then return a end\nend\n"
    (mutant,) = [m for m in lua_mutants("a.lua", source) if m.operator == "comparison"]
    assert (mutant.line, mutant.function) == (4, "f")
    assert (mutant.before, mutant.after) == ("< 1 then return a end", "<= 1 then return a end")
    assert str(mutant).splitlines()[0] == "a.lua:4 in f [comparison]"


def test_the_same_text_is_made_once() -> None:
    # the loop's condition turned round is its negation
    texts = changed("if true then f() end", "")
    assert len(texts) == len(set(texts))


def test_every_mutant_of_the_script_of_the_store_is_lua() -> None:
    for path in ROOT.glob("src/cqrs/**/*.lua"):
        source = path.read_text("utf-8")
        found = lua_mutants(path.name, source)
        assert len(found) > 100
        for mutant in found[::40]:
            parse(mutant.apply(source))
