"""Every way to be broken that is made in a lab is named by `icelane doctor`, each as what it is, with a mend."""

from __future__ import annotations

import pytest

from tests.diagnostics.broken_setups import SETUPS, Diagnosed, Setup, diagnose_all, members
from tests.testing.lab.sockets import need_lab

pytestmark = [pytest.mark.interop, pytest.mark.once]


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Diagnosed]:
    need_lab(*members())
    return {one.setup.slug: one for one in diagnose_all(tmp_path_factory.mktemp("setups"))}


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.slug)
def test_the_doctor_names_the_cause_that_was_made(setup: Setup, diagnosed: dict[str, Diagnosed]) -> None:
    found = diagnosed[setup.slug]
    assert found.named == (setup.named.value if setup.named is not None else None), found.document
    assert bool(found.mend) == (setup.named is not None)
    silent = {"server-silent": 4, "name-unknown": 4}
    assert found.code == (0 if setup.named is None else silent.get(setup.named.value, 1))


def test_no_secret_is_in_what_the_doctor_says(diagnosed: dict[str, Diagnosed]) -> None:
    for found in diagnosed.values():
        assert "more than thirty-two bytes" not in str(found.document)
