/**
 * A labelled level from 0 to 1. The thumb stands where the user put it, the filled track where the server says the face
 * is: while the two differ the change is on its way.
 */

import { el } from "./dom.js";

let count = 0;

/** @param {number} level @returns {string} */
export const percent = (level) => `${Math.round(level * 100)} %`;

export class Slider {
  #input;
  #output;
  element;

  /**
   * @param {object} options
   * @param {(Node | string)[]} options.label what stands before the track
   * @param {string} options.name what a screen reader says
   * @param {(level: number) => void} options.onInput
   * @param {string} [options.className]
   */
  constructor({ label, name, onInput, className = "" }) {
    const id = `level-${++count}`;
    this.#input = el("input", { id, type: "range", min: "0", max: "100", step: "1", value: "0", "aria-label": name });
    this.#output = el("span", { className: "value", "aria-hidden": "true" }); // the input says it itself
    this.element = el("div", { className: `slider ${className}` }, el("label", { htmlFor: id }, ...label), this.#input, this.#output);
    this.#input.addEventListener("input", () => {
      onInput(this.level);
      this.#write(this.level);
    });
    this.#input.addEventListener("dblclick", () => {
      onInput(0);
      this.show(0);
    });
    this.show(0);
    this.confirm(0);
  }

  get level() {
    return Number(this.#input.value) / 100;
  }

  /** @param {number} level wanted */
  show(level) {
    this.#input.value = String(Math.round(level * 100));
    this.#write(level);
  }

  /** @param {number} level acknowledged */
  confirm(level) {
    this.#input.style.setProperty("--applied", percent(level).replace(" ", ""));
  }

  #write(level) {
    this.#output.textContent = Math.round(level * 100).toString();
    this.#input.setAttribute("aria-valuetext", percent(level));
    this.element.classList.toggle("is-set", level > 0);
  }
}
