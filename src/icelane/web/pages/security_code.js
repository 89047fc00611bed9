// @ts-check
/**
 * Twenty digits that both ends of a call compute of the two certificates, and that two people compare aloud: if they are
 * the same, nobody is between them; of a server that made this page another one than it is, no page can tell.
 * `icelane.security_code` computes the same.
 *
 *     PBKDF2-HMAC-SHA256(the smaller fingerprint, then the greater; "icelane security code 1"; 100 000 times; 16 bytes)
 *     as a number, modulo 10^20
 *
 * Who sits in between chooses two certificates of his own, and tries until both codes are the same: half the digits are
 * his work. So each attempt is made to cost a hundred thousand hashes (docs/decisions/0073).
 */

const SALT = "icelane security code 1"
const ITERATIONS = 100_000
const SIZE = 16
const DIGITS = 20
const GROUP = 4

/**
 * The code of two SHA-256 fingerprints, in either order and as SDP writes them, `6B:0C:...`; with spaces between groups.
 * @param {string} first @param {string} second
 */
export async function securityCode(first, second) {
  const [smaller, greater] = [first, second].map(bytesOf).sort(compare)
  const joined = new Uint8Array([...smaller, ...greater])
  const key = await crypto.subtle.importKey("raw", joined, "PBKDF2", false, ["deriveBits"])
  const how = { name: "PBKDF2", hash: "SHA-256", salt: new TextEncoder().encode(SALT), iterations: ITERATIONS }
  const bits = new Uint8Array(await crypto.subtle.deriveBits(how, key, SIZE * 8))
  const number = bits.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n) % 10n ** BigInt(DIGITS)
  return number.toString().padStart(DIGITS, "0").match(new RegExp(`.{${GROUP}}`, "g"))?.join(" ") ?? ""
}

/** @param {string} fingerprint */
function bytesOf(fingerprint) {
  const hex = fingerprint.trim().replace(/^sha-256\s+/i, "")
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){31}$/i.test(hex)) throw new TypeError("this is no SHA-256 fingerprint")
  return hex.split(":").map(pair => parseInt(pair, 16))
}

/** @param {number[]} left @param {number[]} right */
function compare(left, right) {
  const at = left.findIndex((byte, index) => byte !== right[index])
  return at < 0 ? 0 : left[at] - right[at]
}

/**
 * The fingerprints of both certificates of a connection. Undefined while DTLS has not proved them, and where there is not
 * exactly one at each end: a code of one of several would be right while somebody sits in between on the others.
 * @param {RTCPeerConnection} pc @returns {Promise<{ local: string, remote: string } | undefined>}
 */
export async function fingerprintsOf(pc) {
  if (pc.connectionState !== "connected") return undefined
  const local = described(pc.currentLocalDescription)
  const transports = transportsOf(pc)
  const tells = transports.length > 0 && transports.every(transport => "getRemoteCertificates" in transport)
  const remote = tells ? await shown(transports) : described(pc.currentRemoteDescription)
  return local && remote ? { local, remote } : undefined
}

/**
 * Every way that something of the connection takes, once.
 * @param {RTCPeerConnection} pc @returns {RTCDtlsTransport[]}
 */
function transportsOf(pc) {
  const all = [pc.sctp, ...pc.getSenders(), ...pc.getReceivers()].map(user => user?.transport)
  return [...new Set(all)].flatMap(transport => transport && transport.state !== "closed" ? [transport] : [])
}

/**
 * The one certificate that the peer has shown on all of them.
 * @param {RTCDtlsTransport[]} transports
 */
async function shown(transports) {
  const found = new Set(await Promise.all(transports.map(fingerprintOf)))
  const [only] = found
  return found.size === 1 ? only : undefined
}

/** @param {RTCDtlsTransport} transport */
async function fingerprintOf(transport) {
  const [certificate] = transport.getRemoteCertificates()
  if (!certificate) return undefined
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", certificate))
  return [...digest].map(byte => byte.toString(16).padStart(2, "0").toUpperCase()).join(":")
}

/**
 * The one fingerprint that a description demands everywhere. A browser that does not tell what was shown has compared it
 * with this, with whichever line and by whichever hash; so any other line makes it uncertain.
 * @param {RTCSessionDescription | null} description
 */
function described(description) {
  const lines = (description?.sdp ?? "").split(/[\r\n]+/).filter(line => /fingerprint/i.test(line))
  const found = new Set(lines.map(line => /^a=fingerprint:sha-256 ([0-9a-f:]+)$/i.exec(line.trim())?.[1].toUpperCase()))
  const [only] = found
  return found.size === 1 ? only : undefined
}
