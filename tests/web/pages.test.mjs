// What the pages compute, under node: without a browser, a camera or a network.

import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { PathWatch, pathNumbers } from "../../src/icelane/web/pages/call_path.js"
import { join } from "../../src/icelane/web/pages/diag_cause.js"
import { checkSecureContext } from "../../src/icelane/web/pages/diag_check.js"
import { rangeMend } from "../../src/icelane/web/pages/diag_echo.js"
import { IncomingFile, OutgoingFile, safeName, sizeWords } from "../../src/icelane/web/pages/file_transfer.js"
import { claimsOf, invitationOf, isForEverybody, pasted, pathOf } from "../../src/icelane/web/pages/invitation.js"
import { mediaWords, refusalWords } from "../../src/icelane/web/pages/plain_words.js"
import { plainName } from "../../src/icelane/web/pages/peer_call.js"
import { fingerprintsOf, securityCode } from "../../src/icelane/web/pages/security_code.js"
import { Sha256 } from "../../src/icelane/web/pages/sha256.js"

const VECTORS = JSON.parse(readFileSync(new URL("../vectors/security_codes.json", import.meta.url), "utf8"))

test("every vector of the security code comes out in either order", async () => {
  for (const { first, second, code } of VECTORS) {
    assert.equal(await securityCode(first, second), code)
    assert.equal(await securityCode(second.toLowerCase(), `sha-256 ${first}`), code)
  }
})

test("what is no fingerprint makes no code", async () => {
  const good = VECTORS[0].first
  for (const wrong of ["", "AB:CD", good.slice(3), `${good}:00`, good.replace("0", "g"), good.replaceAll(":", "")]) {
    await assert.rejects(securityCode(good, wrong), TypeError)
  }
})

const NOTHING = { sctp: null, getSenders: () => [], getReceivers: () => [] }
const OURS = { sdp: `v=0\r\na=fingerprint:sha-256 ${VECTORS[0].first}\r\n` }

/** A transport on which the peer has shown this certificate. */
const transport = certificate => ({ state: "connected", getRemoteCertificates: () => (certificate ? [new Uint8Array(certificate).buffer] : []) })

/** As SDP writes it. */
const printOf = (certificate, hash = "sha256") => createHash(hash).update(certificate).digest("hex").toUpperCase().match(/../g).join(":")

test("there are no fingerprints before DTLS has proved them", async () => {
  const described = { sdp: `v=0\r\na=fingerprint:sha-256 ${VECTORS[0].first}\r\n` }
  const pc = { ...NOTHING, connectionState: "connecting", currentLocalDescription: described, currentRemoteDescription: described }
  assert.equal(await fingerprintsOf(pc), undefined)
  assert.deepEqual(await fingerprintsOf({ ...pc, connectionState: "connected" }), { local: VECTORS[0].first, remote: VECTORS[0].first })
})

test("the certificate that the peer has shown counts, not what was said of it", async () => {
  const certificate = randomBytes(300)
  const pc = { ...NOTHING, connectionState: "connected", sctp: { transport: transport(certificate) }, currentLocalDescription: OURS, currentRemoteDescription: OURS }
  assert.equal((await fingerprintsOf(pc)).remote, printOf(certificate))
  const media = { ...pc, sctp: null, getReceivers: () => [{ transport: transport(certificate) }, { transport: null }] }
  assert.equal((await fingerprintsOf(media)).remote, printOf(certificate))
})

test("where the peer shows two certificates there is no code", async () => {
  const [bob, eve] = [randomBytes(300), randomBytes(300)]
  const users = { sctp: { transport: transport(bob) }, getSenders: () => [{ transport: transport(bob) }], getReceivers: () => [{ transport: transport(bob) }] }
  const pc = { connectionState: "connected", currentLocalDescription: OURS, currentRemoteDescription: OURS, ...users }
  assert.equal((await fingerprintsOf(pc)).remote, printOf(bob))
  for (const other of [transport(eve), transport(undefined)]) {
    for (const split of [{ sctp: { transport: other } }, { getSenders: () => [{ transport: other }] }, { getReceivers: () => [{ transport: other }] }]) {
      assert.equal(await fingerprintsOf({ ...pc, ...split }), undefined)
    }
  }
  const over = { ...transport(eve), state: "closed" } // of what is bundled now
  assert.equal((await fingerprintsOf({ ...pc, getSenders: () => [{ transport: over }] })).remote, printOf(bob))
})

