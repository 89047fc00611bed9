// @ts-check
/** Elements: found by their id, and made. Text is always set as text, so nothing that others send becomes markup. */

const SVG = "http://www.w3.org/2000/svg"

/**
 * The element of the page that has this id. Throws where there is none of this kind.
 * @template {Element} E
 * @param {string} id @param {new () => E} kind
 * @returns {E}
 */
export function byId(id, kind) {
  const found = document.getElementById(id)
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} of the id ${id}`)
  return found
}

/**
 * An element with properties, `data` attributes and `aria` attributes, and what is in it.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {{ [name: string]: any, data?: Record<string, string>, aria?: Record<string, string> }} [properties]
 * @param {...(Node | string)} content
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, properties = {}, ...content) {
  const { data = {}, aria = {}, ...own } = properties
  const element = document.createElement(tag)
  Object.assign(element, own)
  Object.assign(element.dataset, data)
  for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, value)
  element.append(...content)
  return element
}

/**
 * One of the symbols of the page; it says nothing to a screen reader.
 * @param {string} name
 */
export function icon(name) {
  const picture = document.createElementNS(SVG, "svg")
  picture.setAttribute("aria-hidden", "true")
  const use = document.createElementNS(SVG, "use")
  use.setAttribute("href", `#${name}`)
  picture.append(use)
  return picture
}

/**
 * Show another symbol in a button.
 * @param {Element} button @param {string} name
 */
export function setIcon(button, name) {
  button.querySelector("use")?.setAttribute("href", `#${name}`)
}
