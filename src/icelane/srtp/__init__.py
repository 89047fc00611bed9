"""SRTP and SRTCP under keys from DTLS: protect what is sent, unprotect what came, and notice what came twice.

RFC 3711 (AES_CM_128_HMAC_SHA1_80), 7714 (AEAD_AES_128_GCM, AEAD_AES_256_GCM), 6188 (deriving keys with AES-256), 5764
(keys from DTLS). Left out: MKI, key derivation rates, the NULL cipher, SRTCP without encryption, F8, tags of 32 bits,
encrypted header extensions (RFC 6904, 9335).

    keys = keys_from_exporter(profile, material, is_client=True)
    session = SrtpSession(
        profile,
        local_key=keys.local_key, local_salt=keys.local_salt,
        remote_key=keys.remote_key, remote_salt=keys.remote_salt,
    )
    socket.send(session.protect(serialize(packet)))
    for data in session.unprotect_batch(datagrams):
        if data is not None:
            react(parse_rtcp(data) if is_rtcp(data) else parse_rtp_packet(data))
"""
