"""Functions that a setting names."""

from __future__ import annotations

from collections.abc import Awaitable

import pytest

from icelane.aio.named_function import load_function
from icelane.errors import ConfigurationError

YES = "yes"


def is_no_coroutine(_: object) -> Awaitable[object]:
    raise ValueError


async def a_function(_: object) -> object:
    return YES


class _Callable:
    async def __call__(self, _: object) -> object:
        return YES


AN_OBJECT = _Callable()


def test_a_function_is_found_by_its_name() -> None:
    assert load_function(f"{__name__}:a_function", "hooks.before_connect") is a_function
    assert load_function(f"{__name__}:AN_OBJECT", "hooks.before_connect") is AN_OBJECT


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_such_package.module:function", "no module no_such_package"),
        (f"{__name__}:nothing", "it has no nothing"),
        (f"{__name__}:is_no_coroutine", "async def"),
        (f"{__name__}:YES", "async def"),
    ],
)
def test_a_name_that_leads_nowhere_names_the_key(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        load_function(name, "hooks.before_connect")
    assert caught.value.key == "hooks.before_connect"
