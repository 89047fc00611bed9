// @ts-check
/** One line over the call: it goes after a while, or stays until what it is about is over, or until it is closed. */

import { byId } from "./element.js"

// Milliseconds.
const SHOWN = 6000

export class Banner {
  #banner = byId("banner", HTMLElement)
  #text = byId("banner-text", HTMLElement)
  /** @type {any} */
  #timer
  /** @type {unknown} */
  #about

  constructor() {
    byId("banner-close", HTMLButtonElement).addEventListener("click", () => this.say(""))
  }

  /**
   * Nothing is shown when there is no text.
   * @param {string} text @param {boolean} [stays] @param {unknown} [about] what `settle` is told when it is over
   */
  say(text, stays = false, about = undefined) {
    clearTimeout(this.#timer)
    this.#about = about
    this.#banner.hidden = !text
    this.#text.textContent = text
    if (text && !stays) this.#timer = setTimeout(() => this.say(""), SHOWN)
  }

  /**
   * Take down what was said about this, and nothing else.
   * @param {unknown} about
   */
  settle(about) {
    if (about !== undefined && this.#about === about) this.say("")
  }
}
