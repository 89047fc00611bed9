// The parts of the call page that hold a call together, under node: with a server, connections and a document of the test's.

import assert from "node:assert/strict"
import { test } from "node:test"

import { PageDocument, settle } from "./page_document.mjs"

const page = new PageDocument()
const { Conference } = await import("../../src/icelane/web/pages/conference.js")

const { Banner } = await import("../../src/icelane/web/pages/banner.js")
const { Chat } = await import("../../src/icelane/web/pages/chat.js")
const { SecurityPanel } = await import("../../src/icelane/web/pages/panels.js")

const LIMITS = { frame: 65536, framesPerSecond: 50, frameBurst: 200, rooms: 32, peersPerRoom: 100, resumeSeconds: 60, resumePushes: 512 }

/** A server that lets everybody into a room in which Bob is. */
class Socket {
  constructor() {
    queueMicrotask(() => this.onopen?.())
  }
  send(text) {
    const { type, id, room } = JSON.parse(text)
    if (type === "hello") this.say({ type: "welcome", re: id, session: "s_1", peer: "p_me", identity: "ann", ping: 25, limits: LIMITS })
    else if (type === "join") this.say({ type: "joined", re: id, room, you: "p_me", peers: [{ peer: "p_bob", identity: "bob", polite: false }] })
    else this.say({ type: "ok", re: id })
  }
  say(frame) {
    queueMicrotask(() => this.onmessage?.({ data: JSON.stringify(frame) }))
  }
  close() {}
}

/** What the peer opens to send us a file. */
function offer(pc) {
  const channel = new Channel("file")
  pc.dispatchEvent(Object.assign(new Event("datachannel"), { channel }))
  channel.hear(JSON.stringify({ name: "a.bin", size: 3 }))
  return channel
}

class Channel extends EventTarget {
  readyState = "open"
  bufferedAmount = 0
  sent = []
  constructor(label) {
    super()
    this.label = label
  }
  send(data) {
    this.sent.push(data)
  }
  close() {
    this.readyState = "closed"
  }
  hear(data) {
    this.dispatchEvent(Object.assign(new Event("message"), { data }))
  }
}

class Sender {
  constructor(track, encodings = [{}]) {
    this.track = track
    this.parameters = { encodings }
  }
  getParameters() {
    return structuredClone(this.parameters)
  }
  async setParameters(parameters) {
    this.parameters = parameters
  }
  async replaceTrack(track) {
    this.track = track
  }
}

class Connection extends EventTarget {
  connectionState = "new"
  signalingState = "stable"
  channels = []
  senders = []
  constructor(configuration) {
    super()
    this.configuration = configuration
    Connection.last = this
  }
  createDataChannel(label) {
    const channel = new Channel(label)
    this.channels.push(channel)
    return channel
  }
  addTrack(track) {
    this.senders.push(new Sender(track, this.encodings))
    return this.senders.at(-1)
  }
  setConfiguration() {}
  async setLocalDescription() {}
  get(state) {
    this.connectionState = state
    this.dispatchEvent(new Event("connectionstatechange"))
  }
  close() {
    this.signalingState = this.connectionState = "closed"
  }
}

Object.assign(globalThis, { WebSocket: Socket, RTCPeerConnection: Connection })

class Media extends EventTarget {
  stream = {}
  camera = null
  microphone = null
  screen = null
  speaks = false
}

async function enter(t, media = new Media()) {
  const conference = new Conference({ room: "demo", token: "key" }, "Ann", media)
  t.after(() => conference.leave()) // or its timers keep the program alive
  await conference.enter()
  await settle()
  return { conference, media, pc: Connection.last, call: [...conference.calls.values()][0] }
}

test("a call has one transport, whatever the other one writes", async t => {
  const { pc } = await enter(t)
  assert.equal(pc.configuration.bundlePolicy, "max-bundle")
})

test("a file that is one too many is refused in words", async t => {
  const { pc } = await enter(t)
  const waiting = Array.from({ length: 8 }, () => offer(pc))
  assert.ok(waiting.every(({ sent, readyState }) => !sent.length && readyState === "open"))
  const ninth = offer(pc)
  assert.deepEqual([ninth.sent.map(JSON.parse), ninth.readyState], [[{ ok: false, error: "too many files wait" }], "closed"])
})

test("files end with their call", async t => {
  const { pc, call } = await enter(t)
  const files = [call.sendFile(new File(["abc"], "b.txt"))]
  call.addEventListener("offered", ({ detail }) => files.push(detail))
  offer(pc)
  call.end()
  assert.deepEqual(files.map(({ error }) => error), ["the call is over", "the call is over"])
})

