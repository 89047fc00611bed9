"""`icelane join`, as programs on loopback that meet in a room of a node."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from icelane.media.pyav import av
from icelane.media.synthetic.clock_card import read_card
from icelane.media.synthetic.sound import beep, measure_tone, tone
from tests.cli.conftest import Icelane
from tests.cli.running_node import TIMEOUT, RunningNode, last_document, next_document, running_node


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with running_node(tmp_path_factory.mktemp("node")) as node:
        yield node


@pytest.fixture
def node(running: RunningNode) -> Iterator[RunningNode]:
    yield running
    running.end_programs()


def event(program: subprocess.Popen[str], name: str) -> dict[str, object]:
    """The next event of that name."""
    while True:
        found = next_document(program)
        if found.get("event") == name:
            return found


def write_tone(file: Path, frequency: int, seconds: int = 30) -> None:
    """A file with nothing but a tone."""
    sound = tone(frequency, channels=1)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48_000, layout="mono")
        for index in range(50 * seconds):
            container.mux(stream.encode(sound.frame(index * 960, 960)))
        container.mux(stream.encode(None))


def cards(file: Path) -> list[int]:
    """The clock of each picture in which it can be read."""
    with av.open(str(file)) as recording:
        return [card for frame in recording.decode(video=0) if (card := read_card(frame)) is not None]


def heard(file: Path) -> float:
    """The frequency of a recording, whatever a busy machine has torn holes into."""
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=48_000)
    with av.open(str(file)) as recording:
        pieces = [piece for frame in recording.decode(audio=0) for piece in resampler.resample(frame)]
    return median(measure_tone(pieces[at : at + 5]).frequency for at in range(0, len(pieces) - 5, 5))


def test_three_programs_meet_and_one_records_the_others_until_it_is_interrupted(
    node: RunningNode, tmp_path: Path
) -> None:
    write_tone(tmp_path / "tone.wav", 660)

    def start(*arguments: str) -> subprocess.Popen[str]:
        return node.start("join", "demo", *node.options, "--interface", "lo", "--json", *arguments, cwd=tmp_path)

    recorder = start("--record", "call.mkv")
    event(recorder, "joined")
    card = start("--publish", "testsrc", "--name", "ann")
    assert event(recorder, "peer")["name"] == "ann"
    connected = event(card, "connected")
    assert connected["securityCode"] == event(recorder, "connected")["securityCode"]
    event(card, "statistics")
    singer = start("--publish", "tone.wav", "--loop", "--name", "bob ../x")
    assert event(recorder, "peer")["name"] == "bob ../x"
    event(singer, "statistics")
    seen = event(recorder, "statistics")
    recorder.send_signal(signal.SIGINT)
    done = last_document(recorder)
    assert done["exitCode"] == 0
    peers = done["peers"]
    assert isinstance(peers, list)
    assert {peer["name"]: peer["files"] for peer in peers} == {
        "ann": ["call.mkv"],
        "bob ../x": ["call-bob_.._x.mkv"],
    }
    assert {tuple(sorted(peer["receivedCodecs"])) for peer in peers} == {("VP8", "opus"), ("opus",)}
    assert {peer["path"] for peer in peers} == {"direct, UDP"}
    assert isinstance(seen["peers"], list)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["call-bob_.._x.mkv", "call.mkv", "tone.wav"]
    times = cards(tmp_path / "call.mkv")
    assert len(times) > 20
    assert times == sorted(times)
    assert heard(tmp_path / "call-bob_.._x.mkv") == pytest.approx(660, rel=0.03)


def test_a_visit_ends_by_itself_and_says_by_which_path_it_was(node: RunningNode, tmp_path: Path) -> None:
    options = (*node.options, "--interface", "lo", "--relay-only")
    first = node.start("join", "relayed", *options, "--publish", "testsrc", cwd=tmp_path)
    second = node.start("join", "relayed", *options, "--for", "8", cwd=tmp_path)
    out, err = second.communicate(timeout=TIMEOUT)
    assert second.returncode == 0, err
    assert out.startswith("in relayed as bot-")
    assert "relayed, UDP" in out
    assert "VP8" in out
    assert "is here" in err
    first.terminate()
    out, err = first.communicate(timeout=TIMEOUT)
    assert first.returncode == 0, err
    assert "has left (closed)" in err


def test_the_link_of_a_page_is_enough(node: RunningNode, tmp_path: Path) -> None:
    link = f"{node.url}/r/alone#{node.token('alone')}"
    program = node.start("join", link, "--ca", str(node.authority), "--for", "0.5", "--json", cwd=tmp_path)
    done = last_document(program)
    assert (done["exitCode"], done["room"], done["peers"]) == (0, "alone", [])


@pytest.mark.parametrize(
    ("token", "said", "mend"),
    [("nonsense", "does not let us in", "icelane token create"), ("other", "room demo", "--room 'demo'")],
)
def test_who_is_refused_sees_why_and_what_helps(
    node: RunningNode, tmp_path: Path, token: str, said: str, mend: str
) -> None:
    text = node.token("other") if token == "other" else token
    options = ("--server", node.url, "--ca", str(node.authority))
    program = node.start("join", "demo", *options, cwd=tmp_path, ICELANE_TOKEN=text)
    _, err = program.communicate(timeout=TIMEOUT)
    assert program.returncode == 4
    assert said in err
    assert mend in err
    assert text not in err
    assert "Traceback" not in err


def test_an_unknown_authority_is_named_with_what_helps(node: RunningNode, tmp_path: Path) -> None:
    program = node.start("join", "demo", "-c", str(node.configuration), cwd=tmp_path)
    _, err = program.communicate(timeout=TIMEOUT)
    assert program.returncode == 4
    assert "--ca FILE" in err
    assert "icelane certs trust" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo"], "which node"),
        (["https://call.example.org"], "names no room"),
        (["demo", "--server", "https://h", "--publish", "missing.mp4"], "missing.mp4 is no file"),
        (["demo", "--server", "https://h", "--publish", "broken.mp4"], "broken.mp4 does not open"),
        (["demo", "--server", "https://h", "--record", "call.txt"], "ends in .mp4"),
        (["demo", "--server", "https://h", "--record", "there.mp4"], "there already"),
        (["demo", "--server", "https://h", "--record", "missing/call.mp4"], "missing is no directory"),
    ],
)
def test_a_wrong_command_line_ends_before_anybody_is_asked(
    icelane: Icelane, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "there.mp4").touch()
    (tmp_path / "broken.mp4").write_text("no film")
    found = icelane("join", *arguments, "--json")
    assert found.code == 2
    assert said in found.document["problems"][0]["message"]


def test_the_node_of_icelane_dev_is_found_without_a_word(node: RunningNode, tmp_path: Path) -> None:
    """And its certificate is trusted, which no program of this machine was told."""
    (tmp_path / "run").mkdir(mode=0o700)
    places = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    development = node.start("dev", "--listen", "127.0.0.1", "--json", cwd=tmp_path, **places)
    urls = next_document(development)["urls"]
    assert isinstance(urls, dict)
    for place in ("blue-otter", urls["call"]):
        visit = node.start("join", place, "--for", "0.5", "--json", cwd=tmp_path, **places)
        assert last_document(visit)["exitCode"] == 0


def test_help_has_an_example(icelane: Icelane) -> None:
    assert "icelane join demo" in icelane("join", "--help").out.partition("Example")[2]


def test_a_beep_is_short_and_comes_once_a_second() -> None:
    sound = beep(880, channels=1)
    assert measure_tone([sound.frame(0, 4_800)]).frequency == pytest.approx(880, rel=0.02)
    assert measure_tone([sound.frame(9_600, 9_600)]).frequency == 0.0
