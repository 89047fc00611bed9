// The module for browsers, under node: a server that the test writes, and a clock that moves when it is told to.

import assert from "node:assert/strict"
import { test } from "node:test"

import { SignalClient, SignalError, SignalRefusedError, signalUrl } from "../../src/icelane/web/icelane.js"

/** Time, and what was to happen in it. */
class Clock {
  now = 0
  #timers = new Map()
  #last = 0
  set = (action, delay) => {
    this.#timers.set(++this.#last, { at: this.now + delay, action })
    return this.#last
  }
  clear = handle => this.#timers.delete(handle)
  get pending() {
    return this.#timers.size
  }
  async advance(seconds) {
    const end = this.now + seconds * 1000
    for (;;) {
      await settle()
      const [next] = [...this.#timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at)
      if (!next) break
      this.#timers.delete(next[0])
      this.now = next[1].at
      next[1].action()
    }
    this.now = end
    await settle()
  }
}

const settle = async () => { for (let i = 0; i < 20; i++) await Promise.resolve() }

const LIMITS = { frame: 65536, framesPerSecond: 50, frameBurst: 200, rooms: 32, peersPerRoom: 100, resumeSeconds: 60, resumePushes: 512 }

/** A server of one session, as a script: `sockets` are the connections, newest last. */
class Server {
  clock = new Clock()
  sockets = []
  random = 0.5
  accepts = true
  isDeaf = false
  environment(rest = {}) {
    const server = this
    class Socket {
      frames = []
      constructor(url, protocols) {
        Object.assign(this, { url, protocols })
        server.sockets.push(this)
        server.clock.set(() => server.accepts ? this.onopen?.() : this.onclose?.({ code: 1006, reason: "" }), 1)
      }
      send(text) {
        const frame = JSON.parse(text)
        this.frames.push(frame)
        if (frame.type === "ping" && !server.isDeaf) this.say({ type: "pong", re: frame.id })
        if (this.answers && frame.id && !["hello", "ping", "join"].includes(frame.type)) this.say({ type: "ok", re: frame.id })
      }
      say(frame) {
        this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) })
      }
      close(code) {
        this.closedWith = code
      }
      lose(code = 1006, reason = "") {
        this.onclose?.({ code, reason })
      }
      of(type) {
        return this.frames.filter(frame => frame.type === type)
      }
      welcome(more = {}) {
        const hello = this.of("hello")[0]
        this.say({
          type: "welcome", re: hello.id, session: "s_1", peer: "p_me", identity: "ann", ping: 25, resumed: !!hello.resume,
          limits: LIMITS, ...(hello.resume && { seq: hello.resume.seq }), ...more,
        })
      }
      joined(peers = [], more = {}) {
        for (const { id, room } of this.of("join").slice(-1)) this.say({ type: "joined", re: id, room, you: "p_me", peers, ...more })
      }
    }
    return {
      WebSocket: Socket, RTCPeerConnection: FakePeerConnection, setTimeout: this.clock.set, clearTimeout: this.clock.clear,
      now: () => this.clock.now, random: () => this.random, ...rest,
    }
  }
  get socket() {
    return this.sockets.at(-1)
  }
  client(options = {}) {
    const client = new SignalClient("wss://call.example.org", { token: "a.b.c", environment: this.environment(), ...options })
    client.told = []
    for (const event of ["peerjoined", "peerupdated", "peerleft", "message", "roomleft", "roomchanged", "disconnected", "connected", "closed"]) {
      client.on(event, (...told) => client.told.push([event, ...told]))
    }
    return client
  }
  async enter(options = {}, peers = [BOB]) {
    const client = this.client({ room: "demo", ...options })
    const connecting = client.connect()
    await this.clock.advance(0.1)
    this.socket.welcome()
    await settle()
    this.socket.joined(peers)
    await connecting
    return client
  }
}