test("a browser that does not tell what was shown makes a code only of one fingerprint everywhere", async () => {
  const [bob, eve] = [randomBytes(300), randomBytes(300)]
  const silent = { sctp: { transport: { state: "connected" } }, getSenders: () => [], getReceivers: () => [] }
  const read = async (...lines) => {
    const theirs = { sdp: ["v=0", ...lines, ""].join("\r\n") }
    const pc = { ...silent, connectionState: "connected", currentLocalDescription: OURS, currentRemoteDescription: theirs }
    return (await fingerprintsOf(pc))?.remote
  }
  const line = (certificate, hash = "sha-256") => `a=fingerprint:${hash} ${printOf(certificate, hash.replace("-", ""))}`
  const section = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"
  assert.equal(await read(section, line(bob)), printOf(bob))
  assert.equal(await read(line(bob), section, line(bob).toLowerCase()), printOf(bob))
  assert.equal(await read(section, line(bob), line(eve)), undefined, "two in one section")
  assert.equal(await read(line(bob), section, line(eve)), undefined, "another one for a section")
  assert.equal(await read(section, line(bob), line(eve, "sha-512")), undefined, "another one by another hash")
  assert.equal(await read(section, line(bob), ` ${line(eve).replace(":", ": ")}`), undefined, "what a lenient parser may take")
  assert.equal(await read(section), undefined)
})

test("SHA-256 of pieces is that of the whole, for every length around a block", () => {
  for (let length = 0; length < 200; length++) {
    const bytes = randomBytes(length)
    const hash = new Sha256()
    for (let at = 0; at < length; at += 1 + (length % 70)) hash.update(bytes.subarray(at, at + 1 + (length % 70)))
    assert.equal(hash.hex(), createHash("sha256").update(bytes).digest("hex"), `${length} bytes`)
  }
})

const encoded = value => Buffer.from(JSON.stringify(value)).toString("base64url")
const token = claims => `${encoded({})}.${encoded(claims)}.sig`

test("an invitation stands behind the #, and nowhere else", () => {
  const url = text => invitationOf(new URL(text, "https://call.example.org"))
  assert.deepEqual(url("/r/blue-otter#token=abc&name=Ann"), { room: "blue-otter", token: "abc", name: "Ann" })
  assert.deepEqual(url("/r/a%2Fb%20c#ticket=once"), { room: "a/b c", ticket: "once" })
  assert.deepEqual(url("/r/demo?token=abc"), { room: "demo" })
  assert.deepEqual(url("/"), { room: "" })
  assert.deepEqual(url("/r/%E0%A4%A"), { room: "%E0%A4%A" })
  const join = token({ sub: "ann", rooms: ["demo"] })
  assert.deepEqual(url(`/#token=${join}`), { room: "demo", token: join })
  for (const room of ["blue-otter", "a/b c", "ü?#%"]) assert.equal(url(`${pathOf(room)}#token=x`).room, room)
})

test("what is pasted is a link of this server, or a join token", () => {
  const origin = "https://call.example.org"
  const join = token({ rooms: ["demo"] })
  assert.deepEqual(pasted(` ${join}\n`, origin), { room: "demo", token: join })
  assert.deepEqual(pasted(`${origin}/r/demo#token=key`, origin), { room: "demo", token: "key" })
  for (const wrong of ["", "demo", `${origin}/r/demo`, "https://evil.example/r/demo#token=key", "javascript:alert(1)#token=a"]) {
    assert.equal(pasted(wrong, origin), undefined, wrong)
  }
})

test("a token says who one is, unless it says nothing", () => {
  assert.deepEqual(claimsOf(token({ sub: "ann", name: "Änn", rooms: ["a"] })), { identity: "ann", name: "Änn", room: "a" })
  assert.deepEqual(claimsOf(token({ sub: "ann", rooms: ["a", "b"] })), { identity: "ann" })
  assert.deepEqual(claimsOf(token({ sub: "ann", rooms: ["a*"] })), { identity: "ann" })
  for (const wrong of ["", "a.b.c", "a.e30", "..", token(null), token([1])]) assert.equal(claimsOf(wrong).room, undefined)
  assert.equal(isForEverybody({ room: "demo", token: "a-key-of-everybody" }), true)
  assert.equal(isForEverybody({ room: "demo", token: "a.b.c" }), false)
  assert.equal(isForEverybody({ room: "demo", ticket: "once" }), false)
})

