"""A turnserver.conf: settings or MalformedError, an answer for each line, and TOML that says the settings again."""

from __future__ import annotations

import tomllib
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from icelane.compat.coturn import Surroundings, parse_turnserver, toml, translate
from icelane.compat.coturn.options import OPTIONS
from icelane.errors import MalformedError

SEEDS = [
    b"listening-port=3478\nlt-cred-mech\nuser=alice:wonderland\nrealm=example.org\n",
    b"use-auth-secret\nstatic-auth-secret=0123456789abcdef0123456789abcdef\nmin-port=50000\nmax-port=50999\n",
    b"external-ip=203.0.113.7/10.0.0.5\n# no\ndenied-peer-ip=10.0.0.0-10.255.255.255\nallowed-peer-ip=10.0.3.7\n",
    b'cert="a.pem"\npkey k.pem \nno-udp=0\nprometheus\nprometheus-port=9700\nmobility\naux-server=[::1]:34\n',
    b"listening-ip=192.0.2.1\nlistening-ip=192.0.2.2\nalt-listening-port=3500\nrelay-threads=4\nmax-bps=100 # x\n",
]
DICTIONARY = [*(name.encode() for name in OPTIONS), b"=", b"\n", b"#", b'"', b"0x", b"::ffff:", b"-", b":", b"off"]

_SURROUNDINGS = Surroundings(addresses=("10.0.0.5", "2001:db8::5"), folder=Path("/etc"))


def run(data: bytes) -> Hashable:
    """Which options have become which settings."""
    try:
        lines = parse_turnserver(data.decode("latin-1"))
        translation = translate(lines, _SURROUNDINGS)
    except MalformedError:
        return None
    assert {remark.line for remark in translation.remarks} == {line.number for line in lines}
    written = tomllib.loads(toml(translation, "turnserver.conf"))
    for setting in translation.settings:
        value: Any = written
        for part in setting.key.split("."):
            value = value[part]
        if setting.key == "turn.secrets":
            assert {entry["kid"]: entry["secret"] for entry in value} == setting.value
        else:
            assert value == setting.value, setting.key
    return frozenset((remark.option, remark.fate) for remark in translation.remarks)
