"""An encoder that makes itself real-time leaves everybody else as they were."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Event, Thread

import pytest

from icelane.media.codec import MediaKind
from icelane.media.codecs.default import default_registry
from icelane.media.codecs.interface import EncoderSettings
from icelane.media.codecs.thread_policy import ordinary_threads
from icelane.media.synthetic.clock_card import draw_card


def policies() -> set[int]:
    """Of this process's threads. One that has been joined may be listed a moment longer."""
    found = set()
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):
            found.add(os.sched_getscheduler(int(thread)))
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are not to be seen here")
def test_no_encoder_leaves_a_thread_that_starves_the_others() -> None:
    registry = default_registry()
    for codec in registry.codecs(MediaKind.VIDEO, can_send=True):
        if codec.is_media:
            encoder = registry.encoder(codec, EncoderSettings())
            for number in range(3):
                encoder.encode(draw_card(160, 120, number, pts=number * 3_000))
                assert policies() == {os.SCHED_OTHER}, codec.name
            encoder.close()


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are not to be seen here")
def test_encoders_that_are_opened_at_once_do_not_keep_each_other_real_time() -> None:
    """Each looks while the other one is opened: what it sees then is not what the other thread is to be."""
    with ordinary_threads():
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            pytest.skip("no thread may be made a real-time one here")
        opened, may_end = Event(), Event()

        def open_another() -> None:
            with ordinary_threads():
                opened.set()
                may_end.wait()

        other = Thread(target=open_another)
        other.start()
        opened.wait()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    may_end.set()
    other.join()
    assert policies() == {os.SCHED_OTHER}