const candidate = (id, type, more = {}) => [id, { id, type: `${more.side ?? "local"}-candidate`, candidateType: type, protocol: "udp", ...more }]
const stats = (local, remote, pair = {}, others = []) => new Map([
  ["T", { id: "T", type: "transport", selectedCandidatePairId: "P", tlsVersion: "FEFC", dtlsCipher: "TLS_AES_128_GCM_SHA256", srtpCipher: "AEAD_AES_128_GCM" }],
  ["P", { id: "P", type: "candidate-pair", localCandidateId: "L", remoteCandidateId: "R", ...pair }],
  candidate("L", ...local), candidate("R", ...remote), ...others.map((entry, at) => [`O${at}`, { id: `O${at}`, ...entry }]),
])

test("the way of a call is said in plain words", () => {
  const words = (local, remote) => new PathWatch().read(stats(local, remote)).words
  assert.equal(words(["host"], ["srflx"]), "direct, UDP")
  assert.equal(words(["prflx", { protocol: "tcp" }], ["host"]), "direct, TCP")
  assert.equal(words(["host"], ["relay"]), "relayed, UDP")
  assert.equal(words(["relay", { relayProtocol: "tls", url: "turns:turn.example.org:443?transport=tcp" }], ["relay"]), "relayed, TLS 443")
  assert.equal(words(["relay", { relayProtocol: "tls", url: "turns:turn.example.org?transport=tcp" }], ["host"]), "relayed, TLS 5349")
  assert.equal(words(["relay", { relayProtocol: "tcp", url: "turn:[2001:db8::1]:80?transport=tcp" }], ["host"]), "relayed, TCP 80")
  assert.equal(words(["relay", { relayProtocol: "udp" }], ["host"]), "relayed, UDP")
  assert.equal(new PathWatch().read(new Map()).words, "")
})

test("round trip and loss are those since the last look", () => {
  const watch = new PathWatch()
  const look = (packetsReceived, packetsLost, fractionLost = 0) => pathNumbers(watch.read(stats(["host"], ["host"], { currentRoundTripTime: 0.0124 }, [
    { type: "inbound-rtp", kind: "video", packetsReceived, packetsLost }, { type: "remote-inbound-rtp", fractionLost },
  ])))
  assert.equal(look(100, 0), "12 ms, 0 % lost")
  assert.equal(look(190, 10), "12 ms, 10 % lost")
  assert.equal(look(290, 10, 0.004), "12 ms, <1 % lost")
  assert.equal(pathNumbers(new PathWatch().read(stats(["host"], ["host"]))), "")
})

test("a browser without a transport entry says what it can", () => {
  const report = new Map([
    ["P", { id: "P", type: "candidate-pair", nominated: true, state: "succeeded", localCandidateId: "L", remoteCandidateId: "R" }],
    candidate("L", "host"), candidate("R", "host"),
  ])
  const path = new PathWatch().read(report)
  assert.deepEqual([path.words, path.protection, path.suite, path.srtp], ["direct, UDP", "", "", ""])
})

test("a name of a file has no path, is not hidden, and is not turned around", () => {
  assert.equal(safeName("report.pdf"), "report.pdf")
  assert.equal(safeName("../../etc/passwd"), "passwd")
  assert.equal(safeName("C:\\Users\\ann\\.ssh"), "ssh")
  assert.equal(safeName("gnp.\u202Eexe"), "gnp.exe")
  for (const wrong of ["", "..", "a/", 7, null, undefined, "x".repeat(256), "\u0000"]) assert.equal(safeName(wrong), "")
  assert.equal(sizeWords(999), "999 bytes")
  assert.equal(sizeWords(1_500_000), "1.5 MB")
})

