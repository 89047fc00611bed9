"""SCTP that believes, keeps or spends too much. Breaks are applied to the Python form."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from collections import deque

from icelane.datachannel import mux
from icelane.sctp import association, chunks, handshake, inbound, outbound
from icelane.sctp.chunks import SackChunk
from icelane.sctp.inbound import Inbound
from icelane.sctp.outbound import Outbound
from tests.broken.registry import breaks, swap

ASSOCIATION = "tests/sctp/test_association.py"
INBOUND = "tests/sctp/test_inbound.py"
OUTBOUND = "tests/sctp/test_outbound.py"
LIES = f"{ASSOCIATION}::test_a_packet_that_is_not_for_us_changes_nothing"


@breaks("SC-2", test=(f"{LIES}[bad checksum]",))
def the_checksum_is_not_looked_at() -> None:
    swap(association, "is_sealed", lambda packet: True)


@breaks("SC-2", test=(f"{LIES}[wrong tag]", f"{LIES}[tag of zero]", f"{LIES}[bundled INIT]"))
def any_verification_tag_will_do() -> None:
    swap(association.SctpAssociation, "_check_packet", lambda self, data, spans: None)


@breaks("SC-2", test=f"{LIES}[chunk of length 65535]")
def a_chunk_may_run_past_the_end() -> None:
    def spans(data: bytes) -> list[int]:
        found, position = [], chunks.HEADER_SIZE
        while position + 4 <= len(data):
            length = max(data[position + 2] << 8 | data[position + 3], 4)
            found += [position, min(position + length, len(data))]
            position += length + (-length & 3)
        return found

    swap(chunks, "parse_chunk_spans", spans)


@breaks("SC-2", test="tests/sctp/test_handshake.py::test_a_cookie_with_any_bit_flipped_is_refused")
def cookies_are_compared_in_part() -> None:
    swap(handshake, "equal", lambda a, b: a[:4] == b[:4])


@breaks("SC-2", test="tests/sctp/test_handshake.py::test_a_cookie_is_good_for_a_minute")
def cookies_last_for_ever() -> None:
    swap(handshake, "COOKIE_LIFETIME", 1e9)


@breaks("SC-2", test=f"{INBOUND}::test_a_story_that_cannot_be_true_ends_the_association")
def fragments_of_different_messages_are_joined() -> None:
    def joined(left: inbound._Run, right: inbound._Run) -> inbound._Run:
        left.pieces.extend(right.pieces)
        left.last, left.ends, left.size = right.last, right.ends, left.size + right.size
        return left

    swap(inbound, "_joined", joined)


@breaks("SC-3", test=(f"{OUTBOUND}::test_a_gap_block_that_was_never_sent_ends_the_association",
                      f"{ASSOCIATION}::test_a_sack_that_lies_ends_the_association_on_both_sides"))  # fmt: skip
def gap_blocks_are_believed_where_they_fit() -> None:
    acknowledge = Outbound._acknowledge_gaps

    def where_they_fit(self: Outbound, gaps: list[int], now: float) -> None:
        most = self.next_tsn - self.cumulative - 1
        pairs = [(max(first, 1), min(last, most)) for first, last in zip(gaps[::2], gaps[1::2], strict=True)]
        acknowledge(self, [number for pair in pairs if pair[0] <= pair[1] for number in pair], now)

    swap(Outbound, "_acknowledge_gaps", where_they_fit)


@breaks("SC-3", test=f"{OUTBOUND}::test_acknowledging_what_was_never_sent_ends_the_association")
def acknowledging_too_much_counts_as_everything() -> None:
    handle = Outbound.handle_sack

    def at_most_everything(self: Outbound, sack: SackChunk, now: float) -> None:
        advance = (sack.cumulative_tsn - self.cumulative) & 0xFFFFFFFF
        if self.next_tsn - self.cumulative <= advance < 0x80000000:
            sack.cumulative_tsn = (self.next_tsn - 1) & 0xFFFFFFFF
        handle(self, sack, now)

    swap(Outbound, "handle_sack", at_most_everything)


@breaks("SC-3", test=f"{OUTBOUND}::test_ten_thousand_blocks_are_handled_in_bounded_time")
def every_block_is_walked_from_the_beginning() -> None:
    acknowledge = Outbound._acknowledge_gaps

    def walk(self: Outbound, gaps: list[int], now: float) -> None:
        for last in gaps[1::2]:
            for i in range(self._head, self._head + last):
                _ = self._chunks[i].acked
        acknowledge(self, gaps, now)

    swap(Outbound, "_acknowledge_gaps", walk)


@breaks("SC-4", test=(f"{INBOUND}::test_a_sender_that_ignores_the_window_is_bounded_and_cut_off",
                      f"{ASSOCIATION}::test_a_flood_into_a_closed_window_is_aborted_with_bounded_memory"))  # fmt: skip
def the_receive_window_is_only_a_request() -> None:
    swap(inbound, "WINDOW_SLACK", 1 << 40)


@breaks("SC-4", test=f"{INBOUND}::test_a_sender_that_ignores_the_window_is_bounded_and_cut_off")
def whoever_ignores_the_window_may_go_on() -> None:
    swap(Inbound, "_count_overrun", lambda self, size, now: None)


@breaks("SC-4", test=f"{INBOUND}::test_tiny_pieces_are_bounded_by_their_number")
def pieces_are_not_counted() -> None:
    swap(inbound, "MAX_HELD", 1 << 40)


@breaks("SC-4", test=(f"{INBOUND}::test_tiny_messages_that_nobody_reads_close_the_window_by_their_number[3]",
                      f"{ASSOCIATION}::test_a_reader_that_is_slow_is_not_buried_under_small_messages"))  # fmt: skip
def a_message_weighs_nothing_but_its_bytes() -> None:
    swap(inbound, "_OVERHEAD", 0)


@breaks("SC-4", test=f"{INBOUND}::test_a_message_of_tiny_pieces_is_kept_in_few")
def pieces_stay_as_they_came() -> None:
    swap(inbound, "MAX_PIECES", 1 << 40)


@breaks("SC-4", test=f"{INBOUND}::test_gaps_are_bounded")
def gaps_are_not_counted() -> None:
    swap(inbound, "MAX_GAPS", 1 << 40)


@breaks("SC-4", test=f"{INBOUND}::test_no_order_of_arrival_makes_putting_together_expensive"
                     "[backwards-kept as they come]")  # fmt: skip
def pieces_are_copied_whenever_they_are_joined() -> None:
    joined = inbound._joined

    def copied(left: inbound._Run, right: inbound._Run) -> inbound._Run:
        run = joined(left, right)
        run.pieces = deque(bytes(bytearray(piece)) for piece in run.pieces)
        return run

    swap(inbound, "_joined", copied)


@breaks("SC-4", test=f"{OUTBOUND}::test_the_sender_is_bounded_whatever_the_peer_s_window")
def the_peer_decides_how_much_we_keep() -> None:
    swap(outbound, "MAX_OUTSTANDING", 1 << 40)


@breaks("SC-5", test=(f"{INBOUND}::test_fragments_that_never_end_are_bounded_and_end_the_association",
                      f"{ASSOCIATION}::test_a_message_that_is_too_long_is_cut_off_before_it_is_whole"))  # fmt: skip
def a_message_is_measured_when_it_is_whole() -> None:
    join = Inbound._join

    def without_limit(self: Inbound, *arguments: object) -> None:
        limit, self._max_message_size = self._max_message_size, 1 << 40
        try:
            join(self, *arguments)  # type: ignore[arg-type]  # those of the original
        finally:
            self._max_message_size = limit

    swap(Inbound, "_join", without_limit)


@breaks("SC-5", test=f"{ASSOCIATION}::test_what_cannot_be_sent_is_refused")
def the_peer_s_limit_is_not_looked_at() -> None:
    swap(association.SctpAssociation, "_check_message", lambda self, stream_id, size: None)


@breaks("SC-5", test="tests/datachannel/test_mux.py::test_a_peer_can_open_so_many_channels_and_no_more")
def a_peer_may_open_as_many_channels_as_it_likes() -> None:
    swap(mux, "MAX_ANNOUNCED", 1 << 40)
