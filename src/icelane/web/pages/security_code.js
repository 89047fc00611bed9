// @ts-check
/**
 * Twenty digits that both ends of a call compute of the two certificates, and that two people compare aloud: if they are
 * the same, nobody is between them, the server included. `icelane.security_code` computes the same.
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
 * The fingerprints of both certificates of a connection. Undefined while DTLS has not proved them.
 * @param {RTCPeerConnection} pc @returns {Promise<{ local: string, remote: string } | undefined>}
 */
export async function fingerprintsOf(pc) {
  if (pc.connectionState !== "connected") return undefined
  const local = described(pc.currentLocalDescription)
  const remote = (await certificateOf(pc)) ?? described(pc.currentRemoteDescription)
  return local && remote ? { local, remote } : undefined
}

/**
 * What the peer has shown, where a browser tells; elsewhere its description says what it had to show.
 * @param {RTCPeerConnection} pc
 */
async function certificateOf(pc) {
  const [certificate] = pc.sctp?.transport?.getRemoteCertificates?.() ?? []
  if (!certificate) return undefined
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", certificate))
  return [...digest].map(byte => byte.toString(16).padStart(2, "0").toUpperCase()).join(":")
}

/** @param {RTCSessionDescription | null} description */
function described(description) {
  return /^a=fingerprint:sha-256 ([0-9a-f:]+)/im.exec(description?.sdp ?? "")?.[1].toUpperCase()
}
