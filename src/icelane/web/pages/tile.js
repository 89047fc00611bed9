// @ts-check
/**
 * What one sees of one stream: the picture, or an initial where there is none; a name; the way that it takes.
 */

import { icon, make, setIcon } from "./element.js"

export class Tile {
  /** @param {"self" | "peer" | "screen"} kind @param {string} name */
  constructor(kind, name) {
    this.kind = kind
    this.video = make("video", { autoplay: true, playsInline: true, muted: kind === "self" })
    this.video.setAttribute("playsinline", "")
    this.letter = make("span")
    this.plate = make("span", { className: "name" })
    this.muted = make("span", { className: "plate muted", hidden: true }, icon("microphone-off"), make("span", { className: "unseen" }, "microphone off"))
    this.words = make("span", { className: "way" })
    this.numbers = make("span", { className: "numbers" })
    this.path = make("button", { type: "button", className: "plate path", hidden: true }, icon("shield"), this.words, this.numbers)
    this.pathFor = make("span", { className: "unseen" })
    this.path.append(this.pathFor)
    const initial = make("div", { className: "initial", ariaHidden: "true" }, this.letter)
    const name_ = make("span", { className: "plate" }, this.plate)
    const foot = make("div", { className: "tile-foot" }, name_, this.muted, this.path)
    this.element = make("li", { className: "tile", data: { kind, picture: "false", state: "waiting" } }, this.video, initial, foot)
    this.setName(name)
    for (const event of ["resize", "loadeddata", "emptied"]) this.video.addEventListener(event, () => this.look())
  }

  /** @param {string} name */
  setName(name) {
    const shown = this.kind === "screen" ? `${name}: screen` : this.kind === "self" ? `${name} (you)` : name
    if (this.plate.textContent === shown) return
    this.plate.textContent = shown
    this.letter.textContent = [...name][0]?.toUpperCase() ?? "?"
    this.video.setAttribute("aria-label", `Picture of ${shown}`)
    this.pathFor.textContent = `, security of the call with ${name}`
  }

  /** @param {MediaStream | null} stream @param {boolean} [hasPicture] whether its owner says that the camera is on */
  setStream(stream, hasPicture = true) {
    if (this.video.srcObject !== stream) this.video.srcObject = stream
    this.hasPicture = hasPicture
    this.look()
  }

  /** Show the picture if there is one. */
  look() {
    const stream = /** @type {MediaStream | null} */ (this.video.srcObject)
    // When two offers have met, Chromium 156 says `muted` of a track that it decodes and shows; a size proves pictures.
    const flows = (/** @type {MediaStreamTrack} */ track) => this.kind === "self" || !track.muted || this.video.videoWidth > 0
    const live = stream?.getVideoTracks().some(track => track.readyState === "live" && flows(track))
    this.element.dataset.picture = String(this.hasPicture !== false && live === true)
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.muted.hidden = !muted
  }

  /** @param {string} state */
  setState(state) {
    this.element.dataset.state = state
  }

  /** @param {boolean} speaking */
  setSpeaking(speaking) {
    this.element.dataset.speaking = String(speaking)
  }

  /** @param {string} words @param {string} [numbers] */
  setPath(words, numbers = "") {
    this.path.hidden = !words
    if (this.words.textContent !== words) this.words.textContent = words
    this.numbers.textContent = numbers
  }
}

/**
 * A button that is on or off, with the symbol for that.
 * @param {HTMLButtonElement} button @param {boolean} on @param {string} symbol
 */
export function setSwitch(button, on, symbol) {
  button.setAttribute("aria-pressed", String(on))
  setIcon(button, on ? symbol : `${symbol}-off`)
}
