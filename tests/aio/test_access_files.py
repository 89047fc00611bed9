"""Lists in files."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path

import pytest

from icelane.aio.access_files import AccessSources, AccessWatch
from icelane.aio.country import CountryDatabase
from icelane.errors import ConfigurationError, MissingExtraError
from icelane.turn.access_list import AccessLists
from tests.aio.mmdb import write_mmdb


def test_the_configuration_and_the_files_add_up(tmp_path: Path) -> None:
    denied, allowed = tmp_path / "deny", tmp_path / "allow"
    denied.write_text("203.0.113.0/24 # guests\n")
    allowed.write_text("identity:alice\n")
    lists = AccessLists()
    AccessWatch(lists, AccessSources(deny=("198.51.100.1",), deny_file=denied, allow_file=allowed))
    assert lists.refuses_address("198.51.100.1") == "denied-address"
    assert lists.refuses_address("203.0.113.9") == "denied-address"
    assert lists.refuses_identity("bob") == "not-allowed-identity"
    assert lists.refuses_identity("alice") is None


def test_a_changed_file_counts_and_a_broken_one_does_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SG-4, OP-12: read again when it changes; half a file leaves the list that was good, and is said once."""
    file = tmp_path / "deny"
    file.write_text("203.0.113.1\n")
    lists = AccessLists()
    watch = AccessWatch(lists, AccessSources(deny_file=file))
    told: list[int] = []
    watch.on_change(lambda: told.append(1))
    assert not watch.look()
    file.write_text("203.0.113.1\n203.0.113.22\n")
    assert watch.look()
    assert lists.refuses_address("203.0.113.22") is not None
    with caplog.at_level(logging.ERROR):
        file.write_text("203.0.113.1\nhalf a li")
        assert not watch.look()
        assert not watch.look()
    assert [record.message for record in caplog.records] == ["access.lists_unusable"]
    assert lists.refuses_address("203.0.113.22") is not None
    file.unlink()
    assert not watch.look()
    file.write_text("203.0.113.3\n")
    assert watch.look()
    assert lists.refuses_address("203.0.113.1") is None
    assert told == [1, 1]


def test_the_watch_looks_by_itself(tmp_path: Path) -> None:
    """SG-4: without a signal."""
    file = tmp_path / "deny"
    file.write_text("")
    lists = AccessLists()

    async def scenario() -> None:
        watch = AccessWatch(lists, AccessSources(deny_file=file), interval=0.001)
        changed = asyncio.Event()
        watch.on_change(changed.set)
        task = asyncio.create_task(watch.run())
        file.write_text("203.0.113.1\n")
        await asyncio.wait_for(changed.wait(), 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    assert lists.refuses_address("203.0.113.1") == "denied-address"


def test_a_reload_takes_other_sources_or_keeps_the_old_ones(tmp_path: Path) -> None:
    """OP-12: a reload that fails changes nothing."""
    lists = AccessLists()
    watch = AccessWatch(lists, AccessSources(deny=("203.0.113.1",)))
    for broken in (
        AccessSources(deny=("nonsense",)),
        AccessSources(deny_file=tmp_path / "missing"),
        AccessSources(deny=("country:SE",)),
        AccessSources(countries=tmp_path / "missing.mmdb"),
    ):
        with pytest.raises(ConfigurationError, match=r"lists\."):
            watch.reload(broken)
    assert lists.refuses_address("203.0.113.1") is not None
    watch.reload(AccessSources(deny=("203.0.113.2",)))
    assert lists.refuses_address("203.0.113.1") is None


def test_an_error_names_the_key_the_file_and_the_line(tmp_path: Path) -> None:
    file = tmp_path / "deny"
    file.write_text("203.0.113.1\n\nnonsense\n")
    with pytest.raises(ConfigurationError, match="line 3") as caught:
        AccessSources(deny_file=file).load()
    assert caught.value.key == "lists.deny_file"
    assert caught.value.file == str(file)
    with pytest.raises(ConfigurationError) as caught:
        AccessSources(allow=("203.0.113.1", "nonsense")).load()
    assert caught.value.key == "lists.allow[1]"
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        AccessSources(deny_file=file).load()


def test_a_country_is_looked_up_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "countries.mmdb"
    write_mmdb(file, {"203.0.113.0/24": {"country": {"iso_code": "NO"}}, "198.51.100.0/24": {"country_code": "se"}})
    database = CountryDatabase(file)
    assert database.country_of("203.0.113.9") == "NO"
    assert database.country_of("198.51.100.9") == "SE"
    assert database.country_of("192.0.2.1") is None
    assert database.country_of("2001:db8::1") is None
    lists = AccessLists()
    AccessWatch(lists, AccessSources(deny=("country:NO",), countries=file))
    assert lists.refuses_address("203.0.113.9") == "denied-country"
    assert lists.refuses_address("192.0.2.1") is None


def test_what_is_no_database_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "countries.mmdb"
    file.write_text(json.dumps({}))
    with pytest.raises(ConfigurationError, match="not an MMDB file") as caught:
        CountryDatabase(file)
    assert caught.value.file == str(file)


def test_without_the_reader_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    with pytest.raises(MissingExtraError, match=r"icelane\[geo\]"):
        CountryDatabase(tmp_path / "x")
    with pytest.raises(ConfigurationError, match=r"lists\.countries.*geo"):
        AccessSources(countries=tmp_path / "x").load()
