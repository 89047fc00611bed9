// @ts-check
/** The two dialogs: how a call is protected, and which devices are used. */

import { byId, make } from "./element.js"
import { pathNumbers } from "./call_path.js"
import { devicesOf } from "./local_media.js"
import { fingerprintsOf, securityCode } from "./security_code.js"

/**
 * @typedef {import("./peer_call.js").PeerCall} PeerCall
 * @typedef {import("./call_path.js").CallPath} CallPath
 * @typedef {import("./local_media.js").LocalMedia} LocalMedia
 * @typedef {import("./local_media.js").Kind} Kind
 * @typedef {import("./stage.js").Stage} Stage
 */

const NO_CODE = "This call does not show one certificate for all that it carries, as it should. Somebody may sit in between: say nothing that is secret, and call again."
const UNSAID = "this browser does not say"

/** How one call is protected; stays as it was when it was opened. */
export class SecurityPanel {
  #dialog = byId("security", HTMLDialogElement)
  #code = byId("code", HTMLElement)
  #help = byId("code-help", HTMLElement)
  #facts = byId("facts", HTMLElement)
  /** Counts openings: what was computed for an earlier one is not shown, least of all as the code of somebody else. */
  #opening = 0

  /** @param {PeerCall} call @param {CallPath | undefined} path */
  async open(call, path) {
    const opening = ++this.#opening
    byId("security-title", HTMLElement).textContent = `Security of the call with ${call.name}`
    this.#code.replaceChildren("…")
    this.#help.textContent = ""
    this.#facts.replaceChildren()
    if (!this.#dialog.open) this.#dialog.showModal()
    const prints = await fingerprintsOf(call.pc)
    if (opening !== this.#opening) return
    if (!prints) {
      const isConnected = call.pc.connectionState === "connected"
      this.#code.replaceChildren(isConnected ? "no code" : "not connected")
      this.#help.textContent = isConnected ? NO_CODE : ""
      return
    }
    const groups = (await securityCode(prints.local, prints.remote)).split(" ")
    if (opening !== this.#opening) return
    this.#code.replaceChildren(...groups.flatMap(group => [make("span", {}, group), " "]))
    this.#help.textContent = `${call.name} sees the same code in this window. If the two of you read the same digits aloud, nobody is between you.`
    this.#tell([
      ["Known to the server as", call.peer.identity],
      ["Way", path?.words || UNSAID],
      ["Ends", path?.candidates || UNSAID],
      ["Round trip and loss", (path && pathNumbers(path)) || "not measured yet"],
      ["Handshake", path?.protection || "DTLS; which version " + UNSAID],
      ["Suite", path?.suite || UNSAID],
      ["Sound and pictures", path?.srtp ? `SRTP, ${path.srtp}` : call.streams.size ? "SRTP; which profile " + UNSAID : "none yet"],
      ["Codecs", path?.codecs.join(", ") || "none yet"],
    ])
    this.#tell([["Your certificate", prints.local], [`${call.name}'s certificate`, prints.remote]], "hash")
  }

  /** End it. */
  close() {
    this.#opening++
    this.#dialog.close()
  }

  /** @param {string[][]} rows @param {string} [className] */
  #tell(rows, className = "") {
    for (const [name, value] of rows) this.#facts.append(make("dt", {}, name), make("dd", { className }, value))
  }
}

/** Which camera, microphone and speaker. */
export class DevicesPanel {
  #dialog = byId("devices", HTMLDialogElement)
  #words = byId("devices-words", HTMLElement)
  #speaker = byId("speaker-choice", HTMLSelectElement)

  /** @param {LocalMedia} media @param {Stage} stage */
  constructor(media, stage) {
    this.media = media
    this.#choice("camera-choice", deviceId => media.choose("camera", deviceId))
    this.#choice("microphone-choice", deviceId => media.choose("microphone", deviceId))
    this.#choice("speaker-choice", deviceId => stage.useSpeaker(deviceId))
    byId("speaker-field", HTMLElement).hidden = !("setSinkId" in HTMLMediaElement.prototype)
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#dialog.open && void this.#fill())
  }

  /** Show what there is now. */
  async open() {
    this.#words.textContent = ""
    await this.#fill()
    this.#dialog.showModal()
  }

  async #fill() {
    const { camera, microphone, chosen } = this.media
    fill("camera-choice", await devicesOf("videoinput"), camera?.getSettings().deviceId ?? chosen.camera, "Camera")
    fill("microphone-choice", await devicesOf("audioinput"), microphone?.getSettings().deviceId ?? chosen.microphone, "Microphone")
    fill("speaker-choice", await devicesOf("audiooutput"), this.#speaker.value, "Speaker")
  }

  /** @param {string} id @param {(deviceId: string) => Promise<void>} use */
  #choice(id, use) {
    const select = byId(id, HTMLSelectElement)
    select.addEventListener("change", async () => {
      this.#words.textContent = ""
      await use(select.value).catch(error => { this.#words.textContent = error.message })
    })
  }
}

/** @param {string} id @param {MediaDeviceInfo[]} devices @param {string | undefined} used @param {string} word */
function fill(id, devices, used, word) {
  const select = byId(id, HTMLSelectElement)
  const options = devices.map((device, index) => make("option", { value: device.deviceId, selected: device.deviceId === used }, device.label || `${word} ${index + 1}`))
  select.replaceChildren(...(options.length ? options : [make("option", { value: "" }, `No ${word.toLowerCase()} is there`)]))
  select.disabled = !options.length
}
