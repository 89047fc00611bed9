"""What holds for every command: help with an example, version, usage errors, completion."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from docs.command_reference import page
from icelane.cli.main import app
from tests.cli.conftest import Icelane

REFERENCE = Path(__file__).parents[2] / "docs/reference/commands.md"
GROUPS = {(), ("turn",), ("peer",), ("config",), ("config", "import"), ("token",), ("keys",), ("room",), ("certs",)}


def command_lines() -> list[tuple[str, ...]]:
    """Every command and group, as the words that reach it."""

    def walk(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, (*words, name))

    return list(walk(typer.main.get_command(app), ()))


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_every_help_has_an_example(icelane: Icelane, words: tuple[str, ...]) -> None:
    result = icelane(*words, "--help")
    assert result.code == 0
    example = " ".join(result.out.split()).partition("Example: ")[2]
    assert example.startswith("icelane ")
    # What a shell would take for a pattern stands in quotes: zsh refuses a bare `?`.
    assert not re.search(r"[?*\[]", re.sub(r"'[^']*'", "", example)), example


@pytest.mark.parametrize("words", [words for words in command_lines() if words not in GROUPS])
def test_every_command_has_json(icelane: Icelane, words: tuple[str, ...]) -> None:
    assert "--json" in icelane(*words, "--help").out


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_no_help_shows_a_type_behind_a_switch(icelane: Icelane, words: tuple[str, ...]) -> None:
    assert "<bool>" not in icelane(*words, "--help").out.lower()


def test_the_commands_are_those_that_are_documented() -> None:
    documented = re.findall(r"^## `icelane ([a-z ]+?)(?: [A-Z_|]+)*`$", REFERENCE.read_text(), re.MULTILINE)
    assert set(command_lines()) - GROUPS == {tuple(name.split()) for name in documented}


def test_the_reference_is_what_the_commands_say() -> None:
    """`python docs/command_reference.py > docs/reference/commands.md` writes it anew."""
    assert page() == REFERENCE.read_text()


def test_version(icelane: Icelane) -> None:
    result = icelane("--version")
    assert result.code == 0
    assert result.out.startswith("icelane 0.")


@pytest.mark.parametrize("words", [["nonsense"], ["stun"], ["stun", "--nonsense", "x"], ["ice", "--format", "xml"]])
def test_a_wrong_command_line_ends_with_two(icelane: Icelane, words: list[str]) -> None:
    assert icelane(*words).code == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nonsense"], "nonsense"),
        (["stun"], "URL"),
        (["stun", "--nonsense", "x"], "--nonsense"),
        (["stun", "stun:x", "--timeout", "soon"], "--timeout"),
        (["ice", "--format", "xml"], "--format"),
        (["turn", "check", "turn:x"], "--user"),
        (["config", "nonsense"], "nonsense"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_json_document_where_json_is_asked(
    icelane: Icelane, words: list[str], named: str
) -> None:
    result = icelane(*words, "--json")
    assert (result.code, result.err) == (2, "")
    assert (result.document["ok"], result.document["exit"]) == (False, 2)
    assert named in result.document["problems"][0]["message"]


def test_json_after_two_dashes_is_no_option(icelane: Icelane) -> None:
    result = icelane("stun", "--", "stun:x", "--json")
    assert (result.code, result.out) == (2, "")


def test_a_command_that_is_well_ends_with_zero_where_json_is_asked(icelane: Icelane) -> None:
    result = icelane("config", "docs", "--json")
    assert result.code == 0
    assert result.document["settings"]


def test_the_entry_point_takes_the_arguments_of_the_process() -> None:
    command = [sys.executable, "-c", "from icelane.cli.main import main; main()", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.startswith("icelane 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_can_complete(icelane: Icelane, shell: str) -> None:
    result = icelane(_ICELANE_COMPLETE=f"source_{shell}")
    assert "_ICELANE_COMPLETE" in result.out


def test_completion_offers_the_commands(icelane: Icelane) -> None:
    result = icelane(_ICELANE_COMPLETE="complete_bash", COMP_WORDS="icelane c", COMP_CWORD="1")
    assert result.out.split() == ["certs", "config"]


def test_help_is_quick_because_nothing_else_is_imported() -> None:
    code = "import sys, icelane.cli.main; print(*{'pydantic', 'structlog', 'dns', 'asyncio'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.split() in ([], ["asyncio"])
