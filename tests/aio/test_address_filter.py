from __future__ import annotations

import pytest

from icelane.aio.address_filter import address_filter
from icelane.errors import SyntaxError_

HOSTS = ("10.1.2.3", "192.0.2.7", "192.0.2.200", "2001:db8::7", "fd00::7")


def used(addresses: object) -> set[str]:
    accepts = address_filter(addresses)
    return {host for host in HOSTS if accepts(host)}


def test_nothing_said_lets_everything() -> None:
    assert used(None) == set(HOSTS)
    assert used([]) == set(HOSTS)


def test_networks_are_the_only_ones() -> None:
    assert used(["192.0.2.0/24", "2001:db8::/32"]) == {"192.0.2.7", "192.0.2.200", "2001:db8::7"}
    assert used(["192.0.2.7"]) == {"192.0.2.7"}


def test_networks_with_an_exclamation_mark_are_left_out_whatever_the_order() -> None:
    assert used(["!10.0.0.0/8", "!fd00::/8"]) == {"192.0.2.7", "192.0.2.200", "2001:db8::7"}
    for order in (["192.0.2.0/24", "!192.0.2.128/25"], ["!192.0.2.128/25", "192.0.2.0/24"]):
        assert used(order) == {"192.0.2.7"}


def test_a_function_is_asked_about_each() -> None:
    assert used(lambda host: host.startswith("192.")) == {"192.0.2.7", "192.0.2.200"}


def test_an_address_for_which_the_function_fails_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    def broken(host: str) -> bool:
        return bool({"192.0.2.7": True}[host])

    assert used(broken) == {"192.0.2.7"}
    assert "addresses failed" in caplog.text


@pytest.mark.parametrize("addresses", ["192.0.2.0/24", 7, [7], [None], {"192.0.2.0/24"}])
def test_another_thing_than_networks_or_a_function_is_refused(addresses: object) -> None:
    with pytest.raises(TypeError, match="addresses is a list of networks"):
        address_filter(addresses)


@pytest.mark.parametrize("text", ["eth0", "192.0.2.0/33", "192.0.2.7/24", "!", "!!192.0.2.0/24", "", "192.0.2.0-9"])
def test_text_that_is_no_network_is_named(text: str) -> None:
    with pytest.raises(SyntaxError_, match=r"addresses: .* is no network"):
        address_filter([text])
