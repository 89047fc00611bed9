"""The files for a container. No container engine runs where the tests do, so they are read, by the rules of linters."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml

from docs.command_reference import commands
from icelane.server.config import parse_config
from icelane.server.deployment.container import COMPOSE, DOCKERFILE, IGNORED, RELAY_PORTS, USER, container_files
from icelane.server.machine import Machine

FILES = container_files((3, 12))


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, with continued lines joined and remarks left out."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", FILES[DOCKERFILE], flags=re.MULTILINE))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def those_of(name: str) -> list[str]:
    """What stands behind each instruction of one name."""
    return [rest for one, rest in instructions() if one == name]


@pytest.fixture
def service() -> dict[str, Any]:
    """The one service of the compose file."""
    document = yaml.safe_load(FILES[COMPOSE])
    assert set(document) == {"services"}
    (found,) = document["services"].values()
    assert isinstance(found, dict)
    return found


def test_every_instruction_is_one_that_builders_know() -> None:
    known = {
        "FROM",
        "COPY",
        "RUN",
        "ENV",
        "WORKDIR",
        "USER",
        "EXPOSE",
        "HEALTHCHECK",
        "STOPSIGNAL",
        "ENTRYPOINT",
        "CMD",
    }
    assert {name for name, _ in instructions()} == known


def test_both_stages_are_slim_and_of_a_fixed_version() -> None:
    bases = [rest.split()[0] for rest in those_of("FROM")]
    assert len(set(bases)) == 1
    assert bases[0] == "python:3.12-slim", "what the wheel was built for"


def test_what_runs_is_nobody_in_particular_and_never_root() -> None:
    names = [name for name, _ in instructions()]
    assert those_of("USER") == [f"{USER}:{USER}"]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "RUN" not in names[names.index("USER") :]


def test_pip_leaves_nothing_behind_and_stays_in_the_first_stage() -> None:
    names = [name for name, _ in instructions()]
    last_stage = names[len(names) - names[::-1].index("FROM") :]
    assert not any("pip" in rest for name, rest in instructions()[-len(last_stage) :] if name == "RUN")
    assert all("--no-cache-dir" in rest for rest in those_of("RUN") if "pip install" in rest)


def test_the_ports_are_those_of_the_server_and_one_small_relay_range() -> None:
    (exposed,) = those_of("EXPOSE")
    assert exposed.split() == ["3478/udp", "3478/tcp", "5349/tcp", f"{RELAY_PORTS}/udp"]
    assert len(RELAY_PORTS.ports) == 40


@pytest.mark.parametrize("instruction", ["HEALTHCHECK", "CMD"])
def test_what_it_runs_are_commands_with_options_that_exist(instruction: str) -> None:
    (rest,) = those_of(instruction)
    words = re.findall(r'"([^"]*)"', rest[rest.index("[") :])
    words = words if instruction == "HEALTHCHECK" else ["icelane", *words]
    assert words[0] == "icelane"
    known = {command.name: command for command in commands()}
    assert f"icelane {words[1]}" in known
    from docs.command_reference import page

    section = page().split(f"## `icelane {words[1]}`")[1].split("\n## ")[0]
    for option in (word for word in words if word.startswith("-")):
        assert f"`{option}" in section or f", {option}" in section, option


def test_the_compose_file_gives_nothing_that_is_not_needed(service: dict[str, Any]) -> None:
    assert service["network_mode"] == "host"
    assert service["user"] == f"{USER}:{USER}"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    (volume,) = service["volumes"]
    assert volume.endswith(":ro")
    assert volume.split(":")[1] in shlex.split(those_of("CMD")[0].replace(",", " ").strip("[]"))


def test_its_ports_can_be_published_by_taking_remarks_away() -> None:
    opened = FILES[COMPOSE].replace("    network_mode: host\n", "")
    opened = re.sub(r"^    # (ports:|  - \")", r"    \1", opened, flags=re.MULTILINE)
    (found,) = yaml.safe_load(opened)["services"].values()
    assert found["ports"][-1] == f"{RELAY_PORTS}:{RELAY_PORTS}/udp"


def test_the_engine_waits_longer_than_the_server_drains(service: dict[str, Any]) -> None:
    machine = Machine(addresses=("127.0.0.1",), preferred=("127.0.0.1",))
    deadline = parse_config({"turn": {"users": {"a": "b"}}}, machine=machine).turn.drain_deadline
    assert int(service["stop_grace_period"].removesuffix("m")) * 60 > deadline


def test_no_configuration_goes_to_the_builder() -> None:
    """CR-6: a secret in a layer of an image is everybody's who has the image."""
    assert [line for line in FILES[IGNORED].splitlines() if not line.startswith("#")] == ["*", "!wheels"]
    assert [rest.split()[0] for rest in those_of("COPY") if not rest.startswith("--from")] == ["wheels/"]
