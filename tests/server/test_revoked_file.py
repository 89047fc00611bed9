from __future__ import annotations

from pathlib import Path

import pytest

from icelane.errors import ConfigurationError
from icelane.server.revoked_file import read_revoked
from icelane.turn.revocation import MAX_REVOKED, Revocation


def test_every_line_is_one_entry(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    file.write_text("# lost laptops\n\n 1800000000:carol\ncarol  \n--kid 2026a\nJürgen Ä\n")
    assert read_revoked(file) == {
        Revocation("1800000000:carol"),
        Revocation("carol"),
        Revocation(kid="2026a"),
        Revocation("Jürgen Ä"),
    }


def test_without_a_file_nothing_is_revoked() -> None:
    assert read_revoked(None) == frozenset()


@pytest.mark.parametrize("text", ["--kid a:b", "x" * 509, None])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str | None) -> None:
    """TR-12: a list that is half understood would let somebody in."""
    file = tmp_path / "revoked"
    if text is not None:
        file.write_text("alice\n" + text)
    with pytest.raises(ConfigurationError) as caught:
        read_revoked(file)
    assert caught.value.key == "turn.revoked_file"
    assert caught.value.file == str(file)


def test_a_list_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    file.write_text("\n".join(f"user{number}" for number in range(MAX_REVOKED + 1)))
    with pytest.raises(ConfigurationError, match="more than"):
        read_revoked(file)
