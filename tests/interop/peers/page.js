// A browser's end of a call. The driver calls the methods of `peer`, each with one object, and carries what they
// return; everything between the two is JSON. `remote.py` says what the methods mean.
"use strict";

// What arrives before somebody asks for it.
class Queue {
  #items = [];
  #waiting = [];

  push(item) {
    const first = this.#waiting.shift();
    if (first) first(item);
    else this.#items.push(item);
  }

  next() {
    return new Promise((resolve) => {
      if (this.#items.length) resolve(this.#items.shift());
      else this.#waiting.push(resolve);
    });
  }
}

let connection;
const candidates = new Queue();
const signals = new Queue();
const ends = new Map(); // by label

class End {
  bytes = new Queue();
  texts = new Queue();
  #adopted;
  adopted = new Promise((resolve) => (this.#adopted = resolve));

  adopt(channel) {
    channel.binaryType = "arraybuffer";
    channel.onmessage = ({ data }) => (typeof data === "string" ? this.texts : this.bytes).push(data);
    this.#adopted(channel);
  }

  async open() {
    const channel = await this.adopted;
    if (channel.readyState === "connecting") await happened(channel, "open");
    return channel;
  }
}

function end(label) {
  if (!ends.has(label)) ends.set(label, new End());
  return ends.get(label);
}

function happened(target, event) {
  return new Promise((resolve) => target.addEventListener(event, resolve, { once: true }));
}

async function sha256(parts) {
  const digest = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Bytes that `seed` alone decides: xorshift32.
function bytesOf(seed, size) {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = seed * 2 + 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, size);
}

const described = ({ type, sdp }) => ({ type, sdp });

// The pair in use; Firefox has no transport in its report, and marks the pair instead.
function pairInUse(report) {
  const entries = [...report.values()];
  const transport = entries.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId);
  if (transport) return report.get(transport.selectedCandidatePairId);
  return entries.find((entry) => entry.type === "candidate-pair" && entry.selected);
}

const peer = {
  start({ iceServers, iceTransportPolicy, bundlePolicy = "balanced", media = [] }) {
    connection = new RTCPeerConnection({ iceServers, iceTransportPolicy, bundlePolicy });
    for (const kind of media) connection.addTransceiver(kind);
    connection.onicecandidate = ({ candidate }) => candidates.push(candidate && candidate.toJSON());
    connection.ondatachannel = ({ channel }) => end(channel.label).adopt(channel);
  },

  createChannel({ label, options }) {
    end(label).adopt(connection.createDataChannel(label, options));
  },

  async offer() {
    await connection.setLocalDescription(await connection.createOffer());
    return described(connection.localDescription);
  },

  async acceptOffer({ description }) {
    await connection.setRemoteDescription(description);
    await connection.setLocalDescription(await connection.createAnswer());
    return described(connection.localDescription);
  },

  acceptAnswer: ({ description }) => connection.setRemoteDescription(description),

  addCandidate: ({ candidate }) => connection.addIceCandidate(candidate),

  nextLocalCandidate: () => candidates.next(),

  async completeDescription() {
    while (connection.iceGatheringState !== "complete") await happened(connection, "icegatheringstatechange");
    return described(connection.localDescription);
  },

  async waitOpen({ label }) {
    await end(label).open();
  },

  async sendBytes({ label, total, seed, chunk }) {
    const channel = await end(label).open();
    const bytes = bytesOf(seed, total);
    channel.bufferedAmountLowThreshold = 1 << 18;
    for (let offset = 0; offset < total; offset += chunk) {
      if (channel.bufferedAmount > 1 << 20) await happened(channel, "bufferedamountlow");
      channel.send(bytes.subarray(offset, Math.min(offset + chunk, total)));
    }
    return sha256([bytes]);
  },

  async receiveBytes({ label, total }) {
    const parts = [];
    for (let size = 0; size < total; size += parts.at(-1).byteLength) parts.push(await end(label).bytes.next());
    return sha256(parts);
  },

  async channelState({ label }) {
    return (await end(label).adopted).readyState;
  },

  async sendText({ label, text }) {
    (await end(label).open()).send(text);
  },

  receiveText: ({ label }) => end(label).texts.next(),

  restartIce: () => connection.restartIce(),

  async selectedPair() {
    const report = await connection.getStats();
    const pair = pairInUse(report);
    if (!pair) return null;
    const local = report.get(pair.localCandidateId);
    const remote = report.get(pair.remoteCandidateId);
    return {
      local: local.candidateType,
      remote: remote.candidateType,
      protocol: local.protocol,
      relayProtocol: local.relayProtocol ?? null,
      localAddress: local.address ?? null,
      remoteAddress: remote.address ?? null,
      remoteUfrag: remote.usernameFragment ?? null,
    };
  },

  states: () => ({
    connection: connection.connectionState,
    ice: connection.iceConnectionState,
    signaling: connection.signalingState,
  }),

  // From here on the connection negotiates by itself, as the W3C's example of perfect negotiation does.
  negotiateByItself({ polite }) {
    let makingOffer = false;
    let ignoringOffer = false;
    connection.onicecandidate = ({ candidate }) => signals.push({ candidate: candidate && candidate.toJSON() });
    connection.onnegotiationneeded = async () => {
      try {
        makingOffer = true;
        await connection.setLocalDescription();
        signals.push({ description: described(connection.localDescription) });
      } finally {
        makingOffer = false;
      }
    };
    peer.deliver = async ({ signal: { description, candidate } }) => {
      if (!description) {
        try {
          await connection.addIceCandidate(candidate);
        } catch (error) {
          if (!ignoringOffer) throw error;
        }
        return;
      }
      const collision = description.type === "offer" && (makingOffer || connection.signalingState !== "stable");
      ignoringOffer = !polite && collision;
      if (ignoringOffer) return;
      await connection.setRemoteDescription(description);
      if (description.type === "offer") {
        await connection.setLocalDescription();
        signals.push({ description: described(connection.localDescription) });
      }
    };
  },

  nextSignal: () => signals.next(),

  close() {
    connection?.close();
  },
};

// What the driver calls.
async function call(method, given) {
  return (await peer[method](given)) ?? null;
}