class Call extends EventTarget {
  name = "Bob"
  tell(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }))
  }
}

function chat() {
  const announced = []
  const made = new Chat(news => announced.push(news))
  made.toggle(false)
  const call = new Call()
  made.follow(call)
  return { chat: made, call, announced }
}

/** One that is here. */
function arrived(call, name) {
  const file = Object.assign(new EventTarget(), { name, size: 3, done: 3, blob: new Blob(["abc"]), accept() {}, refuse() {} })
  call.tell("offered", file)
  file.dispatchEvent(new Event("end"))
}

test("a file that came is let go of with its line", t => {
  const revoked = []
  const { revokeObjectURL } = URL
  URL.revokeObjectURL = url => revoked.push(url)
  t.after(() => { URL.revokeObjectURL = revokeObjectURL })
  const { chat: used, call } = chat()
  arrived(call, "a")
  for (let i = 0; i < 499; i++) used.news("x")
  assert.equal(revoked.length, 0)
  used.news("one more")
  assert.equal(revoked.length, 1)
  arrived(call, "b")
  used.end()
  assert.equal(new Set(revoked).size, 2)
})

test("a message is told to those who do not see the chat, and only then", () => {
  const { chat: used, call, announced } = chat()
  call.tell("said", "hello")
  used.toggle(true)
  call.tell("said", "again")
  assert.deepEqual(announced, ["Bob: hello"])
})

test("what was unread in one call is not in the next", () => {
  const { chat: used, call } = chat()
  const unread = page.element("unread")
  call.tell("said", "hello")
  assert.deepEqual([unread.hidden, unread.textContent], [false, "1 unread"])
  used.end()
  assert.equal(unread.hidden, true)
  call.tell("said", "hello")
  assert.equal(unread.textContent, "1 unread")
})

test("the panel shows what it was opened for last", async () => {
  const opened = (name, pair) => {
    const described = { sdp: `a=fingerprint:sha-256 ${Array(32).fill(pair).join(":")}` }
    const pc = { connectionState: "connected", getSenders: () => [], getReceivers: () => [], currentLocalDescription: described, currentRemoteDescription: described }
    return { name, pc, peer: { identity: name }, streams: new Map() }
  }
  const panel = new SecurityPanel()
  await Promise.all([panel.open(opened("bob", "AA"), undefined), panel.open(opened("carol", "BB"), undefined)])
  const told = page.element("facts").all("dd").map(row => row.textContent)
  assert.deepEqual(told.filter(text => ["bob", "carol"].includes(text)), ["carol"])
  const closed = panel.open(opened("bob", "AA"), undefined)
  panel.close()
  await closed
  assert.equal(page.element("code").textContent, "…")
})

test("a call that shows no certificate, or two, has no code and a warning", async () => {
  const one = pair => `a=fingerprint:sha-256 ${Array(32).fill(pair).join(":")}`
  const pc = { connectionState: "connected", getSenders: () => [], getReceivers: () => [], currentLocalDescription: { sdp: one("AA") }, currentRemoteDescription: { sdp: `${one("BB")}\r\n${one("CC")}` } }
  await new SecurityPanel().open({ name: "Bob", pc, peer: {}, streams: new Map() }, undefined)
  assert.equal(page.element("code").textContent, "no code")
  assert.match(page.element("code-help").textContent, /Somebody may sit in between/)
})

test("a camera that is turned on in a call is limited at once, or when it is negotiated", async t => {
  for (const encodings of [[{}], []]) {
    const { pc, media } = await enter(t)
    pc.get("connected")
    pc.encodings = encodings
    media.camera = {}
    media.dispatchEvent(new Event("change"))
    const [sender] = pc.senders
    assert.equal(sender.parameters.encodings[0]?.maxBitrate, encodings.length ? 1_500_000 : undefined)
    sender.parameters = { encodings: [{}] }
    pc.dispatchEvent(new Event("signalingstatechange"))
    assert.equal(sender.parameters.encodings[0].maxBitrate, 1_500_000)
  }
})

test("what was said of a way that is not found goes when it is found, and anything when it is closed", () => {
  const banner = new Banner()
  const [bob, carol] = [{}, {}]
  const shown = () => !page.element("banner").hidden && page.element("banner-text").textContent
  banner.say("No way to Bob is found.", true, bob)
  banner.settle(carol)
  assert.equal(shown(), "No way to Bob is found.")
  banner.settle(bob)
  assert.equal(shown(), false)
  banner.say("The call goes on.", true)
  banner.settle(bob)
  assert.equal(shown(), "The call goes on.")
  page.element("banner-close").click()
  assert.equal(shown(), false)
})
