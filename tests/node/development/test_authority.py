"""The development authority, and what it signs."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from icelane.core.clock import UnixSeconds
from icelane.crypto.certificate import DAY, Certificate
from icelane.errors import ConfigurationError
from icelane.node.development.addresses import LOOPBACK, PRIVATE
from icelane.node.development.authority import (
    LEAF_LIFETIME,
    LIFETIME,
    NAMES,
    Authority,
    authority_of,
    is_constrained,
    load_authority,
)
from icelane.node.development.places import PRIVATE_FILE
from icelane.node.development.trusted import is_trusted_here

# What OpenSSL calls now cannot be told to it.
NOW = UnixSeconds(time.time())


def made(folder: Path, now: UnixSeconds = NOW) -> Authority:
    """The authority in `folder`."""
    return authority_of(folder, now, host_name="laptop")


def accepted(authority: Authority, folder: Path, host: str, *, names: tuple[str, ...], hosts: tuple[str, ...]) -> bool:
    """Whether OpenSSL, trusting the authority, takes a certificate for these names from `host`."""
    leaf = authority.issue(names=names, hosts=hosts, unix_time=NOW)
    (folder / "chain.pem").write_bytes(leaf.chain)
    (folder / "key.pem").write_bytes(leaf.key)
    return is_trusted_here(folder / "chain.pem", folder / "key.pem", host, authority.file)


def test_it_is_made_once_and_read_again(tmp_path: Path) -> None:
    first = made(tmp_path / "state")
    assert made(tmp_path / "state").fingerprint == first.fingerprint


def test_its_key_is_its_users_alone_and_its_certificate_everybodys(tmp_path: Path) -> None:
    authority = made(tmp_path / "state")
    assert (tmp_path / "state" / PRIVATE_FILE).stat().st_mode & 0o777 == 0o600
    assert authority.file.stat().st_mode & 0o077 == 0o044
    assert b"PRIVATE" not in authority.file.read_bytes()
    assert "_key=" not in repr(authority)


def test_two_that_make_it_at_once_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: made(tmp_path / "state").fingerprint, range(8)))
    assert len(set(found)) == 1
    assert load_authority(tmp_path / "state") is not None


@pytest.mark.parametrize(
    ("host", "names", "hosts"),
    [
        ("laptop.local", ("laptop.local",), ()),
        ("localhost", ("localhost",), ()),
        ("192.168.1.20", ("laptop.local",), ("192.168.1.20",)),
        ("10.9.8.7", (), ("10.9.8.7",)),
        ("127.0.0.1", (), ("127.0.0.1",)),
        ("fd00::20", (), ("fd00::20",)),
    ],
)
def test_what_it_signs_counts_at_home(
    tmp_path: Path, host: str, names: tuple[str, ...], hosts: tuple[str, ...]
) -> None:
    assert accepted(made(tmp_path), tmp_path, host, names=names, hosts=hosts)


@pytest.mark.parametrize(
    ("host", "names", "hosts"),
    [
        ("bank.example", ("bank.example",), ()),
        ("bank.example", ("bank.example", "laptop.local"), ()),
        ("evillocal", ("evillocal",), ()),
        ("8.8.8.8", (), ("8.8.8.8",)),
        ("100.64.0.1", (), ("100.64.0.1",)),
        ("2a00:1450::1", (), ("2a00:1450::1",)),
    ],
)
def test_what_it_signs_counts_nowhere_else(
    tmp_path: Path, host: str, names: tuple[str, ...], hosts: tuple[str, ...]
) -> None:
    """Whoever steals its key passes for no site of the world, however many devices trust it."""
    assert not accepted(made(tmp_path), tmp_path, host, names=names, hosts=hosts)


def test_it_signs_no_other_authority(tmp_path: Path) -> None:
    found = made(tmp_path).certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert found.critical
    assert found.value.path_length == 0


def test_what_it_signs_lives_for_a_week(tmp_path: Path) -> None:
    leaf = made(tmp_path).issue(names=("localhost",), hosts=(), unix_time=NOW)
    certificate = x509.load_pem_x509_certificate(leaf.chain)
    assert certificate.not_valid_after_utc.timestamp() == pytest.approx(NOW + LEAF_LIFETIME, abs=1)
    assert "PRIVATE" not in repr(leaf)


def test_root_makes_none_in_somebody_elses_home(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="without sudo"):
        authority_of(tmp_path / "state", NOW, host_name="laptop", make=False)
    assert not (tmp_path / "state").exists()
    made = authority_of(tmp_path, NOW, host_name="laptop")
    assert authority_of(tmp_path, NOW, host_name="laptop", make=False).fingerprint == made.fingerprint


def test_one_that_ends_soon_is_replaced(tmp_path: Path) -> None:
    first = made(tmp_path)
    assert made(tmp_path, UnixSeconds(NOW + LIFETIME - LEAF_LIFETIME - DAY)).fingerprint == first.fingerprint
    assert made(tmp_path, UnixSeconds(NOW + LIFETIME - DAY)).fingerprint != first.fingerprint


def test_two_that_replace_it_at_once_have_the_same(tmp_path: Path) -> None:
    """The second one does not remove what the first has just made."""
    first, late = made(tmp_path), UnixSeconds(NOW + LIFETIME - DAY)
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: made(tmp_path, late).fingerprint, range(8)))
    assert len(found) == 1
    assert first.fingerprint not in found


def test_the_certificate_for_others_is_written_again_when_it_is_gone_or_another_ones(tmp_path: Path) -> None:
    authority = made(tmp_path)
    authority.file.unlink()
    assert made(tmp_path).file.read_bytes() == authority.pem
    authority.file.write_bytes(b"another one's")
    assert made(tmp_path).file.read_bytes() == authority.pem
    assert authority.file.stat().st_mode & 0o777 == 0o644


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / PRIVATE_FILE).chmod(0o644)
    with pytest.raises(ConfigurationError, match="others can read its key"):
        made(tmp_path)


def test_a_broken_file_is_said_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / PRIVATE_FILE
    path.write_text("-----BEGIN NOTHING-----")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="is broken"):
        made(tmp_path)
    assert path.exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(ConfigurationError, match="the development authority"):
        made(tmp_path / "state" / "below")


def an_authority(
    permitted: Sequence[x509.GeneralName] | None,
    *,
    path_length: int | None = 0,
    purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.SERVER_AUTH,
) -> x509.Certificate:
    """One that somebody else made."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "icelane development on laptop")])
    begin = datetime.datetime.fromtimestamp(int(NOW), datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    if permitted is not None:
        builder = builder.add_extension(x509.NameConstraints(permitted, None), critical=True)
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.sign(key, hashes.SHA256())


OUR_NAMES = [x509.DNSName(name) for name in NAMES]
OUR_ADDRESSES = [x509.IPAddress(ipaddress.ip_network(text)) for text in (*PRIVATE, *LOOPBACK)]
OURS = [*OUR_NAMES, *OUR_ADDRESSES]


def test_only_an_authority_like_ours_counts_as_constrained(tmp_path: Path) -> None:
    assert is_constrained(made(tmp_path).certificate)
    assert is_constrained(an_authority(OURS))
    other = x509.load_der_x509_certificate(Certificate.generate(now=NOW).der)
    assert not is_constrained(other)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(an_authority(None), id="none"),
        pytest.param(an_authority(OUR_NAMES), id="names only, so any address"),
        pytest.param(an_authority(OUR_ADDRESSES), id="addresses only, so any name"),
        pytest.param(an_authority([*OUR_NAMES, OUR_ADDRESSES[0]]), id="IPv4 only"),
        pytest.param(an_authority([*OURS, x509.DNSName("example")]), id="more than ours"),
        pytest.param(an_authority(OURS, path_length=None), id="authorities below it"),
        pytest.param(an_authority(OURS, path_length=1), id="one authority below it"),
        pytest.param(an_authority(OURS, purpose=None), id="programs and mail"),
        pytest.param(an_authority(OURS, purpose=ExtendedKeyUsageOID.CODE_SIGNING), id="programs"),
    ],
)
def test_one_that_could_sign_for_others_does_not_count_as_constrained(found: x509.Certificate) -> None:
    """Root would install it: constraints of one kind of names leave every other kind open."""
    assert not is_constrained(found)


def test_its_name_tells_machines_apart_and_the_fingerprint_is_openssls(tmp_path: Path) -> None:
    authority = made(tmp_path)
    assert "laptop" in authority.name
    der = ssl.PEM_cert_to_DER_cert(authority.pem.decode())
    assert der == authority.der == authority.certificate.public_bytes(Encoding.DER)
    assert ":".join(authority.fingerprint_lines(4)) == authority.fingerprint
    assert len(authority.fingerprint) == 95