class FakePeerConnection extends EventTarget {
  signalingState = "stable"
  iceConnectionState = "new"
  log = []
  constructor(configuration) {
    super()
    this.configuration = configuration
  }
  async setLocalDescription() {
    const type = this.signalingState === "have-remote-offer" ? "answer" : "offer"
    this.localDescription = { type, sdp: `${type} ${this.log.length}` }
    this.signalingState = type === "offer" ? "have-local-offer" : "stable"
    this.log.push(["local", type])
  }
  async setRemoteDescription({ type }) {
    this.signalingState = type === "offer" ? "have-remote-offer" : "stable"
    this.log.push(["remote", type])
  }
  async addIceCandidate(candidate) {
    this.log.push(["candidate", candidate?.candidate])
  }
  setConfiguration(configuration) {
    this.configuration = configuration
  }
  restartIce() {
    this.log.push(["restart"])
  }
  close() {
    this.signalingState = "closed"
  }
}

const BOB = { peer: "p_bob", identity: "bob", polite: true, meta: { hat: 1 } }
const EVE = { peer: "p_eve", identity: "eve", polite: false }

test("a URL names the server or the WebSocket", () => {
  assert.equal(signalUrl("https://call.example.org"), "wss://call.example.org/v1/signal")
  assert.equal(signalUrl("wss://call.example.org:8443/rtc/v1/signal#x"), "wss://call.example.org:8443/rtc/v1/signal")
  assert.equal(signalUrl("http://127.0.0.1:8000/"), "ws://127.0.0.1:8000/v1/signal")
  assert.throws(() => signalUrl("ftp://call.example.org"), TypeError)
  for (const host of ["localhost", "app.localhost", "[::1]", "127.8.8.8"]) assert.equal(signalUrl(`http://${host}`), `ws://${host}/v1/signal`)
  for (const place of ["http://call.example.org", "ws://192.0.2.1", "http://127.0.0.1.example.org", "http://localhost.example.org"]) {
    assert.throws(() => signalUrl(place), /TLS/)
    assert.throws(() => new SignalClient(place), /TLS/)
    assert.ok(signalUrl(place, { allowCleartext: true }).startsWith("ws://"))
  }
  assert.throws(() => signalUrl("wss://call.example.org/v1/signal?a=b&token=secret"), error => !error.message.includes("secret"))
  assert.ok(signalUrl("wss://call.example.org/v1/signal?ticket=once").endsWith("?ticket=once"))
  assert.throws(() => signalUrl("wss://ann:secret@call.example.org"), error => !error.message.includes("secret"))
})

test("the token goes into the sub-protocols, or into hello where it does not fit there", async () => {
  const server = new Server()
  server.client().connect().catch(() => {})
  await server.clock.advance(0.1)
  assert.deepEqual(server.socket.protocols, ["icelane.signal.v1", "bearer.a.b.c"])
  assert.equal(server.socket.of("hello")[0].token, undefined)
  server.client({ token: "a=b c", ticket: async () => "once", data: { device: 7 } }).connect().catch(() => {})
  await server.clock.advance(0.1)
  assert.deepEqual(server.socket.protocols, ["icelane.signal.v1"])
  const { token, ticket, data } = server.socket.of("hello")[0]
  assert.deepEqual({ token, ticket, data }, { token: "a=b c", ticket: "once", data: { device: 7 } })
  assert.ok(!server.sockets.some(socket => /a=b|once/.test(socket.url)))
})

test("the value that goes with a cookie is a sub-protocol of its own", async () => {
  const server = new Server()
  server.client({ token: "csrf.q-_9" }).connect().catch(() => {})
  await server.clock.advance(0.1)
  assert.deepEqual(server.socket.protocols, ["icelane.signal.v1", "csrf.q-_9"])
  assert.equal(server.socket.frames[0].token, undefined)
})

