"use strict";

// What getStats says of this end, in the names of the W3C statistics. Bytes are the transport's, over every pair that it
// used: the browser may change to a better pair in mid-call.
async function statisticsOf(connection) {
  const stats = await connection.getStats();
  const all = [...stats.values()];
  const transport = all.find(({ type }) => type === "transport") ?? {};
  const pair = stats.get(transport.selectedCandidatePairId) ?? {};
  const local = stats.get(pair.localCandidateId) ?? {};
  const remote = stats.get(pair.remoteCandidateId) ?? {};
  const fingerprint = (id) => {
    const certificate = stats.get(id);
    return certificate ? `${certificate.fingerprintAlgorithm} ${certificate.fingerprint}` : "none";
  };
  const received = all.filter(({ type }) => type === "inbound-rtp");
  const video = received.find(({ kind }) => kind === "video") ?? {};
  return {
    connectionState: connection.connectionState,
    localType: local.candidateType ?? "none",
    remoteType: remote.candidateType ?? "none",
    relayProtocol: local.relayProtocol ?? "none",
    bytesSent: transport.bytesSent ?? 0,
    bytesReceived: transport.bytesReceived ?? 0,
    currentRoundTripTime: pair.currentRoundTripTime ?? null,
    tlsVersion: transport.tlsVersion ?? "none",
    dtlsCipher: transport.dtlsCipher ?? "none",
    srtpCipher: transport.srtpCipher ?? null,
    localFingerprint: fingerprint(transport.localCertificateId),
    remoteFingerprint: fingerprint(transport.remoteCertificateId),
    framesDecoded: video.framesDecoded ?? 0,
    packetsReceived: video.packetsReceived ?? 0,
    packetsLost: video.packetsLost ?? 0,
    codecs: [...new Set(received.map(({ codecId }) => stats.get(codecId)?.mimeType.split("/")[1] ?? ""))],
  };
}
