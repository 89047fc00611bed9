// @ts-check
/**
 * The page of diagnosis: the checks of this browser, those of the server, and what both come to.
 *
 *     https://call.example.org/diag#token=eyJ...        or pasted into the page; without it TURN is not tried
 *
 * @typedef {import("./diag_cause.js").Result} Result
 * @typedef {import("./diag_check.js").Found} Found
 * @typedef {import("./diag_check.js").Key} Key
 */

import { join } from "./diag_cause.js"
import { ask, checkCredential, checkDevices, checkHttps, checkSecureContext, checkStun, checkTurn, checkWebSocket, nameOf, skipped, words } from "./diag_check.js"
import { DeviceTrial } from "./diag_device.js"
import { checkEcho } from "./diag_echo.js"
import { byId, make } from "./element.js"
import { forget, invitationOf, keep, kept, pasted } from "./invitation.js"

const MARKS = { passed: "✔", warned: "!", failed: "✘", skipped: "–" }
const SPOKEN = { passed: "works", warned: "works, with a catch", failed: "does not work", skipped: "not tried" }
// Of one body; browsers warn above four.
const MAX_URLS = 12

const verdictCard = byId("verdict", HTMLElement)
const progress = byId("progress", HTMLProgressElement)
const told = byId("told", HTMLElement)
const again = byId("again", HTMLButtonElement)
const copy = byId("copy", HTMLButtonElement)
const share = byId("share", HTMLButtonElement)

/** @type {Result[]} */
let results = []
/** @type {Key} */
let key = takeKey()
/** @type {import("./diag_cause.js").Verdict | undefined} */
let verdict

/**
 * What the server relays on, once it has said so.
 * @type {string | undefined}
 */
let relayPorts

/** The invitation goes out of the address, as on the call page. @returns {Key} */
function takeKey() {
  const found = invitationOf(new URL(location.href))
  if (found.token) keep({ room: "", token: found.token })
  history.replaceState(null, "", "/diag")
  if (found.token || found.ticket) return found
  const token = kept("")
  return token ? { token } : {}
}

async function run() {
  results = []
  verdict = undefined
  for (const button of [again, copy, share]) button.disabled = true
  byId("here", HTMLElement).replaceChildren()
  byId("there", HTMLElement).replaceChildren()
  byId("there-card", HTMLElement).hidden = true
  byId("entry", HTMLElement).hidden = Boolean(key.token || key.ticket)
  verdictCard.dataset.kind = "running"
  byId("verdict-title", HTMLElement).textContent = "Looking…"
  byId("verdict-detail", HTMLElement).textContent = "The same checks run in this browser and on the server."
  byId("verdict-mend", HTMLElement).hidden = true
  told.textContent = ""
  progress.hidden = false
  progress.removeAttribute("value")
  const server = askServer()
  await lookFromHere()
  await server
  conclude()
}

async function lookFromHere() {
  await check("secure context", () => checkSecureContext())
  await check("devices", checkDevices)
  let skew = 0
  await check("HTTPS", async () => {
    const found = await checkHttps()
    skew = found.skew
    await check("clock", () => found.clock)
    return found.https
  })
  const opening = check("WSS", checkWebSocket)
  /** @type {import("./diag_check.js").IceBody | undefined} */
  let body
  await check("credential", async () => {
    const asked = await checkCredential(key, skew)
    body = asked.body
    return asked.found
  })
  const refused = results.find(one => one.cause === "token-refused")
  if (refused) {
    forget("")
    key = {}
    byId("entry", HTMLElement).hidden = false
  }
  await opening
  await lookAtRelays(body)
}

/** @param {import("./diag_check.js").IceBody | undefined} body */
async function lookAtRelays(body) {
  if (!body) return void (await check("TURN", () => skipped("it needs a credential")))
  const pairs = body.iceServers.flatMap(server => [server.urls].flat().map(url => ({ url, server }))).slice(0, MAX_URLS)
  /** @type {{ url: string, server: RTCIceServer }[]} */
  const working = []
  const asks = pairs.filter(({ url }) => /^turn/i.test(url)).map(async ({ url, server }) => {
    const { status, cause } = await check(named(url), () => checkTurn(url, server))
    if (status === "passed") working.push({ url, server })
    return nameOf(url) === "TURN udp" && cause !== "udp-blocked"
  })
  const udpWorks = Promise.all(asks).then(answered => answered.includes(true))
  const stun = pairs.filter(({ url }) => /^stun/i.test(url)).map(({ url }) => check(named(url), () => checkStun(url, udpWorks)))
  await Promise.all([...asks, ...stun])
  const best = pairs.find(({ url }) => working.some(one => one.url === url))
  await check("relay echo", () => (best ? checkEcho(best.url, best.server, key, () => relayPorts) : skipped("no TURN server works from here")))
}

/**
 * With the place, where the name is taken.
 * @param {string} url
 */
