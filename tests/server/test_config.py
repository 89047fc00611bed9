"""Configuration: sources, precedence, and the refusal of everything that is not understood."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest

from icelane.core.net import AddressFamily, SocketAddress, Transport
from icelane.errors import ConfigurationError
from icelane.server.config import (
    Config,
    InvalidConfigurationError,
    Listener,
    PortRange,
    advise,
    load_config,
    parse_config,
    problems_of,
)
from icelane.server.config.reference import markdown, reference
from icelane.server.config.sources import environment_names
from icelane.server.engine_config import engine_config
from icelane.server.machine import Machine
from icelane.server.workers.choice import worker_count

ROOT = Path(__file__).parents[2]

SECRET = "q5Vn0nJ3rX8sZk2LwT7yBd4E"

MACHINE = Machine(
    addresses=("127.0.0.1", "10.0.0.5", "::1", "2001:db8::5"),
    preferred=("10.0.0.5", "2001:db8::5"),
)
ONLY_LOOPBACK = Machine(addresses=("127.0.0.1", "::1"), preferred=())
ONLY_IPV4 = Machine(addresses=("127.0.0.1", "10.0.0.5"), preferred=("10.0.0.5",))

EVERY_KEY = f"""
[turn]
realm = "example.org"
hostname = "turn.example.org"
listen = ["udp://127.0.0.1:3478", "tcp://127.0.0.1:3478"]
relay_addresses = ["10.0.0.5", "::1"]
relay_ports = "50000-50999"
external_addresses = {{ "10.0.0.5" = "203.0.113.7" }}
dangerously_allow_loopback_peers = true
proxy_protocol_from = ["10.2.0.0/16"]
strict_expiry = true
expiry_leeway = "30s"
unauthenticated_replies_per_second = 100
users = {{ alice = "wonderland" }}
[[turn.secrets]]
kid = "k1"
secret = "{SECRET}"
[turn.peers]
allow = ["10.1.0.0/16"]
deny = ["198.51.100.7"]
nat64_prefixes = ["2001:db8:64::/96"]
[turn.quota]
allocations_per_user = 3
allocations_total = 100
connections_total = 50
connections_per_source = 5
bytes_per_second_per_allocation = 1
bytes_per_second_per_user = 2
bytes_per_second_total = 3
[stun]
behavior_addresses = ["10.0.0.5", "10.0.0.6"]
behavior_ports = [3478, 5000]
[tls]
certificate = "fullchain.pem"
key = "/etc/icelane/privkey.pem"
[log]
format = "json"
addresses = true
"""

TWO = "stun.behavior_addresses = ['10.0.0.5', '10.0.0.6']"

# These keys are fixed, because other programs write them; this is the form in which they were first told.
PUBLISHED = """
[turn]
realm = "example.org"
hostname = "turn.example.org"            # for the iceServers that we print
listen = ["udp://127.0.0.1:3478", "tcp://127.0.0.1:3478"]
relay_addresses = ["127.0.0.1", "::1"]
relay_ports = "49152-65535"
external_addresses = { "10.0.0.5" = "203.0.113.7" }
dangerously_allow_loopback_peers = true
strict_expiry = false
unauthenticated_replies_per_second = 200 # per source address, 401 and 438 over UDP; burst 1,000; 0: no limit
users = { alice = "secret" }
[[turn.secrets]]
kid = "k1"
secret = "at-least-128-bits-of-randomness"
[turn.peers]
allow = []
deny = []
[turn.quota]
allocations_per_user = 12
allocations_total = 10000
bytes_per_second_per_allocation = 0      # 0: no limit
bytes_per_second_per_user = 0
bytes_per_second_total = 0
[log]
format = "human"                         # or "json"
addresses = false
"""


def load(
    text: str = "",
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    machine: Machine = MACHINE,
    serving: bool = False,
) -> Config:
    """A configuration from the text of a file, hermetic."""
    body = {"ICELANE_CONFIG_BODY": text}
    environ = body | dict(environ or {})
    return load_config(environ=environ, flags=flags, searched=(), machine=machine, serving=serving)


def refusals(
    text: str = "",
    environ: Mapping[str, str] | None = None,
    machine: Machine = MACHINE,
    serving: bool = False,
) -> dict[str, str]:
    """The messages of all refusals, by key."""
    with pytest.raises(ConfigurationError) as caught:
        load(text, environ, machine=machine, serving=serving)
    return {problem.key: problem.message for problem in problems_of(caught.value)}


def test_every_key_of_a_full_file_arrives() -> None:
    turn, log = (config := load(EVERY_KEY)).turn, config.log
    assert (turn.realm, turn.hostname) == ("example.org", "turn.example.org")
    assert turn.listen == (
        Listener(Transport.UDP, "127.0.0.1", 3478),
        Listener(Transport.TCP, "127.0.0.1", 3478),
    )
    assert turn.relay_addresses == ("10.0.0.5", "::1")
    assert turn.relay_ports == PortRange(50000, 50999)
    assert turn.relay_ports.ports == range(50000, 51000)
    assert turn.external_addresses == {"10.0.0.5": "203.0.113.7"}
    assert turn.dangerously_allow_loopback_peers
    assert turn.strict_expiry
    assert str(turn.expiry_leeway) == "30s"
    assert turn.unauthenticated_replies_per_second == 100
    assert turn.users["alice"].get_secret_value() == "wonderland"
    assert [(entry.kid, entry.secret.get_secret_value()) for entry in turn.secrets] == [("k1", SECRET)]
    assert (turn.peers.allow, turn.peers.deny) == (("10.1.0.0/16",), ("198.51.100.7",))
    assert turn.peers.nat64_prefixes == ("2001:db8:64::/96",)
    assert list(turn.quota.model_dump().values()) == [3, 100, 50, 5, 1, 2, 3]
    assert turn.proxy_protocol_from == ("10.2.0.0/16",)
    assert (config.tls.certificate, config.tls.key) == (Path("fullchain.pem"), Path("/etc/icelane/privkey.pem"))
    assert (log.format, log.addresses) == ("json", True)


def test_the_published_keys_are_accepted_word_for_word_and_a_server_can_run_by_them() -> None:
    config = load(PUBLISHED, serving=True)
    told = {advice.key: advice.message for advice in advise(config, MACHINE)}
    assert "10.0.0.5 is not one of turn.relay_addresses" in told["turn.external_addresses.10.0.0.5"]
    settings = engine_config(config, [], MACHINE)
    assert settings.external_addresses == {}
    relayed = settings.policy.check_host("203.0.113.7", AddressFamily.IPV4)
    assert not relayed.allowed, "it stands for no address of ours, so it is a peer like any other"


def test_an_external_address_that_counts_for_nothing_contradicts_nothing() -> None:
    text = """
    turn.relay_addresses = ["10.0.0.5"]
    turn.external_addresses = { "10.0.0.5" = "203.0.113.7", "10.0.0.6" = "203.0.113.7", "10.0.0.8" = "10.0.0.5" }
    """
    config = load(text)
    assert engine_config(config, [], MACHINE).external_addresses == {"10.0.0.5": "203.0.113.7"}


def test_an_empty_configuration_listens_and_relays_on_the_addresses_of_the_machine() -> None:
    turn = load().turn
    assert turn.realm == "icelane"
    assert [str(listener) for listener in turn.listen] == [
        "udp://127.0.0.1:3478",
        "udp://10.0.0.5:3478",
        "tcp://127.0.0.1:3478",
        "tcp://10.0.0.5:3478",
        "udp://[::1]:3478",
        "udp://[2001:db8::5]:3478",
        "tcp://[::1]:3478",
        "tcp://[2001:db8::5]:3478",
    ]
    assert turn.relay_addresses == ("10.0.0.5", "2001:db8::5")


def test_the_default_passes_over_a_family_that_the_machine_does_not_have() -> None:
    assert {listener.host for listener in load(machine=ONLY_IPV4).turn.listen} == {"127.0.0.1", "10.0.0.5"}


def test_a_wildcard_that_stands_for_nothing_is_refused_when_it_was_asked_for() -> None:
    found = refusals('turn.listen = ["udp://[::]:3478"]', machine=ONLY_IPV4)
    assert list(found) == ["turn.listen[0]"]


def test_the_realm_is_the_hostname_only_while_challenges_stay_small() -> None:
    """TQ-4: the bound on the 401 holds for a realm of at most 16 bytes."""
    assert load('turn.hostname = "turn.example.org"').turn.realm == "turn.example.org"
    assert load('turn.hostname = "turn.example.info"').turn.realm == "icelane"


def test_a_listener_without_a_port_takes_the_standard_one() -> None:
    assert load('turn.listen = ["tcp://[2001:db8::5]"]').turn.listen == (Listener(Transport.TCP, "2001:db8::5", 3478),)
    secure = load('turn.listen = ["tls://10.0.0.5"]\ntls = { certificate = "c", key = "k" }')
    assert secure.turn.listen == (Listener(Transport.TLS, "10.0.0.5", 5349),)


def test_turn_may_be_taken_on_https_listeners_alone() -> None:
    tls = 'tls = { certificate = "c", key = "k" }'
    config = load(f'turn.listen = []\nturn.workers = "auto"\nserver.listen = ["https://10.0.0.5:8443"]\n{tls}')
    assert config.turn.listen == config.listeners == ()
    assert worker_count(config) == 1, "one process has those listeners, whatever there are of processors"
    assert load('server.listen = ["http://127.0.0.1:80"]').turn.listen, "left out is not empty"
    assert load(flags={"turn.listen": ["udp://10.0.0.5"]}).turn.listen


@pytest.mark.parametrize("server", ["", 'server.listen = ["http://127.0.0.1:8080"]'])
def test_an_empty_list_of_listeners_needs_an_https_listener(server: str) -> None:
    found = refusals(f"turn.listen = []\n{server}")
    assert list(found) == ["turn.listen"]
    assert "https://" in found["turn.listen"]
    assert list(refusals(server, {"ICELANE_TURN__LISTEN": "[]"})) == ["ICELANE_TURN__LISTEN"]


def test_two_addresses_for_behaviour_discovery_are_listened_on_at_two_ports_each() -> None:
    config = load(f"turn.listen = ['udp://10.0.0.5:3478', 'tcp://10.0.0.5:3478']\n{TWO}")
    assert [str(listener) for listener in config.listeners] == [
        "udp://10.0.0.5:3478",
        "tcp://10.0.0.5:3478",
        "udp://10.0.0.5:3479",
        "udp://10.0.0.6:3478",
        "udp://10.0.0.6:3479",
    ]
    assert len(config.turn.listen) == 2, "clients are told what was configured for them"


def test_two_addresses_of_each_family_serve_both() -> None:
    config = load("stun.behavior_addresses = ['10.0.0.5', '2001:db8::5', '10.0.0.6', '2001:db8::6']")
    behavior = engine_config(config, (), MACHINE).behavior
    assert behavior is not None
    assert behavior.pairs == (("10.0.0.5", "10.0.0.6"), ("2001:db8::5", "2001:db8::6"))
    assert behavior.ports == (3478, 3479)


@pytest.mark.parametrize(
    "external",
    [
        '{ "10.0.0.5" = "203.0.113.7", "10.0.0.6" = "203.0.113.7" }',
        '{ "10.0.0.5" = "203.0.113.7", "10.9.9.9" = "203.0.113.7" }',
        '{ "10.0.0.5" = "10.0.0.6" }',
    ],
)
def test_two_addresses_that_the_outside_cannot_tell_apart_are_refused(external: str) -> None:
    text = f"{TWO}\nturn.relay_addresses = ['10.0.0.8']\nturn.external_addresses = {external}"
    (problem,) = refusals(text).items()
    assert problem[0] == "stun.behavior_addresses"
    assert "told apart" in problem[1]


def test_an_address_whose_public_one_nobody_would_look_for_is_refused() -> None:
    text = f"{TWO}\nturn.relay_addresses = ['10.0.0.5']\nturn.external_address_from = 'stun:stun.example.org'"
    assert "10.0.0.6 is none of them" in refusals(text)["stun.behavior_addresses"]
    load(f"{text}\nturn.external_addresses = {{ '10.0.0.6' = '203.0.113.8' }}")


def test_what_the_outside_calls_a_second_address_is_told_and_never_relayed_to() -> None:
    """TR-5: it is an address of this server, though nothing is relayed on it."""
    external = "turn.external_addresses = { '10.0.0.5' = '203.0.113.7', '10.0.0.6' = '203.0.113.8' }"
    settings = engine_config(load(f"{TWO}\nturn.relay_addresses = ['10.0.0.5']\n{external}"), (), MACHINE)
    assert settings.behavior is not None
    assert settings.behavior.external == {"10.0.0.5": "203.0.113.7", "10.0.0.6": "203.0.113.8"}
    assert settings.external_addresses == {"10.0.0.5": "203.0.113.7"}
    verdict = settings.policy.check(SocketAddress("203.0.113.8", 3478), AddressFamily.IPV4)
    assert (verdict.allowed, verdict.reason) == (False, "own-address")


def test_a_tls_listener_needs_a_certificate_and_a_key() -> None:
    assert set(refusals('turn.listen = ["tls://10.0.0.5:443"]')) == {"tls.certificate", "tls.key"}
    found = refusals('turn.listen = ["tls://10.0.0.5:443"]\ntls.certificate = "fullchain.pem"')
    assert list(found) == ["tls.key"]
    assert 'write tls.key = "privkey.pem"' in found["tls.key"]
    assert list(refusals('tls.key = "privkey.pem"')) == ["tls.certificate"]


def test_certificates_are_beside_the_file_that_names_them(tmp_path: Path) -> None:
    file = tmp_path / "icelane.toml"
    file.write_text('turn.listen = ["tls://10.0.0.5"]\ntls = { certificate = "tls/chain.pem", key = "/run/key.pem" }')
    tls = load_config(file, environ={}, machine=MACHINE).tls
    assert (tls.certificate, tls.key) == (tmp_path / "tls/chain.pem", Path("/run/key.pem"))


def test_flags_win_over_the_environment_which_wins_over_the_file() -> None:
    text, environ = 'turn.realm = "file"', {"ICELANE_TURN__REALM": "environment"}
    assert load(text).turn.realm == "file"
    assert load(text, environ).turn.realm == "environment"
    assert load(text, environ, {"turn.realm": "flag"}).turn.realm == "flag"


def test_a_named_file_wins_over_the_body_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "named.toml"
    file.write_text('turn.realm = "named"')
    environ = {"ICELANE_CONFIG_BODY": 'turn.realm = "body"'}
    assert load_config(file, environ=environ, machine=MACHINE).turn.realm == "named"


def test_the_first_existing_file_is_taken_when_none_is_named(tmp_path: Path) -> None:
    second = tmp_path / "second.toml"
    second.write_text('turn.realm = "second"')
    searched = (tmp_path / "first.toml", second)
    assert load_config(environ={}, searched=searched, machine=MACHINE).turn.realm == "second"


def test_the_environment_replaces_a_table_whole() -> None:
    users = load('turn.users = { alice = "a", bob = "b" }', {"ICELANE_TURN__USERS": '{"carol": "c"}'}).turn.users
    assert list(users) == ["carol"]


def test_the_environment_sets_one_key_of_a_table_and_leaves_the_rest() -> None:
    quota = load(EVERY_KEY, {"ICELANE_TURN__QUOTA__ALLOCATIONS_TOTAL": "7"}).turn.quota
    assert (quota.allocations_total, quota.allocations_per_user) == (7, 3)


def test_the_more_precise_of_two_names_wins() -> None:
    environ = {
        "ICELANE_TURN__QUOTA": '{"allocations_total": 5, "allocations_per_user": 4}',
        "ICELANE_TURN__QUOTA__ALLOCATIONS_TOTAL": "7",
    }
    quota = load(EVERY_KEY, environ).turn.quota
    assert (quota.allocations_total, quota.allocations_per_user) == (7, 4)


def test_every_documented_name_is_accepted_in_the_environment() -> None:
    config = load(EVERY_KEY)
    values = {
        "ICELANE_TURN__LISTEN": json.dumps(["udp://10.0.0.5:3478"]),
        "ICELANE_TURN__STRICT_EXPIRY": "false",
        "ICELANE_TURN__RELAY_PORTS": "1-9",
        "ICELANE_TURN__UNAUTHENTICATED_REPLIES_PER_SECOND": "0",
        "ICELANE_TURN__PEERS__DENY": "[]",
        "ICELANE_LOG__FORMAT": "human",
    }
    assert values.keys() <= dict(environment_names()).keys()
    changed = load(EVERY_KEY, values)
    assert [str(listener) for listener in changed.turn.listen] == ["udp://10.0.0.5:3478"]
    assert not changed.turn.strict_expiry
    assert changed.turn.relay_ports == PortRange(1, 9)
    assert changed.turn.unauthenticated_replies_per_second == 0
    assert changed.turn.peers.deny == ()
    assert changed.log.format == "human"
    assert changed.turn.users == config.turn.users


def test_reserved_names_and_names_of_others_are_no_settings() -> None:
    environ = {"ICELANE_PURE": "1", "ICELANE_REQUIRE_COMPILED": "0", "ICELANE_REQUIRE_INTEROP": "x", "ICELANE_X": "y"}
    assert load(environ=environ) == load()


@pytest.mark.parametrize(
    "name",
    ["ICELANE_TURN__REALMS", "ICELANE_TRUN__REALM", "ICELANE_TURN__QUOTA__ALL", "ICELANE_TURN__", "ICELANE___PURE"],
)
def test_an_unknown_name_in_the_environment_names_itself(name: str) -> None:
    assert list(refusals(environ={name: "x"})) == [name]


def test_an_unknown_key_names_itself_its_file_and_its_likely_meaning(tmp_path: Path) -> None:
    file = tmp_path / "icelane.toml"
    file.write_text('[turn]\nrelm = "x"\n')
    with pytest.raises(ConfigurationError, match="did you mean realm") as caught:
        load_config(file, environ={}, machine=MACHINE)
    assert (caught.value.key, caught.value.file) == ("turn.relm", str(file))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("turn = 1", "turn"),
        ("trun.realm = 'x'", "trun"),
        ("turn.realm = 5", "turn.realm"),
        ("turn.realm = ''", "turn.realm"),
        ("turn.realm = 'a\\\"b'", "turn.realm"),
        ('turn.realm = "a\\r\\nb"', "turn.realm"),
        (f"turn.realm = '{'x' * 128}'", "turn.realm"),
        ("turn.hostname = 'https://example.org'", "turn.hostname"),
        ("turn.hostname = 'example.org:3478'", "turn.hostname"),
        ("turn.hostname = 'münchen.example'", "turn.hostname"),
        ("turn.hostname = '10.0.0.256'", "turn.hostname"),
        ("turn.hostname = 'fe80::1%eth0'", "turn.hostname"),
        ("turn.listen = 'udp://127.0.0.1'", "turn.listen"),
        ("turn.listen = []", "turn.listen"),
        ("turn.listen = ['udp://127.0.0.1', 'udp://127.0.0.1:3478']", "turn.listen"),
        ("turn.listen = [3478]", "turn.listen[0]"),
        ("turn.listen = ['127.0.0.1:3478']", "turn.listen[0]"),
        ("turn.listen = ['udp://localhost:3478']", "turn.listen[0]"),
        ("turn.listen = ['dtls://127.0.0.1:5349']", "turn.listen[0]"),
        ("turn.listen = ['udp://127.0.0.1:65536']", "turn.listen[0]"),
        ("turn.listen = ['udp://::1:3478']", "turn.listen[0]"),
        ("turn.listen = ['udp://[127.0.0.1]:3478']", "turn.listen[0]"),
        ("turn.listen = ['udp://[fe80::1%eth0]:3478']", "turn.listen[0]"),
        ("turn.listen = ['udp://127.0.0.1', 'udp://127.0.0.1:3478?transport=udp']", "turn.listen[1]"),
        ("turn.relay_addresses = ['relay.example.org']", "turn.relay_addresses[0]"),
        ("turn.relay_addresses = ['0.0.0.0']", "turn.relay_addresses[0]"),
        ("turn.relay_addresses = ['224.0.0.1']", "turn.relay_addresses[0]"),
        ("turn.relay_addresses = ['fe80::1']", "turn.relay_addresses[0]"),
        ("turn.relay_ports = '5'", "turn.relay_ports"),
        ("turn.relay_ports = '9-5'", "turn.relay_ports"),
        ("turn.relay_ports = '0-5'", "turn.relay_ports"),
        ("turn.relay_ports = '1-65536'", "turn.relay_ports"),
        ('turn.relay_ports = "\\u0665-\\u0669"', "turn.relay_ports"),
        ("turn.external_addresses = ['1.2.3.4']", "turn.external_addresses"),
        ("turn.external_addresses = { '10.0.0.5' = 'x' }", "turn.external_addresses.10.0.0.5"),
        ("turn.external_addresses = { '10.0.0.5' = '2001:db8::7' }", "turn.external_addresses.10.0.0.5"),
        ("turn.strict_expiry = 1", "turn.strict_expiry"),
        ("turn.strict_expiry = 'true'", "turn.strict_expiry"),
        ("turn.expiry_leeway = 30", "turn.expiry_leeway"),
        ("turn.expiry_leeway = '-1s'", "turn.expiry_leeway"),
        ("turn.expiry_leeway = '1h1s'", "turn.expiry_leeway"),
        ("turn.unauthenticated_replies_per_second = -1", "turn.unauthenticated_replies_per_second"),
        ("turn.unauthenticated_replies_per_second = true", "turn.unauthenticated_replies_per_second"),
        ("turn.unauthenticated_replies_per_second = 1.0", "turn.unauthenticated_replies_per_second"),
        ("turn.users = ['alice']", "turn.users"),
        ("turn.users = { alice = 5 }", "turn.users.alice"),
        ("turn.users = { alice = '' }", "turn.users.alice"),
        ("turn.users = { '1795389600:alice' = 'x' }", "turn.users.1795389600:alice"),
        ("turn.secrets = 'x'", "turn.secrets"),
        ("turn.secrets = [{ kid = 'a' }]", "turn.secrets[0].secret"),
        (f"turn.secrets = [{{ kid = 'a:b', secret = '{SECRET}' }}]", "turn.secrets[0].kid"),
        (f"turn.secrets = [{{ kid = 'a', secret = '{SECRET}', x = 1 }}]", "turn.secrets[0].x"),
        ("turn.peers.allow = ['10.0.0.1/8']", "turn.peers.allow[0]"),
        ("turn.peers.deny = ['10.0.0.0/33']", "turn.peers.deny[0]"),
        ("turn.peers.deny = ['10.0.0.9-10.0.0.1']", "turn.peers.deny[0]"),
        ("turn.peers.allow = ['::ffff:10.0.0.1']", "turn.peers.allow[0]"),
        ("turn.peers.nat64_prefixes = ['2001:db8::/33']", "turn.peers.nat64_prefixes[0]"),
        ("turn.peers.nat64_prefixes = ['10.0.0.0/8']", "turn.peers.nat64_prefixes[0]"),
        ("turn.quota.allocations_per_user = 0", "turn.quota.allocations_per_user"),
        ("turn.quota.bytes_per_second_total = 99999999999999999", "turn.quota.bytes_per_second_total"),
        ("stun.behavior_addresses = '10.0.0.5'", "stun.behavior_addresses"),
        ("stun.behavior_addresses = []", "stun.behavior_addresses"),
        ("stun.behavior_addresses = ['0.0.0.0', '10.0.0.5']", "stun.behavior_addresses[0]"),
        ("stun.behavior_addresses = ['10.0.0.5', '10.0.0.5']", "stun.behavior_addresses"),
        ("stun.behavior_addresses = ['10.0.0.5']", "stun.behavior_addresses"),
        ("stun.behavior_addresses = ['10.0.0.5', '2001:db8::5']", "stun.behavior_addresses"),
        ("stun.behavior_addresses = ['10.0.0.5', '10.0.0.6', '10.0.0.7']", "stun.behavior_addresses"),
        ("stun.behavior_ports = [3478, 3479]", "stun.behavior_ports"),
        (f"{TWO}\nstun.behavior_ports = [3478]", "stun.behavior_ports"),
        (f"{TWO}\nstun.behavior_ports = [3478, 3479, 3480]", "stun.behavior_ports"),
        (f"{TWO}\nstun.behavior_ports = [3478, 3478]", "stun.behavior_ports"),
        (f"{TWO}\nstun.behavior_ports = [3478, 0]", "stun.behavior_ports[1]"),
        (f"{TWO}\nstun.behavior_ports = [3478, 65536]", "stun.behavior_ports[1]"),
        (f"{TWO}\nstun.behavior_ports = [3478, true]", "stun.behavior_ports[1]"),
        ("log.format = 'xml'", "log.format"),
        ("log.addresses = 'no'", "log.addresses"),
        ("this is not TOML", "file"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_key(text: str, key: str) -> None:
    """TR-4: a malformed range stops the start and names its field."""
    assert list(refusals(text)) == [key]


def test_all_mistakes_are_named_at_once_each_with_its_source() -> None:
    environ = {"ICELANE_LOG__FORMAT": "xml", "ICELANE_TURN__X": "1"}
    with pytest.raises(InvalidConfigurationError) as caught:
        load('turn.realm = 5\nturn.relay_ports = "x"', environ)
    found = {(problem.key, problem.file) for problem in caught.value.problems}
    assert found == {
        ("ICELANE_TURN__X", None),
        ("ICELANE_LOG__FORMAT", None),
        ("turn.realm", "ICELANE_CONFIG_BODY"),
        ("turn.relay_ports", "ICELANE_CONFIG_BODY"),
    }
    assert all(problem.key in str(caught.value) for problem in caught.value.problems)


@pytest.mark.parametrize(
    "secret",
    [
        "short",
        "0123456789abcdef0123456789abcde",
        "1" * 31,
        "a" * 40,
        "replace-this-secret",
        "",
        "abcabcabcabcabcabcabcabc",
    ],
)
def test_a_weak_or_published_secret_stops_the_start(secret: str) -> None:
    """TA-11: a secret of less than 128 bits, or a known default."""
    found = refusals(f"turn.secrets = [{{ kid = 'a', secret = '{secret}' }}]")
    assert list(found) == ["turn.secrets[0].secret"]
    assert not secret or secret not in str(found.values())


def test_a_kid_stands_for_one_secret() -> None:
    entries = f"{{ kid = 'a', secret = '{SECRET}' }}, {{ kid = 'a', secret = '{SECRET[::-1]}' }}"
    assert list(refusals(f"turn.secrets = [{entries}]")) == ["turn.secrets"]


def test_two_relay_addresses_do_not_share_an_outside_address() -> None:
    text = """
    turn.relay_addresses = ["10.0.0.5", "10.0.0.6"]
    turn.external_addresses = { "10.0.0.5" = "203.0.113.7", "10.0.0.6" = "203.0.113.7" }
    """
    assert len(refusals(text)) == 2


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("turn.users = { alice = 'hunter2\\u0000' , bob = ['hunter2'] }", {}),
        ('turn.users = { alice = ["hunter2"] }', {}),
        ('turn.users = { alice = "hunter2\\u0007" }', {}),
        ("turn.secrets = [{ kid = 'a', secret = 'hunter2' }]", {}),
        ("turn.secrets = [{ kid = 'hunter2:', secret = 5 }]", {}),
        ("turn.users = 'hunter2'", {}),
        ("", {"ICELANE_TURN__USERS": '{"alice": "hunter2"'}),
        ("", {"ICELANE_TURN__SECRETS": "hunter2"}),
        ("", {"ICELANE_TURN__SECRETS": '["hunter2"]'}),
        ("", {"ICELANE_TURN__QUOTA__ALLOCATIONS_TOTAL": "hunter2"}),
        ("", {"ICELANE_TURN__STRICT_EXPIRY": "hunter2"}),
    ],
)
def test_no_error_and_no_traceback_shows_a_refused_value(text: str, environ: dict[str, str]) -> None:
    """CR-6: pydantic's own errors carry the input; ours are raised outside of their handlers."""
    with pytest.raises(ConfigurationError) as caught:
        load(text, environ)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "hunter2" not in shown.replace(text or "\0", "")
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_a_valid_configuration_shows_no_secret() -> None:
    """CR-6: nor does its representation."""
    config = load(EVERY_KEY)
    for shown in (repr(config), str(config), repr(config.turn.users), repr(config.turn.secrets), f"{config.turn}"):
        assert SECRET not in shown
        assert "wonderland" not in shown


