"""Error codes in plain words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import icelane.turn
from icelane.turn.explanation import EXPLAINED_CODES, explain

TURN = Path(icelane.turn.__file__).parent


def test_every_code_that_our_server_sends_has_words_of_its_own() -> None:
    sent = {
        int(code) for file in TURN.glob("*.py") for code in re.findall(r"Refusal\(\s*([0-9]{3}),", file.read_text())
    }
    assert len(sent) > 8
    assert sent <= EXPLAINED_CODES


@pytest.mark.parametrize("code", range(300, 700))
def test_every_possible_code_is_explained(code: int) -> None:
    explanation = explain(code)
    assert explanation.meaning
    assert explanation.mend
