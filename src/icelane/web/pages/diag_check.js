// @ts-check
/**
 * The checks that a browser makes. Each asks one thing, and says what it found, with a cause and a mend where it fails.
 *
 * @typedef {import("./diag_cause.js").Result} Result
 * @typedef {Omit<Result, "ms" | "side" | "name">} Found
 * @typedef {RTCIceServer & { urls: string | string[] }} Server
 * @typedef {{ iceServers: Server[], ttl?: number, expiresAt?: string }} IceBody
 * @typedef {{ token?: string, ticket?: string }} Key
 */

import { signalUrl } from "../icelane.js"

const PATIENCE = 8000
const AGAIN = 3000
const CLOCK_TOLERANCE = 30
const CLOCK_LIMIT = 300
const SHORT = 60
const WHOAMI = "/v1/diag/whoami"

/**
 * What `icecandidateerror` says, in words; 701 is the browser's own, for no answer at all.
 * @type {Record<number, { words: string, cause: string, mend: string }>}
 */
export const CODES = {
  300: { words: "the server sends us to another one", cause: "turn-refused", mend: "use the server that it names" },
  400: { words: "the server did not understand the request", cause: "turn-refused", mend: "look for what alters packets on the way" },
  401: { words: "user or password is wrong, or the credential has expired", cause: "secret-wrong", mend: "give the server and whoever makes credentials the same turn.secrets, then: icelane turn reload" },
  403: { words: "the server does not relay for us or to this peer", cause: "turn-refused", mend: "look at [lists] and turn.peers of the server: icelane config show" },
  437: { words: "there is another allocation, or none any more, on this port", cause: "turn-refused", mend: "run it again: the browser takes another port" },
  438: { words: "the nonce is stale and stays so: something changes our address on the way", cause: "turn-refused", mend: "look for a proxy or NAT that changes ports within a connection" },
  441: { words: "the allocation belongs to another user", cause: "turn-refused", mend: "use the credentials that made it" },
  442: { words: "the server does not relay over this transport", cause: "turn-refused", mend: "take this URL out of iceServers" },
  443: { words: "the peer's address is of another family than the relay's", cause: "turn-refused", mend: "give the server relay_addresses of both families" },
  486: { words: "this user has as many allocations as the server allows", cause: "turn-refused", mend: "close other calls, wait 10 minutes, or raise turn.quota.allocations_per_user" },
  508: { words: "the server has no room, or is being emptied", cause: "turn-refused", mend: "try again later; on the server widen turn.relay_ports or turn.quota.allocations_total" },
}

/** @param {string} detail @returns {Found} */
export const passed = detail => ({ status: "passed", detail })
/** @param {string} detail @returns {Found} */
export const skipped = detail => ({ status: "skipped", detail })
/** @param {string} detail @param {string} cause @param {string} mend @returns {Found} */
export const failed = (detail, cause, mend) => ({ status: "failed", detail, cause, mend })
/** @param {string} detail @param {string} cause @param {string} mend @returns {Found} */
export const warned = (detail, cause, mend) => ({ status: "warned", detail, cause, mend })

/** @returns {Found} */
export function checkSecureContext() {
  if (!isSecureContext) return failed("this page came over plain HTTP", "page-insecure", `open https://${location.host}${location.pathname}`)
  if (typeof RTCPeerConnection !== "function") return failed("this browser has no WebRTC, or it is switched off", "no-webrtc", "use a current Chrome, Firefox or Safari; look at privacy extensions")
  return passed("camera, microphone and WebRTC are there for this page")
}

/**
 * Which devices there are; nothing is opened.
 * @returns {Promise<Found>}
 */
export async function checkDevices() {
  const found = (await navigator.mediaDevices?.enumerateDevices()) ?? []
  const count = (/** @type {string} */ kind) => found.filter(one => one.kind === kind).length
  const said = `${count("videoinput") || "no"} camera, ${count("audioinput") || "no"} microphone`
  if (count("audioinput")) return passed(said)
  return warned(said, "no-microphone", "plug one in, or allow it in the system's settings of privacy; one can watch and listen without")
}