test("peers that are there and peers that come are told, and handed out once", async () => {
  const server = new Server()
  const client = await server.enter()
  assert.equal((await client.nextPeer()).identity, "bob")
  server.socket.say({ type: "peer-joined", seq: 1, room: "demo", ...EVE })
  const seen = []
  const looking = (async () => { for await (const peer of client) seen.push(peer.identity) })()
  await settle()
  assert.deepEqual(seen, ["eve"])
  server.socket.say({ type: "peer-updated", seq: 2, room: "demo", peer: "p_bob", meta: { hat: 2 } })
  server.socket.say({ type: "peer-left", seq: 3, room: "demo", peer: "p_eve", reason: "closed" })
  assert.deepEqual(client.peersIn("demo").map(peer => [peer.identity, peer.meta]), [["bob", { hat: 2 }]])
  client.close()
  await looking
  assert.equal(server.socket.closedWith, 1000)
  assert.deepEqual(client.told.map(([event]) => event), ["connected", "peerjoined", "peerjoined", "peerupdated", "peerleft", "closed"])
  assert.equal(server.clock.pending, 0)
})

test("what has no answer is said again after a resume, in its order and with its key", async () => {
  const server = new Server()
  const client = await server.enter()
  server.socket.say({ type: "message", seq: 1, from: "p_bob", data: "one", room: "demo" })
  const sent = [1, 2, 3].map(number => client.send(number))
  const first = server.socket
  assert.deepEqual(first.of("message").map(({ data, to, room }) => [data, to, room]), [[1, "*", "demo"], [2, "*", "demo"], [3, "*", "demo"]])
  first.say({ type: "ok", re: first.of("message")[0].id })
  first.lose()
  const late = client.send(4)
  await server.clock.advance(2)
  assert.deepEqual(server.socket.of("hello")[0].resume, { session: "s_1", seq: 1 })
  server.socket.welcome()
  server.socket.say({ type: "message", seq: 1, from: "p_bob", data: "one", room: "demo" })
  server.socket.say({ type: "message", seq: 2, from: "p_bob", data: "two", room: "demo" })
  assert.deepEqual(server.socket.of("message").map(({ data }) => data), [2, 3, 4])
  assert.deepEqual(server.socket.of("message").slice(0, 2).map(({ key }) => key), first.of("message").slice(1).map(({ key }) => key))
  for (const { id } of server.socket.of("message")) server.socket.say({ type: "ok", re: id })
  await Promise.all([...sent, late])
  assert.deepEqual(client.told.filter(([event]) => event === "message").map(([, data, peer]) => [data, peer.identity]), [["one", "bob"], ["two", "bob"]])
  assert.deepEqual(client.told.filter(([event]) => event === "connected").map(([, how]) => how), ["new", "resumed"])
})

test("a missing push makes the connection anew, and an unknown one is skipped", async () => {
  const server = new Server()
  const client = await server.enter()
  server.socket.say({ type: "something-new" })
  server.socket.say({ type: "another-new", seq: 1 })
  server.socket.say({ type: "message", seq: 3, data: "lost one" })
  assert.equal(server.socket.closedWith, 4000)
  await server.clock.advance(2)
  assert.deepEqual(server.socket.of("hello")[0].resume, { session: "s_1", seq: 1 })
  assert.ok(client.told.every(([event]) => event !== "message"))
})

test("outside the window the rooms are what the server says", async () => {
  const server = new Server()
  const client = await server.enter()
  const pc = client.connectPeer(client.peers[0])
  pc.dispatchEvent(new Event("negotiationneeded"))
  await settle()
  server.socket.lose()
  await server.clock.advance(2)
  server.socket.welcome({ resumed: false, seq: 600, rooms: [{ room: "demo", you: "p_me", peers: [BOB, EVE] }] })
  assert.deepEqual(client.peers.map(peer => peer.identity), ["bob", "eve"])
  assert.deepEqual(client.told.filter(([event]) => event === "connected").at(-1), ["connected", "resynced"])
  assert.equal(server.socket.of("signal").filter(({ data }) => data.description?.type === "offer").length, 2, "said again, and repeated")
  server.socket.say({ type: "message", seq: 601, from: "p_eve", data: "go on" })
  assert.equal(client.told.at(-1)[1], "go on")
})

