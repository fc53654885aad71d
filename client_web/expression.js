/**
 * The face that is wanted, and the one the server has acknowledged. Changes are coalesced: at most 25 messages a second
 * and few on the way at once; what is sent is always the newest whole target, so nothing old can win.
 *
 * Events: `wanted` (levels changed here), `applied` (detail: {latencyMs, frame, asked}: by the hand), `refused` (detail: the server's error).
 */

const EVERY_MS = 40;
const ON_THE_WAY = 4;

/** @typedef {{emotion: Record<string, number>, units: Record<string, number>}} Levels zero levels are left out */

const NEUTRAL = Object.freeze({ emotion: {}, units: {} });
const copy = ({ emotion, units }) => ({ emotion: { ...emotion }, units: { ...units } });

export class Expression extends EventTarget {
  /** @type {Levels} */
  wanted = copy(NEUTRAL);
  /** @type {Levels} */
  applied = copy(NEUTRAL);
  transitionMs = 300;
  motion = { head: 1, gaze: 1, blink: 1 };

  #control = /** @type {import("./control.js").Control | null} */ (null);
  #sent = /** @type {Map<number, {levels: Levels, at: number, asked: boolean}>} */ (new Map());
  #nextId = 1;
  #dirty = false;
  #asked = false; // whether the hand has moved since the last message
  #timer = 0;

  /** @param {"emotion" | "units"} kind @param {string} name @param {number} level 0 to 1 */
  set(kind, name, level) {
    if (level > 0) this.wanted[kind][name] = level;
    else delete this.wanted[kind][name];
    this.#change();
  }

  /** @param {Levels} levels */
  replace(levels) {
    this.wanted = copy(levels);
    this.#change();
  }

  reset() {
    this.replace(NEUTRAL);
  }

  /** @param {"head" | "gaze" | "blink"} part @param {number} amount 0 to 1 */
  move(part, amount) {
    this.motion[part] = amount;
    this.#control?.send({ type: "motion.set", [part]: amount });
  }

  /** Whether what is wanted is not yet what is shown. */
  get pending() {
    return this.#dirty || this.#sent.size > 0;
  }

  /** Follows a new control channel, and tells it all again each time it opens. @param {import("./control.js").Control} control */
  attach(control) {
    this.#control = control;
    control.addEventListener("open", () => this.#tell(control));
    control.addEventListener("message:emotion.applied", ({ detail }) => this.#acknowledge(detail));
    control.addEventListener("message:error", ({ detail }) => this.#refuse(detail));
    if (control.open) this.#tell(control);
  }

  #change() {
    this.#dirty = true;
    this.#asked = true;
    this.dispatchEvent(new Event("wanted"));
    this.#flush();
  }

  #tell(control) {
    this.#sent.clear();
    control.send({ type: "motion.set", ...this.motion });
    this.#dirty = true;
    this.#flush();
  }

  #flush() {
    if (!this.#dirty || this.#timer || this.#sent.size >= ON_THE_WAY || !this.#control?.open) return;
    const id = this.#nextId++;
    const levels = copy(this.wanted);
    this.#control.send({ ...this.#message(levels), id, transition_ms: this.transitionMs });
    this.#sent.set(id, { levels, at: performance.now(), asked: this.#asked });
    this.#dirty = false;
    this.#asked = false;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#flush();
    }, EVERY_MS);
  }

  /** @param {Levels} levels */
  #message({ emotion, units }) {
    const neutral = Object.keys(emotion).length + Object.keys(units).length === 0;
    return neutral ? { type: "emotion.reset" } : { type: "emotion.set", mode: "replace", emotion, units };
  }

  #acknowledge({ id, frame }) {
    const sent = this.#sent.get(id);
    if (!sent) return; // of an earlier connection, or another client of the session
    for (const earlier of this.#sent.keys()) if (earlier <= id) this.#sent.delete(earlier);
    this.applied = sent.levels;
    const detail = { latencyMs: performance.now() - sent.at, frame, asked: sent.asked };
    this.dispatchEvent(new CustomEvent("applied", { detail }));
    this.#flush();
  }

  #refuse(error) {
    this.#sent.delete(error.id);
    this.dispatchEvent(new CustomEvent("refused", { detail: error }));
    this.#flush();
  }
}