test("a name does not turn the text around it", () => {
  assert.equal(plainName(" Ann\u202E\u2066 \u0007"), "Ann")
  assert.equal(plainName("\u200B"), "")
  assert.equal(plainName("👩‍🚀 Zoë"), "👩‍🚀 Zoë")
  assert.equal(plainName("x".repeat(100)).length, 64)
})

/** Two ends of a data channel. */
class End extends EventTarget {
  readyState = "open"
  bufferedAmount = 0
  sent = []
  send(data) {
    this.sent.push(data)
    const copy = typeof data === "string" ? data : data.slice().buffer
    queueMicrotask(() => this.other.dispatchEvent(Object.assign(new Event("message"), { data: copy })))
  }
  close() {
    for (const end of [this, this.other]) {
      if (end.readyState === "closed") continue
      end.readyState = "closed"
      queueMicrotask(() => end.dispatchEvent(new Event("close")))
    }
  }
}

function ends() {
  const [here, there] = [new End(), new End()]
  here.other = there
  there.other = here
  return [here, there]
}

const ended = transfer => transfer.ended || new Promise(resolve => transfer.addEventListener("end", resolve))

test("a file arrives whole, in pieces, and its hash is compared", async () => {
  for (const size of [0, 1, 16384, 1_100_000]) {
    const [here, there] = ends()
    const bytes = randomBytes(size)
    const incoming = new IncomingFile(there)
    incoming.addEventListener("announced", () => incoming.accept())
    const outgoing = new OutgoingFile({ createDataChannel: () => here }, new File([bytes], "a.bin"))
    here.dispatchEvent(new Event("open"))
    await ended(outgoing)
    await ended(incoming)
    assert.deepEqual([outgoing.error, incoming.error, incoming.name, outgoing.done], ["", "", "a.bin", size])
    assert.deepEqual(Buffer.from(await incoming.blob.arrayBuffer()), bytes)
  }
})

test("a sender goes on from where the receiver was", async () => {
  const [here, there] = ends()
  const bytes = randomBytes(40_000)
  const outgoing = new OutgoingFile({ createDataChannel: () => here }, new File([bytes], "a.bin"))
  here.dispatchEvent(new Event("open"))
  await new Promise(resolve => there.addEventListener("message", resolve, { once: true }))
  there.send(JSON.stringify({ ready: true, offset: 20_000 }))
  while (typeof here.sent.at(-1) !== "string" || here.sent.length === 1) await new Promise(resolve => setTimeout(resolve))
  assert.deepEqual(Buffer.concat(here.sent.slice(1, -1)), bytes.subarray(20_000))
  assert.equal(JSON.parse(here.sent.at(-1)).sha256, createHash("sha256").update(bytes).digest("hex"))
})

test("a file is sent once, however often it is asked for", async () => {
  const [here, there] = ends()
  const outgoing = new OutgoingFile({ createDataChannel: () => here }, new File([randomBytes(40_000)], "a.bin"))
  here.dispatchEvent(new Event("open"))
  await new Promise(resolve => there.addEventListener("message", resolve, { once: true }))
  for (let i = 0; i < 50; i++) there.send(JSON.stringify({ ready: true }))
  await ended(outgoing)
  for (let i = 0; i < 20; i++) await new Promise(resolve => setTimeout(resolve))
  assert.match(outgoing.error, /twice/)
  assert.ok(here.sent.slice(1).reduce((sum, data) => sum + data.length, 0) <= 40_000)
})

const HASH = createHash("sha256").update("abc").digest("hex")
const ABC = new TextEncoder().encode("abc")
const ANNOUNCED = JSON.stringify({ name: "a", size: 3, sha256: HASH })

