"""Session descriptions: RFC 8866, 9429, 9143, 8839, 8841, 8842, 8122.

Left out: SDES keys, grouping other than BUNDLE, and the fragments of trickling (RFC 8840).

    offer = parse_session(text)                     # MalformedError, with the number of the line
    check_description(offer, is_offer=True)         # MalformedError, with the section that WebRTC forbids
    for media in offer.media:
        agent.set_remote_credentials(offer.ice_credentials(media))
        for candidate in media.candidates:
            agent.add_remote_candidate(candidate)
    answer = SessionDescription(origin=Origin(session_id, 1))
    answer.add(Group("BUNDLE", ("0",)))
    answer.media.append(MediaDescription(kind="application", protocol="UDP/DTLS/SCTP", formats=["webrtc-datachannel"]))
    answer.media[0].add(Attribute("mid", "0"), Fingerprint("sha-256", digest))
    signaling.send(str(answer))

Attributes stay as they were written, in their order, known or not; the typed properties read them where they stand.
"""
