// @ts-check
/**
 * Rooms, peers and calls by way of an icelane signaling server. No dependencies; a module for every current browser.
 *
 *     import { SignalClient } from "./icelane.js"
 *
 *     const signal = await SignalClient.connect("https://call.example.org", { token, room: "demo" })
 *     for await (const peer of signal) {
 *       const pc = signal.connectPeer(peer)                  // an RTCPeerConnection that negotiates by itself
 *       for (const track of stream.getTracks()) pc.addTrack(track, stream)
 *       pc.ontrack = ({ streams }) => { video.srcObject = streams[0] }
 *     }
 *
 * When the connection breaks it comes back into the same session, and nothing is lost that was sent within a minute;
 * calls go on meanwhile, since nothing of them passes the server.
 *
 * @typedef {Record<string, any>} Json
 * @typedef {{ id: string, room: string, identity: string, polite: boolean, name?: string, meta: Json }} Peer
 *   Somebody in a room. `polite` is the part that this peer plays in negotiation; we play the other one.
 * @typedef {string | (() => string | Promise<string>)} Secret
 * @typedef {object} Options
 * @property {Secret} [token]  a join token, or a function that gets one: it is called whenever another one is needed.
 *   Where the token is in a cookie, `csrf.` and the value that goes with it.
 * @property {() => string | Promise<string>} [ticket]  gets a one-time ticket for each connection
 * @property {string} [room]  joined at once
 * @property {Json} [meta]  what others see of us
 * @property {any} [data]  for the server's before-connect hook
 * @property {RTCConfiguration} [rtc]  for peer connections; where it names no `iceServers`, they come from the server
 * @property {{ name?: string, version?: string }} [client]
 * @property {boolean} [allowCleartext]  connect without TLS to another machine, which everybody on the way reads
 * @property {number} [timeout]  seconds until `connect` gives up, by default 30
 * @property {Partial<Environment>} [environment]  for tests, and for places that are no browser
 * @typedef {object} Environment
 * @property {new (url: string, protocols: string[]) => WebSocket} WebSocket
 * @property {new (configuration?: RTCConfiguration) => RTCPeerConnection} RTCPeerConnection
 * @property {(action: () => void, milliseconds: number) => any} setTimeout
 * @property {(handle: any) => void} clearTimeout
 * @property {() => number} now  milliseconds
 * @property {() => number} random
 * @typedef {{ name: string, meta: Json, you?: string, locked: boolean, relayOnly: boolean, peers: Map<string, Peer> }} Room
 * @typedef {{ frame: Json, text: string, size: number, sent: boolean, resolve: (answer: Json) => void, reject: (error: Error) => void }} Request
 * @typedef {{ description?: RTCSessionDescriptionInit, candidate?: RTCIceCandidateInit | null }} Signal
 */

const SUBPROTOCOL = "icelane.signal.v1"
const PATH = "/v1/signal"

// The first attempt comes within FIRST seconds after the connection has gone, later ones after a random while that
// doubles with each failure. MAX_AFTER bounds what the server may ask us to wait.
const FIRST = 1
const LONGEST = 30
const MAX_AFTER = 3600
// A connection that has held so long was a good one.
const STABLE_AFTER = 10
const OPEN_TIMEOUT = 10
const WELCOME_TIMEOUT = 15
const PING_SLACK = 5
const PONG_TIMEOUT = 10
const TOKEN_RENEWAL = 0.8
const LONGEST_TIMER = 86_400

// Requests without an answer, also those that wait while there is no connection, and their bytes; the next one fails with
// `busy`. Fewer are on their way than the server keeps behind a slow hook.
const MAX_REQUESTS = 1024
const MAX_REQUEST_BYTES = 4 << 20
const MAX_IN_FLIGHT = 32
// Part of the server's rate that we use: its clock and ours differ, and pong counts as well.
const SHARE = 0.9

// Signals of peers that nobody has connected to yet, arrivals that nobody has asked for: the oldest go. Sizes are the
// characters of a signal as JSON.
const MAX_HELD_PEERS = 128
const MAX_HELD_SIGNALS = 64
const MAX_HELD_SIZE = 8 << 20
const MAX_ARRIVALS = 1024
// Signals that wait while the browser is at an earlier one of the same peer. The next one is dropped: who sends faster
// than a browser reads harms his own call, and an offer that was lost is sent again.
const MAX_WAITING_SIGNALS = 256
const MAX_WAITING_SIZE = 1 << 20
// How long an offer waits for its answer before it is sent again.
const OFFER_PATIENCE = 10
// How long the polite one leaves the first word to the other. Whoever begins a call begins it at both ends, so first
// offers would nearly always collide; and after a rollback Chromium 156 answers no offer that has data in another place
// ("Failed to start SCTP transport").
const FIRST_OFFER_DELAY = 0.5

const NEVER = new Set([1000, 1002, 1003, 1007, 1009])
const COME_BACK = new Set([4408, 4413, 4429])
const UNCERTAIN = new Set(["timeout", "node-lost"])
const TOKEN_EXPIRED = 4401

