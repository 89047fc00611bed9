// @ts-check
/** The call page: from the invitation through the lobby into the call, and back. */

import { Banner } from "./banner.js"
import { Chat } from "./chat.js"
import { Conference } from "./conference.js"
import { byId } from "./element.js"
import { claimsOf, forget, invitationOf, isForEverybody, keep, kept, pasted, pathOf } from "./invitation.js"
import { LocalMedia } from "./local_media.js"
import { DevicesPanel, SecurityPanel } from "./panels.js"
import { INSECURE, refusalWords } from "./plain_words.js"
import { Stage } from "./stage.js"
import { setSwitch } from "./tile.js"

/** @typedef {import("./peer_call.js").PeerCall} PeerCall */

const NAME = "icelane name"
const STATES = { connected: "connected", away: "server lost, coming back…", alone: "without the server" }

const media = new LocalMedia()
const security = new SecurityPanel()
/** @type {Stage} */
const stage = new Stage(media, call => void security.open(call, stage.pathOf(call)), waitForUser)
const devices = new DevicesPanel(media, stage)
const chat = new Chat(announce)
const banner = new Banner()

/** @type {Conference | undefined} */
let conference
let invitation = takeInvitation()

// What the lobby asks for.

const entry = byId("entry", HTMLFormElement)
const nameField = byId("name", HTMLInputElement)
const roomField = byId("room", HTMLInputElement)
const invitationField = byId("invitation", HTMLInputElement)
const joinButton = byId("join", HTMLButtonElement)

/** The invitation goes out of the address, so that it is not on the screen, in the history or in a shared link. */
function takeInvitation() {
  const found = invitationOf(new URL(location.href))
  const token = found.token ?? (found.ticket ? undefined : kept(found.room))
  if (found.token) keep(found)
  history.replaceState(null, "", pathOf(found.room))
  return { ...found, ...(token && { token }) }
}

function showLobby() {
  document.body.dataset.view = "lobby"
  byId("lobby", HTMLElement).hidden = false
  byId("call", HTMLElement).hidden = true
  byId("controls", HTMLElement).hidden = true
  byId("state", HTMLElement).textContent = ""
  byId("place", HTMLElement).textContent = invitation.room
  byId("lobby-title", HTMLElement).textContent = invitation.room ? `Join ${invitation.room}` : "Join a room"
  document.title = invitation.room ? `${invitation.room}, icelane` : "icelane"
  const invited = Boolean(invitation.token ?? invitation.ticket)
  byId("invitation-field", HTMLElement).hidden = invited
  byId("room-field", HTMLElement).hidden = Boolean(invitation.room)
  const claims = invitation.token ? claimsOf(invitation.token) : {}
  nameField.readOnly = claims.name !== undefined
  nameField.value = claims.name ?? (nameField.value || invitation.name || remembered())
  byId("name-help", HTMLElement).textContent = claims.name === undefined ? "The others see it." : "Your invitation says so."
  if (!invited && invitation.room) {
    byId("lead", HTMLElement).textContent = "This address has no invitation in it. Paste the whole link that you were sent."
  }
}

function remembered() {
  try {
    return localStorage.getItem(NAME) ?? ""
  } catch {
    return ""
  }
}

/** @param {import("./plain_words.js").Words | undefined} words */
function showRefusal(words) {
  byId("lead", HTMLElement).hidden = words !== undefined
  byId("refusal", HTMLElement).hidden = !words
  byId("refusal-title", HTMLElement).textContent = words?.title ?? ""
  byId("refusal-text", HTMLElement).textContent = words?.text ?? ""
}

/** @param {Event} event */
async function join(event) {
  event.preventDefault()
  showRefusal(undefined)
  if (!readLobby()) return
  const name = nameField.value.trim()
  try {
    if (name) localStorage.setItem(NAME, name)
  } catch {
    // Then it is asked for again.
  }
  joinButton.disabled = true
  joinButton.textContent = "Joining…"
  const entering = new Conference(invitation, name, media)
  conference = entering
  listen(entering)
  stage.begin(name || claimsOf(invitation.token ?? "").identity || "You")
  chat.begin(entering)
  try {
    await entering.enter()
    keep(invitation)
    showCall()
  } catch (error) {
    goOut(/** @type {any} */ (error))
  } finally {
    joinButton.disabled = false
    joinButton.textContent = "Join"
  }
}

