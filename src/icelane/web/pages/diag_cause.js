// @ts-check
/**
 * Many results, one named cause and one mend: what explains the most of what is wrong comes first.
 *
 * The words and their order are those of `icelane doctor` (src/icelane/diagnostics/report.py); a test compares them.
 *
 * @typedef {"passed" | "warned" | "failed" | "skipped"} Status
 * @typedef {object} Result
 * @property {string} name
 * @property {Status} status
 * @property {number} ms
 * @property {string} detail
 * @property {string} [cause]
 * @property {string} [mend]
 * @property {"browser" | "server"} side
 * @typedef {{ cause: string, sentence: string, detail: string, mend: string }} Verdict
 */

/** @type {Record<string, string>} */
export const SENTENCES = {
  "name-unknown": "the server's name leads nowhere",
  "server-silent": "the server does not answer at all, over any transport",
  "clock-wrong": "the clocks of this machine and of the server do not agree",
  "certificate-expired": "the server's certificate has expired",
  "certificate-not-yet-valid": "the server's certificate is not valid yet",
  "certificate-wrong-name": "the server's certificate is for another name",
  "certificate-chain-incomplete": "the server does not send the intermediates of its certificate",
  "certificate-unknown-authority": "the server's certificate is from an authority that nobody here trusts",
  "certificate-refused": "the server's certificate is refused",
  "not-tls": "the port that should speak TLS speaks something else",
  "https-silent": "nothing answers at the HTTPS address",
  "https-wrong": "what answers over HTTPS is not this server",
  "websocket-blocked": "HTTPS passes and WebSocket does not: a proxy on the way does not forward the upgrade",
  "udp-blocked": "UDP is blocked between here and the server",
  "token-refused": "the server does not take the token",
  "credential-expired": "the TURN credential has expired",
  "realm-wrong": "the server has another realm than the configuration says",
  "secret-wrong": "the credential is not signed with the server's secret",
  "turn-silent": "the TURN server does not answer",
  "turn-refused": "the TURN server refuses",
  "external-address-wrong": "the server hands out a relay address that does not lead to it",
  "relay-range-closed": "the relay ports are closed",
  "relay-loses": "the relay loses packets",
  "credential-short": "the TURN credential ends very soon",
  "certificate-ends-soon": "the server's certificate ends soon",
  "check-broken": "a check could not be carried out",
}

/**
 * What only a browser can find: what keeps every call from it goes before all else, the rest after it.
 * @type {Record<string, string>}
 */
const OWN = {
  "page-insecure": "this page came over plain HTTP, where no browser gives camera, microphone and WebRTC",
  "no-webrtc": "this browser has no WebRTC",
  "no-microphone": "there is no microphone for this page",
}
const FIRST = new Set(["page-insecure", "no-webrtc"])

const RANKS = new Map(Object.keys(SENTENCES).map((cause, rank) => [cause, rank]))
const SILENT = new Set(["server-silent", "https-silent", "udp-blocked", "turn-silent"])
const LOCAL = new Set(["DNS", "credential", "secure context", "devices"])
// This browser has taken the certificate, so it is no matter that the server's own machine would not.
const TAKEN_HERE = new Set(["certificate-unknown-authority", "certificate-refused"])

/**
 * The one cause of what both sides have found; undefined where all is well.
 * @param {Result[]} results @returns {Verdict | undefined}
 */
export function join(results) {
  const overHttps = results.some(one => one.side === "browser" && one.name === "HTTPS" && one.status === "passed")
  const counted = results.filter(one => !(overHttps && one.side === "server" && TAKEN_HERE.has(one.cause ?? "")))
  const blamed = counted.filter(one => one.cause)
  const failures = blamed.filter(one => one.status === "failed" || one.cause === "clock-wrong")
  const looked = failures.length ? failures : blamed
  if (!looked.length) return undefined
  let first = looked.reduce((best, one) => (rank(one) < rank(best) ? one : best))
  let cause = first.cause ?? "check-broken"
  const silence = silenceOf(counted.filter(one => one.side === "browser"))
  if (SILENT.has(cause) && silence) {
    cause = silence
    first = failures.find(one => one.cause === silence) ?? first
  }
  return { cause, sentence: SENTENCES[cause] ?? OWN[cause] ?? cause, detail: where(first, counted), mend: first.mend ?? "" }
}

/** @param {Result} result */
function rank(result) {
  if (FIRST.has(result.cause ?? "")) return -1
  return RANKS.get(result.cause ?? "") ?? RANKS.size
}

/**
 * What the silent ones mean together.
 * @param {Result[]} results @returns {string | undefined}
 */
function silenceOf(results) {
  const tried = results.filter(one => one.status !== "skipped" && !LOCAL.has(one.name))
  const silent = new Set(tried.filter(one => SILENT.has(one.cause ?? "")).map(one => one.cause))
  const answered = tried.filter(one => !SILENT.has(one.cause ?? ""))
  if (!silent.size) return undefined
  if (!answered.length) return "server-silent"
  if (silent.has("https-silent")) return "https-silent"
  const streams = answered.some(one => /^TURN (tcp|tls)/.test(one.name))
  return silent.has("udp-blocked") && (streams || !silent.has("turn-silent")) ? "udp-blocked" : "turn-silent"
}

/**
 * On which side of the network it is: what fails here and works on the server is on the way between.
 * @param {Result} first @param {Result[]} all
 */
function where(first, all) {
  const other = all.find(one => one.side !== first.side && one.name === first.name)
  if (!other || other.status === "skipped") return first.detail
  const works = other.status === "passed" || other.status === "warned"
  if (first.side === "browser") return `${first.detail}; on the server itself it ${works ? "works, so it is on the way between" : "fails too"}`
  return `${first.detail}; from this browser it ${works ? "works" : "fails too"}`
}
