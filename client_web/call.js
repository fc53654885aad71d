/**
 * One peer connection: the portrait's picture and sound down, the microphone up.
 * The audio section is offered both ways from the start, so that talking and falling silent exchange a track and
 * never the connection: the picture does not stop.
 *
 * Events: `stream` (detail: MediaStream), `connected`, `lost`, `stats` (detail: CallStats).
 */

/** @typedef {{fps: number | null, kbps: number | null, rttMs: number | null, jitterMs: number | null}} CallStats */

const CONNECT_TIMEOUT_MS = 12_000;
const DISCONNECT_GRACE_MS = 3_000; // ICE often recovers from a short loss by itself
const PICTURE_BUFFER_MS = 80; // what sound needs on its way to the ear: lips match from the first second, not the thirtieth
const STATS_EVERY_MS = 1_000;

export class Call extends EventTarget {
  #api;
  #session;
  #peer;
  #audio;
  #pending = /** @type {RTCIceCandidateInit[] | null} */ ([]);
  #timers = { grace: 0, stats: 0 };
  #last = { bytes: 0, time: 0 };
  #heard = { bytes: 0, at: 0 };
  #connected = false;

  /** @param {import("./api.js").Api} api @param {import("./api.js").SessionGrant} session */
  constructor(api, session) {
    super();
    this.#api = api;
    this.#session = session;
    this.#peer = new RTCPeerConnection({ iceServers: session.ice_servers });
    this.#audio = this.#peer.addTransceiver("audio", { direction: "sendrecv" });
    this.#peer.addTransceiver("video", { direction: "recvonly" });
    const stream = new MediaStream();
    this.#peer.addEventListener("track", ({ track, receiver }) => {
      if (track.kind === "video" && "jitterBufferTarget" in receiver) receiver.jitterBufferTarget = PICTURE_BUFFER_MS;
      stream.addTrack(track);
      this.dispatchEvent(new CustomEvent("stream", { detail: stream }));
    });
    this.#peer.addEventListener("icecandidate", ({ candidate }) => candidate && this.#trickle(candidate.toJSON()));
    this.#peer.addEventListener("connectionstatechange", () => this.#follow());
  }

  /**
   * Offers, and resolves once media flows.
   * @param {MediaStreamTrack | null} track the microphone, if there is one already
   */
  async connect(track) {
    await this.#audio.sender.replaceTrack(track);
    await this.#peer.setLocalDescription();
    const answer = await this.#api.offer(this.#session, { type: "offer", sdp: this.#peer.localDescription.sdp });
    await this.#peer.setRemoteDescription(answer);
    this.#flush();
    await this.#untilConnected();
  }

  /** @param {MediaStreamTrack | null} track null falls silent */
  async speak(track) {
    await this.#audio.sender.replaceTrack(track);
  }

  /** @returns {Promise<number>} milliseconds for which nothing has come; sound comes all the time */
  async silence() {
    await this.#measure();
    return performance.now() - this.#heard.at;
  }

  close() {
    clearTimeout(this.#timers.grace);
    clearInterval(this.#timers.stats);
    this.#peer.close();
  }

  #untilConnected() {
    return new Promise((resolve, reject) => {
      const give = () => reject(Object.assign(new Error("media did not connect"), { code: "media" }));
      const timer = setTimeout(give, CONNECT_TIMEOUT_MS);
      const settle = (then) => () => (clearTimeout(timer), then());
      this.addEventListener("connected", settle(resolve), { once: true });
      this.addEventListener("lost", settle(give), { once: true });
      if (this.#connected) settle(resolve)();
    });
  }

  /** @param {RTCIceCandidateInit} candidate */
  #trickle(candidate) {
    if (this.#pending) this.#pending.push(candidate); // the server knows no offer yet
    else this.#send([candidate]);
  }

  #flush() {
    const found = this.#pending ?? [];
    this.#pending = null;
    if (found.length) this.#send(found);
  }

  /** A candidate that gets lost costs a path, not the call: others may connect. @param {RTCIceCandidateInit[]} candidates */
  #send(candidates) {
    this.#api.candidates(this.#session, candidates).catch((error) => console.warn("candidates:", error.message));
  }

  #follow() {
    clearTimeout(this.#timers.grace);
    const state = this.#peer.connectionState;
    if (state === "connected") this.#arrive();
    else if (state === "disconnected") this.#timers.grace = setTimeout(() => this.#lose(), DISCONNECT_GRACE_MS);
    else if (state === "failed") this.#lose();
  }

  #arrive() {
    if (this.#connected) return;
    this.#connected = true;
    this.#heard.at = performance.now();
    this.#timers.stats = setInterval(() => this.#measure(), STATS_EVERY_MS);
    this.dispatchEvent(new Event("connected"));
  }

  #lose() {
    this.close();
    this.dispatchEvent(new Event("lost"));
  }

  async #measure() {
    /** @type {CallStats} */
    const stats = { fps: null, kbps: null, rttMs: null, jitterMs: null };
    let bytes = 0;
    for (const report of (await this.#peer.getStats()).values()) {
      if (report.type === "inbound-rtp") bytes += report.bytesReceived;
      if (report.type === "inbound-rtp" && report.kind === "video") this.#ofVideo(report, stats);
      if (report.type === "candidate-pair" && report.nominated) stats.rttMs = (report.currentRoundTripTime ?? 0) * 1000;
    }
    if (bytes > this.#heard.bytes) this.#heard = { bytes, at: performance.now() };
    this.dispatchEvent(new CustomEvent("stats", { detail: stats }));
  }

  #ofVideo(report, stats) {
    const seconds = (report.timestamp - this.#last.time) / 1000;
    if (this.#last.time && seconds > 0) stats.kbps = ((report.bytesReceived - this.#last.bytes) * 8) / seconds / 1000;
    this.#last = { bytes: report.bytesReceived, time: report.timestamp };
    stats.fps = report.framesPerSecond ?? null;
    stats.jitterMs = (report.jitter ?? 0) * 1000;
  }
}