/**
 * Whether our server answers, and what time it is there.
 * @returns {Promise<{ https: Found, clock: Found, skew: number }>}  `skew` in seconds, positive where the server is ahead
 */
export async function checkHttps() {
  let asked = Date.now()
  const noClock = skipped("the server did not say what time it is")
  try {
    const answer = await patiently(() => {
      asked = Date.now()
      return fetch(WHOAMI, { cache: "no-store", credentials: "omit", signal: within(PATIENCE) })
    })
    const here = (asked + Date.now()) / 2000
    if (answer.status === 429) return { https: passed("answers; asks to be asked less often"), clock: noClock, skew: 0 }
    const who = await answer.json()
    if (typeof who.ip !== "string") throw new TypeError("another answer")
    const there = Date.parse(answer.headers.get("date") ?? "") / 1000
    const skew = Number.isFinite(there) ? there + 0.5 - here : 0
    const clear = location.protocol === "https:" && !who.tls ? "; a proxy before it speaks TLS" : ""
    return { https: passed(`sees us at ${who.ip}, HTTP ${who.httpVersion}${clear}`), clock: Number.isFinite(there) ? judgeClock(skew) : noClock, skew }
  } catch (error) {
    const silent = error instanceof DOMException || (error instanceof TypeError && error.message !== "another answer")
    const https = silent
      ? failed(`no answer: ${words(error)}`, "https-silent", "see that this machine is online and the server runs: icelane health")
      : failed(`${WHOAMI} is answered by something else`, "https-wrong", `compare the address with server.public_url: curl -v ${location.origin}${WHOAMI}`)
    return { https, clock: noClock, skew: 0 }
  }
}

/** @param {number} skew @returns {Found} */
function judgeClock(skew) {
  const apart = Math.abs(skew)
  if (apart <= CLOCK_TOLERANCE) return passed(`the server's differs by ${Math.max(0, Math.round(apart - 0.5))} s`)
  const size = apart < 120 ? `${Math.round(apart)} s` : apart < 7200 ? `${Math.round(apart / 60)} minutes` : `${(apart / 3600).toFixed(1)} hours`
  const detail = `the server's clock is ${size} ${skew > 0 ? "ahead of" : "behind"} this machine's`
  return (apart > CLOCK_LIMIT ? failed : warned)(detail, "clock-wrong", "on the machine whose clock is wrong: sudo timedatectl set-ntp true; here, in the system's settings of date and time")
}

/**
 * Whether a WebSocket opens. Nobody is let in by that.
 * @returns {Promise<Found>}
 */
export async function checkWebSocket() {
  const found = await openOnce()
  if (found.status === "passed") return found
  // A page does not see that it was only asked to come less often, as when it is run again and again.
  await new Promise(resolve => setTimeout(resolve, AGAIN))
  return openOnce()
}

/** @returns {Promise<Found>} */
function openOnce() {
  return new Promise(resolve => {
    const socket = new WebSocket(signalUrl(location.origin, { allowCleartext: true }), ["icelane.signal.v1"])
    const end = (/** @type {Found} */ found) => {
      clearTimeout(timer)
      socket.onopen = socket.onclose = null
      socket.close()
      resolve(found)
    }
    const blocked = "let the proxy on the way forward Upgrade and Connection; nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, proxy_set_header Connection upgrade"
    const timer = setTimeout(() => end(failed("it does not open", "websocket-blocked", blocked)), PATIENCE)
    socket.onopen = () => end(passed(`opens: ${new URL(socket.url).pathname}`))
    socket.onclose = event => end(failed(`it is closed at once (${event.code})`, "websocket-blocked", blocked))
  })
}

/**
 * Ask the server something as the one who was invited. A ticket is good for one question.
 * @param {string} path @param {Key} key @param {object} [body] posted as JSON
 */
