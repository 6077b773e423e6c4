"""The list of mutants that change nothing names each of them, with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.mutation.equivalents import FILE, read, split
from tools.mutation.lua_mutants import lua_mutants

ROOT = Path(__file__).parents[3]
SOURCE = "local function f(a)\n  return a < 1\nend\n"
ENTRY = """
# a comment
a.lua in f
- return a < 1
+ return a <= 1
a is never 1,
as everybody knows

a.lua
- gone
+ gone too
an old one
"""


def test_listed_mutants_are_not_run_and_old_entries_are_told() -> None:
    mutants = lua_mutants("a.lua", SOURCE)
    entries = read(ENTRY)
    assert entries[0].reason == "a is never 1, as everybody knows"
    run, listed, stale = split(mutants, entries)
    assert [mutant.after for mutant in listed] == ["return a <= 1"]
    assert len(run) == len(mutants) - 1
    assert [entry.before for entry in stale] == ["gone"]


@pytest.mark.parametrize("text", ["a.lua\n- a\n+ b", "a.lua\nreason", "a.lua\n+ a\n- b\nreason"])
def test_an_entry_without_a_reason_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a reason"):
        read(text)


def test_the_mutant_of_a_deleted_line_can_be_listed() -> None:
    mutants = [m for m in lua_mutants("a.lua", "f()\n") if m.operator == "statement deleted"]
    run, listed, stale = split(mutants, read("a.lua\n- f()\n+\nnobody waits for it"))
    assert (run, len(listed), stale) == ([], 1, [])


def test_the_list_of_this_repository_is_complete() -> None:
    for entry in read(FILE.read_text("utf-8")):
        assert (ROOT / entry.path).is_file(), entry