/** The server does not do what was asked. `code` is its word for programs, such as `peer_not_found`. */
export class SignalError extends Error {
  /** @param {string} code @param {string} [message] @param {{ retryable?: boolean, after?: number }} [more] */
  constructor(code, message = "", more = {}) {
    super(message && message !== code ? `${code}: ${message}` : code)
    this.name = "SignalError"
    this.code = code
    this.retryable = more.retryable === true
    this.after = more.after
  }
}

/** The server does not let us in, or has sent us away. `closeCode` is that of the WebSocket. */
export class SignalRefusedError extends SignalError {
  /** @param {string} code @param {string} message @param {number} closeCode */
  constructor(code, message, closeCode) {
    super(code, message)
    this.name = "SignalRefusedError"
    this.closeCode = closeCode
  }
}

/**
 * The URL of the WebSocket for that of a server; a relative one is by the page's own.
 * @param {string} text @param {{ allowCleartext?: boolean }} [options]
 */
export function signalUrl(text, options) {
  const url = new URL(text, globalThis.location?.href)
  if (url.protocol === "https:") url.protocol = "wss:"
  if (url.protocol === "http:") url.protocol = "ws:"
  if (url.protocol !== "wss:" && url.protocol !== "ws:") throw new TypeError("a signaling server is at wss:// or https://")
  if (url.username || url.password || [...url.searchParams.keys()].some(name => name.toLowerCase() === "token")) {
    throw new TypeError("a token goes into `token`, not into the URL")
  }
  if (url.protocol === "ws:" && !options?.allowCleartext && !isThisMachine(url.hostname)) {
    throw new TypeError(`without TLS everybody on the way reads what goes to ${url.hostname}; use wss://, or allowCleartext`)
  }
  if (url.pathname === "/") url.pathname = PATH
  url.hash = ""
  return url.href
}

/** @param {string} host  as `URL` has it: an IPv4 address is canonical, IPv6 stands in brackets */
function isThisMachine(host) {
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127(\.\d+){3}$/.test(host)
}

/** A member of rooms on one server. */
export class SignalClient {
  /**
   * How others know us; another one after a session was lost.
   * @type {string | undefined}
   */
  peerId
  /**
   * Who we are to the server.
   * @type {string | undefined}
   */
  identity

  #url
  #options
  /** @type {Environment} */
  #environment
  /** @type {"idle" | "connecting" | "greeting" | "open" | "waiting" | "closed"} */
  #state = "idle"
  /** @type {WebSocket | undefined} */
  #socket
  /** Counts connections: what comes from an older one is not looked at. */
  #attempt = 0
  /** @type {Map<string, any>} */
  #timers = new Map()
  #failures = 0
  #lastId = 0
  #helloId = 0
  #ping = 25
  /** @type {{ session: string, seq: number } | undefined} */
  #resume
  /** @type {Json | undefined} */
  #goodbye
  /** @type {Json | undefined} */
  #error
  /** @type {string | undefined} */
  #elsewhere
  #tokenRefused = false
  /** @type {Map<number, Request>} */
  #requests = new Map()
  #interval = 1000 / (50 * SHARE)
  #slack = (200 * SHARE - 1) * this.#interval
  #due = 0
  #maxFrame = 65536
  /** @type {Map<string, Room>} */
  #rooms = new Map()
  /** @type {Map<string, Negotiation>} */
  #negotiations = new Map()
  #held = new HeldSignals()
  /** @type {Peer[]} */
  #arrivals = []
  /** @type {((peer: Peer | undefined) => void)[]} */
  #waiting = []
  /** @type {Map<string, Set<(...told: any[]) => void>>} */
  #listeners = new Map()
  /** @type {Json | undefined} */
  #ice
  /** @type {SignalError | undefined} */
  #refusal
  /** @type {{ resolve: () => void, reject: (error: Error) => void } | undefined} */
  #connecting
  #reason = ""
  #online = () => this.#comeBackNow()

