"""A peer of ours that tells names in place of its addresses, and browsers that ask for them on the link."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from icelane.ice.candidate import is_mdns_name, parse_candidate
from tests.interop.peers.calls import assert_bytes_arrive_unchanged
from tests.interop.peers.remote import Description
from tests.interop.peers.stage import Stage, stage

pytestmark = [pytest.mark.interop, pytest.mark.once]

PAYLOAD = 1_000_000


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as ready:
        yield ready


def without_candidates(description: Description) -> Description:
    """The same of somebody whom we cannot look for: whoever is to find the other has to resolve its name."""
    lines = description.sdp.splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("a=candidate:", "a=end-of-candidates"))]
    return Description(description.type, "".join(kept))


@pytest.mark.parametrize("kind", ["icelane", "chromium that hides its addresses", "firefox that hides its addresses"])
@pytest.mark.parametrize("we_offer", [True, False], ids=["we offer", "they offer"])
def test_a_browser_finds_us_by_the_name_that_we_answer_for(scene: Stage, kind: str, we_offer: bool) -> None:
    """IC-9: our description has no address; and the other alone can begin, as we are told none of its candidates.

    Browsers ask for names only where they hide their own addresses too, which is their default.
    """

    async def call() -> None:
        async with scene.started(kind, "icelane that hides") as (theirs, ours):
            offerer, answerer = (ours, theirs) if we_offer else (theirs, ours)
            await offerer.create_channel()
            await offerer.offer()
            offer = await offerer.wait_complete_description()
            await answerer.accept_offer(offer if we_offer else without_candidates(offer))
            answer = await answerer.wait_complete_description()
            await offerer.accept_answer(without_candidates(answer) if we_offer else answer)
            await asyncio.gather(ours.wait_open(), theirs.wait_open())
            said = offer if we_offer else answer
            assert said.candidates
            for line in said.candidates:
                assert is_mdns_name(parse_candidate(line).host)
            right = scene.lab["right"]
            assert not [host for host in (right.ipv4, right.ipv6) if host is None or host in said.sdp]
            await assert_bytes_arrive_unchanged(ours, theirs, PAYLOAD)

    scene.run(call())
