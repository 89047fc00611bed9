// @ts-check
/** Camera and microphone, tried when somebody asks for it: a picture, and how loud it is. Nothing is sent. */

import { byId } from "./element.js"
import { mediaWords } from "./plain_words.js"

const LOOK = 60

export class DeviceTrial {
  /** @type {MediaStream | undefined} */
  #stream
  /** @type {AudioContext | undefined} */
  #audio
  /** @type {any} */
  #timer
  #button = byId("try-devices", HTMLButtonElement)
  #words = byId("devices-words", HTMLElement)
  #picture = byId("picture", HTMLVideoElement)
  #level = byId("level", HTMLMeterElement)

  constructor() {
    this.#button.addEventListener("click", () => void (this.#stream ? this.#end() : this.#begin()))
    addEventListener("pagehide", () => this.#end())
  }

  async #begin() {
    this.#button.disabled = true
    try {
      this.#stream = await this.#open()
      this.#picture.srcObject = this.#stream
      this.#picture.hidden = !this.#stream.getVideoTracks().length
      byId("devices", HTMLElement).hidden = false
      this.#listen(this.#stream)
      this.#words.textContent = `${this.#stream.getTracks().map(track => track.label || track.kind).join(", ")}. Say something: the bar moves.`
      this.#button.textContent = "Stop"
      this.#button.setAttribute("aria-pressed", "true")
    } catch (error) {
      this.#words.textContent = mediaWords(error, "both")
    } finally {
      this.#button.disabled = false
    }
  }

  /** Both, or the one that there is. @returns {Promise<MediaStream>} */
  async #open() {
    if (!navigator.mediaDevices) throw new DOMException("no devices", "NotSupportedError")
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: true, video: true })
    } catch (error) {
      if (error instanceof DOMException && error.name === "NotAllowedError") throw error
    }
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: true })
    } catch {
      return navigator.mediaDevices.getUserMedia({ video: true })
    }
  }

  /** @param {MediaStream} stream */
  #listen(stream) {
    if (!stream.getAudioTracks().length) return
    this.#audio = new AudioContext()
    const analyser = this.#audio.createAnalyser()
    this.#audio.createMediaStreamSource(stream).connect(analyser)
    const samples = new Float32Array(analyser.fftSize)
    this.#timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples)
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length
      this.#level.value = Math.min(1, Math.sqrt(power) * 4)
    }, LOOK)
  }

  #end() {
    clearInterval(this.#timer)
    this.#stream?.getTracks().forEach(track => track.stop())
    void this.#audio?.close()
    this.#stream = this.#audio = undefined
    this.#picture.srcObject = null
    byId("devices", HTMLElement).hidden = true
    this.#words.textContent = "They are closed again."
    this.#button.textContent = "Try them"
    this.#button.setAttribute("aria-pressed", "false")
  }
}