def test_a_secret_may_come_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "icelane.toml").write_text('turn.realm = "x"')
    (tmp_path / "secrets.json").write_text(json.dumps([{"kid": "k2", "secret": SECRET}]) + "\n")
    environ = {"ICELANE_TURN__SECRETS_FILE": "secrets.json"}
    config = load_config(tmp_path / "icelane.toml", environ=environ, machine=MACHINE)
    assert [entry.kid for entry in config.turn.secrets] == ["k2"]


def test_a_secret_file_that_is_missing_is_named(tmp_path: Path) -> None:
    file = str(tmp_path / "none")
    with pytest.raises(ConfigurationError) as caught:
        load(environ={"ICELANE_TURN__USERS_FILE": file})
    assert (caught.value.key, caught.value.file) == ("ICELANE_TURN__USERS_FILE", file)


def test_a_secret_stands_in_one_place_only() -> None:
    environ = {"ICELANE_TURN__USERS": '{"a": "b"}', "ICELANE_TURN__USERS_FILE": "x"}
    assert list(refusals(environ=environ)) == ["ICELANE_TURN__USERS_FILE"]


def test_only_secrets_may_come_from_a_file() -> None:
    assert list(refusals(environ={"ICELANE_TURN__REALM_FILE": "x"})) == ["ICELANE_TURN__REALM_FILE"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"#" * ((1 << 20) + 1)])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "icelane.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_config(file, environ={}, machine=MACHINE)
    assert caught.value.file == str(file)


