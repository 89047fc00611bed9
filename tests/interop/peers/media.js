// What a page sends of sound and pictures, and what it finds in those that come: a tone is measured, and a clock is read
// from the pixels. `remote.py` says what the methods mean; `icelane.media.synthetic.clock_card` draws the same clock.
"use strict";

const COLUMNS = 12;
const ROWS = 4;
const CHECK_BITS = 14n;
const BARS = ["#b4b4b4", "#b4b410", "#10b4b4", "#10b410", "#b410b4", "#b41010", "#1010b4", "#101010"];

// zlib's CRC-32 of the number's four bytes, and of it the first bits.
function checkOf(number) {
  let crc = 0xffffffff;
  for (const shift of [24, 16, 8, 0]) {
    crc ^= (number >>> shift) & 0xff;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (~crc >>> 0) >>> (32 - Number(CHECK_BITS));
}

const edge = (index, count, size) => Math.floor((index * size) / count);

// The clock of both ends, which are on one machine: milliseconds since 1970, and of them 32 bits.
const clockNow = () => Math.floor(performance.timeOrigin + performance.now()) >>> 0;

function drawClock(context, width, height, number) {
  const bits = (BigInt(number) << CHECK_BITS) | BigInt(checkOf(number));
  for (let index = 0; index < COLUMNS * ROWS; index++) {
    const row = Math.floor(index / COLUMNS);
    const column = index % COLUMNS;
    const white = index === 1 || (index > 1 && (bits >> BigInt(COLUMNS * ROWS - 1 - index)) & 1n);
    context.fillStyle = white ? "#fff" : "#000";
    const left = edge(column, COLUMNS, width);
    const top = edge(row, ROWS, height >> 1);
    context.fillRect(left, top, edge(column + 1, COLUMNS, width) - left, edge(row + 1, ROWS, height >> 1) - top);
  }
  BARS.forEach((colour, index) => {
    context.fillStyle = colour;
    const left = edge(index, BARS.length, width);
    context.fillRect(left, height >> 1, edge(index + 1, BARS.length, width) - left, height - (height >> 1));
  });
  context.fillStyle = "#e1e1e1";
  context.fillRect(((number % 4096) * width) / 4096, height >> 1, Math.max(2, width >> 4), height);
}

// The number in a picture, null where there is none to be read.
function readClock(context, width, height) {
  const { data } = context.getImageData(0, 0, width, height >> 1);
  const levels = [];
  for (let index = 0; index < COLUMNS * ROWS; index++) {
    const row = Math.floor(index / COLUMNS);
    const column = index % COLUMNS;
    const x = (edge(column, COLUMNS, width) + edge(column + 1, COLUMNS, width)) >> 1;
    const y = (edge(row, ROWS, height >> 1) + edge(row + 1, ROWS, height >> 1)) >> 1;
    let sum = 0;
    for (const dy of [-2, 0, 2]) for (const dx of [-2, 0, 2]) sum += data[((y + dy) * width + x + dx) * 4 + 1];
    levels.push(sum / 9);
  }
  if (levels[1] - levels[0] < 40) return null;
  const middle = (levels[0] + levels[1]) / 2;
  let value = 0n;
  for (const level of levels.slice(2)) value = (value << 1n) | (level > middle ? 1n : 0n);
  const number = Number(value >> CHECK_BITS);
  return checkOf(number) === Number(value & ((1n << CHECK_BITS) - 1n)) ? number : null;
}

// By the positive-going zero crossings, of which most are a period apart also where some sound is missing.
function frequencyOf(samples, rate) {
  const crossings = [];
  for (let index = 1; index < samples.length; index++) {
    const [before, after] = [samples[index - 1], samples[index]];
    if (before < 0 && after >= 0) crossings.push(index - 1 + before / (before - after));
  }
  const periods = crossings.slice(1).map((one, index) => one - crossings[index]);
  const middle = periods.sort((one, other) => one - other).slice(periods.length >> 2, -(periods.length >> 2) || undefined);
  return middle.length ? (rate * middle.length) / middle.reduce((sum, one) => sum + one, 0) : 0;
}

const rootMeanSquare = (samples) => Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);

// Windows of 5 ms below a hundredth of the level of all.
function longestSilence(samples, rate) {
  const window = Math.floor(rate / 200);
  const floor = rootMeanSquare(samples) / 100;
  let longest = 0;
  let current = 0;
  for (let start = 0; start + window <= samples.length; start += window) {
    current = rootMeanSquare(samples.slice(start, start + window)) < floor ? current + 5 : 0;
    longest = Math.max(longest, current);
  }
  return longest;
}

let audio;
const sources = new Map(); // what is sent, by kind
let pictures;

function audioContext() {
  audio ??= new AudioContext({ sampleRate: 48000 });
  return audio;
}

// The newest: a track that is added again gets another one.
const sentBy = (kind) => connection.getTransceivers().findLast((one) => one.sender.track?.kind === kind);
const transceiverOf = (kind) => connection.getTransceivers().findLast((one) => one.receiver.track.kind === kind);

