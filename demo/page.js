// One end of a call that may only use relayed candidates. The driver (chromium.py) calls the functions below in this
// order: begin; offer or answer; accept; addCandidate as they come; opened; send and received; report.
// Whatever this page has to tell the other end goes through `signal`, a function that the driver puts on the window.
// `video` is what getUserMedia takes, null for a call without pictures.
"use strict";

const CHUNK = 16384; // the message size that every browser accepts
const HIGH_WATER = 1 << 20; // bytes waiting in the channel before the sender pauses

let connection;
let channel;
let startedAt;
let whenOpen;
const problems = [];
const arrived = { chunks: [], bytes: 0, expected: Infinity, whole: null };

async function begin(iceServers, video) {
  const stream = video && (await navigator.mediaDevices.getUserMedia({ video }));
  startedAt = performance.now();
  connection = new RTCPeerConnection({ iceServers, iceTransportPolicy: "relay" });
  connection.onicecandidate = ({ candidate }) => candidate && signal(JSON.stringify(candidate));
  connection.onicecandidateerror = ({ url, errorCode, errorText }) => {
    problems.push(`${url}: ${errorCode} ${errorText}`);
  };
  connection.ontrack = ({ streams }) => {
    document.getElementById("remote").srcObject = streams[0];
  };
  // Both ends know the channel's number, so that either may begin.
  channel = connection.createDataChannel("payload", { negotiated: true, id: 0 });
  channel.binaryType = "arraybuffer";
  channel.bufferedAmountLowThreshold = HIGH_WATER / 2;
  channel.onmessage = ({ data }) => take(data);
  whenOpen = new Promise((resolve) => {
    channel.onopen = () => resolve((performance.now() - startedAt) / 1000);
  });
  arrived.done = new Promise((resolve) => {
    arrived.whole = resolve;
  });
  for (const track of stream?.getTracks() ?? []) connection.addTrack(track, stream);
}

async function offer() {
  await connection.setLocalDescription(await connection.createOffer());
  return connection.localDescription.sdp;
}

async function answer(sdp) {
  await connection.setRemoteDescription({ type: "offer", sdp });
  await connection.setLocalDescription(await connection.createAnswer());
  return connection.localDescription.sdp;
}

async function accept(sdp) {
  await connection.setRemoteDescription({ type: "answer", sdp });
}

async function addCandidate(text) {
  await connection.addIceCandidate(JSON.parse(text));
}

// Seconds from the end of `begin`'s search for a camera until the data channel was open.
async function opened() {
  return whenOpen;
}

// Sends `total` random bytes; returns their SHA-256 in hexadecimal.
async function send(total) {
  const payload = new Uint8Array(total);
  for (let at = 0; at < total; at += 65536) crypto.getRandomValues(payload.subarray(at, at + 65536));
  for (let at = 0; at < total; at += CHUNK) {
    if (channel.bufferedAmount > HIGH_WATER) {
      await new Promise((resolve) => (channel.onbufferedamountlow = resolve));
    }
    channel.send(payload.subarray(at, at + CHUNK));
  }
  return hexDigest(payload);
}

// Waits for `total` bytes; returns how many came and their SHA-256.
async function received(total) {
  arrived.expected = total;
  if (arrived.bytes < total) await arrived.done;
  const whole = new Uint8Array(await new Blob(arrived.chunks).arrayBuffer());
  return { bytes: whole.length, sha256: await hexDigest(whole) };
}

function take(data) {
  arrived.chunks.push(data);
  arrived.bytes += data.byteLength;
  if (arrived.bytes >= arrived.expected) arrived.whole();
}

async function hexDigest(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What holds now.
async function report() {
  return { ...(await statisticsOf(connection)), problems };
}