test("a lost session is joined again before anything else, and what was sent in it is not repeated", async () => {
  const server = new Server()
  const client = await server.enter()
  const pc = client.connectPeer(client.peers[0])
  const unsure = client.send("unsure")
  server.socket.lose()
  const later = client.send("later")
  await server.clock.advance(2)
  server.socket.welcome({ session: "s_2", peer: "p_new", resumed: false, seq: 0 })
  await assert.rejects(unsure, { code: "session_lost" })
  await settle()
  assert.deepEqual(server.socket.frames.slice(1).map(({ type }) => type), ["join"])
  server.socket.joined([BOB])
  server.socket.say({ type: "ok", re: server.socket.of("message")[0].id })
  await later
  assert.deepEqual(server.socket.of("message").map(({ data }) => data), ["later"])
  assert.deepEqual(client.told.filter(([event]) => event === "peerleft").map(([, , reason]) => reason), ["node-lost"])
  assert.equal(pc.signalingState, "stable", "the call goes on")
  assert.equal(client.peerId, "p_new")
})

test("whether it comes back is known from goodbye, and else from the code", async () => {
  for (const [code, goodbye, comesBack] of [
    [4403, { reconnect: false }, false], [4401, { reconnect: true }, false], [4409, { reconnect: false }, false],
    [4408, { reconnect: true }, true], [4413, { reconnect: true }, true], [4503, { reconnect: true, after: 3 }, true],
    [4403, null, false], [4500, null, true], [1006, null, true], [1009, null, false], [1012, null, true],
  ]) {
    const server = new Server()
    const client = await server.enter()
    if (goodbye) server.socket.say({ type: "goodbye", code, reason: "word", message: "sentence", ...goodbye })
    server.socket.lose(code, "")
    await server.clock.advance(goodbye?.after ?? 0)
    assert.equal(server.sockets.length, 1, "not before `after`")
    await server.clock.advance(2)
    assert.equal(server.sockets.length, comesBack ? 2 : 1, `${code} ${JSON.stringify(goodbye)}`)
    if (!comesBack) {
      const [event, error] = client.told.at(-1)
      assert.equal(event, "closed")
      assert.ok(error instanceof SignalRefusedError)
      assert.equal(error.closeCode, code)
      if (goodbye) assert.deepEqual([error.code, error.message], ["word", "word: sentence"])
      await assert.rejects(client.send("too late", "p_bob"), error)
      assert.equal(server.clock.pending, 0)
    }
  }
})

test("who is refused sees the reason", async () => {
  const server = new Server()
  const connecting = server.client({ room: "demo" }).connect()
  await server.clock.advance(0.1)
  server.socket.say({ type: "goodbye", code: 4403, reason: "banned", message: "until Monday", reconnect: false })
  server.socket.lose(4403, "banned")
  await assert.rejects(connecting, { name: "SignalRefusedError", code: "banned", message: "banned: until Monday", closeCode: 4403 })
})

test("a refused token is replaced once, and one that ends is refreshed in time", async () => {
  const server = new Server()
  let made = 0
  const client = server.client({ token: () => `token${++made}` })
  const connecting = client.connect()
  for (let i = 0; i < 2; i++) {
    await server.clock.advance(2)
    server.socket.say({ type: "goodbye", code: 4401, reason: "token_expired", reconnect: true })
    server.socket.lose(4401)
  }
  await assert.rejects(connecting, { closeCode: 4401 })
  assert.equal(made, 2)
  const other = await server.enter({ token: async () => `fresh${++made}` })
  other.told.length = 0
  server.socket.lose()
  await server.clock.advance(2)
  server.socket.welcome({ expiresAt: new Date(Date.now() + 100_000).toISOString() })
  await server.clock.advance(79)
  assert.deepEqual(server.socket.of("refresh"), [])
  await server.clock.advance(2)
  assert.deepEqual(server.socket.of("refresh").map(({ token }) => token), [`fresh${made}`])
})