// The first remote track of a kind, now or when it comes.
async function remoteTrack(kind) {
  while (true) {
    const track = connection
      .getReceivers()
      .map((one) => one.track)
      .find((one) => one.kind === kind && one.readyState === "live" && !one.muted);
    if (track) return track;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// The element that plays a remote video; one that is let go of takes the pictures of the next with it.
async function watched(track) {
  if (pictures?.srcObject.getVideoTracks()[0] !== track) {
    pictures?.remove();
    pictures = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
    pictures.srcObject = new MediaStream([track]);
    document.body.append(pictures);
  }
  await pictures.play();
  return pictures;
}

// The samples of a stretch of the first remote sound, from where it is not silent any more.
async function listen(seconds) {
  const track = await remoteTrack("audio");
  const context = audioContext();
  await context.resume();
  const stream = new MediaStream([track]);
  // Chromium gives remote sound to the graph only while an element plays it.
  const element = Object.assign(new Audio(), { srcObject: stream, muted: true });
  await element.play();
  const source = new MediaStreamAudioSourceNode(context, { mediaStream: stream });
  const tap = context.createScriptProcessor(4096, 1, 1);
  const wanted = Math.ceil((seconds * context.sampleRate) / 4096);
  const parts = [];
  const done = new Promise((resolve) => {
    tap.onaudioprocess = ({ inputBuffer }) => {
      const part = inputBuffer.getChannelData(0).slice();
      if (parts.length || part.some((one) => Math.abs(one) > 1e-3)) parts.push(part);
      if (parts.length > wanted) resolve();
    };
  });
  source.connect(tap).connect(context.destination);
  await done;
  source.disconnect();
  tap.disconnect();
  element.srcObject = null;
  return { parts: parts.slice(1), rate: context.sampleRate };
}

function measured({ parts, rate }) {
  const samples = parts.flatMap((part) => Array.from(part));
  return {
    frequency: frequencyOf(samples, rate),
    level: rootMeanSquare(samples) * Math.SQRT2,
    longestSilence: longestSilence(samples, rate),
  };
}

// The next pictures of the first remote video, until the last of them was enough.
async function see(isEnough) {
  const element = await watched(await remoteTrack("video"));
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const seen = [];
  while (!isEnough(seen)) {
    const { width, height, rtpTimestamp } = await new Promise((resolve) =>
      element.requestVideoFrameCallback((_, frame) => resolve(frame)),
    );
    const at = clockNow();
    Object.assign(canvas, { width, height });
    context.drawImage(element, 0, 0, width, height);
    seen.push({ number: readClock(context, width, height), at, width, height, rtpTimestamp: rtpTimestamp ?? null });
  }
  return seen;
}

const statistics = async () => [...(await connection.getStats()).values()].map((entry) => ({ ...entry }));

Object.assign(peer, {
  capabilities: ({ kind }) => ({
    send: RTCRtpSender.getCapabilities(kind).codecs,
    receive: RTCRtpReceiver.getCapabilities(kind).codecs,
  }),

  async sendTone({ frequency, level }) {
    const context = audioContext();
    await context.resume();
    const oscillator = new OscillatorNode(context, { frequency });
    const gain = new GainNode(context, { gain: level });
    const destination = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
    oscillator.connect(gain).connect(destination);
    oscillator.start();
    sources.set("audio", { oscillator, stop: () => oscillator.stop() });
    connection.addTrack(destination.stream.getAudioTracks()[0], destination.stream);
  },

  sendClock({ width, height, frameRate }) {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d");
    const draw = () => drawClock(context, width, height, clockNow());
    draw();
    const stream = canvas.captureStream(frameRate);
    const timer = setInterval(draw, 1000 / frameRate);
    sources.set("video", { stop: () => clearInterval(timer) });
    connection.addTrack(stream.getVideoTracks()[0], stream);
  },

  addTransceiver: ({ kind, direction }) => void connection.addTransceiver(kind, { direction }),

  // Everything else of the kind stays behind it, so that retransmission and tones are still there.
  preferCodec({ kind, mimeType, parameters }) {
    const fits = (one) =>
      one.mimeType.toLowerCase() === mimeType.toLowerCase() && (!parameters || (one.sdpFmtpLine ?? "").includes(parameters));
    const all = RTCRtpReceiver.getCapabilities(kind).codecs;
    const ordered = [...all.filter(fits), ...all.filter((one) => !fits(one))];
    for (const one of connection.getTransceivers()) {
      if ((one.sender.track ?? one.receiver.track).kind === kind) one.setCodecPreferences(ordered);
    }
  },

  hearTone: async ({ seconds }) => measured(await listen(seconds)),

  seeClock: ({ frames }) => see((seen) => seen.length >= frames),

  async observe({ seconds }) {
    await Promise.all([remoteTrack("audio"), remoteTrack("video")]);
    const beginning = await statistics();
    const end = performance.now() + seconds * 1000;
    const sound = listen(seconds);
    const seen = await see(() => performance.now() >= end);
    const endedAt = clockNow();
    // Not before, because pictures would wait for it.
    return { pictures: seen, endedAt, before: beginning, after: await statistics(), tone: measured(await sound) };
  },

  setDirection({ kind, direction }) {
    transceiverOf(kind).direction = direction;
  },

  removeTrack({ kind }) {
    const { sender } = sentBy(kind);
    connection.removeTrack(sender);
    sources.get(kind)?.stop();
    sources.delete(kind);
  },

  stopTransceiver: ({ kind }) => transceiverOf(kind).stop(),

  async sendTones({ tones, duration, gap }) {
    const { dtmf } = sentBy("audio").sender;
    dtmf.insertDTMF(tones, duration, gap);
    while (dtmf.toneBuffer) await happened(dtmf, "tonechange");
  },

  transceivers: () =>
    connection.getTransceivers().map((one) => ({
      mid: one.mid,
      kind: one.receiver.track.kind,
      direction: one.direction,
      currentDirection: one.currentDirection,
      muted: one.receiver.track.muted,
    })),

  stats: statistics,
});