/** What was typed, into the invitation; false when something is missing, which is said. */
function readLobby() {
  if (!invitation.token && !invitation.ticket) {
    const found = pasted(invitationField.value, location.origin)
    if (!found) {
      showRefusal({ title: "An invitation is missing", text: invitationField.value.trim() ? "What you pasted is neither a link of this server nor a join token." : "Paste the link that you were sent. It is longer than the address of the room." })
      invitationField.focus()
      return false
    }
    invitation = { ...found, room: found.room || invitation.room }
  }
  invitation.room ||= roomField.value.trim()
  if (invitation.room) {
    history.replaceState(null, "", pathOf(invitation.room))
    return true
  }
  showRefusal({ title: "Which room?", text: "Your invitation is for more than one. Type the name of yours." })
  byId("room-field", HTMLElement).hidden = false
  roomField.focus()
  return false
}

// The call.

function showCall() {
  document.body.dataset.view = "call"
  byId("lobby", HTMLElement).hidden = true
  byId("call", HTMLElement).hidden = false
  byId("controls", HTMLElement).hidden = false
  byId("place", HTMLElement).textContent = invitation.room
  byId("copy-link", HTMLElement).hidden = !isForEverybody(invitation)
  document.title = `${invitation.room}, icelane`
  byId("main", HTMLElement).focus()
  void stayAwake()
}

/** @param {Conference} entered */
function listen(entered) {
  entered.addEventListener("call", event => {
    const call = /** @type {CustomEvent<PeerCall>} */ (event).detail
    stage.add(call)
    chat.follow(call)
    follow(call)
  })
  entered.addEventListener("state", event => showState(/** @type {CustomEvent} */ (event).detail))
  entered.addEventListener("news", event => say(/** @type {CustomEvent} */ (event).detail, true))
  entered.addEventListener("over", event => goOut(/** @type {CustomEvent} */ (event).detail))
}

/** @param {PeerCall} call */
function follow(call) {
  let wasConnected = false
  const isBack = call.replaces !== undefined
  call.addEventListener("change", () => {
    if (call.state === "failed") say(`No way to ${call.name} is found. It is tried again; the page /diag may know why.`, true, call)
    if (call.state === "connected") banner.settle(call)
    if (call.state !== "connected" || wasConnected) return
    wasConnected = true
    chat.news(isBack ? `${call.name} is back.` : `${call.name} is here.`)
    if (!isBack) announce(`${call.name} is here.`)
    setTimeout(() => void stage.look(), 300)
  })
  call.addEventListener("end", () => {
    banner.settle(call)
    const another = [...(conference?.calls.values() ?? [])].some(other => other !== call && other.isSameAs(call))
    if (another || !wasConnected) return
    chat.news(`${call.name} has left.`)
    announce(`${call.name} has left.`)
  })
}

/** @param {"connected" | "away" | "alone"} kind */
function showState(kind) {
  const state = byId("state", HTMLElement)
  const before = state.dataset.kind
  state.dataset.kind = kind
  state.textContent = STATES[kind]
  if (kind === "away") say("The server is lost for the moment. The call goes on, and this page comes back by itself.", true)
  else if (kind === "connected" && before === "away") say("The server is back.")
}

/**
 * Back to the lobby, with the reason if there is one.
 * @param {{ code?: string, message?: string }} [why]
 */
function goOut(why) {
  conference?.leave()
  conference = undefined
  stage.end()
  chat.end()
  security.close()
  hideBanner()
  byId("state", HTMLElement).dataset.kind = ""
  const words = why && refusalWords(why)
  if (words?.needsInvitation || invitation.ticket) {
    forget(invitation.room)
    invitation = { room: invitation.room }
  }
  showLobby()
  showRefusal(words)
  if (words) byId("refusal", HTMLElement).scrollIntoView({ block: "nearest" })
  joinButton.focus()
}

// What is ours.

/** @param {"camera" | "microphone"} kind @param {boolean} on */
async function turn(kind, on) {
  try {
    await media.turn(kind, on)
    say("")
    byId("media-words", HTMLElement).textContent = ""
  } catch (error) {
    complain(/** @type {Error} */ (error).message)
  }
}

