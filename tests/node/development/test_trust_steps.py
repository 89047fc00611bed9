"""How each system is told to trust the authority."""

from __future__ import annotations

import shlex

import pytest

from icelane.node.development.trust_steps import (
    TITLES,
    System,
    system_of_browser,
    trust_steps,
    untrust_steps,
)

FILE = "/home of/ann/authority.crt"
NAME = "icelane development on ann's laptop"

every_system = pytest.mark.parametrize("system", list(System))


@every_system
def test_every_system_has_a_title_and_steps_both_ways(system: System) -> None:
    assert TITLES[system]
    assert all(step.text for step in (*trust_steps(system, FILE, NAME), *untrust_steps(system, NAME)))


@pytest.mark.parametrize("system", [System.DEBIAN, System.FEDORA, System.MACOS, System.CHROMIUM])
def test_a_file_with_a_space_stays_one_word_of_the_command(system: System) -> None:
    commands = [command for step in trust_steps(system, FILE, NAME) for command in step.commands]
    assert any(FILE in shlex.split(command) for command in commands)


@pytest.mark.parametrize("system", [System.MACOS, System.CHROMIUM])
def test_a_name_with_a_quote_stays_one_word_of_the_command(system: System) -> None:
    commands = [command for step in untrust_steps(system, NAME) for command in step.commands]
    assert any(NAME in shlex.split(command) for command in commands)


@pytest.mark.parametrize(
    ("user_agent", "system"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15", System.IOS),
        ("Mozilla/5.0 (Linux; Android 16; Pixel) AppleWebKit/537.36 Chrome/156.0 Mobile", System.ANDROID),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:152.0) Gecko/20100101 Firefox/152.0", System.FIREFOX),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0", System.WINDOWS),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari", System.MACOS),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0", System.CHROMIUM),
        ("curl/9.0", None),
        ("", None),
    ],
)
def test_a_browser_is_known_by_what_it_says(user_agent: str, system: System | None) -> None:
    assert system_of_browser(user_agent) is system
