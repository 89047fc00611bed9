// @ts-check
/**
 * Everybody in a room, each in a call of its own: a mesh. Fires
 *
 *     call        there is another call (detail: a PeerCall)
 *     state       `connected`, `away` (the server is lost and looked for) or `alone` (it does not let us back in)
 *     news        something for people to read
 *     over        we are out (detail: why, as `refusalWords` takes it)
 *
 * @typedef {import("./invitation.js").Invitation} Invitation
 * @typedef {import("./local_media.js").LocalMedia} LocalMedia
 * @typedef {import("../icelane.js").Peer} Peer
 */

import { SignalClient } from "../icelane.js"
import { guestSecret } from "./invitation.js"
import { PeerCall } from "./peer_call.js"

// How long a call goes on whose peer the server has lost sight of, without that peer coming back.
const LINGER = 45_000
// Calls at a time. Whoever comes into a fuller room is in it, and not called.
const MAX_CALLS = 32
const JOIN_TIMEOUT = 15
// What the pictures to all others may take together, in bits per second, and what one of them takes at least and at most.
const UPLINK = 4_000_000
const LEAST = 150_000
const MOST = 1_500_000
// Only the sign that somebody may have gone for good; others say so.
const UNCERTAIN = new Set(["timeout", "node-lost"])

export class Conference extends EventTarget {
  /** @type {Map<string, PeerCall>} */
  calls = new Map()
  #signal
  #media
  #room
  #name
  #over = false
  #following = () => this.#follow()

  /** @param {Invitation} invitation @param {string} name @param {LocalMedia} media */
  constructor({ room, token, ticket }, name, media) {
    super()
    this.#room = room
    this.#name = name
    this.#media = media
    this.#signal = new SignalClient("/", {
      // Whoever serves the page in clear has said that he means it, and the page is no better than its way.
      allowCleartext: location.protocol === "http:",
      room,
      timeout: JOIN_TIMEOUT,
      meta: this.#meta(),
      client: { name: "icelane call page" },
      data: { guest: guestSecret() },
      // One transport for everything, so that there is one certificate which the code that is read aloud can vouch for.
      rtc: { bundlePolicy: "max-bundle" },
      ...(token !== undefined && { token }),
      ...(ticket !== undefined && { ticket: () => ticket }),
    })
    this.#listen()
  }

  /** Go in. Rejects as SignalClient.connect does. */
  async enter() {
    await this.#signal.connect()
    this.#media.addEventListener("change", this.#following)
    this.#follow()
    this.#fire("state", "connected")
  }

  /** Go out, and hang up. */
  leave() {
    this.#end()
    this.#signal.close()
  }

  /**
   * Say something to everybody who can be reached; returns how many these are.
   * @param {string} text
   */
  say(text) {
    return [...this.calls.values()].filter(call => call.say(text)).length
  }

  /** Those who are connected. */
  get connected() {
    return [...this.calls.values()].filter(call => call.state === "connected")
  }

  #meta() {
    const { camera, speaks, screen } = this.#media
    return { name: this.#name, camera: camera !== null, microphone: speaks, ...(screen && { screen: screen.id }) }
  }

  #follow() {
    for (const call of this.calls.values()) call.send(this.#media)
    this.#share()
    this.#signal.update(this.#meta(), this.#room).catch(() => {}) // told again with the next join
  }

  #listen() {
    const signal = this.#signal
    signal.on("peerjoined", peer => this.#begin(peer))
    signal.on("peerleft", (peer, reason) => this.#lose(peer, reason))
    signal.on("peerupdated", peer => this.calls.get(peer.id)?.dispatchEvent(new Event("change")))
    signal.on("disconnected", () => this.#fire("state", "away"))
    signal.on("connected", how => how !== "new" && this.#fire("state", "connected"))
    signal.on("roomleft", (_, reason) => this.#finish({ code: reason }))
    signal.on("closed", error => error && this.#refused(error))
  }

  /** @param {Peer} peer */
  #begin(peer) {
    if (this.calls.size >= MAX_CALLS) return this.#fire("news", "There are more people in this room than this page can call.")
    const call = new PeerCall(peer, this.#signal.connectPeer(peer), this.#media)
    call.replaces = [...this.calls.values()].find(other => other.lingers && other.isSameAs(call))
    this.calls.set(peer.id, call)
    call.addEventListener("change", () => {
      if (call.state !== "connected") return
      this.#share()
      call.replaces?.end()
      call.replaces = undefined
    })
    // A browser may take no limit for what is not negotiated yet.
    call.pc.addEventListener("signalingstatechange", () => call.pc.signalingState === "stable" && this.#share())
    call.addEventListener("end", () => {
      if (this.calls.get(peer.id) === call) this.calls.delete(peer.id)
      this.#share()
    })
    this.#fire("call", call)
  }

  /** Everybody gets a picture of ours, so the more there are the smaller it is. */
  #share() {
    const each = Math.round(Math.min(MOST, Math.max(LEAST, UPLINK / Math.max(this.connected.length, 1))))
    for (const call of this.connected) call.limit(each)
  }

  /** @param {Peer} peer @param {string} reason */
  #lose(peer, reason) {
    const call = this.calls.get(peer.id)
    if (!call) return
    if (!UNCERTAIN.has(reason) || call.state !== "connected") return call.end()
    call.lingers = true
    setTimeout(() => call.end(), LINGER)
    call.dispatchEvent(new Event("change"))
  }

  /**
   * The server does not want us back; what runs between us and the others is not its business.
   * @param {any} error
   */
  #refused(error) {
    if (this.connected.length && error.code !== "superseded") {
      this.#fire("state", "alone")
      this.#fire("news", "The server does not let this page back in. The call goes on, but nobody new can come.")
    } else this.#finish(error)
  }

  /** @param {any} why */
  #finish(why) {
    if (this.#over) return
    this.#end()
    this.#signal.close()
    this.#fire("over", why)
  }

  #end() {
    this.#over = true
    this.#media.removeEventListener("change", this.#following)
    for (const call of [...this.calls.values()]) call.end()
  }

  /** @param {string} event @param {any} [detail] */
  #fire(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }))
  }
}