async function toggleScreen() {
  if (media.screen) return media.unshare()
  await media.share().catch(error => complain(error.message))
}

/** @param {string} words */
function complain(words) {
  if (document.body.dataset.view === "lobby") byId("media-words", HTMLElement).textContent = words
  else say(words, true)
}

function showMedia() {
  const { camera, speaks, screen } = media
  for (const id of ["preview-microphone", "microphone-switch"]) setSwitch(byId(id, HTMLButtonElement), speaks, "microphone")
  for (const id of ["preview-camera", "camera-switch"]) setSwitch(byId(id, HTMLButtonElement), camera !== null, "camera")
  byId("screen-switch", HTMLButtonElement).setAttribute("aria-pressed", String(screen !== null))
  const picture = byId("preview-picture", HTMLVideoElement)
  picture.srcObject = camera ? media.stream : null
  picture.hidden = !camera
  byId("preview-words", HTMLElement).textContent = camera ? "" : "Your camera is off."
}

async function beginMedia() {
  if (!window.isSecureContext) {
    showRefusal(INSECURE)
    joinButton.disabled = true
    showMedia()
    return
  }
  const words = await media.begin()
  byId("media-words", HTMLElement).textContent = words
  showMedia()
}

// What is said.

/** @param {string} text for those who do not see it */
function announce(text) {
  byId("announcements", HTMLElement).textContent = text
}

/** @param {string} text @param {boolean} [stays] @param {PeerCall} [about] */
function say(text, stays = false, about = undefined) {
  banner.say(text, stays, about)
}

function hideBanner() {
  say("")
}

/**
 * A browser plays no sound before the user has done something.
 * @param {HTMLVideoElement} video
 */
function waitForUser(video) {
  say("Press any key or click, so that the browser plays the sound.", true)
  const play = () => {
    void video.play().catch(() => {})
    hideBanner()
  }
  for (const event of ["click", "keydown"]) document.addEventListener(event, play, { once: true })
}

async function stayAwake() {
  const lock = /** @type {any} */ (navigator).wakeLock
  if (document.visibilityState === "visible" && conference) await lock?.request("screen").catch(() => {})
}

async function copyLink() {
  const { origin } = location
  const link = `${origin}${pathOf(invitation.room)}#token=${encodeURIComponent(invitation.token ?? "")}`
  const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false)
  say(copied ? "The link is copied. Whoever opens it can join." : "The browser does not let this page copy.")
}

// Files that are dropped.

/** @param {DragEvent} event */
function drag(event) {
  if (!conference || !event.dataTransfer?.types.includes("Files")) return
  event.preventDefault()
  byId("drop", HTMLElement).hidden = event.type === "dragleave" && event.relatedTarget === null
}

/** @param {DragEvent} event */
function drop(event) {
  byId("drop", HTMLElement).hidden = true
  if (!conference || !event.dataTransfer?.files.length) return
  event.preventDefault()
  for (const file of event.dataTransfer.files) chat.sendFile(file)
}

/** @param {string} id @param {() => void} act */
function onClick(id, act) {
  byId(id, HTMLButtonElement).addEventListener("click", act)
}

entry.addEventListener("submit", event => void join(event))
for (const id of ["preview-microphone", "microphone-switch"]) onClick(id, () => void turn("microphone", !media.speaks))
for (const id of ["preview-camera", "camera-switch"]) onClick(id, () => void turn("camera", media.camera === null))
for (const id of ["preview-devices", "devices-switch"]) onClick(id, () => void devices.open())
onClick("screen-switch", () => void toggleScreen())
onClick("leave-switch", () => goOut())
onClick("copy-link", () => void copyLink())
media.addEventListener("change", showMedia)
media.addEventListener("lost", event => complain(`Your ${/** @type {CustomEvent} */ (event).detail} is gone. Choose another one under Devices.`))
for (const name of /** @type {const} */ (["dragenter", "dragover", "dragleave"])) document.addEventListener(name, drag)
document.addEventListener("drop", drop)
document.addEventListener("visibilitychange", () => void stayAwake())
window.addEventListener("pagehide", event => { if (!event.persisted) conference?.leave() })
if (!("getDisplayMedia" in (navigator.mediaDevices ?? {}))) byId("screen-switch", HTMLButtonElement).hidden = true

showLobby()
void beginMedia()