test("the wait grows with failures, by chance, up to half a minute", async () => {
  const server = new Server()
  const client = await server.enter()
  server.accepts = false
  server.random = 0.999
  server.socket.lose()
  const times = []
  for (let before = 1, i = 0; i < 3000 && times.length < 9; i++) {
    await server.clock.advance(0.1)
    if (server.sockets.length > before) {
      before = server.sockets.length
      times.push(server.clock.now / 1000)
    }
  }
  const waits = times.slice(1).map((time, i) => Math.round(time - times[i]))
  assert.deepEqual(waits.slice(0, 6), [2, 4, 8, 16, 30, 30])
  server.accepts = true
  await server.clock.advance(31)
  server.socket.welcome()
  assert.ok(client.isConnected)
})

test("a silent server is asked, and left when it does not answer", async () => {
  const server = new Server()
  await server.enter()
  const first = server.socket
  await server.clock.advance(31)
  assert.equal(first.of("ping").length, 1)
  server.isDeaf = true
  await server.clock.advance(31)
  assert.equal(first.of("ping").length, 2)
  await server.clock.advance(12)
  assert.equal(first.closedWith, 4000)
  assert.equal(server.sockets.length, 2)
})

test("a ping of the server is answered", async () => {
  const server = new Server()
  await server.enter()
  server.socket.say({ type: "ping" })
  assert.equal(server.socket.of("pong").length, 1)
})

test("the server's rate is kept, and a join is overtaken by nothing", async () => {
  const server = new Server()
  const client = await server.enter()
  server.socket.answers = true
  for (let i = 0; i < 400; i++) void client.send(i)
  const count = () => server.socket.of("message").length
  const burst = count()
  assert.ok(burst > 150 && burst <= 180, `${burst}`)
  await server.clock.advance(1)
  assert.ok(count() - burst <= 46 && count() - burst >= 44, `${count() - burst}`)
  await server.clock.advance(10)
  assert.deepEqual(server.socket.of("message").map(({ data }) => data), [...Array(400).keys()])
  const joining = client.join("other")
  const saying = client.send("hello", "*", "other")
  await server.clock.advance(1)
  assert.equal(count(), 400)
  server.socket.joined()
  await Promise.all([joining, saying])
  assert.equal(count(), 401)
})

test("what waits is bounded, and so is a frame", async () => {
  const server = new Server()
  const client = await server.enter()
  server.socket.lose()
  const waiting = Array.from({ length: 1024 }, (_, i) => client.send(i).catch(error => error))
  await assert.rejects(client.send("one more"), { code: "busy" })
  await assert.rejects(client.send("ü".repeat(40_000)), RangeError)
  client.close()
  assert.ok((await Promise.all(waiting)).every(error => error instanceof SignalError))
})

test("what waits is bounded in bytes as well, with and without a connection", async () => {
  const server = new Server()
  const client = await server.enter()
  server.socket.lose()
  const large = "x".repeat(60_000)
  const waiting = []
  for (let i = 0; i < 69; i++) waiting.push(client.send(large))
  await assert.rejects(client.send(large), { code: "busy" })
  waiting.push(client.send("a small one still fits"))
  for (const one of waiting) one.catch(() => {})
  await server.clock.advance(1)
  server.socket.answers = true
  server.socket.welcome()
  await server.clock.advance(10)
  await Promise.all(waiting)
  const again = client.send(large)
  await server.clock.advance(1)
  await again
})

test("signals that wait for the browser are bounded, and it goes on when it has caught up", async () => {
  const server = new Server()
  const client = await server.enter()
  const pc = client.connectPeer(client.peersIn("demo")[0])
  let release
  pc.addIceCandidate = candidate => {
    pc.log.push(["candidate", candidate.candidate])
    return new Promise(done => { release = done })
  }
  let seq = 0
  const candidate = text => server.socket.say({ type: "signal", from: "p_bob", seq: ++seq, data: { candidate: { candidate: text } } })
  for (let i = 0; i < 1000; i++) candidate(`${i}`)
  const seen = () => pc.log.filter(([what]) => what === "candidate").map(([, text]) => text)
  for (let i = 0; i < 1000; i++) {
    await settle()
    release?.()
    release = undefined
  }
  assert.deepEqual(seen(), Array.from({ length: 256 }, (_, i) => `${i}`))
  for (let i = 0; i < 40; i++) candidate("y".repeat(60_000))
  candidate("small")
  for (let i = 0; i < 100; i++) {
    await settle()
    release?.()
    release = undefined
  }
  assert.equal(seen().length, 256 + 17 + 1)
  assert.equal(seen().at(-1), "small")
})

