from __future__ import annotations

import uuid

from icelane.ice.candidate import is_mdns_name
from icelane.peer.host_names import HostNames
from icelane.testing.entropy import SeededEntropy


def test_a_name_is_a_random_uuid_of_the_local_network() -> None:
    for seed in range(50):
        name = HostNames(SeededEntropy(seed)).of("192.0.2.7")
        assert is_mdns_name(name)
        known = uuid.UUID(name.removesuffix(".local"))
        assert (known.version, known.variant) == (4, uuid.RFC_4122)


def test_each_address_has_a_name_of_its_own_that_stays() -> None:
    """IC-9: and another connection has others."""
    names, others = HostNames(SeededEntropy(1)), HostNames(SeededEntropy(2))
    first = names.of("192.0.2.7")
    assert names.of("192.0.2.7") == first
    assert len({first, names.of("192.0.2.8"), others.of("192.0.2.7")}) == 3
