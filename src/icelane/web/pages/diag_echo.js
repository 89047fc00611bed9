// @ts-check
/**
 * A call with the server over its own relay, from relay to relay: does it connect, and what does the way lose?
 *
 * @typedef {import("./diag_check.js").Found} Found
 * @typedef {import("./diag_check.js").Key} Key
 */

import { ask, failed, passed, skipped, warned, words } from "./diag_check.js"

// As speech comes: so many packets of so many bytes, at this distance.
const PACKETS = 50
const BYTES = 160
const INTERVAL = 20
const LATE = 1000
const SETUP = 15000
const TOLD_LOSS = 0.02
const BAD_LOSS = 0.5

/**
 * @param {string} url @param {RTCIceServer} server @param {Key} key
 * @param {() => string | undefined} relayPorts what the server says that it relays on, by then
 * @returns {Promise<Found>}
 */
export async function checkEcho(url, server, key, relayPorts = () => undefined) {
  const connection = new RTCPeerConnection({ iceServers: [{ ...server, urls: [url] }], iceTransportPolicy: "relay" })
  try {
    const channel = connection.createDataChannel("echo", { ordered: false, maxRetransmits: 0 })
    channel.binaryType = "arraybuffer"
    const open = new Promise(resolve => { channel.onopen = () => resolve(true) })
    await connection.setLocalDescription()
    await gathered(connection)
    const answer = await ask("/v1/diag/sessions", key, { type: "offer", sdp: connection.localDescription?.sdp })
    if (answer.status === 404) return skipped("this server has diagnosis switched off")
    if (!answer.ok) return skipped(`the server answered ${answer.status}: ${(await problem(answer))}`)
    const { description } = await answer.json()
    await connection.setRemoteDescription(description)
    if (!(await Promise.race([open, later(SETUP)]))) {
      return failed("no packet passes from one relayed address to the other", "relay-range-closed", rangeMend(relayPorts()))
    }
    return judge(await measure(channel))
  } catch (error) {
    return failed(words(error), "check-broken", "run it again; when it stays so, report what it says")
  } finally {
    connection.close()
  }
}

/** @param {unknown} ports as `49152-65535`, which is also what servers relay on that do not say it */
export function rangeMend(ports) {
  const range = typeof ports === "string" && /^\d{1,5}-\d{1,5}$/.test(ports) ? ports : "49152-65535"
  return `let the server reach its own relay ports: sudo ufw allow ${range.replace("-", ":")}/udp; and see turn.external_addresses: icelane doctor`
}

/** @param {RTCDataChannel} channel */
async function measure(channel) {
  /** @type {number[]} */
  const sent = []
  /** @type {Map<number, number>} */
  const trips = new Map()
  channel.onmessage = ({ data }) => {
    const number = new DataView(data).getUint32(0)
    if (number < sent.length && !trips.has(number)) trips.set(number, performance.now() - sent[number])
  }
  for (let number = 0; number < PACKETS; number++) {
    const packet = new ArrayBuffer(BYTES)
    new DataView(packet).setUint32(0, number)
    sent.push(performance.now())
    channel.send(packet)
    await later(INTERVAL)
  }
  for (let waited = 0; trips.size < PACKETS && waited < LATE; waited += INTERVAL) await later(INTERVAL)
  return [...trips].sort(([one], [other]) => one - other).map(([, trip]) => trip)
}

/** @param {number[]} trips @returns {Found} */
function judge(trips) {
  const loss = 1 - trips.length / PACKETS
  const median = [...trips].sort((one, other) => one - other)[trips.length >> 1] ?? 0
  // RFC 3550 section 6.4.1, of round trips.
  const jitter = trips.slice(1).reduce((found, trip, index) => found + (Math.abs(trip - trips[index]) - found) / 16, 0)
  const detail = `${trips.length} of ${PACKETS} packets back, ${median.toFixed(1)} ms round trip, ${jitter.toFixed(1)} ms jitter`
  if (loss <= TOLD_LOSS) return passed(detail)
  return (loss > BAD_LOSS ? failed : warned)(detail, "relay-loses", "look for a full line: run it by cable, or stop what else loads it; on the server: icelane turn bench")
}

/** @param {RTCPeerConnection} connection */
function gathered(connection) {
  if (connection.iceGatheringState === "complete") return Promise.resolve()
  const complete = new Promise(resolve => {
    connection.addEventListener("icegatheringstatechange", () => { if (connection.iceGatheringState === "complete") resolve(undefined) })
  })
  return Promise.race([complete, later(SETUP / 3)])
}

/** @param {Response} answer */
async function problem(answer) {
  try {
    const { title, detail } = await answer.json()
    return detail ? `${title}: ${detail}` : title
  } catch {
    return "no reason"
  }
}

/** @param {number} milliseconds @returns {Promise<false>} */
const later = milliseconds => new Promise(resolve => setTimeout(() => resolve(false), milliseconds))