test("signals of peers that nobody connects to are bounded together, and the oldest go", async () => {
  const server = new Server()
  const peers = Array.from({ length: 40 }, (_, i) => ({ peer: `p_${i}`, identity: `${i}`, polite: true }))
  const client = await server.enter({}, peers)
  let seq = 0
  for (let round = 0; round < 10; round++) {
    for (const { peer } of peers) {
      server.socket.say({ type: "signal", from: peer, seq: ++seq, data: { candidate: { candidate: "z".repeat(60_000) } } })
    }
  }
  let held = 0
  for (const peer of client.peersIn("demo")) {
    const pc = client.connectPeer(peer)
    await settle()
    held += pc.log.length
  }
  assert.ok(held > 50 && held * 60_000 <= 8 << 20, `${held} signals`)
})

test("errors are what the server says", async () => {
  const server = new Server()
  const client = await server.enter()
  const sending = client.send("hello", "p_nobody")
  server.socket.say({ type: "error", re: server.socket.of("message")[0].id, code: "peer_not_found", message: "no such peer", retryable: false })
  await assert.rejects(sending, { code: "peer_not_found", message: "peer_not_found: no such peer", retryable: false })
})

test("a connection takes the server's ICE servers, and fresh ones with the same policies", async () => {
  const server = new Server()
  const client = await server.enter({ rtc: { bundlePolicy: "max-bundle" } })
  const servers = username => [{ urls: ["turn:turn.example.org"], username, credential: "c" }]
  server.socket.say({ type: "ice", ice: { iceServers: servers("1"), iceTransportPolicy: "relay", ttl: 600 } })
  const pc = client.connectPeer(client.peers[0])
  assert.deepEqual(pc.configuration, { bundlePolicy: "max-bundle", iceServers: servers("1"), iceTransportPolicy: "relay" })
  server.socket.say({ type: "ice", ice: { iceServers: servers("2"), iceTransportPolicy: "relay" } })
  assert.deepEqual(pc.configuration, { bundlePolicy: "max-bundle", iceServers: servers("2"), iceTransportPolicy: "relay" })
  assert.throws(() => client.connectPeer(client.peers[0]), /already/)
})

test("a room that becomes relay-only reaches the connections that there are", async () => {
  const server = new Server()
  const client = await server.enter()
  const pc = client.connectPeer(client.peers[0])
  assert.equal(pc.configuration.iceTransportPolicy, "all")
  server.socket.say({ type: "room-updated", seq: 1, room: "demo", locked: false, iceTransportPolicy: "relay" })
  assert.equal(pc.configuration.iceTransportPolicy, "relay")
  server.socket.say({ type: "room-updated", seq: 2, room: "demo", locked: true })
  assert.equal(pc.configuration.iceTransportPolicy, "all")
})

test("the impolite one keeps its offer, the polite one gives way", async () => {
  for (const [bobIsPolite, answers] of [[true, []], [false, ["answer"]]]) {
    const server = new Server()
    const client = await server.enter({}, [{ ...BOB, polite: bobIsPolite }])
    const pc = client.connectPeer(client.peers[0])
    pc.dispatchEvent(new Event("negotiationneeded"))
    await server.clock.advance(0.6)
    server.socket.say({ type: "signal", seq: 1, from: "p_bob", data: { description: { type: "offer", sdp: "theirs" } } })
    server.socket.say({ type: "signal", seq: 2, from: "p_bob", data: { candidate: { candidate: "candidate:1", sdpMid: "0" } } })
    await settle()
    assert.deepEqual(server.socket.of("signal").map(({ data }) => data.description.type), ["offer", ...answers])
    assert.deepEqual(pc.log.filter(([what]) => what === "candidate"), bobIsPolite ? [] : [["candidate", "candidate:1"]])
  }
})

