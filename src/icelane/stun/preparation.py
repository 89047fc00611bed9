"""Preparation of user names, realms and passwords before they are hashed, so that both ends hash the same bytes.

Two rules exist, and the request says which one holds:

* A request with PASSWORD-ALGORITHM comes from an RFC 8489 client: realm and password go through the OpaqueString
  profile (RFC 8489 section 9.2.2, RFC 8265 section 4.2), user names too (RFC 8489 section 14.3). It maps other spaces
  to SPACE, applies NFC and keeps the rest.
* A request without it may come from an RFC 5389 client, as every browser's does: the password goes through SASLprep
  (RFC 5389 section 15.4, RFC 4013), which also drops soft hyphens and folds compatibility characters.

They differ beyond ASCII. The password of RFC 5769 section 2.4, "The<U+00AD>M<U+00AA>tr<U+2168>", is "TheMatrIX" by
SASLprep; OpaqueString refuses it, because a soft hyphen is a disallowed code point there. Printable ASCII is the same
in both.
"""

from __future__ import annotations

import stringprep
import unicodedata

from icelane.errors import MalformedError

# RFC 4013 section 2.3: the tables of RFC 3454 whose members may not be in the output.
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str) -> str:
    """`text` by SASLprep (RFC 4013), as a query string: code points that Unicode 3.2 did not assign pass unchanged.

    Raises MalformedError when a prohibited code point, mixed direction or nothing is left. The error never holds the
    text, which may be a password.
    """
    if _is_plain(text):
        return text
    # Section 2.1 maps, section 2.2 normalises by the Unicode version that RFC 3454 is written against.
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in text if not stringprep.in_table_b1(c))
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not prepared:
        raise MalformedError("nothing is left of the text after SASLprep")
    if any(table(c) for c in prepared for table in _PROHIBITED):
        raise MalformedError("the text has a code point that SASLprep prohibits")
    _check_direction(prepared)
    return prepared


def opaque_string(text: str) -> str:
    """`text` by the OpaqueString profile (RFC 8265 section 4.2.2).

    Raises MalformedError for an empty text and for a disallowed code point. The error never holds the text, which may
    be a password.
    """
    if _is_plain(text):
        return text
    # Imported here: the tables of precis_i18n cost tens of milliseconds, and almost nobody needs them.
    import precis_i18n

    try:
        return str(precis_i18n.get_profile("OpaqueString").enforce(text))
    except ValueError:
        raise MalformedError("the text is empty or has a code point that OpaqueString disallows") from None


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and text != ""


def _check_direction(text: str) -> None:
    # RFC 3454 section 6: text with a right-to-left character has no left-to-right one, and begins and ends with one.
    if not any(map(stringprep.in_table_d1, text)):
        return
    if any(map(stringprep.in_table_d2, text)):
        raise MalformedError("the text mixes writing directions")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise MalformedError("right-to-left text begins and ends with a right-to-left character")
