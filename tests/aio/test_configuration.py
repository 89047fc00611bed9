from __future__ import annotations

from typing import Any

import pytest

from icelane.aio.configuration import RTCConfiguration, RTCIceServer
from icelane.core.net import Transport
from icelane.errors import InvalidAccessError, NotSupportedError, SyntaxError_
from icelane.peer.ice_server import MAX_URLS
from icelane.stun.uri import StunUri, TurnUri

FOR_BROWSERS = {
    "iceServers": [
        {"urls": "stun:stun.example.org"},
        {"urls": ["turn:turn.example.org?transport=tcp", "turns:turn.example.org"], "username": "a", "credential": "b"},
    ],
    "iceTransportPolicy": "relay",
    "bundlePolicy": "max-bundle",
    "iceCandidatePoolSize": 0,
    "lifetimeDuration": "86400s",
}


def test_the_object_that_browsers_take_is_understood() -> None:
    configuration = RTCConfiguration.from_json(FOR_BROWSERS)
    assert configuration.iceTransportPolicy == "relay"
    assert configuration.bundlePolicy == "max-bundle"
    found = configuration.check()
    assert [type(uri) for _, uri in found] == [StunUri, TurnUri, TurnUri]
    assert next(uri.transport for _, uri in found if isinstance(uri, TurnUri)) is Transport.TCP
    assert found[1][0].username == "a"


def test_a_policy_of_ours_comes_from_json_too() -> None:
    configuration = RTCConfiguration.from_json({"iceTransportPolicy": "relay-strict"})
    configuration.check()
    assert configuration.relay_only
    assert configuration.relay_strict
    assert RTCConfiguration(iceTransportPolicy="relay").relay_only
    assert not RTCConfiguration(iceTransportPolicy="relay").relay_strict
    assert not RTCConfiguration().relay_only


def test_nobody_is_contacted_whom_nobody_named() -> None:
    assert RTCConfiguration().check() == []
    assert RTCConfiguration.from_json({}).check() == []


