"""Results: a value or an error."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from cqrs.http import Err, HTTPResponse, Ok, ResponseBox, Result, ResultError


def test_a_value() -> None:
    result: Result[int, str] = Ok(2)
    assert result.is_ok()
    assert not result.is_err()
    assert result.unwrap() == result.expect("why") == result.unwrap_or(3) == result.unwrap_or_else(len) == 2
    assert result.unwrap_or_raise(KeyError) == result.as_optional() == 2
    assert result.map(str) == Ok("2")
    assert result.map_or(0, lambda value: value + 1) == 3
    assert result.map_or_else(len, lambda value: value + 1) == 3
    assert result.map_err(len) == Ok(2)
    assert result.and_then(lambda value: Ok(value * 2)) == Ok(4)
    assert result.or_else(lambda error: Ok(0)) == Ok(2)
    assert repr(result) == "Ok(2)"
    with pytest.raises(ResultError, match="there is no error, but the value 2"):
        result.unwrap_err()
    with pytest.raises(ResultError, match="why: 2"):
        result.expect_err("why")


def test_an_error() -> None:
    result: Result[int, str] = Err("gone")
    assert result.is_err()
    assert not result.is_ok()
    assert result.unwrap_err() == result.expect_err("why") == "gone"
    assert result.unwrap_or(3) == 3
    assert result.unwrap_or_else(len) == 4
    assert result.as_optional() is None
    assert result.map(str) == Err("gone")
    assert result.map_or(0, lambda value: value + 1) == 0
    assert result.map_or_else(len, lambda value: value + 1) == 4
    assert result.map_err(len) == Err(4)
    assert result.and_then(lambda value: Ok(value)) == Err("gone")
    assert result.or_else(lambda error: Ok(0)) == Ok(0)
    assert repr(result) == "Err('gone')"
    with pytest.raises(ResultError, match="there is no value, but the error 'gone'"):
        result.unwrap()
    with pytest.raises(ResultError, match="why: gone"):
        result.expect("why")
    with pytest.raises(KeyError, match="gone"):
        result.unwrap_or_raise(KeyError)


def test_an_error_that_is_an_exception_is_raised_itself() -> None:
    error = KeyError("x")
    with pytest.raises(KeyError) as raised:
        Err(error).unwrap()
    assert raised.value is error
    with pytest.raises(ResultError) as raised_by_expect:
        Err(error).expect("why")
    assert raised_by_expect.value.__cause__ is error
    other = ValueError("y")
    with pytest.raises(ValueError, match="y") as raised_instead:
        Err(error).unwrap_or_raise(other)
    assert raised_instead.value is other
    assert other.__cause__ is error


def test_results_compare_by_what_they_hold() -> None:
    assert Ok(1) == Ok(1) != Ok(2)
    assert Ok("x") != Err("x")
    assert Ok(1) != 1
    assert ResponseBox(1) == Ok(1)


def test_a_value_of_none_is_a_value() -> None:
    assert Ok(None).is_ok()
    assert Ok(None).unwrap() is None


def test_a_box_knows_its_answer() -> None:
    box: ResponseBox[int, str] = ResponseBox(1, response=HTTPResponse(200, {}, content=b"[1]"))
    assert box.json == [1]
    assert box.as_result() == Ok(1)
    assert type(box.as_result()) is Result
    assert ResponseBox(error="x").json is None
    assert ResponseBox(1, response=HTTPResponse(200, {}, content=b"text")).json is None
    assert ResponseBox(error="x").as_result() == Err("x")


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given))])
def test_copies_are_what_the_original_is(again: Any) -> None:
    answer = HTTPResponse(200, {"X-A": "1"}, content=b"[1]")
    box = again(ResponseBox([1], response=answer))
    assert (box.is_ok(), box.unwrap(), box.json, box.response) == (True, [1], [1], answer)
    assert again(Ok(None)) == Ok(None)
    assert again(Ok(1)).map(str) == Ok("1")
    assert again(Err("x")).unwrap_err() == "x"
    assert again(ResultError("why", Ok(1))).result == Ok(1)
