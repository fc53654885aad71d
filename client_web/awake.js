/** Keeps the screen of a phone on during a call, in which nobody touches it. */

export class Awake {
  #wanted = false;
  #lock = /** @type {WakeLockSentinel | null} */ (null);

  constructor() {
    document.addEventListener("visibilitychange", () => this.#hold()); // a hidden page loses it
  }

  /** @param {boolean} wanted */
  keep(wanted) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    if (wanted) this.#hold();
    else this.#release();
  }

  async #hold() {
    if (!this.#wanted || document.hidden || !("wakeLock" in navigator)) return;
    this.#lock = await navigator.wakeLock.request("screen").catch(() => null); // refused, when the battery is low
    if (!this.#wanted) this.#release(); // no longer, meanwhile
  }

  #release() {
    this.#lock?.release();
    this.#lock = null;
  }
}
