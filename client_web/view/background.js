/**
 * What the person stands before.
 * Events: `chosen` (detail: string, as the protocol names it).
 */

import { byId, el } from "./dom.js";

const SIDE = 512; // pixels of a picture that is sent
const QUALITY = 0.85;

export class Background extends EventTarget {
  #kind = /** @type {HTMLSelectElement} */ (byId("background"));
  #colour = /** @type {HTMLInputElement} */ (byId("background-colour"));
  #note = byId("background-note");
  #file = /** @type {HTMLInputElement} */ (el("input", { type: "file", accept: "image/jpeg,image/png,image/webp", hidden: true }));
  #last = "photo";

  constructor() {
    super();
    this.#kind.after(this.#file); // iOS tells nothing of one outside the page
    this.#kind.addEventListener("change", () => this.#turnTo(this.#kind.value));
    this.#colour.addEventListener("change", () => this.#choose(this.#colour.value));
    this.#file.addEventListener("change", () => this.#send(this.#file.files[0]));
    this.#file.addEventListener("cancel", () => this.#show());
  }

  /** The server keeps the photo's own. @param {string} words */
  refused(words) {
    this.#last = "photo";
    this.#show(words);
  }

  /** @param {string} kind */
  #turnTo(kind) {
    if (kind === "picture") this.#file.click();
    else this.#choose(kind === "colour" ? this.#colour.value : kind);
  }

  /** @param {string} background */
  #choose(background) {
    this.#last = background;
    this.#show();
    this.dispatchEvent(new CustomEvent("chosen", { detail: background }));
  }

  #show(words = "") {
    this.#kind.value = this.#last.startsWith("data:") ? "picture" : this.#last.startsWith("#") ? "colour" : this.#last;
    this.#colour.hidden = this.#kind.value !== "colour";
    this.#note.textContent = words;
  }

  /** A middle square, as small as the server's limit wants it. @param {File} file */
  async #send(file) {
    this.#file.value = "";
    const bitmap = await createImageBitmap(file).catch(() => null);
    if (!bitmap) return this.#show("This file is no picture that the browser can read.");
    const square = Math.min(bitmap.width, bitmap.height);
    const canvas = /** @type {HTMLCanvasElement} */ (el("canvas", { width: SIDE, height: SIDE }));
    const [left, top] = [(bitmap.width - square) / 2, (bitmap.height - square) / 2];
    canvas.getContext("2d").drawImage(bitmap, left, top, square, square, 0, 0, SIDE, SIDE);
    this.#choose(canvas.toDataURL("image/jpeg", QUALITY));
  }
}
