// @ts-check
/** What is said, and the files that come and go, one line each. */

import { byId, make } from "./element.js"
import { sizeWords } from "./file_transfer.js"

/**
 * @typedef {import("./peer_call.js").PeerCall} PeerCall
 * @typedef {import("./conference.js").Conference} Conference
 * @typedef {import("./file_transfer.js").IncomingFile} IncomingFile
 */

// Lines that are kept; the oldest goes.
const MAX_LINES = 500

export class Chat {
  #lines = byId("lines", HTMLDivElement)
  #side = byId("side", HTMLElement)
  #switch = byId("chat-switch", HTMLButtonElement)
  #unread = byId("unread", HTMLElement)
  #words = byId("words", HTMLInputElement)
  #file = byId("file", HTMLInputElement)
  #count = 0
  /**
   * The lines that lead to a file; the browser keeps it until it is told that nobody will save it any more.
   * @type {Map<Element, string>}
   */
  #links = new Map()
  /** @type {Conference | undefined} */
  #conference

  /** @param {(news: string) => void} announce for those who do not see it come */
  constructor(announce) {
    this.announce = announce
    this.#switch.addEventListener("click", () => this.toggle(this.#side.hidden))
    byId("side-close", HTMLButtonElement).addEventListener("click", () => this.toggle(false))
    this.#side.addEventListener("keydown", event => event.key === "Escape" && this.toggle(false))
    byId("write", HTMLFormElement).addEventListener("submit", event => this.#submit(event))
    byId("attach", HTMLButtonElement).addEventListener("click", () => this.#file.click())
    this.#file.addEventListener("change", () => {
      for (const file of this.#file.files ?? []) this.sendFile(file)
      this.#file.value = ""
    })
  }

  /** @param {Conference} conference */
  begin(conference) {
    this.#conference = conference
  }

  /** Forget what was said. */
  end() {
    this.#conference = undefined
    this.#lines.replaceChildren()
    this.#release()
    this.#seen()
    this.toggle(false, false)
  }

  /** @param {boolean} open @param {boolean} [focus] */
  toggle(open, focus = true) {
    this.#side.hidden = !open
    this.#switch.setAttribute("aria-expanded", String(open))
    if (open) {
      this.#seen()
      this.#lines.scrollTop = this.#lines.scrollHeight
    }
    if (focus) (open ? this.#words : this.#switch).focus()
  }

  /** @param {PeerCall} call */
  follow(call) {
    call.addEventListener("said", event => this.#said(call.name, /** @type {CustomEvent} */ (event).detail))
    call.addEventListener("offered", event => this.#offered(call, /** @type {CustomEvent} */ (event).detail))
  }

  /**
   * Something that nobody said.
   * @param {string} text
   */
  news(text) {
    this.#append("news", make("span", { className: "said" }, text))
  }

  /**
   * Send a file to everybody.
   * @param {File} file
   */
  sendFile(file) {
    const calls = this.#conference?.connected ?? []
    this.toggle(true, false)
    if (!calls.length) return this.news(`${file.name} was not sent: nobody is connected.`)
    const sent = calls.map(call => ({ name: call.name, transfer: call.sendFile(file) }))
    const card = new FileCard(file.name, file.size, calls.length === 1 ? `to ${calls[0].name}` : `to ${calls.length} people`)
    card.button("Stop", () => sent.forEach(({ transfer }) => transfer.stop()))
    this.#append("mine", card.element)
    const look = () => {
      const running = sent.filter(({ transfer }) => !transfer.ended)
      const failed = sent.filter(({ transfer }) => transfer.error)
      card.show(sent.reduce((sum, { transfer }) => sum + transfer.done, 0) / sent.length)
      if (running.length) return
      const why = failed.map(({ name, transfer }) => `${name}: ${transfer.error}`).join("; ")
      card.close(why || "Sent, and the hash is right.")
      this.announce(why ? `${file.name} did not arrive. ${why}` : `${file.name} has arrived.`)
    }
    for (const { transfer } of sent) for (const event of ["progress", "end"]) transfer.addEventListener(event, look)
  }

  /** @param {SubmitEvent | Event} event */
  #submit(event) {
    event.preventDefault()
    const text = this.#words.value.trim()
    if (!text) return
    this.#words.value = ""
    const reached = this.#conference?.say(text) ?? 0
    this.#append("mine", make("span", { className: "unseen" }, "You: "), make("span", { className: "said" }, text))
    if (!reached) this.news("Nobody is connected, so nobody got this.")
  }

  /** @param {string} name @param {string} text */
  #said(name, text) {
    this.#append("theirs", ...this.#head(name), make("p", { className: "said" }, text))
    // An open chat is a log, which is read out by itself.
    if (this.#side.hidden) this.announce(`${name}: ${text}`)
    this.#arrived()
  }

  /** @param {PeerCall} call @param {IncomingFile} file */
  #offered(call, file) {
    const card = new FileCard(file.name, file.size, `from ${call.name}`)
    card.button("Take it", () => {
      file.accept()
      card.open()
      card.button("Stop", () => file.refuse("it was stopped"))
    })
    card.button("No", () => file.refuse())
    this.#append("theirs", ...this.#head(call.name), card.element)
    this.#arrived()
    this.announce(`${call.name} sends a file: ${file.name}`)
    file.addEventListener("progress", () => card.show(file.done))
    file.addEventListener("end", () => {
      if (!file.blob) return card.close(`It did not come: ${file.error}.`)
      card.close("It is here, and the hash is right.")
      this.#links.set(card.element, card.link(file.blob))
      this.#release()
      this.announce(`${file.name} is here.`)
    })
  }

  /** @param {string} name */
  #head(name) {
    const now = new Date()
    const time = make("time", { dateTime: now.toISOString() }, now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }))
    return [make("span", { className: "who" }, name), time]
  }

  /** @param {string} kind @param {...Node} content */
  #append(kind, ...content) {
    this.#lines.append(make("div", { className: "line", data: { kind } }, ...content))
    while (this.#lines.childElementCount > MAX_LINES) this.#lines.firstElementChild?.remove()
    this.#release()
    this.#lines.scrollTop = this.#lines.scrollHeight
  }

  /** Let go of the files whose lines are gone. */
  #release() {
    for (const [element, url] of this.#links) {
      if (this.#lines.contains(element)) continue
      URL.revokeObjectURL(url)
      this.#links.delete(element)
    }
  }

  #seen() {
    this.#count = 0
    this.#unread.hidden = true
  }

  #arrived() {
    if (!this.#side.hidden) return
    this.#count++
    this.#unread.replaceChildren(String(this.#count), make("span", { className: "unseen" }, " unread"))
    this.#unread.hidden = false
  }
}