def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_config(tmp_path / "none.toml", environ={}, machine=MACHINE)


def test_a_program_can_pass_its_own_table() -> None:
    config = parse_config({"turn": {"realm": "x", "users": {"alice": "pw"}}}, machine=MACHINE)
    assert config.turn.realm == "x"
    with pytest.raises(ConfigurationError, match=r"turn\.relm"):
        parse_config({"turn": {"relm": "x"}}, machine=MACHINE)


def test_settings_cannot_be_changed_once_checked() -> None:
    config = load(EVERY_KEY)
    with pytest.raises(ValueError, match="frozen"):
        config.turn.realm = "other"
    with pytest.raises(TypeError):
        config.turn.users["mallory"] = config.turn.users["alice"]  # type: ignore[index]  # the point of the test


def test_a_machine_with_loopback_alone_must_be_told_where_to_relay() -> None:
    assert list(refusals(machine=ONLY_LOOPBACK)) == ["turn.relay_addresses"]
    text = "turn.dangerously_allow_loopback_peers = true"
    assert load(text, machine=ONLY_LOOPBACK).turn.relay_addresses == ("127.0.0.1", "::1")


def test_a_server_that_nobody_could_use_is_not_started() -> None:
    with pytest.raises(ConfigurationError, match="nobody could authenticate"):
        load(serving=True)
    load('turn.users = { alice = "pw" }', serving=True)
    load(f"turn.secrets = [{{ kid = 'a', secret = '{SECRET}' }}]", serving=True)
    load('turn.auth = "users:find"', serving=True)
    load(environ={"ICELANE_TURN__USERS": '{"alice": "pw"}'}, serving=True)
    load()


