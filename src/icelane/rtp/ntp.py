"""NTP timestamps as RTCP has them (RFC 3550 section 4): 32 bits of seconds since 1900, 32 bits of fractions."""

from __future__ import annotations

from typing import Final

from icelane.core.clock import Duration, UnixSeconds

# Seconds from 1900, where NTP begins, to 1970.
UNIX_EPOCH: Final = 2_208_988_800
_ERA: Final = 1 << 32
# RFC 4330 section 3: a timestamp whose highest bit is clear counts from 2036 on, when the seconds begin anew.
_FIRST_ERA_BIT: Final = 1 << 63
_COMPACT_UNITS: Final = 65_536


def ntp_of(time: UnixSeconds) -> int:
    """The 64 bits of a point in calendar time."""
    return round((time + UNIX_EPOCH) * _ERA) & 0xFFFFFFFFFFFFFFFF


def unix_time_of(ntp: int) -> UnixSeconds:
    """The calendar time of 64 bits, between 1968 and 2104."""
    era = 0 if ntp & _FIRST_ERA_BIT else _ERA
    return UnixSeconds((ntp >> 32) + era - UNIX_EPOCH + (ntp & 0xFFFFFFFF) / _ERA)


def compact_ntp(ntp: int) -> int:
    """The middle 32 of the 64 bits, in units of 1/65536 s: what a reception report repeats as LSR."""
    return ntp >> 16 & 0xFFFFFFFF


def compact_duration(duration: Duration) -> int:
    """A length of time as DLSR has it, in units of 1/65536 s; what does not fit becomes 0 or the greatest value."""
    return min(max(round(duration * _COMPACT_UNITS), 0), 0xFFFFFFFF)


def duration_of(compact: int) -> Duration:
    """The seconds of a length of time in units of 1/65536 s."""
    return compact / _COMPACT_UNITS


def round_trip_time(arrival: int, last_sender_report: int, delay: int) -> Duration | None:
    """The round trip from a reception report that came at `arrival`, all three in their compact form.

    None when the peer has seen no sender report yet (both fields are 0), or when what it says lies in the future. A
    clock that is coarser than the network gives 0.
    """
    if last_sender_report == 0:
        return None
    elapsed = arrival - last_sender_report - delay & 0xFFFFFFFF
    if elapsed >= 1 << 31:  # before our report: by less than a millisecond it is rounding
        return 0.0 if (1 << 32) - elapsed <= _COMPACT_UNITS // 1000 else None
    return duration_of(elapsed)
