"""Where a recording may be begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from icelane import AudioStreamTrack
from icelane.cli.join_record import MAX_RECORDED, Recordings, check_record
from icelane.cli.output import CommandError, Output


def test_a_new_name_in_a_directory_may_be_recorded_into(tmp_path: Path) -> None:
    check_record(tmp_path / "call.mkv")


def test_a_file_and_a_link_that_leads_nowhere_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "call.mkv").touch()
    (tmp_path / "link.mkv").symlink_to(tmp_path / "nowhere.mkv")
    for name in ("call.mkv", "link.mkv"):
        with pytest.raises(CommandError):
            check_record(tmp_path / name)


def test_one_run_begins_so_many_files_and_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recordings = Recordings(tmp_path / "call.mkv", Output(as_json=False))
    recordings._taken.update(tmp_path / f"call-{number}.mkv" for number in range(MAX_RECORDED))
    recordings.take("p_1", "bob", AudioStreamTrack())
    assert recordings.of("p_1") == []
    assert "are enough" in capsys.readouterr().err
