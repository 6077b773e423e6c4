"""The parser reads what Lua 5.1 reads, and knows where things stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.mutation.lua_syntax import Node, parse
from tools.mutation.lua_tokens import LuaSyntaxError, tokens

ROOT = Path(__file__).parents[3]


def binary(source: str) -> str:
    """Return an expression with brackets around every binary and unary operation."""
    (statement,) = parse(f"return {source}").parts["body"]
    (value,) = statement.parts["values"]
    return bracketed(value, f"return {source}")


def bracketed(node: Node, source: str) -> str:
    if node.kind == "binary":
        left, right = (bracketed(node.parts[side][0], source) for side in ("left", "right"))
        return f"({left} {node.text} {right})"
    if node.kind == "unary":
        return f"({node.text} {bracketed(node.parts['operand'][0], source)})"
    return source[node.start : node.end]


def test_comments_and_strings_are_told_from_code() -> None:
    source = """a = 'x -- y' --[[ long
    comment ]] .. "it's" --[==[ ]] ]==] .. [[raw
]] -- end"""
    assert [token.text for token in tokens(source)] == [
        "a",
        "=",
        "'x -- y'",
        "..",
        '"it\'s"',
        "..",
        "[[raw\n]]",
        "",
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a or b and c", "(a or (b and c))"),
        ("a and b or c", "((a and b) or c)"),
        ("not a == b", "((not a) == b)"),
        ("a - b - c", "((a - b) - c)"),
        ("a .. b .. c", "(a .. (b .. c))"),
        ("2 ^ 3 ^ 2", "(2 ^ (3 ^ 2))"),
        ("-x ^ 2", "(- (x ^ 2))"),
        ("2 ^ -x", "(2 ^ (- x))"),
        ("a + b * c < d .. e", "((a + (b * c)) < (d .. e))"),
        ("#t + 1", "((# t) + 1)"),
        ("f(a, b).c['d']:e{1} == g'x'", "(f(a, b).c['d']:e{1} == g'x')"),
    ],
)
def test_operators_bind_as_in_the_manual(source: str, expected: str) -> None:
    assert binary(source) == expected


def test_statements_need_no_separator() -> None:
    body = parse("a = b c = d f(x) local y = 1; return y").parts["body"]
    assert [node.kind for node in body] == ["assign", "assign", "statement", "local", "return"]


def test_every_statement_is_read() -> None:
    source = """
    local function one(a, ...) return ... end
    function t.two:three() end
    for i = 1, 10, 2 do while i do break end end
    for k, v in pairs(t) do repeat local x until x end
    do local a, b = 1, 2; a, b = b, a end
    if a then elseif b then else end
    t = { 1, [k] = v, name = function() return end; last }
    """
    kinds = {node.kind for node, _ in parse(source).walk()}
    assert {"function", "for", "while", "repeat", "do", "local", "if", "break", "return", "field"} <= kinds


def test_functions_are_named_after_what_they_are_assigned_to() -> None:
    source = "local function a() x() end  b.c = function() y() end  local t = { d = function() z() end }  w()"
    around = {
        source[node.start : node.end]: name for node, name in parse(source).walk() if node.kind == "statement"
    }
    assert around == {"x()": "a", "y()": "b.c", "z()": "d", "w()": ""}


@pytest.mark.parametrize("source", ["if a do end", "x = ", "f(", "a b", "return 1 x = 2", "x = ?", "end"])
def test_what_is_not_lua_is_refused(source: str) -> None:
    with pytest.raises(LuaSyntaxError):
        parse(source)


def test_the_script_of_the_store_is_read() -> None:
    for path in ROOT.glob("src/cqrs/**/*.lua"):
        source = path.read_text("utf-8")
        assert parse(source).parts["body"][-1].end == len(source.rstrip()), path