function named(url) {
  const name = nameOf(url)
  return taken.has(name) && taken.get(name) !== url ? `${name} ${url.replace(/^\w+:|\?.*/g, "")}` : (taken.set(name, url), name)
}
/** @type {Map<string, string>} */
const taken = new Map()

async function askServer() {
  if (!key.token && !key.ticket) return
  try {
    const answer = await ask("/v1/diag/checks", key)
    if (!answer.ok) return
    const { checks, relayPorts: told } = await answer.json()
    relayPorts = told
    byId("there-card", HTMLElement).hidden = false
    for (const row of checks) add({ ...row, side: "server" })
  } catch (error) {
    told.textContent = `The server's own checks are not to be had: ${words(error)}`
  }
}

/**
 * @param {string} name @param {() => Found | Promise<Found>} action
 * @returns {Promise<Result>}
 */
async function check(name, action) {
  const began = performance.now()
  /** @type {Found} */
  let found
  try {
    found = await action()
  } catch (error) {
    found = { status: "failed", detail: words(error), cause: "check-broken", mend: "run it again; when it stays so, report what it says" }
  }
  /** @type {Result} */
  const result = { name, ms: performance.now() - began, side: "browser", ...found }
  add(result)
  return result
}

/** @param {Result} result */
function add(result) {
  results.push(result)
  const found = make("td", {}, result.detail)
  if (result.mend) found.append(make("p", { className: "help" }, result.mend))
  const mark = make("td", { className: "mark" }, make("span", { aria: { hidden: "true" } }, MARKS[result.status]), make("span", { className: "unseen" }, SPOKEN[result.status]))
  const time = make("td", { className: "time" }, result.status === "skipped" ? "" : `${Math.round(result.ms)} ms`)
  const row = make("tr", { data: { status: result.status } }, mark, make("th", { scope: "row" }, result.name), time, found)
  byId(result.side === "server" ? "there" : "here", HTMLElement).append(row)
}

function conclude() {
  verdict = join(results)
  const failed = results.some(one => one.status === "failed")
  const tried = Boolean(key.token)
  verdictCard.dataset.kind = verdict ? (failed ? "bad" : "warn") : "good"
  const title = verdict ? verdict.sentence : tried ? "all is well: calls get through from here" : "what can be tried without an invitation works"
  byId("verdict-title", HTMLElement).textContent = title[0].toUpperCase() + title.slice(1)
  byId("verdict-detail", HTMLElement).textContent = verdict ? verdict.detail : tried ? "" : "Open this page by the link that you were sent to try the relay as well."
  const mend = byId("verdict-mend", HTMLElement)
  mend.hidden = !verdict?.mend
  mend.textContent = verdict?.mend ?? ""
  progress.hidden = true
  share.hidden = !key.token
  for (const button of [again, copy, share]) button.disabled = false
}

/** The report as text, for a person to paste; addresses are in it, as on the screen. */
function reportText() {
  const lines = results.map(one => `${MARKS[one.status]} ${one.side === "server" ? "server: " : ""}${one.name}: ${one.detail}${one.mend ? `\n    mend: ${one.mend}` : ""}`)
  const head = verdict ? [`cause: ${verdict.sentence}: ${verdict.detail}`, `mend: ${verdict.mend}`] : ["all is well"]
  return [`icelane diagnosis of ${location.origin}, ${new Date().toISOString()}`, navigator.userAgent, ...head, "", ...lines].join("\n")
}

async function copyReport() {
  try {
    await navigator.clipboard.writeText(reportText())
    told.textContent = "The report is in the clipboard. It holds your address: look before you post it."
  } catch (error) {
    told.textContent = `The browser does not let the page copy: ${words(error)}`
  }
}

async function shareReport() {
  const checks = results.map(({ name, status, ms, detail, cause, mend, side }) => ({ name, status, ms, detail, side, ...(cause && { cause }), ...(mend && { mend }) }))
  const body = { checks, client: navigator.userAgent, ...(verdict && { verdict }) }
  try {
    const answer = await ask("/v1/diag/reports", key, body)
    const kept = await answer.json()
    told.textContent = answer.ok
      ? `Kept as ${kept.id} until ${new Date(kept.expiresAt).toLocaleString()}, with addresses cut short: GET /v1/diag/reports/${kept.id}`
      : `The server did not keep it: ${kept.title ?? answer.status}`
  } catch (error) {
    told.textContent = `The server did not keep it: ${words(error)}`
  }
}

byId("entry", HTMLFormElement).addEventListener("submit", event => {
  event.preventDefault()
  const text = byId("invitation", HTMLInputElement).value
  const found = pasted(text, location.origin) ?? (text.trim() ? { token: text.trim() } : undefined)
  if (!found) return
  key = found
  if (found.token) keep({ room: "", token: found.token })
  void run()
})
again.addEventListener("click", () => void run())
copy.addEventListener("click", () => void copyReport())
share.addEventListener("click", () => void shareReport())
new DeviceTrial()
void run()
