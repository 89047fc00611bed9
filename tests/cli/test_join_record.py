"""Where a recording may be begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from icelane.cli.join_record import check_record
from icelane.cli.output import CommandError


def test_a_new_name_in_a_directory_may_be_recorded_into(tmp_path: Path) -> None:
    check_record(tmp_path / "call.mkv")


def test_a_file_and_a_link_that_leads_nowhere_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "call.mkv").touch()
    (tmp_path / "link.mkv").symlink_to(tmp_path / "nowhere.mkv")
    for name in ("call.mkv", "link.mkv"):
        with pytest.raises(CommandError):
            check_record(tmp_path / name)
