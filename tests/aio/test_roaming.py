"""A transfer goes on when the network of the sender changes in its middle, on real interfaces."""

from __future__ import annotations

import json

import pytest

from tests.aio.roaming import MEGABYTE
from tests.server.namespaces import run_module


def roam(change: str, megabytes: int) -> None:
    found = json.loads(run_module("tests.aio.roaming", "--megabytes", str(megabytes), "--change", change, timeout=300))
    print(found)
    assert found["is_whole"]
    assert found["size"] == megabytes * MEGABYTE
    assert found["paths"] >= 1, "the path is another one"
    # The change itself takes up to two seconds; noticing it one, a restart and SCTP's next attempt the rest.
    assert found["without_data"] < 15


@pytest.mark.parametrize("change", ["address", "cable", "down"])
def test_a_transfer_arrives_whole_when_the_network_changes_in_its_middle(change: str) -> None:
    roam(change, 16)


@pytest.mark.long
@pytest.mark.parametrize("change", ["address", "cable", "down"])
def test_a_hundred_megabytes_arrive_whole_when_the_network_changes_in_their_middle(change: str) -> None:
    roam(change, 100)