  /** @param {string} url @param {Options} [options] */
  constructor(url, options = {}) {
    this.#url = signalUrl(url, options)
    this.#options = options
    const global = /** @type {any} */ (globalThis)
    this.#environment = {
      WebSocket: global.WebSocket,
      RTCPeerConnection: global.RTCPeerConnection,
      setTimeout: (action, milliseconds) => setTimeout(action, milliseconds),
      clearTimeout: handle => clearTimeout(handle),
      now: () => performance.now(),
      random: () => Math.random(),
      ...options.environment,
    }
  }

  /**
   * A client that is connected, and in `options.room` if there is one. Rejects as `connect` does.
   * @param {string} url @param {Options} [options]
   */
  static async connect(url, options = {}) {
    const client = new SignalClient(url, options)
    await client.connect()
    return client
  }

  /**
   * Connect, and join the room. Rejects with a SignalRefusedError when the server does not let us in, with a SignalError
   * when it is the room that does not, or when it cannot be reached in time; the client is closed then.
   */
  async connect() {
    if (this.#state !== "idle") throw new Error("this client was connected before")
    globalThis.addEventListener?.("online", this.#online)
    const timeout = this.#options.timeout ?? 30
    try {
      await new Promise((resolve, reject) => {
        this.#connecting = { resolve: () => resolve(undefined), reject }
        this.#arm("give-up", timeout, () => reject(new SignalError("unreachable", this.#reason || "no answer in time")))
        void this.#open()
      })
      if (this.#options.room !== undefined) await this.join(this.#options.room)
    } catch (error) {
      this.close()
      throw error
    } finally {
      this.#disarm("give-up")
    }
  }

  /** Leave; the others are told at once, and peer connections are closed. */
  close() {
    if (this.#state === "closed") return
    for (const id of [...this.#negotiations.keys()]) this.#endCall(id, true)
    const socket = this.#socket
    this.#dropSocket()
    socket?.close(1000)
    this.#end(undefined)
  }

  // Events.

  /**
   * Call `listener` at each `event`; returns what ends that.
   *
   * `peerjoined`, `peerupdated` (peer), `peerleft` (peer, reason), `message` (data, peer or undefined for the server),
   * `roomleft` (name, reason), `roomchanged` (name, whether it is locked), `iceservers` (list), `disconnected` (reason),
   * `connected` ("new", "resumed", "resynced" or "replaced"), `closed` (error or undefined).
   * @param {string} event @param {(...told: any[]) => void} listener
   */
  on(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners.add(listener))
    return () => listeners.delete(listener)
  }

  // Rooms.

  /**
   * Be in a room from now on, also after a session was lost; resolves with who is there.
   * @param {string} room @param {Json} [meta]
   */
  async join(room, meta = this.#options.meta ?? {}) {
    const known = this.#rooms.get(room) ?? { name: room, meta, locked: false, relayOnly: false, peers: new Map() }
    known.meta = meta
    this.#rooms.set(room, known)
    await this.#ask({ type: "join", room, meta })
    return this.peersIn(room)
  }

  /**
   * Be there no more.
   * @param {string} room
   */
  async leave(room) {
    for (const peer of this.peersIn(room)) this.#endCall(peer.id, true)
    this.#rooms.delete(room)
    await this.#ask({ type: "leave", room })
  }

  /**
   * Say something else about ourselves.
   * @param {Json} meta @param {string} [room]
   */
  async update(meta, room = this.#onlyRoom()) {
    const known = this.#rooms.get(room)
    if (known) known.meta = meta
    await this.#ask({ type: "update", room, meta })
  }

  /**
   * Remove somebody; needs the grant `moderate`.
   * @param {Peer} peer @param {string} [reason]
   */
  async kick(peer, reason = "") {
    await this.#ask({ type: "kick", room: peer.room, peer: peer.id, reason })
  }

  /**
   * Let nobody in any more, or again.
   * @param {boolean} [locked] @param {string} [room]
   */
  async lock(locked = true, room = this.#onlyRoom()) {
    await this.#ask({ type: "lock", room, locked })
  }

  /**
   * Who is in a room, besides us.
   * @param {string} room @returns {Peer[]}
   */
  peersIn(room) {
    return [...(this.#rooms.get(room)?.peers.values() ?? [])]
  }

  /** Everybody who is in a room with us. */
  get peers() {
    return [...this.#rooms.keys()].flatMap(room => this.peersIn(room))
  }

  /** Whether the server hears us now. */
  get isConnected() {
    return this.#state === "open"
  }

  /**
   * The next one who is there and whom this has not returned before.
   * @returns {Promise<Peer>}
   */
  async nextPeer() {
    const peer = await this.#nextArrival()
    if (!peer) throw this.#refusal ?? new SignalError("closed")
    return peer
  }

  /**
   * Every peer, those that are there and those that come, until the end.
   * @returns {AsyncGenerator<Peer, void, void>}
   */
  async *[Symbol.asyncIterator]() {
    for (;;) {
      const peer = await this.#nextArrival()
      if (!peer) {
        if (this.#refusal) throw this.#refusal
        return
      }
      yield peer
    }
  }

  // Messages.

  /**
   * Say something that JSON can say to a peer, or to all others of a room. Resolves when the server has taken it.
   * @param {any} data @param {Peer | string} [to] @param {string} [room]
   */
  async send(data, to = "*", room = to === "*" ? this.#onlyRoom() : undefined) {
    await this.#ask({ type: "message", to: typeof to === "string" ? to : to.id, data, ...(room !== undefined && { room }) })
  }

  // Calls.

  /**
   * A peer connection that negotiates with `peer` by itself, at both ends and at any time. It ends when the peer leaves;
   * it goes on when only the way to the server is lost.
   * @param {Peer} peer @param {RTCConfiguration} [rtc]
   */
  connectPeer(peer, rtc = this.#options.rtc ?? {}) {
    const known = this.#negotiations.get(peer.id)
    if (known && known.pc.signalingState !== "closed") throw new Error("there is a connection to this peer already")
    const configure = () => this.rtcConfiguration(rtc, this.#rooms.get(peer.room)?.relayOnly)
    const negotiation = new Negotiation(
      new this.#environment.RTCPeerConnection(configure()), !peer.polite, configure, this.#environment,
      data => void this.#ask({ type: "signal", to: peer.id, data }).catch(() => {}),
    )
    this.#negotiations.set(peer.id, negotiation)
    for (const data of this.#held.take(peer.id)) negotiation.handle(data)
    return negotiation.pc
  }

  /**
   * What `connectPeer` uses: with the server's ICE servers as they are now.
   * @returns {RTCConfiguration}
   */
  rtcConfiguration(rtc = this.#options.rtc ?? {}, relayOnly = false) {
    const relay = relayOnly || this.#ice?.iceTransportPolicy === "relay" || rtc.iceTransportPolicy === "relay"
    const iceServers = rtc.iceServers ?? this.#ice?.iceServers ?? []
    return { ...rtc, iceServers, iceTransportPolicy: /** @type {RTCIceTransportPolicy} */ (relay ? "relay" : "all") }
  }

  // The connection.

  async #open() {
    const attempt = ++this.#attempt
    this.#state = "connecting"
    this.#goodbye = this.#error = undefined
    /** @type {string | undefined} */
    let token
    /** @type {string | undefined} */
    let ticket
    try {
      token = typeof this.#options.token === "function" ? await this.#options.token() : this.#options.token
      ticket = await this.#options.ticket?.()
    } catch (error) {
      if (this.#attempt !== attempt) return
      if (this.#connecting) this.#connecting.reject(/** @type {Error} */ (error))
      else this.#decide(1006, "no_token", "no token could be had", undefined)
      return
    }
    if (this.#attempt !== attempt || this.#closed) return
    // A page cannot set headers. What is no word of RFC 9110 cannot be a sub-protocol and goes into hello.
    const fits = token !== undefined && /^[\w.~+-]+$/.test(token)
    const protocol = token?.startsWith("csrf.") ? token : `bearer.${token}`
    const url = this.#elsewhere ?? this.#url
    let socket
    try {
      socket = new this.#environment.WebSocket(url, fits ? [SUBPROTOCOL, protocol] : [SUBPROTOCOL])
    } catch (error) {
      this.#connecting?.reject(/** @type {Error} */ (error))
      this.#decide(1006, "unreachable", "the WebSocket was not opened", undefined)
      return
    }
    this.#socket = socket
    this.#arm("welcome", OPEN_TIMEOUT, () => this.#giveUp("no connection in time"))
    socket.onopen = () => this.#attempt === attempt && this.#greet(fits ? undefined : token, ticket)
    socket.onmessage = ({ data }) => this.#attempt === attempt && this.#hear(data)
    socket.onclose = ({ code, reason }) => this.#attempt === attempt && this.#handleClosed(code, reason)
  }

  /** @param {string} [token] @param {string} [ticket] */
  #greet(token, ticket) {
    this.#state = "greeting"
    this.#helloId = ++this.#lastId
    const { data, client } = this.#options
    this.#write({
      type: "hello", id: this.#helloId, client: { name: "icelane.js", ...client },
      ...(token !== undefined && { token }), ...(ticket !== undefined && { ticket }),
      ...(data !== undefined && { data }), ...(this.#resume && { resume: this.#resume }),
    })
    this.#arm("welcome", WELCOME_TIMEOUT, () => this.#giveUp("no welcome came"))
  }

  /** @param {any} text */
  #hear(text) {
    let frame
    try {
      frame = JSON.parse(text)
      this.#handle(frame)
    } catch (error) {
      this.#giveUp(`the server sent what does not parse: ${error}`)
    }
    this.#armProbe()
    this.#pump()
  }

  /** @param {number} code @param {string} reason */
  #handleClosed(code, reason) {
    this.#dropSocket()
    const said = this.#goodbye ?? (code >= 4000 ? this.#error : undefined)
    if (this.#goodbye) code = this.#goodbye.code
    const word = this.#goodbye ? said?.reason : said?.code ?? reason
    this.#decide(code, word || `closed_${code}`, said?.message ?? reason, said?.after)
  }

  /** @param {string} reason */
  #giveUp(reason) {
    const socket = this.#socket
    this.#dropSocket()
    socket?.close(4000) // not one of the codes by which the server ends the session as well
    this.#goodbye = this.#error = undefined
    this.#decide(1006, "lost", reason, undefined)
  }

  /**
   * Come back or not, and when.
   * @param {number} code @param {string} word @param {string} message @param {number | undefined} after
   */
  #decide(code, word, message, after) {
    if (this.#closed) return
    this.#reason = message || word
    if (!this.#comesBack(code)) {
      this.#end(new SignalRefusedError(word, message, code))
      return
    }
    this.#elsewhere = this.#safeUrl(this.#goodbye?.url)
    const bound = Math.min(LONGEST, FIRST * 2 ** Math.min(this.#failures++, 10))
    const least = after !== undefined && after > 0 ? Math.min(after, MAX_AFTER) : 0
    this.#state = "waiting"
    for (const name of ["welcome", "probe", "dead", "stable", "send", "renew"]) this.#disarm(name)
    this.#arm("reconnect", least + bound * this.#environment.random(), () => void this.#open())
    this.#emit("disconnected", this.#reason)
  }

  /** @param {number} code */
  #comesBack(code) {
    if (code === TOKEN_EXPIRED) {
      const again = typeof this.#options.token === "function" && !this.#tokenRefused
      this.#tokenRefused = true
      return again
    }
    if (this.#goodbye) return this.#goodbye.reconnect === true
    return !NEVER.has(code) && (code < 4400 || code >= 4500 || COME_BACK.has(code))
  }

  /**
   * Where a server sends us, unless that is less safe.
   * @param {unknown} url
   */
  #safeUrl(url) {
    if (typeof url !== "string") return undefined
    try {
      return signalUrl(url, { allowCleartext: this.#url.startsWith("ws:") })
    } catch {
      return undefined
    }
  }

  #comeBackNow() {
    if (this.#state === "waiting" && this.#failures > 1) {
      this.#failures = 1
      this.#arm("reconnect", FIRST * this.#environment.random(), () => void this.#open())
    }
  }

  #dropSocket() {
    this.#attempt++
    const socket = this.#socket
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null
    this.#socket = undefined
  }

  /** @param {SignalError | undefined} error */
  #end(error) {
    this.#state = "closed"
    this.#refusal = error
    globalThis.removeEventListener?.("online", this.#online)
    for (const name of [...this.#timers.keys()]) this.#disarm(name)
    const failure = error ?? new SignalError("closed")
    for (const request of this.#requests.values()) request.reject(failure)
    this.#requests.clear()
    for (const tell of this.#waiting.splice(0)) tell(undefined)
    this.#connecting?.reject(failure)
    this.#emit("closed", error)
  }

  get #closed() {
    return this.#state === "closed"
  }

  // Frames.

  /** @param {Json} frame */
  #handle(frame) {
    switch (frame.type) {
      case "welcome": return this.#handleWelcome(frame)
      case "joined": case "ok": case "error": return this.#handleAnswer(frame)
      case "ice": return this.#provideIce(frame.ice)
      case "ping": return this.#write({ type: "pong" })
      case "pong": return undefined
      case "goodbye": this.#goodbye = frame; return undefined
      default: return this.#handlePush(frame)
    }
  }

  /** @param {Json} welcome */
  #handleWelcome(welcome) {
    if (this.#state !== "greeting" || welcome.re !== this.#helloId) throw new Error("a welcome that nobody waits for")
    this.#disarm("welcome")
    this.#arm("stable", STABLE_AFTER, () => { this.#failures = 0 })
    const before = this.#resume
    const how = !before ? "new" : before.session !== welcome.session ? "replaced" : welcome.resumed ? "resumed" : "resynced"
    this.#tokenRefused = false
    this.#ping = welcome.ping
    this.#limit(welcome.limits)
    this.peerId = welcome.peer
    this.identity = welcome.identity
    this.#resume = { session: welcome.session, seq: welcome.seq ?? 0 }
    if (how === "replaced") this.#replaceSession()
    for (const request of this.#requests.values()) request.sent = false
    this.#state = "open"
    this.#emit("connected", how)
    if (welcome.ice) this.#provideIce(welcome.ice)
    if (how === "resynced") this.#resynchronize(welcome.rooms ?? [])
    this.#armRenewal(welcome.expiresAt)
    this.#connecting?.resolve()
    this.#connecting = undefined
  }

  /** @param {Json} limits */
  #limit(limits) {
    this.#maxFrame = limits.frame
    this.#interval = 1000 / Math.max(limits.framesPerSecond * SHARE, 0.001)
    this.#slack = Math.max(limits.frameBurst * SHARE - 1, 0) * this.#interval
  }

  /**
   * What the server says about rooms replaces what we know.
   * @param {Json[]} states
   */
  #resynchronize(states) {
    for (const room of [...this.#rooms.values()]) {
      const state = states.find(one => one.room === room.name)
      if (state) this.#settle(room, state)
      else if (room.you !== undefined) this.#leaveBehind(room, "kicked")
    }
    for (const negotiation of this.#negotiations.values()) negotiation.repeatOffer()
  }

  /** Nobody knows us by our old id: what was said under it is void. Rooms are joined again first. */
  #replaceSession() {
    const kept = []
    for (const [id, request] of this.#requests) {
      const { type, room } = request.frame
      if (type === "join" && this.#rooms.has(room)) continue
      this.#requests.delete(id)
      if (request.sent || !["message", "kick", "lock"].includes(type)) request.reject(new SignalError("session_lost"))
      else kept.push(/** @type {const} */ ([id, request]))
    }
    for (const room of this.#rooms.values()) {
      for (const peer of [...room.peers.values()]) this.#depart(room, peer, "node-lost")
      const joining = [...this.#requests.values()].some(({ frame }) => frame.type === "join" && frame.room === room.name)
      if (room.you !== undefined && !joining) {
        this.#ask({ type: "join", room: room.name, meta: room.meta }).catch(() => {
          if (this.#rooms.delete(room.name)) this.#emit("roomleft", room.name, "room-closed")
        })
      }
      room.you = undefined
    }
    for (const [id, request] of kept) this.#requests.set(id, request)
  }

  /** @param {Json} answer */
  #handleAnswer(answer) {
    if (answer.re === undefined) {
      this.#error = answer
      return
    }
    const request = this.#requests.get(answer.re)
    if (!request) return
    this.#requests.delete(answer.re)
    const room = request.frame.type === "join" ? this.#rooms.get(request.frame.room) : undefined
    if (answer.type === "error") {
      if (room && room.you === undefined) this.#rooms.delete(room.name)
      request.reject(new SignalError(answer.code, answer.message, answer))
      return
    }
    if (room && answer.type === "joined") this.#settle(room, answer)
    if (request.frame.type === "refresh") this.#armRenewal(answer.expiresAt)
    request.resolve(answer)
  }

  /** @param {Json} push */
  #handlePush(push) {
    if (typeof push.seq !== "number" || !this.#resume || this.#state !== "open") return // a newer server knows more
    const expected = this.#resume.seq + 1
    if (push.seq < expected) return // it came already
    if (push.seq > expected) return this.#giveUp(`push ${expected} is missing`)
    this.#resume = { session: this.#resume.session, seq: push.seq }
    if (push.type === "signal") return this.#handleSignal(push.from, push.data)
    if (push.type === "message") return this.#emit("message", push.data, push.from && this.#find(push.from))
    const room = this.#rooms.get(push.room)
    if (push.type === "left") return room && this.#leaveBehind(room, push.reason)
    if (room?.you === undefined) return
    const peer = room.peers.get(push.peer)
    if (push.type === "peer-joined") this.#appear(room, push)
    else if (push.type === "peer-left" && peer) this.#depart(room, peer, push.reason)
    else if (push.type === "peer-updated" && peer) this.#emit("peerupdated", Object.assign(peer, { meta: push.meta ?? {} }))
    else if (push.type === "room-updated") {
      Object.assign(room, { locked: push.locked, relayOnly: push.iceTransportPolicy === "relay" })
      this.#reconfigure()
      this.#emit("roomchanged", room.name, room.locked)
    }
  }

  /**
   * The server says how a room is now.
   * @param {Room} room @param {Json} state
   */
  #settle(room, state) {
    const there = new Set(state.peers.map((/** @type {Json} */ info) => info.peer))
    for (const peer of [...room.peers.values()]) if (!there.has(peer.id)) this.#depart(room, peer, "node-lost")
    const locked = state.locked === true
    if (room.you !== undefined && room.locked !== locked) this.#emit("roomchanged", room.name, locked)
    Object.assign(room, { you: state.you, locked, relayOnly: state.iceTransportPolicy === "relay" })
    for (const info of state.peers) this.#appear(room, info)
  }

  /** @param {Room} room @param {Json} info */
  #appear(room, info) {
    const { peer: id, identity, polite, name, meta = {} } = info
    const known = room.peers.get(id)
    const peer = Object.assign(known ?? {}, { id, room: room.name, identity, polite, meta, ...(name !== undefined && { name }) })
    room.peers.set(id, peer)
    if (known) return
    const waiting = this.#waiting.shift()
    if (waiting) waiting(peer)
    else this.#arrivals = [...this.#arrivals, peer].slice(-MAX_ARRIVALS)
    this.#emit("peerjoined", peer)
  }

  /** @param {Room} room @param {Peer} peer @param {string} reason */
  #depart(room, peer, reason) {
    room.peers.delete(peer.id)
    this.#endCall(peer.id, !UNCERTAIN.has(reason))
    this.#emit("peerleft", peer, reason)
  }

  /** @param {Room} room @param {string} reason */
  #leaveBehind(room, reason) {
    this.#rooms.delete(room.name)
    for (const peer of [...room.peers.values()]) this.#depart(room, peer, reason)
    this.#emit("roomleft", room.name, reason)
  }

  /** @param {Json} ice */
  #provideIce(ice) {
    this.#ice = ice
    this.#reconfigure()
    this.#emit("iceservers", ice.iceServers)
  }

  #reconfigure() {
    for (const negotiation of this.#negotiations.values()) negotiation.reconfigure()
  }

  /** @param {string} sender @param {Signal} data */
  #handleSignal(sender, data) {
    const negotiation = this.#negotiations.get(sender)
    if (negotiation && negotiation.pc.signalingState !== "closed") return negotiation.handle(data)
    this.#held.put(sender, data)
  }

  /** @param {string} id @param {boolean} close whether the peer is gone for certain */
  #endCall(id, close) {
    this.#held.take(id)
    const negotiation = this.#negotiations.get(id)
    this.#negotiations.delete(id)
    negotiation?.detach()
    if (close) negotiation?.pc.close()
  }

  // Requests.

  /** @param {Json} frame @returns {Promise<Json>} */
  #ask(frame) {
    if (this.#closed) return Promise.reject(this.#refusal ?? new SignalError("closed"))
    const id = ++this.#lastId
    const keyed = frame.type === "signal" || frame.type === "message" ? { key: String(id) } : {}
    const text = JSON.stringify({ ...frame, id, ...keyed })
    const size = new TextEncoder().encode(text).length
    if (size > this.#maxFrame) return Promise.reject(new RangeError("this is too long"))
    let waiting = 0
    for (const request of this.#requests.values()) waiting += request.size
    if (this.#requests.size >= MAX_REQUESTS || waiting + size > MAX_REQUEST_BYTES) {
      return Promise.reject(new SignalError("busy", "too much waits for an answer"))
    }
    return new Promise((resolve, reject) => {
      this.#requests.set(id, { frame, text, size, sent: false, resolve, reject })
      this.#pump()
    })
  }

  /**
   * Send what may be sent: not faster than the server takes it, and nothing overtakes a join.
   * @returns {void}
   */
  #pump() {
    this.#disarm("send")
    if (this.#state !== "open") return
    const now = this.#environment.now()
    let inFlight = 0
    let joining = false
    for (const request of this.#requests.values()) {
      const isJoin = request.frame.type === "join"
      if (!request.sent) {
        if (inFlight >= MAX_IN_FLIGHT || (joining && !isJoin)) return
        const wait = this.#due - this.#slack - now
        if (wait > 0) return this.#arm("send", wait / 1000, () => this.#pump())
        request.sent = true
        this.#count(now)
        this.#socket?.send(request.text)
        this.#armProbe()
      }
      inFlight++
      joining ||= isJoin
    }
  }

  /** @param {Json} frame */
  #write(frame) {
    this.#count(this.#environment.now())
    this.#socket?.send(JSON.stringify(frame))
  }

  /** @param {number} now */
  #count(now) {
    this.#due = Math.max(this.#due, now) + this.#interval
  }

  // Time.

  #armProbe() {
    if (this.#state !== "open" || this.#goodbye) return
    this.#disarm("dead")
    const busy = [...this.#requests.values()].some(request => request.sent)
    this.#arm("probe", busy ? PING_SLACK : this.#ping + PING_SLACK, () => {
      this.#arm("dead", PONG_TIMEOUT, () => this.#giveUp("the server is silent"))
      this.#write({ type: "ping", id: ++this.#lastId })
    })
  }

  /** @param {string | undefined} expiresAt */
  #armRenewal(expiresAt) {
    this.#disarm("renew")
    const { token } = this.#options
    if (expiresAt === undefined || typeof token !== "function") return
    const left = (Date.parse(expiresAt) - Date.now()) / 1000
    if (Number.isNaN(left)) return
    this.#arm("renew", Math.max(left * TOKEN_RENEWAL, 1), async () => {
      try {
        await this.#ask({ type: "refresh", token: await token() })
      } catch {
        // The session goes on until the server ends it, and then another token is asked for.
      }
    })
  }

  /** @param {string} name @param {number} seconds @param {() => void} action */
  #arm(name, seconds, action) {
    this.#disarm(name)
    const { setTimeout } = this.#environment
    this.#timers.set(name, setTimeout(() => {
      this.#timers.delete(name)
      action()
    }, Math.min(seconds, LONGEST_TIMER) * 1000))
  }

  /** @param {string} name */
  #disarm(name) {
    const { clearTimeout } = this.#environment
    clearTimeout(this.#timers.get(name))
    this.#timers.delete(name)
  }

  // Smaller things.

  /** @returns {Promise<Peer | undefined>} */
  #nextArrival() {
    while (this.#arrivals.length) {
      const peer = /** @type {Peer} */ (this.#arrivals.shift())
      if (this.#find(peer.id)) return Promise.resolve(peer)
    }
    if (this.#closed) return Promise.resolve(undefined)
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  /** @param {string} id */
  #find(id) {
    return this.peers.find(peer => peer.id === id)
  }

  #onlyRoom() {
    const [room, other] = this.#rooms.keys()
    if (room === undefined || other !== undefined) throw new Error("say which room: this client is in none, or in several")
    return room
  }

  /** @param {string} event @param {any[]} told */
  #emit(event, ...told) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(...told)
      } catch (error) {
        console.error(error) // a listener's mistake is nobody else's
      }
    }
  }
}

