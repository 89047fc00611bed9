"""Two ends shake hands over DTLS, and what one protects with the keys of that the other one opens."""

from __future__ import annotations

import pytest

from icelane.dtls.backend import default_backend
from icelane.dtls.connection import HandshakeCompleted
from icelane.dtls.options import DtlsOptions, SrtpProfile
from icelane.srtp.profile import keys_for_role
from icelane.srtp.session import SrtpSession
from tests.dtls.pair import Pair
from tests.srtp.ends import rtcp, rtp


def session_of(completed: HandshakeCompleted, is_client: bool) -> SrtpSession:
    """What follows from a handshake."""
    profile, material = completed.security.srtp_profile, completed.keying_material
    assert profile is not None
    assert material is not None
    keys = keys_for_role(
        client_key=material.client_key,
        server_key=material.server_key,
        client_salt=material.client_salt,
        server_salt=material.server_salt,
        is_client=is_client,
    )
    return SrtpSession(
        profile,
        local_key=keys.local_key,
        local_salt=keys.local_salt,
        remote_key=keys.remote_key,
        remote_salt=keys.remote_salt,
    )


@pytest.mark.parametrize("profile", SrtpProfile)
def test_both_ends_open_what_the_other_protects(profile: SrtpProfile) -> None:
    """DT-13: both roles derive the same keys, whichever profile is agreed on."""
    pair = Pair(default_backend(), client_options=DtlsOptions(srtp_profiles=(profile,)))
    pair.connect()
    client = session_of(pair.client.completed, True)
    server = session_of(pair.server.completed, False)
    for one, other in ((client, server), (server, client)):
        assert other.unprotect_batch(one.protect_batch([rtp(1), rtcp()])) == [rtp(1), rtcp()]
