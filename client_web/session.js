/**
 * A session that is kept alive: created, connected, and after every loss tried again, until it is closed.
 *
 * Events: `status` (detail: Status), `stream` (detail: MediaStream), `control` (detail: Control), `received` (detail:
 * CallStats of this browser), `background` (detail: Error, why it was refused), and the server's `stats`, `speech` (of
 * the user), `state`, `activity`, `caption`, `degraded`, `error`.
 */

import { Call } from "./call.js";
import { Control } from "./control.js";

/**
 * @typedef {object} Status
 * @property {"closed" | "opening" | "live" | "waiting"} phase
 * @property {{code?: string, message?: string, reason?: string}} [error] why it waits
 * @property {number} [seconds] until the next try
 */

const BACKOFF_S = [1, 2, 4, 8, 10];
const SECOND_MS = 1_000;
const DEAD_AFTER_MS = 3_000; // of silence, where the control channel is gone too: sooner than ICE notices
const TOLD = Object.freeze(["stats", "speech", "state", "activity", "caption", "degraded", "error"]);
const FORGET_GRANT_ON = new Set(["no_session", "unauthorized"]);

export class Session extends EventTarget {
  #api;
  #abort = /** @type {AbortController | null} */ (null);
  #grant = /** @type {import("./api.js").SessionGrant | null} */ (null);
  #control = /** @type {Control | null} */ (null);
  #call = /** @type {Call | null} */ (null);
  #track = /** @type {MediaStreamTrack | null} */ (null);
  #hurry = new AbortController();
  #guest = false;
  #background = "photo";

  /** @param {import("./api.js").Api} api */
  constructor(api) {
    super();
    this.#api = api;
  }

  get wanted() {
    return this.#abort !== null;
  }

  /**
   * Shows a portrait; one that is shown already ends first.
   * @param {string} portrait @param {import("./view/conversation.js").Voice} voice
   */
  open(portrait, voice) {
    this.close();
    this.#abort = new AbortController();
    this.#keep({ portrait, ...voice }, this.#abort.signal);
  }

  /** Takes part in a session that somebody else has opened and will end. @param {import("./api.js").SessionGrant} grant */
  join(grant) {
    this.close();
    this.#abort = new AbortController();
    this.#guest = true;
    this.#adopt(grant);
    this.#keep(null, this.#abort.signal);
  }

  /** What the portrait says now is not to be said to its end. */
  interrupt() {
    this.#control?.send({ type: "speech.interrupt" });
  }

  /** What the person stands before, in this session and in later ones. @param {string} background */
  async standBefore(background) {
    this.#background = background;
    if (this.#grant) await this.#setBackground();
  }

  /** Speaks from now on with this microphone, also after a reconnection. @param {MediaStreamTrack | null} track */
  async speak(track) {
    this.#track = track;
    await this.#call?.speak(track);
  }

  close() {
    if (!this.#abort) return;
    this.#abort.abort();
    this.#abort = null;
    this.#hangUp();
    this.#forget();
    this.#guest = false;
    this.#status({ phase: "closed" });
  }

  /** Tries at once instead of after the pause. */
  retry() {
    this.#hurry.abort();
  }

  /** @param {object} wish @param {AbortSignal} signal */
  async #keep(wish, signal) {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        this.#status({ phase: "opening" });
        await this.#connect(wish, signal);
        attempt = 0;
        this.#status({ phase: "live" });
        await this.#untilLost(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#hangUp();
        if (error.reason || FORGET_GRANT_ON.has(error.code)) this.#forget();
        if (error.code === undefined && error.reason === undefined) throw error; // a fault of this page
        if (this.#guest && !this.#grant) return this.#leave(error);
        await this.#pause(error.retryAfter ?? BACKOFF_S[Math.min(attempt, BACKOFF_S.length - 1)], error, signal);
      }
    }
  }

  async #connect(wish, signal) {
    if (!this.#grant) await this.#create(wish, signal);
    signal.throwIfAborted(); // what is granted now may be another session's
    const call = new Call(this.#api, this.#grant);
    this.#call = call;
    this.#relay(call, { stream: "stream", stats: "received" });
    await call.connect(this.#track);
    await call.speak(this.#track); // it may have changed meanwhile
  }

  async #create(wish, signal) {
    const grant = await this.#api.createSession(wish);
    if (signal.aborted) {
      this.#end(grant);
      throw new DOMException("closed while opening", "AbortError");
    }
    this.#adopt(grant);
    if (this.#background !== "photo") await this.#setBackground();
  }

  /** A refusal is told by `background`; the picture then stays as it is. */
  async #setBackground() {
    try {
      await this.#api.setBackground(this.#grant, this.#background);
    } catch (error) {
      this.#background = "photo";
      this.dispatchEvent(new CustomEvent("background", { detail: error }));
    }
  }

  /** @param {import("./api.js").SessionGrant} grant */
  #adopt(grant) {
    this.#grant = grant;
    this.#control = new Control(this.#api.socket(grant.control), grant.token);
    this.#relay(this.#control, Object.fromEntries(TOLD.map((type) => [`message:${type}`, type])));
    this.dispatchEvent(new CustomEvent("control", { detail: this.#control }));
  }

  /** Rejects when media is lost or the server ends the session. @param {AbortSignal} signal */
  #untilLost(signal) {
    const call = this.#call;
    const control = this.#control;
    return new Promise((_, reject) => {
      call.addEventListener("lost", () => reject({ code: "lost" }), { once: true, signal });
      const shut = async () => (await call.silence()) > DEAD_AFTER_MS && reject({ code: "lost" });
      control.addEventListener("shut", shut, { signal });
      control.addEventListener("ended", ({ detail }) => reject({ reason: detail }), { once: true, signal });
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  }

  /** @param {number} seconds @param {object} error @param {AbortSignal} signal */
  async #pause(seconds, error, signal) {
    this.#hurry = new AbortController();
    const hurried = new Promise((resolve) => this.#hurry.signal.addEventListener("abort", resolve));
    for (let left = seconds; left > 0 && !signal.aborted && !this.#hurry.signal.aborted; left--) {
      this.#status({ phase: "waiting", error, seconds: left });
      await Promise.race([hurried, new Promise((resolve) => setTimeout(resolve, SECOND_MS))]);
    }
  }

  #hangUp() {
    this.#call?.close();
    this.#call = null;
  }

  #forget() {
    this.#control?.close();
    this.#control = null;
    if (this.#grant && !this.#guest) this.#end(this.#grant);
    this.#grant = null;
  }

  /** A guest opens no session of its own when the one it was in has ended. @param {object} error */
  #leave(error) {
    this.#status({ phase: "waiting", error, seconds: 0 });
    this.close();
  }

  /** The server frees an abandoned session by itself, so a failure here needs no word. */
  #end(grant) {
    this.#api.end(grant).catch((error) => console.debug("end of session:", error.message));
  }

  /** @param {EventTarget} source @param {Record<string, string>} names */
  #relay(source, names) {
    for (const [from, to] of Object.entries(names)) {
      source.addEventListener(from, ({ detail }) => this.dispatchEvent(new CustomEvent(to, { detail })));
    }
  }

  /** @param {Status} status */
  #status(status) {
    this.dispatchEvent(new CustomEvent("status", { detail: status }));
  }
}
