/**
 * The portrait and the call's controls.
 * Events: `call`, `hangup`, `mute`, `interrupt`, `sound`, `device` (detail: id), `retry`, `paused` (by the browser).
 */

import { byId, el } from "./dom.js";

/** @typedef {"still" | "connecting" | "live" | "asking" | "talking" | "idle" | "listening" | "thinking" | "speaking"} Scene */

const SAYS = Object.freeze({
  still: "Still picture",
  connecting: "Connecting …",
  live: "Live",
  asking: "Waiting for your microphone …",
  talking: "In a call",
  idle: "Waiting for you",
  listening: "Listening",
  thinking: "Thinking …",
  speaking: "Speaking",
});
const DOUBLE_TAP_MS = 350;
const IN_CALL = new Set(["talking", "idle", "listening", "thinking", "speaking"]);

export class Stage extends EventTarget {
  #figure = byId("portrait");
  #still = /** @type {HTMLImageElement} */ (byId("still"));
  #video = /** @type {HTMLVideoElement} */ (byId("live"));
  #callButton = /** @type {HTMLButtonElement} */ (byId("call"));
  #mute = /** @type {HTMLButtonElement} */ (byId("mute"));
  #interrupt = /** @type {HTMLButtonElement} */ (byId("interrupt"));
  #sound = /** @type {HTMLButtonElement} */ (byId("sound"));
  #devices = /** @type {HTMLSelectElement} */ (byId("microphone"));
  #alert = byId("alert");
  #scene = /** @type {Scene} */ ("still");
  #inCall = false;
  #clock = 0;
  #pressed = -Infinity;

  constructor() {
    super();
    this.#callButton.addEventListener("click", ({ detail, timeStamp }) => {
      const again = detail > 1 || timeStamp - this.#pressed < DOUBLE_TAP_MS; // phones call each tap the first
      this.#pressed = timeStamp;
      if (!again) this.#emit(this.#inCall ? "hangup" : "call"); // the second would take the first back
    });
    this.#video.addEventListener("pause", () => this.#emit("paused"));
    this.#mute.addEventListener("click", () => this.#emit("mute"));
    this.#interrupt.addEventListener("click", () => this.#emit("interrupt"));
    this.#sound.addEventListener("click", () => this.#emit("sound"));
    this.#devices.addEventListener("change", () => this.#emit("device", this.#devices.value));
    byId("retry").addEventListener("click", () => this.#emit("retry"));
    byId("dismiss").addEventListener("click", () => this.clear());
  }

  /** @param {import("../api.js").Portrait} portrait */
  portrait(portrait) {
    this.#still.src = portrait.thumbnail;
    this.#still.alt = `Portrait of ${portrait.name}`;
    this.name(portrait);
    this.offAir();
  }

  /** @param {import("../api.js").Portrait} portrait that is live already */
  name(portrait) {
    this.#video.setAttribute("aria-label", `${portrait.name}, live`);
    byId("name").textContent = portrait.name;
  }

  /** @param {Scene} scene @param {boolean} inCall whether the button hangs up */
  scene(scene, inCall) {
    this.#scene = scene;
    this.#inCall = inCall || scene === "asking";
    this.#figure.dataset.scene = scene;
    byId("status").textContent = SAYS[scene];
    byId("call-words").textContent = this.#inCall ? "Hang up" : "Call";
    this.#callButton.classList.toggle("is-on", this.#inCall);
    this.#callButton.setAttribute("aria-busy", String(scene === "asking"));
    this.#mute.disabled = !this.#inCall;
    this.#timeCall();
  }

  /** @param {boolean} shown @param {boolean} enabled whether there is something to interrupt */
  interruptible(shown, enabled) {
    this.#interrupt.hidden = !shown;
    this.#interrupt.disabled = !enabled;
  }

  /** @param {MediaStream} stream @returns {Promise<void>} rejects where the browser refuses to play */
  async onAir(stream) {
    const shown = () => (this.#figure.dataset.live = "yes");
    this.#video.srcObject = stream;
    if ("requestVideoFrameCallback" in this.#video) this.#video.requestVideoFrameCallback(shown);
    else this.#video.addEventListener("playing", shown, { once: true });
    await this.#video.play();
  }

  /** Goes on with what the browser has paused. @returns {Promise<void>} rejects where it refuses */
  async resume() {
    if (this.#video.srcObject?.active && this.#video.paused) await this.#video.play();
  }

  /** No call can be held here. */
  close() {
    this.#callButton.disabled = true;
  }

  /** The still picture takes over again. */
  offAir() {
    delete this.#figure.dataset.live;
    this.speaking(false);
  }

  /** @param {boolean} active */
  speaking(active) {
    this.#figure.classList.toggle("is-speaking", active);
  }

  /** @param {boolean} audible */
  listen(audible) {
    this.#video.muted = !audible;
  }

  /** @param {boolean} on the user's wish to hear the portrait */
  soundButton(on) {
    this.#sound.setAttribute("aria-pressed", String(!on));
    byId("sound-words").textContent = on ? "Sound on" : "Sound off";
  }

  /** @param {boolean} muted */
  muteButton(muted) {
    this.#mute.setAttribute("aria-pressed", String(muted));
    byId("mute-words").textContent = muted ? "Unmute" : "Mute";
  }

  /** @param {MediaDeviceInfo[]} devices @param {string} chosen */
  microphones(devices, chosen) {
    const options = devices.map(({ deviceId, label }, i) => el("option", { value: deviceId }, label || `Microphone ${i + 1}`));
    this.#devices.replaceChildren(el("option", { value: "" }, "Default microphone"), ...options);
    this.#devices.value = devices.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
  }

  /**
   * Says what is wrong, once; the countdown beside it is not read aloud every second.
   * @param {string} words @param {string} [countdown] @param {boolean} [retry] whether trying at once makes sense
   */
  complain(words, countdown = "", retry = false) {
    const said = byId("alert-words");
    if (said.textContent !== words) said.textContent = words;
    byId("countdown").textContent = countdown;
    byId("retry").hidden = !retry;
    byId("dismiss").hidden = retry;
    this.#alert.hidden = false;
  }

  clear() {
    this.#alert.hidden = true;
    byId("alert-words").textContent = "";
  }

  #timeCall() {
    const clock = byId("clock");
    if (IN_CALL.has(this.#scene) && !this.#clock) {
      const began = performance.now();
      const show = () => {
        const seconds = Math.floor((performance.now() - began) / 1000);
        clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
      };
      show();
      this.#clock = setInterval(show, 1000);
    } else if (!this.#inCall) {
      clearInterval(this.#clock);
      this.#clock = 0;
      clock.textContent = "";
    }
  }

  /** @param {string} type @param {unknown} [detail] */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
