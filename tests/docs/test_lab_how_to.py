"""The program of docs/howto/lab.md prints what the page says."""

from __future__ import annotations

from icelane.testing.lab import Host, Way
from tests.docs.test_documentation import blocks, run_python
from tests.testing.lab.sockets import need_lab


def test_the_first_lab_of_the_how_to_prints_what_the_page_says() -> None:
    need_lab(Host("alice", up=Way()))
    (code,) = [text for text in blocks("docs/howto/lab.md", "python") if "ASK" in text]
    (shown,) = [text for text in blocks("docs/howto/lab.md", "text") if text.startswith("alice 200")]
    assert run_python(code) == shown


def test_the_fixture_and_the_other_proxy_of_the_how_to_are_what_they_say() -> None:
    need_lab()
    fixture, other = [text for text in blocks("docs/howto/lab.md", "python") if "ASK" not in text]
    run_python(fixture)
    run_python(other)
