// @ts-check
/**
 * What lets somebody in: a join token or a one-time ticket, behind the `#` of the page's address.
 *
 *     https://call.example.org/r/blue-otter#token=eyJ...        &name=Ann may stand beside it
 *     https://call.example.org/r/blue-otter#ticket=...
 *
 * A browser sends nothing of that to anybody. A query would be in logs of every proxy, so there it is not looked for. It
 * is taken out of the address as soon as it was read, and a token is kept for as long as the tab, so that a reload works.
 *
 * @typedef {{ room: string, token?: string, ticket?: string, name?: string }} Invitation
 * @typedef {{ identity?: string, name?: string, room?: string }} Claims  what a token says, unproved
 */

const KEPT = "icelane invitation "

/**
 * The invitation of an address; `room` is empty where neither the address nor the token names one.
 * @param {URL} url @returns {Invitation}
 */
export function invitationOf(url) {
  const said = new URLSearchParams(url.hash.slice(1))
  const [token, ticket, name] = ["token", "ticket", "name"].map(key => said.get(key) || undefined)
  const room = roomOf(url.pathname) || said.get("room") || (token && claimsOf(token).room) || ""
  return { room, ...(token && { token }), ...(ticket && { ticket }), ...(name && { name }) }
}

/** @param {string} path */
function roomOf(path) {
  const found = /^\/r\/(.+?)\/?$/.exec(path)
  try {
    return found ? decodeURIComponent(found[1]) : ""
  } catch {
    return found ? found[1] : ""
  }
}

/**
 * What somebody has pasted: a whole link of this server, or a token. Undefined when it is neither.
 * @param {string} text @param {string} origin @returns {Invitation | undefined}
 */
export function pasted(text, origin) {
  const words = text.trim()
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(words)) return { room: claimsOf(words).room ?? "", token: words }
  try {
    const url = new URL(words)
    const found = url.origin === origin ? invitationOf(url) : undefined
    return found?.token || found?.ticket ? found : undefined
  } catch {
    return undefined
  }
}

/**
 * What a join token says about its bearer. The server proves it; this is for showing.
 * @param {string} token @returns {Claims}
 */
export function claimsOf(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), one => one.charCodeAt(0))
    const { sub, name, rooms } = JSON.parse(new TextDecoder().decode(bytes))
    const exact = Array.isArray(rooms) ? rooms.filter(room => typeof room === "string" && !room.endsWith("*")) : []
    return {
      ...(typeof sub === "string" && { identity: sub }),
      ...(typeof name === "string" && { name }),
      ...(exact.length === 1 && rooms.length === 1 && { room: exact[0] }),
    }
  } catch {
    return {}
  }
}

/**
 * Keep a token for this tab; a ticket is good once, and worth nothing afterwards.
 * @param {Invitation} invitation
 */
export function keep({ room, token }) {
  try {
    if (token) sessionStorage.setItem(KEPT + room, token)
  } catch {
    // A browser that keeps nothing: then a reload asks for the link again.
  }
}

/**
 * A secret of this tab, by which a server that lets in everybody with one link tells its guests apart, also after a reload.
 */
export function guestSecret() {
  const made = [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, "0")).join("")
  try {
    const known = sessionStorage.getItem(KEPT + "guest") ?? made
    sessionStorage.setItem(KEPT + "guest", known)
    return known
  } catch {
    return made
  }
}

/**
 * Whether the others may have this link too: a join token is somebody's own, any other key is not.
 * @param {Invitation} invitation
 */
export function isForEverybody({ token }) {
  return token !== undefined && !token.includes(".")
}

/**
 * What was kept for a room.
 * @param {string} room @returns {string | undefined}
 */
export function kept(room) {
  try {
    return sessionStorage.getItem(KEPT + room) ?? undefined
  } catch {
    return undefined
  }
}

/**
 * Forget a token that the server does not take.
 * @param {string} room
 */
export function forget(room) {
  try {
    sessionStorage.removeItem(KEPT + room)
  } catch {
    // There is nothing.
  }
}

/**
 * The path of a room.
 * @param {string} room
 */
export function pathOf(room) {
  return room ? `/r/${encodeURIComponent(room)}` : "/"
}
