// @ts-check
/**
 * Which way a call goes and how well, in plain words, read from `getStats`.
 *
 *     direct, UDP                nobody is between the two but the network
 *     relayed, TLS 443           by way of a TURN server, which we reach in this manner
 *     relayed, UDP               by way of the other side's TURN server
 *
 * @typedef {object} CallPath
 * @property {string} words  the way; empty while there is none
 * @property {boolean} relayed
 * @property {number} [roundTrip]  milliseconds
 * @property {number} [loss]  of the packets since the last look, the part that was lost, the worse of both ways
 * @property {string} protection  such as DTLS 1.3; empty where the browser does not say
 * @property {string} suite
 * @property {string} srtp
 * @property {string} candidates  what both ends of the path are
 * @property {string[]} codecs
 * @property {number} level  how loud it is, from 0 to 1
 * @property {number} bytes  received and sent
 */

/** @type {Record<string, string>} */
const DTLS = { FEFF: "DTLS 1.0", FEFD: "DTLS 1.2", FEFC: "DTLS 1.3" }
/** @type {Record<string, string>} */
const KINDS = { host: "own address", srflx: "address of its router", prflx: "address of its router", relay: "relay" }
const PORTS = { udp: "3478", tcp: "3478", tls: "5349" }

/** Looks at one connection again and again. */
export class PathWatch {
  #lost = 0
  #received = 0

  /** @param {RTCPeerConnection} pc @returns {Promise<CallPath>} */
  async look(pc) {
    return this.read(await pc.getStats())
  }

  /** @param {Map<string, any> | RTCStatsReport} report @returns {CallPath} */
  read(report) {
    /** @type {any[]} */
    const all = []
    report.forEach(entry => all.push(entry))
    const by = (/** @type {string} */ id) => all.find(entry => entry.id === id)
    const transport = all.find(entry => entry.type === "transport" && entry.selectedCandidatePairId)
    const pair = transport
      ? by(transport.selectedCandidatePairId)
      : all.find(entry => entry.type === "candidate-pair" && (entry.selected || (entry.nominated && entry.state === "succeeded")))
    const local = pair && by(pair.localCandidateId)
    const remote = pair && by(pair.remoteCandidateId)
    return {
      words: local && remote ? pathWords(local, remote) : "",
      relayed: [local, remote].some(one => one?.candidateType === "relay"),
      ...(pair?.currentRoundTripTime !== undefined && { roundTrip: pair.currentRoundTripTime * 1000 }),
      ...this.#loss(all),
      protection: DTLS[transport?.tlsVersion] ?? "",
      suite: transport?.dtlsCipher ?? "",
      srtp: transport?.srtpCipher ?? "",
      candidates: local && remote ? `${KINDS[local.candidateType]} here, ${KINDS[remote.candidateType]} there` : "",
      codecs: codecsOf(all),
      level: Math.max(0, ...all.filter(entry => entry.type === "inbound-rtp" && entry.kind === "audio").map(entry => entry.audioLevel ?? 0)),
      bytes: (pair?.bytesReceived ?? 0) + (pair?.bytesSent ?? 0),
    }
  }

  /** @param {any[]} all */
  #loss(all) {
    const inbound = all.filter(entry => entry.type === "inbound-rtp")
    const lost = inbound.reduce((sum, entry) => sum + (entry.packetsLost ?? 0), 0)
    const received = inbound.reduce((sum, entry) => sum + (entry.packetsReceived ?? 0), 0)
    const newlyLost = Math.max(0, lost - this.#lost)
    const newly = Math.max(0, received - this.#received) + newlyLost
    this.#lost = lost
    this.#received = received
    const there = all.filter(entry => entry.type === "remote-inbound-rtp").map(entry => entry.fractionLost ?? 0)
    if (!newly && !there.length) return {}
    return { loss: Math.max(newly ? newlyLost / newly : 0, ...there) }
  }
}

/** @param {any} local @param {any} remote */
function pathWords(local, remote) {
  if (local.candidateType === "relay") {
    const how = /** @type {"udp" | "tcp" | "tls"} */ (local.relayProtocol ?? "udp")
    const [, scheme, port] = /^(turns?):.*?(?::(\d+))?(?:\?|$)/.exec(local.url ?? "") ?? []
    return `relayed, ${how.toUpperCase()}${scheme ? ` ${port ?? PORTS[how]}` : ""}`
  }
  const way = (local.protocol ?? "udp").toUpperCase()
  return remote.candidateType === "relay" ? `relayed, ${way}` : `direct, ${way}`
}

/** @param {any[]} all */
function codecsOf(all) {
  const used = all.filter(entry => /^(in|out)bound-rtp$/.test(entry.type)).map(entry => entry.codecId)
  const names = all.filter(entry => entry.type === "codec" && used.includes(entry.id)).map(entry => entry.mimeType.split("/")[1])
  return [...new Set(names)]
}

/**
 * The numbers beside the way, such as "12 ms, 0 % lost".
 * @param {CallPath} path
 */
export function pathNumbers({ roundTrip, loss }) {
  const found = []
  if (roundTrip !== undefined) found.push(`${roundTrip < 10 ? roundTrip.toFixed(1) : Math.round(roundTrip)} ms`)
  if (loss !== undefined) found.push(`${loss > 0 && loss < 0.01 ? "<1" : Math.round(loss * 100)} % lost`)
  return found.join(", ")
}
