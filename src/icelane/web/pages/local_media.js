// @ts-check
/**
 * What we send: the camera, the microphone, a screen. Each may be missing, and the call goes on without it.
 *
 * A muted microphone stays open and sends silence, so that it is back at once. A camera that is off is let go of, so that
 * its light is off as well. Fires `change` when anything is another one than before.
 */

import { mediaWords } from "./plain_words.js"

/** @typedef {"camera" | "microphone"} Kind */

const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 24, max: 30 } }
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true }

export class LocalMedia extends EventTarget {
  /** What camera and microphone are in, for the others to keep them together. */
  stream = new MediaStream()
  /** @type {MediaStreamTrack | null} */
  camera = null
  /** @type {MediaStreamTrack | null} */
  microphone = null
  /** @type {MediaStream | null} */
  screen = null
  /**
   * The chosen devices, by kind; what is not chosen is the browser's choice.
   * @type {Partial<Record<Kind, string>>}
   */
  chosen = {}

  /** Whether others hear us. */
  get speaks() {
    return this.microphone?.enabled === true
  }

  /**
   * Ask for both at once, which is one question to the user; take what there is. Resolves with what is wrong, in words.
   * @returns {Promise<string>}
   */
  async begin() {
    try {
      this.#take(await this.#open(["camera", "microphone"]))
      return ""
    } catch (error) {
      if (error instanceof DOMException && error.name === "NotAllowedError") return mediaWords(error, "both")
      return this.#beginWithOne(error)
    }
  }

  /** @param {unknown} reason */
  async #beginWithOne(reason) {
    /** @type {Kind[]} */
    const missing = []
    /** @type {unknown} */
    let last = reason
    for (const kind of /** @type {Kind[]} */ (["microphone", "camera"])) {
      try {
        this.#take(await this.#open([kind]))
      } catch (error) {
        missing.push(kind)
        last = error
      }
    }
    return missing.length ? mediaWords(last, missing.length === 2 ? "both" : missing[0]) : ""
  }

  /**
   * Send one of them, or not any more. Rejects with words.
   * @param {Kind} kind @param {boolean} on
   */
  async turn(kind, on) {
    if (kind === "microphone" && this.microphone) this.microphone.enabled = on
    else if (on) await this.#begin(kind)
    else this.#drop(kind)
    this.#changed()
  }

  /**
   * Use another device. Rejects with words; then the one before goes on.
   * @param {Kind} kind @param {string} deviceId
   */
  async choose(kind, deviceId) {
    const before = this.chosen[kind]
    const enabled = this[kind]?.enabled
    this.chosen[kind] = deviceId
    if (enabled === undefined) return
    try {
      await this.#begin(kind)
    } catch (error) {
      this.chosen[kind] = before
      throw error
    }
    if (kind === "microphone" && this.microphone) this.microphone.enabled = enabled
    this.#changed()
  }

  /** Show a screen or a window to the others. Rejects with words. */
  async share() {
    try {
      if (!navigator.mediaDevices?.getDisplayMedia) throw new DOMException("", "NotSupportedError")
      const screen = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } }, audio: false })
      this.screen = screen
      for (const track of screen.getVideoTracks()) {
        track.contentHint = "detail"
        track.addEventListener("ended", () => this.screen === screen && this.unshare()) // by the browser's own button
      }
    } catch (error) {
      throw new Error(mediaWords(error, "screen"))
    }
    this.#changed()
  }

  /** Show it no more. */
  unshare() {
    for (const track of this.screen?.getTracks() ?? []) track.stop()
    this.screen = null
    this.#changed()
  }

  /** Let go of everything. */
  end() {
    this.#drop("camera")
    this.#drop("microphone")
    this.unshare()
  }

  /** @param {Kind} kind */
  async #begin(kind) {
    try {
      const stream = await this.#open([kind])
      this.#drop(kind)
      this.#take(stream)
    } catch (error) {
      throw new Error(mediaWords(error, kind))
    }
  }

  /** @param {Kind[]} kinds */
  #open(kinds) {
    if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("", "NotSupportedError")
    /** @type {(kind: Kind, base: object) => any} */
    const wanted = (kind, base) =>
      kinds.includes(kind) && { ...base, ...(this.chosen[kind] && { deviceId: { exact: this.chosen[kind] } }) }
    return navigator.mediaDevices.getUserMedia({ audio: wanted("microphone", AUDIO), video: wanted("camera", VIDEO) })
  }

  /** @param {MediaStream} opened */
  #take(opened) {
    for (const track of opened.getTracks()) {
      const kind = track.kind === "audio" ? "microphone" : "camera"
      this[kind] = track
      this.stream.addTrack(track)
      track.addEventListener("ended", () => {
        if (this[kind] !== track) return
        this.#drop(kind) // it was unplugged, or the permission taken back
        this.#changed()
        this.dispatchEvent(new CustomEvent("lost", { detail: kind }))
      })
    }
    this.#changed()
  }

  /** @param {Kind} kind */
  #drop(kind) {
    const track = this[kind]
    if (!track) return
    this[kind] = null
    track.stop()
    this.stream.removeTrack(track)
  }

  #changed() {
    this.dispatchEvent(new Event("change"))
  }
}

/**
 * The devices of a kind, with the names that the browser tells once it has let us use one.
 * @param {MediaDeviceKind} kind
 */
export async function devicesOf(kind) {
  const all = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? []
  return all.filter(one => one.kind === kind)
}