export async function ask(path, key, body) {
  const query = !key.token && key.ticket ? `?ticket=${encodeURIComponent(key.ticket)}` : ""
  return patiently(() => fetch(path + query, {
    method: body ? "POST" : "GET",
    cache: "no-store",
    credentials: "same-origin",
    signal: within(3 * PATIENCE),
    headers: { ...(key.token && { authorization: `Bearer ${key.token}` }), ...(body && { "content-type": "application/json" }) },
    ...(body && { body: JSON.stringify(body) }),
  }))
}

/**
 * Who is asked to come later comes later, once.
 * @param {() => Promise<Response>} request
 */
async function patiently(request) {
  const answer = await request()
  const wait = Number(answer.headers.get("retry-after") ?? NaN) * 1000
  if (answer.status !== 429 || !(wait <= PATIENCE)) return answer
  await new Promise(resolve => setTimeout(resolve, wait))
  return request()
}

/**
 * TURN credentials, and for how long they are good by the server's clock.
 * @param {Key} key @param {number} skew
 * @returns {Promise<{ found: Found, body?: IceBody }>}
 */
export async function checkCredential(key, skew) {
  if (!key.token) return { found: skipped("there is no invitation to ask for one with") }
  try {
    const answer = await ask("/v1/ice-servers", key, {})
    if (answer.status === 401 || answer.status === 403) {
      return { found: failed(`the server answered ${answer.status} to the invitation`, "token-refused", "ask for a new link: icelane token create --room ROOM --identity NAME") }
    }
    if (!answer.ok) return { found: failed(`the server answered ${answer.status}`, "https-wrong", "read the server's log") }
    /** @type {IceBody} */
    const body = await answer.json()
    const left = body.expiresAt ? Date.parse(body.expiresAt) / 1000 - (Date.now() / 1000 + skew) : Infinity
    if (left <= 0) return { found: failed(`it ended ${Math.round(-left)} s ago`, "credential-expired", "compare the clocks of whoever makes credentials and of the server"), body }
    if (left < SHORT) return { found: warned(`good for ${Math.round(left)} s`, "credential-short", "let the backend ask for a longer ttl"), body }
    return { found: passed(Number.isFinite(left) ? `good for ${Math.round(left)} s` : "does not expire"), body }
  } catch (error) {
    return { found: failed(words(error), "https-silent", "see that the server runs: icelane health") }
  }
}

/**
 * Ends a request that takes too long.
 * @param {number} milliseconds
 */
function within(milliseconds) {
  const ending = new AbortController()
  setTimeout(() => ending.abort(new DOMException("nothing answered in time", "TimeoutError")), milliseconds)
  return ending.signal
}

/**
 * What a URL is reached over, as the doctor names it.
 * @param {string} url
 */
export function nameOf(url) {
  if (/^stuns?:/i.test(url)) return "STUN udp"
  if (/^turns:/i.test(url)) return "TURN tls"
  return /transport=tcp/i.test(url) ? "TURN tcp" : "TURN udp"
}

/**
 * One STUN URL alone in a connection. Browsers do not tell of an answer that names an address which they have anyway, so
 * without a NAT `udpWorks` decides: every TURN server over UDP answers STUN as well.
 * @param {string} url @param {Promise<boolean>} udpWorks @returns {Promise<Found>}
 */
export async function checkStun(url, udpWorks) {
  const heard = gather({ iceServers: [{ urls: [url] }] }, one => one.type === "srflx")
  const { candidates, errors, done } = (await Promise.race([heard, soon(udpWorks)])) ?? { candidates: [], errors: [], done: true }
  const mapped = candidates.find(one => one.type === "srflx")
  if (mapped) return passed(`we are ${mapped.address ?? "behind a NAT"}`)
  if ((done && !errors.length) || (await udpWorks)) return passed("no address of ours but those that the browser has: no NAT")
  return failed(`${url} does not answer`, "udp-blocked", udpMend(url))
}

