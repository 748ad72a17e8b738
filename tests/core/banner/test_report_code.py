"""Codes of messages in reports: nobody can report about a message that was not theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.banner import find_report_codes, report_code, verify_report_code
from mailveil.core.observation import observation_identifier

KEY = b"a key of the organisation's"
MESSAGE = observation_identifier(1_790_000_000.0, "1a-2b", "default")


def test_a_code_names_the_message_that_it_was_made_for() -> None:
    code = report_code(MESSAGE, "default", KEY)
    assert len(code) == 40
    assert code == report_code(MESSAGE, "default", KEY)
    assert verify_report_code(code, "default", KEY) == MESSAGE
    assert verify_report_code(code.upper(), "default", KEY) == MESSAGE


def test_it_means_nothing_to_another_organisation_or_under_another_key() -> None:
    code = report_code(MESSAGE, "default", KEY)
    assert verify_report_code(code, "other", KEY) is None
    assert verify_report_code(code, "default", b"another key") is None


@given(st.integers(0, 39), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_with_one_letter_changed_it_is_no_code(at: int, letter: str) -> None:
    code = report_code(MESSAGE, "default", KEY)
    changed = code[:at] + letter + code[at + 1 :]
    assert verify_report_code(changed, "default", KEY) == (MESSAGE if changed == code else None)


@given(st.text())
def test_anything_else_is_no_code(text: str) -> None:
    assert verify_report_code(text, "default", KEY) is None


def test_codes_are_found_in_a_text_however_it_is_quoted() -> None:
    code = report_code(MESSAGE, "default", KEY)
    assert find_report_codes(
        f"Re: mailveil {code.upper()}\r\n> https://c.example/report?code={code}\r\n"
    ) == [code]
    assert find_report_codes("x" * 100_000) == []
    assert (
        len(
            find_report_codes(
                " ".join(
                    f"{number:040d}".replace("0", "a").replace("1", "b").replace("8", "c").replace("9", "d")
                    for number in range(100)
                )
            )
        )
        == 20
    )


@pytest.mark.parametrize("identifier", ["", "x" * 32, "0" * 31, "A" * 32])
def test_only_an_observation_has_a_code(identifier: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        report_code(identifier, "default", KEY)