@pytest.mark.parametrize(
    "body",
    [
        {"iceServers": "stun:stun.example.org"},
        {"iceServers": ["stun:stun.example.org"]},
        {"iceServers": [{}]},
        {"iceServers": [{"urls": 7}]},
        {"iceServers": [{"urls": [7]}]},
        {"iceServers": {"urls": "stun:stun.example.org"}},
        {"iceCandidatePoolSize": "1"},
    ],
)
def test_another_shape_is_a_type_error_as_in_web_idl(body: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        RTCConfiguration.from_json(body)


@pytest.mark.parametrize(
    "url", ["", "stun:", "http://example.org", "stun:ex ample.org", "turn:turn.example.org?transport=sctp"]
)
def test_a_url_that_does_not_parse_is_an_error_in_syntax(url: str) -> None:
    with pytest.raises(SyntaxError_):
        RTCIceServer(urls=url, username="a", credential="b").uris()


@pytest.mark.parametrize("account", [{}, {"username": "a"}, {"credential": "b"}, {"username": "", "credential": "b"}])
def test_a_turn_server_needs_an_account(account: dict[str, str]) -> None:
    with pytest.raises(InvalidAccessError):
        RTCIceServer(urls=["stun:stun.example.org", "turn:turn.example.org"], **account).uris()


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ({"username": "u" * 509}, InvalidAccessError),
        ({"username": "ü" * 255}, InvalidAccessError),
        ({"username": 5}, TypeError),
        ({"credential": b"b"}, TypeError),
    ],
)
def test_an_account_that_no_message_can_hold_is_refused(account: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        RTCIceServer(**({"urls": "turn:turn.example.org", "username": "a", "credential": "b"} | account)).uris()
    RTCIceServer(urls="turn:turn.example.org", username="ü" * 254, credential="b").uris()


@pytest.mark.parametrize(("kind", "error"), [("oauth", NotSupportedError), ("token", TypeError), ("", TypeError)])
def test_a_credential_that_is_no_password_is_refused(kind: str, error: type[Exception]) -> None:
    account = {"urls": "turn:turn.example.org", "username": "a", "credential": "b", "credentialType": kind}
    with pytest.raises(error):
        RTCIceServer(**account).uris()
    with pytest.raises(error):
        RTCConfiguration.from_json({"iceServers": [account]}).check()


def test_an_empty_list_of_urls_and_too_many_are_errors_in_syntax() -> None:
    with pytest.raises(SyntaxError_):
        RTCIceServer(urls=[]).uris()
    many = [RTCIceServer(urls=[f"stun:{number}.example.org" for number in range(MAX_URLS + 1)])]
    with pytest.raises(SyntaxError_):
        RTCConfiguration(iceServers=many).check()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"iceTransportPolicy": "public"}, TypeError),
        ({"bundlePolicy": "max"}, TypeError),
        ({"rtcpMuxPolicy": "sometimes"}, TypeError),
        ({"rtcpMuxPolicy": "negotiate"}, NotSupportedError),
    ],
)
def test_words_that_w3c_does_not_have_and_those_that_we_do_not_do_are_refused(
    words: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        RTCConfiguration.from_json(words).check()


@pytest.mark.parametrize(
    ("settings", "error", "names"),
    [
        ({"port_range": (50_100, 50_000)}, TypeError, r"\(50100, 50000\)"),
        ({"port_range": 50_000}, TypeError, "50000"),
        ({"addresses": ["192.0.2.0/33"]}, SyntaxError_, "192.0.2.0/33"),
        ({"addresses": ["192.0.2.0/24", 7]}, TypeError, "7"),
        ({"external_addresses": "example.org"}, SyntaxError_, "example.org"),
        ({"external_addresses": ["192.0.2.5"]}, TypeError, r"\['192.0.2.5'\]"),
        ({"external_address_type": "relay"}, TypeError, "relay"),
        ({"external_address_type": "srflx"}, TypeError, "external_addresses"),
        ({"patience": "x"}, TypeError, "patience is a positive number of seconds, not 'x'"),
        ({"patience": True}, TypeError, "patience"),
        ({"patience": float("nan")}, TypeError, "patience"),
    ],
)
def test_a_setting_of_ours_that_cannot_be_meant_is_named(
    settings: dict[str, Any], error: type[Exception], names: str
) -> None:
    with pytest.raises(error, match=names):
        RTCConfiguration(**settings).check()


def test_networks_as_one_string_are_refused_before_they_are_taken_apart() -> None:
    with pytest.raises(TypeError, match="addresses is a list"):
        RTCConfiguration(addresses="192.0.2.0/24").copy()


@pytest.mark.parametrize(
    "name", ["legacy_peers", "include_loopback", "hide_addresses", "ice_lite", "restart_on_network_change"]
)
@pytest.mark.parametrize("value", ["no", 0, None])
def test_a_switch_is_on_or_off(name: str, value: object) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(TypeError, match=f"{name} is True or False, not {value!r}"):
        RTCConfiguration(**settings).copy()


def test_a_name_of_an_interface_is_a_string() -> None:
    numbers: Any = ["eth0", 5]
    with pytest.raises(TypeError, match="string, and 5 is none"):
        RTCConfiguration(interfaces=numbers).copy()


@pytest.mark.parametrize("authority", [5, b"authority.pem"])
def test_an_authority_that_is_no_path_is_refused(authority: Any) -> None:
    with pytest.raises(TypeError, match="authority"):
        RTCConfiguration(authority=authority).copy()


def test_a_copy_has_its_own_list_of_networks_and_the_same_function() -> None:
    networks = ["192.0.2.0/24"]
    copied = RTCConfiguration(addresses=networks).copy()
    networks.append("198.51.100.0/24")
    assert copied.addresses == ["192.0.2.0/24"]
    assert RTCConfiguration(addresses=str.isascii).copy().addresses == str.isascii


def test_passwords_are_in_no_repr() -> None:
    configuration = RTCConfiguration(
        iceServers=[RTCIceServer(urls="turn:t.example.org", username="a", credential="pw-x")]
    )
    assert "pw-x" not in repr(configuration)
    assert "pw-x" not in str(configuration)


def test_a_lite_agent_asks_no_server() -> None:
    RTCConfiguration(ice_lite=True).check()
    for settings in ({"iceServers": [RTCIceServer(urls="stun:stun.example.org")]}, {"iceTransportPolicy": "relay"}):
        with pytest.raises(NotSupportedError, match="ice_lite"):
            RTCConfiguration(ice_lite=True, **settings).check()


@pytest.mark.parametrize("setting", ["", "so", "ACTIVE", None])
def test_candidates_of_tcp_are_of_four_kinds(setting: Any) -> None:
    with pytest.raises(TypeError, match="ice_tcp is one of off, active, passive, both"):
        RTCConfiguration(ice_tcp=setting).check()