test("what is not what was announced is refused, and nothing of it is kept", async () => {
  const refused = async (messages, accepts = true) => {
    const [here, there] = ends()
    const incoming = new IncomingFile(there)
    if (accepts) incoming.addEventListener("announced", () => incoming.accept())
    for (const message of messages) here.send(message)
    await ended(incoming)
    assert.equal(incoming.blob, undefined)
    return incoming.error
  }
  assert.match(await refused([ANNOUNCED, ABC], false), /before it was wanted/)
  assert.match(await refused([ANNOUNCED, ABC, ABC]), /more came/)
  assert.match(await refused([ANNOUNCED, ABC.subarray(0, 0)]), /empty/)
  assert.match(await refused([ANNOUNCED, JSON.stringify({ sha256: HASH })]), /not all/)
  assert.match(await refused([ANNOUNCED, ABC, JSON.stringify({ sha256: "0".repeat(64) })]), /hash/)
  assert.match(await refused([JSON.stringify({ name: "a", size: 3 * 1024 ** 3 })]), /2 GiB/)
  for (const wrong of ["", "no JSON", "null", "7", JSON.stringify({ name: "..", size: 1 }), JSON.stringify({ name: "a", size: -1 }), ABC]) {
    assert.match(await refused([wrong]), /announces no file/)
  }
})

test("what is held of a file does not depend on how finely it comes", async () => {
  const made = []
  const { Blob: Real } = globalThis
  globalThis.Blob = class extends Real {
    constructor(parts, options) {
      super(parts, options)
      made.push(parts.length)
    }
  }
  try {
    const bytes = new Uint8Array(randomBytes(9_000_001))
    const [here, there] = ends()
    const incoming = new IncomingFile(there)
    incoming.addEventListener("announced", () => incoming.accept())
    here.send(JSON.stringify({ name: "a", size: bytes.length }))
    await new Promise(resolve => setTimeout(resolve))
    for (let at = 0; at < bytes.length; at += 1013) here.send(bytes.subarray(at, at + 1013))
    here.send(JSON.stringify({ sha256: createHash("sha256").update(bytes).digest("hex") }))
    await ended(incoming)
    assert.ok(Buffer.from(bytes).equals(Buffer.from(await incoming.blob.arrayBuffer())))
    assert.deepEqual(made, [1, 1, 3])
  } finally {
    globalThis.Blob = Real
  }
})

test("whoever goes in the middle ends the transfer", async () => {
  const [here, there] = ends()
  const incoming = new IncomingFile(there)
  incoming.addEventListener("announced", () => incoming.accept())
  here.send(ANNOUNCED)
  await new Promise(resolve => setTimeout(resolve))
  here.close()
  await ended(incoming)
  assert.match(incoming.error, /gone/)
})

test("every word of the server has words for people, and a hook's own are shown", () => {
  for (const code of JSON.parse(process.env.CODES ?? "[]")) assert.notEqual(refusalWords({ code }).title, "The server says no", code)
  assert.equal(refusalWords({ code: "banned", message: "banned: until Monday" }).text, "until Monday")
  assert.equal(refusalWords({}).text, "It did not say why.")
  for (const name of ["NotAllowedError", "NotFoundError", "NotReadableError", "OverconstrainedError", "NotSupportedError", "Odd"]) {
    for (const what of ["camera", "microphone", "both"]) assert.match(mediaWords(new DOMException("x", name), what), /\.$|: x$/)
  }
})

test("a page over plain HTTP and a browser without WebRTC are named before what follows from them", t => {
  t.after(() => { for (const name of ["isSecureContext", "location", "RTCPeerConnection"]) delete globalThis[name] })
  const broken = { name: "TURN udp", status: "failed", ms: 0, detail: "RTCPeerConnection is not defined", cause: "check-broken", mend: "", side: "browser" }
  const verdict = () => join([broken, { name: "secure context", ms: 0, side: "browser", ...checkSecureContext() }])
  Object.assign(globalThis, { isSecureContext: false, location: { host: "call.example.org", pathname: "/diag" } })
  assert.equal(verdict().cause, "page-insecure")
  assert.match(verdict().sentence, /plain HTTP/)
  assert.equal(verdict().mend, "open https://call.example.org/diag")
  globalThis.isSecureContext = true
  assert.equal(verdict().cause, "no-webrtc")
  assert.match(verdict().sentence, /no WebRTC/)
  globalThis.RTCPeerConnection = function () {}
  assert.equal(verdict().cause, "check-broken")
})

test("closed relay ports are those that the server says, or the usual ones", () => {
  assert.match(rangeMend("49160-49199"), /ufw allow 49160:49199\/udp/)
  for (const odd of [undefined, "", 7, "1-2; reboot", "49160"]) assert.match(rangeMend(odd), /ufw allow 49152:65535\/udp/)
})
