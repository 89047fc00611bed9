// @ts-check
/** All tiles: ours, and one for each stream of each call; how many there are decides how they are laid out. */

import { byId } from "./element.js"
import { PathWatch, pathNumbers } from "./call_path.js"
import { Tile } from "./tile.js"

/**
 * @typedef {import("./peer_call.js").PeerCall} PeerCall
 * @typedef {import("./local_media.js").LocalMedia} LocalMedia
 * @typedef {import("./call_path.js").CallPath} CallPath
 * @typedef {{ call: PeerCall, tile: Tile, screens: Map<string, Tile>, watch: PathWatch, path?: CallPath }} Shown
 */

const LOOK = 1500
// From 0 to 1, as `audioLevel` measures.
const SPEAKING = 0.02
const MAX_COUNTED = 6

export class Stage {
  /** @type {Map<PeerCall, Shown>} */
  #shown = new Map()
  /** @type {Tile | undefined} */
  #self
  #tiles = byId("tiles", HTMLUListElement)
  #stage = byId("stage", HTMLElement)
  /** @type {any} */
  #timer
  /** @type {(element: HTMLVideoElement) => void} */
  #silent

  /**
   * @param {LocalMedia} media @param {(call: PeerCall) => void} onSecurity somebody wants to know how a call is protected
   * @param {(element: HTMLVideoElement) => void} onSilent the browser plays no sound before the user does something
   */
  constructor(media, onSecurity, onSilent) {
    this.media = media
    this.onSecurity = onSecurity
    this.#silent = onSilent
    media.addEventListener("change", () => this.#showSelf())
  }

  /** @param {string} name */
  begin(name) {
    this.#self = new Tile("self", name)
    this.#self.setState("connected")
    this.#tiles.append(this.#self.element)
    this.#showSelf()
    this.#count()
    this.#timer = setInterval(() => void this.look(), LOOK)
  }

  /** Take everything away. */
  end() {
    clearInterval(this.#timer)
    this.#shown.clear()
    this.#tiles.replaceChildren()
    this.#self = undefined
  }

  /** @param {PeerCall} call */
  add(call) {
    const tile = new Tile("peer", call.name)
    const shown = { call, tile, screens: new Map(), watch: new PathWatch() }
    this.#shown.set(call, shown)
    tile.path.addEventListener("click", () => this.onSecurity(call))
    call.addEventListener("change", () => this.#show(shown))
    call.addEventListener("end", () => this.#remove(shown))
    this.#show(shown)
  }

  /** @param {PeerCall} call @returns {CallPath | undefined} */
  pathOf(call) {
    return this.#shown.get(call)?.path
  }

  /** How many calls are on stage. */
  get size() {
    return this.#shown.size
  }

  /** Read the figures of all calls. */
  async look() {
    await Promise.all([...this.#shown.values()].map(shown => this.#lookAt(shown)))
  }

  /**
   * Let sound come from another device.
   * @param {string} deviceId
   */
  async useSpeaker(deviceId) {
    for (const video of this.#tiles.querySelectorAll("video")) await /** @type {any} */ (video).setSinkId?.(deviceId)
  }

  #showSelf() {
    if (!this.#self) return
    const { camera, speaks, stream } = this.media
    this.#self.setStream(camera ? stream : null, camera !== null)
    this.#self.setMuted(!speaks)
  }

  /** @param {Shown} shown */
  #show({ call, tile, screens }) {
    if (call.state === "ended") return
    // Somebody who comes back is shown once the new call works; until then the old one is.
    if (!call.replaces && !tile.element.isConnected) this.#tiles.append(tile.element)
    const { meta } = call.peer
    tile.setName(call.name)
    tile.setMuted(meta.microphone === false)
    tile.setState(call.lingers && call.state !== "connected" ? "waiting" : call.state)
    const all = [...call.streams.values()]
    const own = all.find(stream => !call.isScreen(stream))
    tile.setStream(own ?? null, meta.camera !== false)
    this.#play(tile)
    for (const stream of all.filter(one => call.isScreen(one) && !screens.has(one.id))) {
      const screen = new Tile("screen", call.name)
      screens.set(stream.id, screen)
      screen.setStream(stream)
      screen.setState("connected")
      this.#tiles.prepend(screen.element)
      this.#play(screen)
    }
    for (const [id, screen] of screens) {
      const stream = call.streams.get(id)
      if (stream && call.isScreen(stream)) continue
      screen.element.remove()
      screens.delete(id)
    }
    if (call.state !== "connected") tile.setPath(call.state === "failed" ? "not connected, trying again" : "connecting…")
    tile.path.disabled = call.state !== "connected"
    this.#count()
  }

  /** @param {Tile} tile */
  #play({ video }) {
    if (!video.srcObject || !video.paused) return
    video.play().catch(error => error.name === "NotAllowedError" && this.#silent(video))
  }

  /** @param {Shown} shown */
  #remove(shown) {
    shown.tile.element.remove()
    for (const screen of shown.screens.values()) screen.element.remove()
    this.#shown.delete(shown.call)
    this.#count()
  }

  /** @param {Shown} shown */
  async #lookAt(shown) {
    const { call, tile, watch } = shown
    if (call.state !== "connected") return
    const path = await watch.look(call.pc).catch(() => undefined)
    if (!path || call.pc.signalingState === "closed") return
    shown.path = path
    tile.setPath(path.words || "connected", pathNumbers(path))
    tile.setSpeaking(path.level > SPEAKING)
  }

  #count() {
    const count = this.#tiles.childElementCount
    this.#stage.dataset.count = count > MAX_COUNTED ? "many" : String(count)
    this.#stage.dataset.screen = String([...this.#shown.values()].some(({ screens }) => screens.size > 0))
  }
}