test("the polite one leaves the first word to the other for half a second", async () => {
  for (const speaks of [true, false]) {
    const server = new Server()
    const client = await server.enter({}, [{ ...BOB, polite: false }])
    const pc = client.connectPeer(client.peers[0])
    pc.dispatchEvent(new Event("negotiationneeded"))
    await server.clock.advance(0.4)
    assert.deepEqual(server.socket.of("signal"), [])
    if (speaks) server.socket.say({ type: "signal", seq: 1, from: "p_bob", data: { description: { type: "offer", sdp: "theirs" } } })
    await server.clock.advance(0.2)
    assert.deepEqual(server.socket.of("signal").map(({ data }) => data.description.type), [speaks ? "answer" : "offer"])
  }
})

test("signals that come before the page connects are kept, and a stale answer is dropped", async () => {
  const server = new Server()
  const client = await server.enter()
  server.socket.say({ type: "signal", seq: 1, from: "p_bob", data: { description: { type: "offer", sdp: "theirs" } } })
  server.socket.say({ type: "signal", seq: 2, from: "p_bob", data: { candidate: null } })
  server.socket.say({ type: "signal", seq: 3, from: "p_bob", data: { description: { type: "answer", sdp: "stale" } } })
  const pc = client.connectPeer(client.peers[0])
  await settle()
  assert.deepEqual(pc.log, [["remote", "offer"], ["local", "answer"], ["candidate", undefined]])
})

test("an offer without an answer is sent again, and ICE that has failed is restarted", async () => {
  const server = new Server()
  const client = await server.enter()
  const pc = client.connectPeer(client.peers[0])
  pc.dispatchEvent(new Event("negotiationneeded"))
  await server.clock.advance(11)
  assert.equal(server.socket.of("signal").length, 2)
  server.socket.say({ type: "signal", seq: 1, from: "p_bob", data: { description: { type: "answer", sdp: "theirs" } } })
  await server.clock.advance(30)
  assert.equal(server.socket.of("signal").length, 2)
  pc.iceConnectionState = "failed"
  pc.dispatchEvent(new Event("iceconnectionstatechange"))
  assert.deepEqual(pc.log.at(-1), ["restart"])
})

test("a peer that leaves ends the call; one that nobody hears does not", async () => {
  for (const [reason, state] of [["closed", "closed"], ["kicked", "closed"], ["timeout", "stable"], ["node-lost", "stable"]]) {
    const server = new Server()
    const client = await server.enter()
    const pc = client.connectPeer(client.peers[0])
    server.socket.say({ type: "peer-left", seq: 1, room: "demo", peer: "p_bob", reason })
    assert.equal(pc.signalingState, state, reason)
  }
})

test("a server may send us elsewhere, but to nowhere less safe", async () => {
  for (const [url, next] of [["wss://other.example.org/v1/signal", "wss://other.example.org/v1/signal"], ["ws://other.example.org", "wss://call.example.org/v1/signal"]]) {
    const server = new Server()
    await server.enter()
    server.socket.say({ type: "goodbye", code: 4503, reason: "draining", reconnect: true, url })
    server.socket.lose(4503)
    await server.clock.advance(2)
    assert.equal(server.socket.url, next)
  }
})

test("nonsense of a server ends the connection and nothing else", async () => {
  for (const nonsense of ["no JSON", "null", '{"type":"welcome","re":99}', '{"type":"joined","re":2}']) {
    const server = new Server()
    await server.enter()
    server.socket.say(nonsense)
    await server.clock.advance(2)
    server.socket.welcome?.()
    assert.ok(server.sockets.length <= 2, nonsense)
  }
})