/**
 * A while after UDP has been shown to work; never where it does not.
 * @param {Promise<boolean>} works @returns {Promise<undefined>}
 */
function soon(works) {
  return new Promise(resolve => void works.then(yes => yes && setTimeout(() => resolve(undefined), 1500)))
}

/**
 * One TURN URL alone in a connection, relay only: what comes is of that URL.
 * @param {string} url @param {Server} server @returns {Promise<Found>}
 */
export async function checkTurn(url, server) {
  const { username, credential } = server
  let heard
  try {
    heard = await gather({ iceServers: [{ urls: [url], username, credential }], iceTransportPolicy: "relay" }, one => one.type === "relay")
  } catch (error) {
    return failed(`the browser does not take ${url}: ${words(error)}`, "check-broken", "correct the URL: icelane ice prints good ones")
  }
  const relayed = heard.candidates.find(one => one.type === "relay")
  if (relayed) return passed(`relays${relayed.address ? ` at ${relayed.address}` : ""}`)
  const told = heard.errors.find(one => one.errorCode !== 701)
  if (told) {
    const known = CODES[told.errorCode] ?? { words: told.errorText || "refused", cause: "turn-refused", mend: "read the server's log" }
    const expired = told.errorCode === 401 && Number(username?.split(":")[0]) < Date.now() / 1000
    if (expired) return failed("401: the credential has ended", "credential-expired", "make credentials anew for each call: POST /v1/ice-servers")
    return failed(`${told.errorCode}: ${known.words}`, known.cause, known.mend)
  }
  const detail = `701: ${url} does not answer`
  if (nameOf(url) === "TURN udp") return failed(detail, "udp-blocked", udpMend(url))
  const tls = nameOf(url) === "TURN tls"
  return failed(
    tls ? `${detail}, or its certificate is not good here` : detail,
    "turn-silent",
    `open the port for TCP: sudo ufw allow ${portOf(url)}/tcp${tls ? "; icelane doctor looks at the certificate" : ""}`,
  )
}

/** @param {string} url */
function udpMend(url) {
  return `open the port for UDP, on the server and at the cloud: sudo ufw allow ${portOf(url)}/udp; in a network that blocks UDP, give programs a turns: URL on port 443`
}

/** @param {string} url */
function portOf(url) {
  return /:(\d+)(?:\?|$)/.exec(url)?.[1] ?? (/^turns/i.test(url) ? "5349" : "3478")
}

/**
 * Gather until a wanted candidate came, or all, or it took too long.
 * @param {RTCConfiguration} configuration @param {(candidate: RTCIceCandidate) => boolean} wanted
 * @returns {Promise<{ candidates: RTCIceCandidate[], errors: RTCPeerConnectionIceErrorEvent[], done: boolean }>}
 */
async function gather(configuration, wanted) {
  const connection = new RTCPeerConnection(configuration)
  /** @type {RTCIceCandidate[]} */
  const candidates = []
  /** @type {RTCPeerConnectionIceErrorEvent[]} */
  const errors = []
  try {
    connection.createDataChannel("diagnosis")
    const done = await new Promise((resolve, reject) => {
      setTimeout(() => resolve(false), PATIENCE)
      connection.onicecandidateerror = event => errors.push(/** @type {RTCPeerConnectionIceErrorEvent} */ (event))
      connection.onicecandidate = ({ candidate }) => {
        if (candidate?.candidate) candidates.push(candidate)
        if (!candidate || (candidate.candidate && wanted(candidate))) resolve(true)
      }
      connection.setLocalDescription().catch(reject)
    })
    return { candidates, errors, done }
  } finally {
    connection.close()
  }
}

/** @param {unknown} error */
export function words(error) {
  if (error instanceof DOMException && error.name === "TimeoutError") return "nothing answered in time"
  return error instanceof Error ? error.message : String(error)
}
