// @ts-check
/**
 * A file over a data channel of its own, as the command line does it (src/icelane/cli/file_transfer.py):
 *
 *     sender -> receiver   text    {"name": "report.pdf", "size": 1234, "sha256": "..."}
 *     receiver -> sender   text    {"ready": true, "offset": 0}, or {"ok": false, "error": "..."} and the end
 *     sender -> receiver   binary  the bytes from that offset on, in chunks
 *     sender -> receiver   text    {"sha256": "..."}, the hash of the file from its beginning
 *     receiver -> sender   text    {"ok": true}, or {"ok": false, "error": "..."}
 *
 * Nothing is taken before the user has said so, and nothing is given to the user before the hash is right.
 */

import { Sha256 } from "./sha256.js"

export const FILE_LABEL = "file"

const CHUNK = 16 * 1024
const PIECE = 64 * CHUNK
// What waits in the channel before reading goes on.
const HIGH = 1024 * 1024
const LOW = 256 * 1024
/** Bytes of a file that a page takes: it is kept by the browser until it is whole. More is refused. */
export const MAX_SIZE = 2 * 1024 ** 3
const MAX_NAME = 255
// What is held in one buffer before the browser gets it as a Blob, which it may put on a disk.
const FOLD = 4 * 1024 ** 2

/** Fires `progress` and, once, `end`; then `error` says in words why not, or is empty. */
class Transfer extends EventTarget {
  done = 0
  error = ""
  ended = false

  /** @param {RTCDataChannel} channel @param {string} name @param {number} size */
  constructor(channel, name, size) {
    super()
    this.channel = channel
    this.name = name
    this.size = size
    channel.binaryType = "arraybuffer"
    channel.bufferedAmountLowThreshold = LOW
    channel.addEventListener("close", () => this.finish("the other side has gone"))
  }

  /** @param {number} bytes */
  count(bytes) {
    this.done += bytes
    this.dispatchEvent(new Event("progress"))
  }

  /** @param {object} document */
  tell(document) {
    if (this.channel.readyState === "open") this.channel.send(JSON.stringify(document))
  }

  /** Hold nothing of it any more. */
  release() {}

  /** @param {string} [error] */
  finish(error = "") {
    if (this.ended) return
    this.ended = true
    this.error = error
    this.release()
    this.dispatchEvent(new Event("end"))
  }
}

/** A file on its way to one other. */
export class OutgoingFile extends Transfer {
  #file
  #begun = false

  /** @param {RTCPeerConnection} pc @param {File} file */
  constructor(pc, file) {
    super(pc.createDataChannel(FILE_LABEL), file.name, file.size)
    this.#file = file
    this.channel.addEventListener("open", () => void this.#announce().catch(error => this.#fail(error)))
    this.channel.addEventListener("message", ({ data }) => this.#hear(parsed(data)))
  }

  /** Send no more of it. */
  stop() {
    this.finish("you stopped it")
    this.channel.close()
  }

  async #announce() {
    const digest = new Sha256()
    for (let at = 0; at < this.size && !this.ended; at += PIECE) digest.update(await this.#piece(at))
    this.tell({ name: this.name, size: this.size, sha256: digest.hex() })
  }

  /** @param {Record<string, any>} reply */
  #hear(reply) {
    const { ready, offset = 0, ok, error } = reply
    const canBegin = ready === true && Number.isSafeInteger(offset) && offset >= 0 && offset <= this.size
    if (canBegin && this.#begun) this.#close("the other side began twice")
    else if (canBegin) this.#begin(offset)
    else if (ok === true) this.#close("")
    else this.#close(shown(error) || "the other side does not want it")
  }

  /**
   * Once: a word of a few bytes must not make us send the file as often as it is said.
   * @param {number} offset
   */
  #begin(offset) {
    this.#begun = true
    void this.#send(offset).catch(reason => this.#fail(reason))
  }

  /** @param {any} error */
  #fail(error) {
    this.#close(`it cannot be read: ${error?.message ?? error}`)
  }

  /** @param {string} error */
  #close(error) {
    this.finish(error)
    this.channel.close()
  }

  /** @param {number} offset */
  async #send(offset) {
    const digest = new Sha256()
    this.done = offset
    for (let at = 0; at < this.size; at += PIECE) {
      const piece = await this.#piece(at)
      digest.update(piece)
      for (let from = Math.max(0, offset - at); from < piece.length; from += CHUNK) {
        if (this.channel.bufferedAmount > HIGH) await this.#drained()
        if (this.ended || this.channel.readyState !== "open") return
        const chunk = piece.subarray(from, from + CHUNK)
        this.channel.send(chunk)
        this.count(chunk.length)
      }
    }
    this.tell({ sha256: digest.hex() })
  }

  /** @param {number} at */
  async #piece(at) {
    return new Uint8Array(await this.#file.slice(at, at + PIECE).arrayBuffer())
  }

  #drained() {
    return new Promise(resolve => {
      for (const event of ["bufferedamountlow", "close"]) this.channel.addEventListener(event, resolve, { once: true })
    })
  }
}