def test_that_nobody_could_use_a_server_is_named_beside_what_else_is_wrong() -> None:
    """OP-4: one run tells everything."""
    text = 'turn.realm = ""\nturn.relay_addresses = ["nowhere"]\nturn.users = {}'
    assert list(refusals(text, serving=True)) == ["turn.secrets", "turn.realm", "turn.relay_addresses[0]"]


@pytest.mark.parametrize("environ", [{"ICELANE_TURN__USERS": "{"}, {"ICELANE_TURN__USERS_FILE": "nowhere"}])
def test_users_that_could_not_be_read_are_not_said_to_be_missing(environ: dict[str, str]) -> None:
    assert [key.removesuffix("_FILE") for key in refusals(environ=environ, serving=True)] == ["ICELANE_TURN__USERS"]
    assert list(refusals("turn.users = {", serving=True)) == ["file"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("turn.relay_addresses = ['10.0.0.5']", "turn.relay_addresses"),
        ("turn.relay_addresses = ['203.0.113.7']", "turn.relay_addresses"),
        ("turn.external_addresses = { '10.0.0.6' = '203.0.113.7' }", "turn.external_addresses.10.0.0.6"),
        ("turn.realm = 'a-realm-of-17-byt'", "turn.realm"),
        ("turn.dangerously_allow_loopback_peers = true", "turn.dangerously_allow_loopback_peers"),
        ("turn.listen = ['udp://10.0.0.5:50000']", "turn.listen"),
        (TWO, "stun.behavior_addresses"),
        (f"{TWO}\nstun.behavior_ports = [3478, 50000]", "stun.behavior_ports"),
        ("metrics.listen = '0.0.0.0:9641'", "metrics.listen"),
        ("metrics.listen = '8.8.8.8:9641'", "metrics.listen"),
        ("server.listen = ['http://127.0.0.1:8080']", "auth.jwt"),
        ("auth.dangerously_accept_tokens_in_urls = true", "auth.dangerously_accept_tokens_in_urls"),
        ("hooks.before_join = 'https://app.example.org/hook'", "hooks.before_join"),
    ],
)
def test_what_is_allowed_and_probably_wrong_is_said(text: str, key: str) -> None:
    assert key in {advice.key for advice in advise(load(text), MACHINE)}


def test_a_sound_configuration_gets_no_advice() -> None:
    text = """
    metrics.listen = "10.0.0.5:9641"
    turn.relay_addresses = ["10.0.0.5"]
    turn.external_addresses = { "10.0.0.5" = "203.0.113.7", "10.0.0.6" = "203.0.113.8" }
    stun.behavior_addresses = ["10.0.0.5", "10.0.0.6"]
    """
    assert advise(load(text), MACHINE) == ()


def test_the_machine_that_runs_this_has_loopback() -> None:
    assert "127.0.0.1" in Machine.here().addresses


def test_the_reference_is_what_the_model_says() -> None:
    """After changing the model: `icelane config docs > docs/reference/configuration.md`."""
    assert (ROOT / "docs/reference/configuration.md").read_text() == markdown()


def test_every_key_has_a_reason() -> None:
    names = {variable for variable, path in environment_names() if path not in {("turn", "peers"), ("turn", "quota")}}
    settings = reference()
    assert {setting.variable for setting in settings if setting.variable} == names
    assert all(len(setting.description) > 20 for setting in settings)