/** Signals of peers that nobody has connected to yet, within the bounds above. */
class HeldSignals {
  /** @type {Map<string, { data: Signal, size: number }[]>} */
  #signals = new Map()
  #size = 0

  /** @param {string} sender @param {Signal} data */
  put(sender, data) {
    const held = this.#signals.get(sender) ?? []
    const size = JSON.stringify(data).length
    this.#signals.set(sender, held)
    held.push({ data, size })
    this.#size += size
    if (held.length > MAX_HELD_SIGNALS) this.#size -= held.shift()?.size ?? 0
    for (const oldest of this.#signals.keys()) {
      if (this.#signals.size <= MAX_HELD_PEERS && this.#size <= MAX_HELD_SIZE) return
      this.take(oldest)
    }
  }

  /**
   * Those of one peer, which are held no more.
   * @param {string} sender
   */
  take(sender) {
    const held = this.#signals.get(sender) ?? []
    this.#signals.delete(sender)
    for (const { size } of held) this.#size -= size
    return held.map(({ data }) => data)
  }
}

/**
 * Perfect negotiation (W3C WebRTC section 10.7) of one peer connection; the polite one gives way. What is added: an offer
 * that nobody answers is sent again, an answer to an offer that is answered already is dropped, and ICE that has failed
 * is restarted.
 */
class Negotiation {
  #polite
  #configure
  #environment
  #send
  #makingOffer = false
  #settingAnswer = false
  #ignoringOffer = false
  #detached = false
  #begun = false
  #heard = false
  #chain = Promise.resolve()
  #waiting = 0
  #waitingSize = 0
  /** @type {any} */
  #patience

