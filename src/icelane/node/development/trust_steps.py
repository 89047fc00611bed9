"""How each system is told to trust the authority: the exact commands, for the terminal and for the page."""

from __future__ import annotations

import enum
import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from icelane.node.development.places import PUBLIC_FILE


class System(enum.StrEnum):
    """Who keeps a list of authorities of its own."""

    DEBIAN = "debian"
    FEDORA = "fedora"
    MACOS = "macos"
    WINDOWS = "windows"
    CHROMIUM = "chromium"
    FIREFOX = "firefox"
    IOS = "ios"
    ANDROID = "android"


TITLES: Final[Mapping[System, str]] = MappingProxyType(
    {
        System.DEBIAN: "Debian, Ubuntu",
        System.FEDORA: "Fedora, RHEL",
        System.MACOS: "macOS",
        System.WINDOWS: "Windows",
        System.CHROMIUM: "Chromium, Chrome on Linux",
        System.FIREFOX: "Firefox",
        System.IOS: "iPhone, iPad",
        System.ANDROID: "Android",
    }
)

ANCHORS: Final[Mapping[System, Path]] = MappingProxyType(
    {
        System.DEBIAN: Path("/usr/local/share/ca-certificates"),
        System.FEDORA: Path("/etc/pki/ca-trust/source/anchors"),
    }
)
"""Where a system looks for further authorities."""

REFRESH: Final[Mapping[System, tuple[str, ...]]] = MappingProxyType(
    {System.DEBIAN: ("update-ca-certificates",), System.FEDORA: ("update-ca-trust", "extract")}
)
"""What makes it look."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """`commands` are for a shell; where there are none, `text` says what to press."""

    text: str
    commands: tuple[str, ...] = ()


def trust_steps(system: System, file: str, name: str) -> tuple[Step, ...]:
    """What makes `system` trust the certificate in `file`, which it lists as `name`.

    Phones get the file from the page `/trust` of the node.
    """
    quoted, named = shlex.quote(file), shlex.quote(name)
    match system:
        case System.DEBIAN | System.FEDORA:
            anchor = ANCHORS[system] / PUBLIC_FILE
            refresh = " ".join(REFRESH[system])
            commands = (f"sudo install -m 644 {quoted} {anchor}", f"sudo {refresh}")
            text = "Programs of this machine: curl, Python, icelane. Browsers keep lists of their own."
            return (Step(text=text, commands=commands),)
        case System.MACOS:
            command = f"sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {quoted}"
            return (Step(text="Safari, Chrome and everything else on this Mac.", commands=(command,)),)
        case System.WINDOWS:
            command = f'certutil -user -addstore Root "{file}"'
            return (Step(text="Edge, Chrome and your programs. Windows asks; say yes.", commands=(command,)),)
        case System.CHROMIUM:
            database = 'sql:"$HOME/.pki/nssdb"'
            return (
                Step(
                    text="certutil is in libnss3-tools (Debian) or nss-tools (Fedora). Restart the browser.",
                    commands=(
                        'mkdir -p "$HOME/.pki/nssdb"',
                        f"certutil -d {database} -A -t C,, -n {named} -i {quoted}",
                    ),
                ),
            )
        case System.FIREFOX:
            return (
                Step(text="Settings, Privacy & Security, Certificates, View Certificates, Authorities, Import."),
                Step(text=f"Choose {file}, and tick “Trust this CA to identify websites”."),
            )
        case System.IOS:
            return (
                Step(text="Open /trust on the phone in Safari, tap “Profile for iPhone and iPad”, allow it."),
                Step(text="Settings, General, VPN & Device Management: install the profile."),
                Step(text=f"Settings, General, About, Certificate Trust Settings: switch on {name}."),
            )
        case System.ANDROID:
            return (
                Step(text="Open /trust on the phone and tap “Certificate”."),
                Step(
                    text="Settings, Security & privacy, More, Encryption & credentials, Install a certificate,"
                    " CA certificate: choose the file."
                ),
            )


def untrust_steps(system: System, name: str) -> tuple[Step, ...]:
    """What makes `system` forget it again."""
    named = shlex.quote(name)
    match system:
        case System.DEBIAN | System.FEDORA:
            refresh = "update-ca-certificates --fresh" if system is System.DEBIAN else "update-ca-trust extract"
            return (
                Step(
                    text="Programs of this machine.",
                    commands=(f"sudo rm {ANCHORS[system] / PUBLIC_FILE}", f"sudo {refresh}"),
                ),
            )
        case System.MACOS:
            command = f"sudo security delete-certificate -c {named} /Library/Keychains/System.keychain"
            return (Step(text="This Mac.", commands=(command,)),)
        case System.WINDOWS:
            return (Step(text="Your programs.", commands=(f'certutil -user -delstore Root "{name}"',)),)
        case System.CHROMIUM:
            command = f'certutil -d sql:"$HOME/.pki/nssdb" -D -n {named}'
            return (Step(text="Restart the browser.", commands=(command,)),)
        case System.FIREFOX:
            return (Step(text=f"Settings, View Certificates, Authorities: delete {name}."),)
        case System.IOS:
            return (Step(text="Settings, General, VPN & Device Management: remove the profile."),)
        case System.ANDROID:
            return (
                Step(
                    text="Settings, Security & privacy, More, Encryption & credentials, User credentials:"
                    f" remove {name}."
                ),
            )


def this_system() -> System | None:
    """What we run on; None where that is none of those."""
    match platform.system():
        case "Darwin":
            return System.MACOS
        case "Windows":
            return System.WINDOWS
        case "Linux":
            return next((system for system, folder in ANCHORS.items() if folder.is_dir()), None)
        case _:
            return None


def system_of_browser(user_agent: str) -> System | None:
    """What a browser says of itself; None where it says nothing that we know."""
    for word, system in _WORDS:
        if word in user_agent:
            return system
    return None


# The first that is found: Android is a Linux by its own words, and an iPhone a Mac.
_WORDS: Final = (
    ("iPhone", System.IOS),
    ("iPad", System.IOS),
    ("Android", System.ANDROID),
    ("Firefox", System.FIREFOX),
    ("Windows", System.WINDOWS),
    ("Macintosh", System.MACOS),
    ("Linux", System.CHROMIUM),
)
