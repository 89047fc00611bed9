"""SASLprep and OpaqueString."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from icelane.stun.preparation import opaque_string, saslprep

PREPARATIONS = [saslprep, opaque_string]


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
    ],
)
def test_saslprep_agrees_with_the_examples_of_rfc_4013(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    "text", ["\u0007", "\u0627\u0031", "a\u0627", "\u0627a\u0627", "\ud800", "\ue000", "\u00ad", ""]
)
def test_saslprep_refuses_prohibited_text(text: str) -> None:
    with pytest.raises(MalformedError):
        saslprep(text)


def test_the_password_of_the_published_long_term_vector_needs_saslprep() -> None:
    """ST-1: RFC 5769 section 2.4 prepares by SASLprep; OpaqueString has no such mapping and refuses the soft hyphen."""
    password = "The\u00adM\u00aatr\u2168"
    assert saslprep(password) == "TheMatrIX"
    with pytest.raises(MalformedError):
        opaque_string(password)


def test_the_user_name_of_the_published_vectors_stays_as_it_is() -> None:
    name = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
    assert saslprep(name) == name
    assert opaque_string(name) == name


def test_opaque_string_keeps_compatibility_characters_and_maps_spaces() -> None:
    assert opaque_string("Correct\u00a0Horse\u2003Battery") == "Correct Horse Battery"
    assert opaque_string("\u03c0\u00df\u00e5") == "\u03c0\u00df\u00e5"
    assert opaque_string("Jack of \u2666s") == "Jack of \u2666s"
    assert opaque_string("e\u0301") == "\u00e9"


@pytest.mark.parametrize("text", ["", "my cat is a \tby", "\x00", "\x7f", "\ud800", "\u200d"])
def test_opaque_string_refuses_disallowed_text(text: str) -> None:
    with pytest.raises(MalformedError):
        opaque_string(text)


@pytest.mark.parametrize("prepare", PREPARATIONS)
def test_an_error_never_shows_the_text(prepare: Callable[[str], str]) -> None:
    with pytest.raises(MalformedError) as caught:
        prepare("hunter2\x07")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("prepare", PREPARATIONS)
@given(text=st.text(alphabet=st.characters(codec=None)))
def test_only_the_parse_error_escapes_and_the_result_is_stable(prepare: Callable[[str], str], text: str) -> None:
    """ST-7: one typed error, whatever the text; what was prepared once stays the same."""
    try:
        once = prepare(text)
    except MalformedError:
        return
    assert once
    once.encode()
    assert unicodedata.is_normalized("NFC", once) or prepare is saslprep
    try:
        assert prepare(once) == once
    except MalformedError:  # a character of Unicode 3.2 whose NFKC form is not stable cannot be a credential twice
        assert prepare is saslprep
