"""Two ends shake hands over DTLS, and what one protects with the keys of that the other one opens."""

from __future__ import annotations

import pytest

from icelane.dtls.backend import default_backend
from icelane.dtls.connection import HandshakeCompleted
from icelane.dtls.options import DtlsOptions, DtlsRole, SrtpProfile
from icelane.peer.media_transport import SrtpKeys
from icelane.srtp.session import SrtpSession
from tests.dtls.pair import Pair
from tests.srtp.ends import rtcp, rtp


def session_of(completed: HandshakeCompleted, role: DtlsRole) -> SrtpSession:
    """What follows from a handshake."""
    profile, material = completed.security.srtp_profile, completed.keying_material
    assert profile is not None
    assert material is not None
    return SrtpKeys(profile, material, role).open_session()


@pytest.mark.parametrize("profile", SrtpProfile)
def test_both_ends_open_what_the_other_protects(profile: SrtpProfile) -> None:
    """DT-13: both roles derive the same keys, whichever profile is agreed on."""
    pair = Pair(default_backend(), client_options=DtlsOptions(srtp_profiles=(profile,)))
    pair.connect()
    client = session_of(pair.client.completed, DtlsRole.CLIENT)
    server = session_of(pair.server.completed, DtlsRole.SERVER)
    for one, other in ((client, server), (server, client)):
        assert other.unprotect_batch(one.protect_batch([rtp(1), rtcp()])) == [rtp(1), rtcp()]