/** A file that somebody wants to send. Fires `announced` when its name and size are known. */
export class IncomingFile extends Transfer {
  #digest = new Sha256()
  /** @type {Blob[]} */
  #folded = []
  // Chunks are copied into it, so that what is held is what was announced and not how finely it came.
  #buffer = new Uint8Array(0)
  #filled = 0
  #announced = false
  #accepted = false
  /** @type {Blob | undefined} */
  blob

  /** @param {RTCDataChannel} channel */
  constructor(channel) {
    super(channel, "", 0)
    channel.addEventListener("message", ({ data }) => this.#hear(data))
  }

  /** Take it. */
  accept() {
    if (this.#accepted || this.ended) return
    this.#accepted = true
    this.tell({ ready: true, offset: 0 })
  }

  release() {
    this.#folded = []
    this.#buffer = new Uint8Array(0)
    this.#filled = 0
  }

  /** @param {string} [reason] what the other side is told */
  refuse(reason = "it was not wanted") {
    if (this.ended) return
    this.tell({ ok: false, error: reason })
    this.finish(reason)
  }

  /** @param {string | ArrayBuffer} data */
  #hear(data) {
    if (this.ended) return
    if (!this.#announced) this.#announce(parsed(data))
    else if (!this.#accepted) this.refuse("it came before it was wanted")
    else if (typeof data === "string") this.#complete(parsed(data))
    else this.#keep(data)
  }

  /** @param {Record<string, any>} document */
  #announce({ name, size }) {
    const safe = safeName(name)
    if (!safe || !Number.isSafeInteger(size) || size < 0) return this.refuse("this announces no file")
    if (size > MAX_SIZE) return this.refuse("a page takes 2 GiB at most")
    this.#announced = true
    this.name = safe
    this.size = size
    this.dispatchEvent(new Event("announced"))
  }

  /** @param {ArrayBuffer} chunk */
  #keep(chunk) {
    if (this.done + chunk.byteLength > this.size) return this.refuse("more came than was announced")
    if (!chunk.byteLength) return this.refuse("an empty piece came")
    const bytes = new Uint8Array(chunk)
    this.#digest.update(bytes)
    this.#hold(bytes)
    this.count(bytes.length)
  }

  /** @param {Uint8Array} bytes */
  #hold(bytes) {
    for (let at = 0; at < bytes.length;) {
      if (this.#filled === this.#buffer.length) this.#fold()
      const part = bytes.subarray(at, at + this.#buffer.length - this.#filled)
      this.#buffer.set(part, this.#filled)
      this.#filled += part.length
      at += part.length
    }
  }

  #fold() {
    if (this.#filled) this.#folded.push(new Blob([this.#buffer.subarray(0, this.#filled)]))
    this.#buffer = new Uint8Array(Math.min(FOLD, this.size - this.#folded.length * FOLD))
    this.#filled = 0
  }

  /** @param {Record<string, any>} document */
  #complete({ sha256 }) {
    if (this.done !== this.size) return this.refuse("not all of it came")
    if (sha256 !== this.#digest.hex()) return this.refuse("the hash of what came is not that of what was sent")
    // No type: a browser saves it, and never shows it as a page of ours.
    this.blob = new Blob([...this.#folded, this.#buffer.subarray(0, this.#filled)], { type: "application/octet-stream" })
    this.tell({ ok: true })
    this.finish()
  }
}

/**
 * A name without a path, not hidden; empty when there is nothing that could be used.
 * @param {unknown} name
 */
export function safeName(name) {
  if (typeof name !== "string") return ""
  const safe = name.replace(/\\/g, "/").split("/").pop()?.replace(/^\.+/, "") ?? ""
  // What turns text around makes `exe.pdf` of something else.
  const clean = safe.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "")
  return new TextEncoder().encode(clean).length <= MAX_NAME ? clean : ""
}

/**
 * A size for people.
 * @param {number} bytes
 */
export function sizeWords(bytes) {
  const units = ["bytes", "kB", "MB", "GB"]
  let unit = 0
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000
    unit++
  }
  return `${unit ? bytes.toFixed(bytes < 10 ? 1 : 0) : bytes} ${units[unit]}`
}

/** @param {unknown} data @returns {Record<string, any>} */
function parsed(data) {
  try {
    const document = typeof data === "string" ? JSON.parse(data) : undefined
    return typeof document === "object" && document !== null ? document : {}
  } catch {
    return {}
  }
}

/** @param {unknown} reason */
function shown(reason) {
  return typeof reason === "string" ? reason.slice(0, 200) : ""
}
