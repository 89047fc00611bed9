// @ts-check
/**
 * What has gone wrong, for people: what it is, and what one can do.
 *
 * @typedef {{ title: string, text: string, needsInvitation?: boolean }} Words
 */

const NEW_LINK = "Ask whoever invited you for a new link."
const AGAIN = "Wait a moment and join again."

/** @type {Record<string, Words>} */
const REFUSALS = {
  unauthorized: { title: "This invitation is not good here", text: `It is for another server, was changed on the way, or was good once and is used up. ${NEW_LINK}`, needsInvitation: true },
  token_expired: { title: "This invitation is over", text: `Invitations last for a while only. ${NEW_LINK}`, needsInvitation: true },
  unknown_link: { title: "This link is of an earlier run", text: "Take the link that the server shows now.", needsInvitation: true },
  forbidden: { title: "This invitation is for another room", text: "Open the link that you were sent for this room.", needsInvitation: true },
  denied: { title: "You are not let in", text: "The server does not want this connection. Ask whoever runs it." },
  room_not_found: { title: "There is no such room", text: "Look at its name once more." },
  room_locked: { title: "The room is locked", text: "Somebody inside has to open it." },
  room_full: { title: "The room is full", text: "Somebody has to leave first." },
  superseded: { title: "You have joined in another window", text: "This invitation is for one window at a time, and the newer one goes on." },
  kicked: { title: "You were sent out of the room", text: "Somebody who may do that did it." },
  "room-closed": { title: "The room was closed", text: "The call is over for everybody." },
  rate_limited: { title: "Too many attempts", text: AGAIN },
  too_many_connections: { title: "Too many connections from your network", text: AGAIN },
  busy: { title: "The server is full", text: AGAIN },
  draining: { title: "The server is being restarted", text: AGAIN },
  hook_failed: { title: "The server cannot decide now whether you may come in", text: AGAIN },
  hook_timeout: { title: "The server cannot decide now whether you may come in", text: AGAIN },
  keys_unavailable: { title: "The server cannot check your invitation now", text: AGAIN },
  internal: { title: "The server has made a mistake", text: AGAIN },
  unreachable: { title: "The server does not answer", text: "Is this machine online? A company's proxy may also stop WebSockets; the page /diag finds out." },
  lost: { title: "The server does not answer", text: "Is this machine online? A company's proxy may also stop WebSockets; the page /diag finds out." },
}

/**
 * Why somebody was refused. A hook has words of its own, and what it said is shown.
 * @param {{ code?: string, message?: string }} error @returns {Words}
 */
export function refusalWords({ code = "", message = "" }) {
  const known = REFUSALS[code]
  if (known) return known
  const said = message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message
  return { title: "The server says no", text: said || code || "It did not say why." }
}

/** What a page that came over plain HTTP cannot do. */
export const INSECURE = {
  title: "This page is not secure",
  text: "It came over plain HTTP, and browsers keep camera, microphone and encryption from such pages. Open the address with https:// in front.",
}

/** @type {Record<string, string>} */
const NAMES = { camera: "camera", microphone: "microphone", screen: "screen", both: "camera or microphone" }

/**
 * Why there is no picture or sound of ours.
 * @param {unknown} error @param {"camera" | "microphone" | "screen" | "both"} what
 */
export function mediaWords(error, what) {
  const name = error instanceof Error || error instanceof DOMException ? error.name : ""
  const thing = NAMES[what]
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return what === "screen"
        ? "The screen is not shared. The browser asks which window each time."
        : `The browser does not let this page use your ${thing}. Press the sign beside the address to allow it, then try again. Without it you can watch and listen.`
    case "NotFoundError":
      return `There is no ${thing} on this machine. You can watch and listen.`
    case "NotReadableError":
    case "AbortError":
      return `Your ${thing} is taken by another program or does not start. Close what else uses it and try again.`
    case "OverconstrainedError":
      return `The ${thing} that you chose is not there any more. Choose another one under Devices.`
    case "NotSupportedError":
    case "TypeError":
      return `This browser has no ${thing} to give to pages.`
    default:
      return `Your ${thing} does not work: ${error instanceof Error ? error.message : String(error)}`
  }
}
