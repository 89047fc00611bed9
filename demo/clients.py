"""The demo's paths between two of our own clients."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from demo.exchange import Exchanged, Inbox, Send, measure_round_trip, transfer
from demo.paths import Outcome, PathResult, failed
from demo.server import DemoServer
from icelane.aio.turn_client import connect_turn
from icelane.aio.turn_relay import TurnRelay

PACKETS = 2000  # each way
TIMEOUT = 60.0  # seconds for the whole path


async def clients_path(server: DemoServer, transport: str) -> PathResult:
    """Relay PACKETS packets each way between two clients, each behind its own relayed address.

    Each packet goes from one client to the server, from the one relayed address to the other, and from the server to
    the other client, as ChannelData.
    """
    path = f"icelane clients, {transport.upper()}"
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _relay(path, server, transport)
    except Exception as error:  # the row says what happened; the other paths have theirs
        return failed(path, error)


async def _relay(path: str, server: DemoServer, transport: str) -> PathResult:
    began = time.perf_counter()
    url = server.url(transport)
    connect = partial(connect_turn, url, username=server.user, password=server.password, authority=server.authority)
    async with await connect() as left, await connect() as right:
        await asyncio.gather(left.bind_channel(right.relayed_address), right.bind_channel(left.relayed_address))
        set_up = time.perf_counter() - began
        send_left, send_right = _towards(left, right), _towards(right, left)
        left_inbox, right_inbox = Inbox(send_left), Inbox(send_right)
        left.on_data = lambda packet, _: left_inbox.handle_packet(packet)
        right.on_data = lambda packet, _: right_inbox.handle_packet(packet)
        round_trip = await measure_round_trip(send_left, left_inbox)
        directions = await asyncio.gather(
            transfer(send_left, right_inbox, packets=PACKETS), transfer(send_right, left_inbox, packets=PACKETS)
        )
    return _result(path, set_up, round_trip, directions)


def _towards(source: TurnRelay, target: TurnRelay) -> Send:
    peer = target.relayed_address
    return lambda packet: source.send(packet, peer)


def _result(path: str, set_up: float, round_trip: float | None, directions: tuple[Exchanged, Exchanged]) -> PathResult:
    intact = all(direction.intact for direction in directions)
    sent = sum(direction.packets_sent for direction in directions)
    return PathResult(
        path=path,
        outcome=Outcome.CARRIED if intact and round_trip is not None else Outcome.FAILED,
        set_up=set_up,
        round_trip=round_trip,
        bytes_sent=sum(direction.bytes_sent for direction in directions),
        bytes_received=sum(direction.bytes_received for direction in directions),
        packets=sent,
        packets_lost=sent - sum(direction.packets_received for direction in directions),
        remark="" if intact else "packets were lost or changed",
    )
