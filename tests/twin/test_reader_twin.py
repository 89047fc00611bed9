"""The two forms of the cursor agree on every value and on every refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from tests.twin.twins import pure_form, running_form

pytestmark = pytest.mark.twin

NAME = "icelane.core.reader"
FORMS = {"bytes": bytes, "bytearray": bytearray, "memoryview": memoryview}
steps = st.lists(
    st.tuples(
        st.sampled_from(["uint8", "uint16", "uint32", "uint64", "rest", "take", "skip"]),
        st.integers(-3, 12) | st.sampled_from([-(2**63), 2**31, 2**32 - 1, 2**63 - 1]),
    ),
    max_size=12,
)


def outcome(reader: object, step: str, size: int) -> object:
    """What a step returns, or the text of its refusal; then where the reader stands."""
    method = getattr(reader, step)
    try:
        result = method(size) if step in ("take", "skip") else method()
    except MalformedError as error:
        result = str(error)
    return type(result), result, getattr(reader, "position"), getattr(reader, "remaining")  # noqa: B009


@given(data=st.binary(max_size=40), form=st.sampled_from(sorted(FORMS)), script=steps)
def test_both_forms_read_the_same(data: bytes, form: str, script: list[tuple[str, int]]) -> None:
    """ST-7, FZ-1."""
    running = running_form(NAME).Reader(FORMS[form](data))
    pure = pure_form(NAME).Reader(FORMS[form](data))
    for step, size in script:
        assert outcome(running, step, size) == outcome(pure, step, size)


def test_neither_form_grows_attributes() -> None:
    for module in (running_form(NAME), pure_form(NAME)):
        with pytest.raises(AttributeError):
            module.Reader(b"").extra = 1