class FileCard {
  /** @param {string} name @param {number} size @param {string} who */
  constructor(name, size, who) {
    this.size = size
    this.bar = make("progress", { max: Math.max(size, 1), value: 0, hidden: true, aria: { label: `How much of ${name} there is` } })
    this.state = make("p", { className: "help" }, `${sizeWords(size)}, ${who}`)
    this.actions = make("p", { className: "file-actions" })
    this.element = make("div", { className: "file" }, make("p", { className: "file-name" }, name), this.state, this.bar, this.actions)
    this.name = name
  }

  /** @param {string} words @param {() => void} act */
  button(words, act) {
    const button = make("button", { type: "button", className: "secondary small" }, words)
    button.append(make("span", { className: "unseen" }, ` ${this.name}`))
    button.addEventListener("click", act)
    this.actions.append(button)
  }

  open() {
    this.actions.replaceChildren()
    this.bar.hidden = false
  }

  /** @param {number} done */
  show(done) {
    this.bar.hidden = false
    this.bar.value = done
    this.state.textContent = `${sizeWords(done)} of ${sizeWords(this.size)}`
  }

  /** @param {string} words */
  close(words) {
    this.bar.hidden = true
    this.actions.replaceChildren()
    this.state.textContent = words
  }

  /**
   * Let it be saved; returns the address, which is to be revoked.
   * @param {Blob} blob
   */
  link(blob) {
    const url = URL.createObjectURL(blob)
    this.actions.append(make("a", { href: url, download: this.name }, `Save ${this.name}`))
    return url
  }
}
