"""The quick decoder gives what json gives, value for value, and fails as json fails."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipegen.results.fast_json import decode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_any_value_comes_out_as_json_gives_it(value: object) -> None:
    for ascii_only in (True, False):
        # Single surrogates cannot be written as UTF-8; `surrogatepass` makes what json itself would refuse.
        raw = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "replace")
        assert decode(raw) == json.loads(raw)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_every_bit_of_a_sample_is_kept(samples: list[float]) -> None:
    assert decode(json.dumps(samples).encode()) == samples


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1, "a": 2}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": "ü"}'.encode("utf-16"),
        b'"\\ud800"',
        b"[1e999, -Infinity, 100000000000000000000000000]",
        b" [1] \n",
        b"[" * 300 + b"]" * 300,
    ],
)
def test_odd_texts_come_out_as_json_gives_them(raw: bytes) -> None:
    assert decode(raw) == json.loads(raw)


def test_what_is_not_a_number_stays_so() -> None:
    assert math.isnan(decode(b"[NaN]")[0])


@pytest.mark.parametrize("raw", [b"", b"{", b"[1,]", b"{'a': 1}", b"[1] x", b"\xff", b"nul", b'["\t"]'])
def test_what_is_not_json_fails_as_json_fails(raw: bytes) -> None:
    with pytest.raises(ValueError) as expected:
        json.loads(raw)
    with pytest.raises(ValueError) as caught:
        decode(raw)
    assert (type(caught.value), str(caught.value)) == (type(expected.value), str(expected.value))


def test_too_deep_a_text_is_refused() -> None:
    with pytest.raises((RecursionError, ValueError)):
        decode(b"[" * 1_000_000)