  /**
   * @param {RTCPeerConnection} pc @param {boolean} polite our part @param {() => RTCConfiguration} configure
   * @param {Environment} environment @param {(data: Signal) => void} send
   */
  constructor(pc, polite, configure, environment, send) {
    this.pc = pc
    this.#polite = polite
    this.#configure = configure
    this.#environment = environment
    this.#send = send
    pc.addEventListener("negotiationneeded", () => void this.#offer())
    pc.addEventListener("icecandidate", ({ candidate }) => this.#tell({ candidate: candidate && candidate.toJSON() }))
    pc.addEventListener("iceconnectionstatechange", () => {
      if (pc.iceConnectionState === "failed" && !this.#detached) pc.restartIce()
    })
  }

  /** @param {Signal} data */
  handle(data) {
    const size = JSON.stringify(data).length
    if (this.#waiting >= MAX_WAITING_SIGNALS || (this.#waiting && this.#waitingSize + size > MAX_WAITING_SIZE)) {
      console.debug("a signal was dropped: too many wait")
      return
    }
    this.#waiting++
    this.#waitingSize += size
    // What is of no use is the peer's mistake, or comes after the end: nothing that the page could do.
    this.#chain = this.#chain.then(() => this.#apply(data)).catch(error => console.debug("a signal was of no use", error))
      .finally(() => {
        this.#waiting--
        this.#waitingSize -= size
      })
  }

  repeatOffer() {
    if (this.pc.signalingState === "have-local-offer" && !this.#makingOffer) this.#tellDescription()
  }

  reconfigure() {
    try {
      if (this.pc.signalingState !== "closed") this.pc.setConfiguration(this.#configure())
    } catch (error) {
      console.warn("fresh ICE servers were not taken", error)
    }
  }

  detach() {
    this.#detached = true
    this.#environment.clearTimeout(this.#patience)
  }

  async #offer() {
    if (this.#polite && !this.#begun) {
      this.#begun = true
      await new Promise(done => this.#environment.setTimeout(() => done(undefined), FIRST_OFFER_DELAY * 1000))
      if (this.#heard) return // after the answer the browser asks again, if there is still a need
    }
    if (this.#detached) return
    this.#makingOffer = true
    try {
      await this.pc.setLocalDescription()
      this.#tellDescription()
    } catch {
      // closed meanwhile, or an offer of the peer's came first
    } finally {
      this.#makingOffer = false
    }
  }

  /** @param {Signal} data */
  async #apply({ description, candidate }) {
    if (this.#detached) return
    if (description) await this.#applyDescription(description)
    else if (candidate !== undefined && !this.#ignoringOffer) await this.pc.addIceCandidate(candidate ?? undefined)
  }

  /** @param {RTCSessionDescriptionInit} description */
  async #applyDescription(description) {
    const { pc } = this
    this.#heard = true
    const isOffer = description.type === "offer"
    const isReady = !this.#makingOffer && (pc.signalingState === "stable" || this.#settingAnswer)
    this.#ignoringOffer = isOffer && !isReady && !this.#polite
    if (this.#ignoringOffer) return
    if (!isOffer && !["have-local-offer", "have-remote-pranswer"].includes(pc.signalingState)) return
    this.#settingAnswer = description.type === "answer"
    try {
      await pc.setRemoteDescription(description)
    } finally {
      this.#settingAnswer = false
    }
    this.#environment.clearTimeout(this.#patience)
    if (isOffer) {
      await pc.setLocalDescription()
      this.#tellDescription()
    }
  }

  #tellDescription() {
    const description = this.pc.localDescription
    if (!description) return
    this.#tell({ description: { type: description.type, sdp: description.sdp } })
    this.#environment.clearTimeout(this.#patience)
    if (description.type === "offer") {
      this.#patience = this.#environment.setTimeout(() => this.repeatOffer(), OFFER_PATIENCE * 1000)
    }
  }

  /** @param {Signal} data */
  #tell(data) {
    if (!this.#detached) this.#send(data)
  }
}
