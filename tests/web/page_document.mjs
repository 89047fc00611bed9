// So much of a document that the modules of the pages can be run under node: elements by their id, made when asked for.

export const settle = async () => { for (let i = 0; i < 50; i++) await new Promise(resolve => setImmediate(resolve)) }

class Element extends EventTarget {
  hidden = false
  dataset = {}
  attributes = new Map()
  children = []
  parent = undefined
  constructor(tag = "div") {
    super()
    this.tag = tag
  }
  get childElementCount() {
    return this.children.length
  }
  get firstElementChild() {
    return this.children.find(child => child instanceof Element) ?? null
  }
  get textContent() {
    return this.children.map(child => child.textContent ?? String(child)).join("")
  }
  set textContent(text) {
    this.children = text ? [text] : []
  }
  get isConnected() {
    return this.parent !== undefined
  }
  append(...content) {
    for (const child of content) if (child instanceof Element) child.parent = this
    this.children.push(...content)
  }
  replaceChildren(...content) {
    this.children = []
    this.append(...content)
  }
  remove() {
    if (this.parent) this.parent.children = this.parent.children.filter(child => child !== this)
    this.parent = undefined
  }
  contains(other) {
    return other === this || this.children.some(child => child instanceof Element && child.contains(other))
  }
  setAttribute(name, value) {
    this.attributes.set(name, value)
  }
  querySelector() {
    return null
  }
  /** Everything under it of one tag. */
  all(tag) {
    return this.children.flatMap(child => (child instanceof Element ? [...(child.tag === tag ? [child] : []), ...child.all(tag)] : []))
  }
  focus() {}
  click() {
    this.dispatchEvent(new Event("click"))
  }
  showModal() {
    this.open = true
  }
  close() {
    this.open = false
  }
}

const KINDS = [
  "HTMLElement", "HTMLButtonElement", "HTMLDialogElement", "HTMLDivElement", "HTMLFormElement", "HTMLInputElement",
  "HTMLSelectElement", "HTMLUListElement", "HTMLVideoElement",
]

/** The document of one page, which it makes the one that there is. */
export class PageDocument {
  elements = new Map()

  constructor() {
    for (const kind of KINDS) globalThis[kind] = Element
    globalThis.location = new URL("https://call.example.org/r/demo")
    globalThis.document = {
      getElementById: id => this.element(id),
      createElement: tag => new Element(tag),
      createElementNS: (_, tag) => new Element(tag),
    }
  }

  /** The one of this id. */
  element(id) {
    if (!this.elements.has(id)) this.elements.set(id, new Element(id))
    return this.elements.get(id)
  }
}
