// @ts-check
/**
 * The call with one other: its connection, what is said over it, and files. What is sent follows LocalMedia.
 *
 * Fires `change` when there is another state or other streams, `said` with a text, `offered` with an IncomingFile, and
 * `end` once.
 *
 * @typedef {import("../icelane.js").Peer} Peer
 * @typedef {import("./local_media.js").LocalMedia} LocalMedia
 */

import { FILE_LABEL, IncomingFile, OutgoingFile } from "./file_transfer.js"

// Both ends open it under this number, so that it needs no word of its own; programs of ours do the same.
const CHAT = { negotiated: true, id: 0 }
// Characters of a message that are shown, the rest is dropped; files that come or wait for an answer, more are refused.
const MAX_TEXT = 4000
const MAX_OFFERED = 8
const MAX_STREAMS = 4

const MAX_NAME = 64

/**
 * A name without what would turn the text around it, or hide in it.
 * @param {string} name
 */
export function plainName(name) {
  return name.replace(/[\p{Cc}\p{Zl}\p{Zp}\u061C\u200B\u200E\u200F\u202A-\u202E\u2060-\u2069\uFEFF]/gu, "").trim().slice(0, MAX_NAME)
}

export class PeerCall extends EventTarget {
  /**
   * What the peer sends, by the id of the stream.
   * @type {Map<string, MediaStream>}
   */
  streams = new Map()
  /** Whether the server has lost sight of the peer; the call may go on. */
  lingers = false
  /**
   * The call with the same person that this one takes the place of, once it is connected.
   * @type {PeerCall | undefined}
   */
  replaces
  /** @type {"waiting" | "connected" | "failed" | "ended"} */
  state = "waiting"

  #chat
  #offered = 0
  /** @type {Set<IncomingFile | OutgoingFile>} */
  #transfers = new Set()
  /** @type {Map<string, RTCRtpSender>} */
  #senders = new Map()

  /** @param {Peer} peer @param {RTCPeerConnection} pc @param {LocalMedia} media */
  constructor(peer, pc, media) {
    super()
    this.peer = peer
    this.pc = pc
    this.#chat = pc.createDataChannel("chat", CHAT)
    this.#chat.onmessage = ({ data }) => typeof data === "string" && this.#fire("said", data.slice(0, MAX_TEXT))
    pc.addEventListener("datachannel", ({ channel }) => this.#offer(channel))
    pc.addEventListener("track", event => this.#hear(event))
    pc.addEventListener("connectionstatechange", () => this.#look())
    this.send(media)
  }

  /** What others are to call the peer: what its invitation says, then what it says itself. */
  get name() {
    const said = this.peer.name ?? this.peer.meta.name
    return (typeof said === "string" && plainName(said)) || plainName(this.peer.identity) || "Somebody"
  }

  /**
   * Whether this is the same person, after the server has forgotten everybody.
   * @param {PeerCall} other
   */
  isSameAs(other) {
    return this.peer.identity === other.peer.identity && this.name === other.name
  }

  /**
   * The stream that shows the peer's screen.
   * @param {MediaStream} stream
   */
  isScreen(stream) {
    return this.peer.meta.screen === stream.id
  }

  /**
   * Send what there is now; only a thing that was not there before takes another negotiation.
   * @param {LocalMedia} media
   */
  send(media) {
    if (this.pc.signalingState === "closed") return
    this.#carry("microphone", media.microphone, media.stream)
    this.#carry("camera", media.camera, media.stream)
    const [screen = null] = media.screen?.getVideoTracks() ?? []
    const sender = this.#senders.get("screen")
    if (!screen && sender) {
      this.pc.removeTrack(sender)
      this.#senders.delete("screen")
    } else if (screen && media.screen) this.#carry("screen", screen, media.screen)
  }

  /** @param {string} kind @param {MediaStreamTrack | null} track @param {MediaStream} stream */
  #carry(kind, track, stream) {
    const sender = this.#senders.get(kind)
    if (sender && sender.track !== track) sender.replaceTrack(track).catch(() => {}) // closed meanwhile
    else if (!sender && track) this.#senders.set(kind, this.pc.addTrack(track, stream))
  }

  /**
   * Let the camera take so much of the uplink, in bits per second.
   * @param {number} bitrate
   */
  limit(bitrate) {
    const sender = this.#senders.get("camera")
    const parameters = sender?.getParameters()
    const [encoding] = parameters?.encodings ?? []
    if (!sender || !parameters || !encoding || encoding.maxBitrate === bitrate) return
    encoding.maxBitrate = bitrate
    sender.setParameters(parameters).catch(() => {}) // negotiated anew meanwhile; the next look tries again
  }

  /**
   * Say something; false when the peer cannot be reached now.
   * @param {string} text
   */
  say(text) {
    if (this.#chat.readyState !== "open") return false
    this.#chat.send(text)
    return true
  }

  /**
   * Send a file.
   * @param {File} file
   */
  sendFile(file) {
    return this.#watch(new OutgoingFile(this.pc, file))
  }

  /** Hang up. */
  end() {
    if (this.state === "ended") return
    this.state = "ended"
    // A closed connection says nothing to its channels.
    for (const transfer of [...this.#transfers]) transfer.finish("the call is over")
    this.pc.close()
    this.#fire("end")
  }

  #look() {
    const { connectionState } = this.pc
    if (connectionState === "closed") return this.end()
    this.state = connectionState === "connected" ? "connected" : connectionState === "failed" ? "failed" : "waiting"
    this.#fire("change")
  }

  /** @param {RTCTrackEvent} event */
  #hear({ track, streams }) {
    const stream = streams[0] ?? this.streams.get("") ?? new MediaStream()
    const id = streams[0] ? stream.id : ""
    if (!stream.getTracks().includes(track)) stream.addTrack(track)
    if (this.streams.has(id) || this.streams.size < MAX_STREAMS) this.streams.set(id, stream)
    const changed = () => this.#fire("change")
    for (const event of ["mute", "unmute", "ended"]) track.addEventListener(event, changed)
    stream.onremovetrack = () => {
      if (!stream.getTracks().length) this.streams.delete(id)
      changed()
    }
    changed()
  }

  /** @param {RTCDataChannel} channel */
  #offer(channel) {
    if (channel.label !== FILE_LABEL) return channel.close()
    if (this.#offered >= MAX_OFFERED) return refuse(channel)
    this.#offered++
    const file = this.#watch(new IncomingFile(channel))
    file.addEventListener("announced", () => this.#fire("offered", file))
    file.addEventListener("end", () => this.#offered--, { once: true })
  }

  /**
   * @template {IncomingFile | OutgoingFile} T
   * @param {T} transfer @returns {T}
   */
  #watch(transfer) {
    this.#transfers.add(transfer)
    transfer.addEventListener("end", () => this.#transfers.delete(transfer), { once: true })
    return transfer
  }

  /** @param {string} event @param {any} [detail] */
  #fire(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }))
  }
}

/**
 * Say so and close: who sends shows to people why.
 * @param {RTCDataChannel} channel
 */
function refuse(channel) {
  const say = () => {
    new IncomingFile(channel).refuse("too many files wait")
    channel.close()
  }
  if (channel.readyState === "open") say()
  else channel.addEventListener("open", say, { once: true })
}
