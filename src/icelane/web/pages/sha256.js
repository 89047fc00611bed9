// @ts-check
/** SHA-256 (FIPS 180-4) of what comes piece by piece, which the browser's own takes only as a whole. */

const BLOCK = 64

/**
 * The first 32 bits of the fractional parts of a root of the first primes.
 * @param {number} count @param {number} root
 */
function rootsOfPrimes(count, root) {
  const found = []
  for (let number = 2; found.length < count; number++) {
    let isPrime = true
    for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) isPrime = false
    if (isPrime) found.push(((number ** (1 / root)) % 1) * 2 ** 32)
  }
  return found
}

const CONSTANTS = Uint32Array.from(rootsOfPrimes(64, 3))
const START = Uint32Array.from(rootsOfPrimes(8, 2))

export class Sha256 {
  #state = START.slice()
  #words = new Uint32Array(BLOCK)
  #rest = new Uint8Array(BLOCK)
  #length = 0

  /** @param {Uint8Array} bytes */
  update(bytes) {
    let held = this.#length % BLOCK
    this.#length += bytes.length
    let at = 0
    if (held) {
      at = Math.min(BLOCK - held, bytes.length)
      this.#rest.set(bytes.subarray(0, at), held)
      held += at
      if (held < BLOCK) return this
      this.#compress(this.#rest, 0)
    }
    for (; at + BLOCK <= bytes.length; at += BLOCK) this.#compress(bytes, at)
    this.#rest.set(bytes.subarray(at))
    return this
  }

  /** The hash of everything, in hexadecimal digits; nothing may follow. */
  hex() {
    const length = this.#length
    const size = ((BLOCK - ((length + 9) % BLOCK)) % BLOCK) + 9
    const tail = new Uint8Array(size)
    tail[0] = 0x80
    new DataView(tail.buffer).setUint32(size - 8, Math.floor(length / 2 ** 29))
    new DataView(tail.buffer).setUint32(size - 4, (length % 2 ** 29) * 8)
    this.update(tail)
    return [...this.#state].map(word => word.toString(16).padStart(8, "0")).join("")
  }

  /** @param {Uint8Array} bytes @param {number} at */
  #compress(bytes, at) {
    const w = this.#words
    for (let t = 0; t < 16; t++, at += 4) {
      w[t] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
    }
    for (let t = 16; t < 64; t++) {
      const x = w[t - 15]
      const y = w[t - 2]
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
      w[t] = (w[t - 16] + s0 + w[t - 7] + s1) | 0
    }
    let [a, b, c, d, e, f, g, h] = this.#state
    for (let t = 0; t < 64; t++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
      const first = (h + s1 + ((e & f) ^ (~e & g)) + CONSTANTS[t] + w[t]) | 0
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
      const second = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
      h = g
      g = f
      f = e
      e = (d + first) | 0
      d = c
      c = b
      b = a
      a = (first + second) | 0
    }
    const state = this.#state
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d
    state[4] += e
    state[5] += f
    state[6] += g
    state[7] += h
  }
}
