"""The package's face."""

from __future__ import annotations

import subprocess
import sys

import pytest

import icelane


@pytest.mark.parametrize("name", sorted(set(icelane.__all__)))
def test_everything_that_is_exported_can_be_had(name: str) -> None:
    assert getattr(icelane, name) is not None


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = icelane.nothing


def test_signaling_has_its_client_by_another_name_and_only_when_it_is_asked_for() -> None:
    program = (
        "import sys, icelane.signaling as signaling; before = 'icelane.signaling.client' in sys.modules;"
        "print(before, signaling.Client is __import__('icelane').SignalClient, hasattr(signaling, 'Server'))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True", "False"]


def test_importing_the_package_imports_neither_asyncio_nor_any_dependency() -> None:
    program = "import sys, icelane; print([m for m in ('asyncio', 'dns', 'typer', 'rich') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
