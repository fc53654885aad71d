/** The vector itself: 41 bars in the order of the axes, drawn from what the server has acknowledged. */

import { AXES, describe, regionOf } from "../les.js";
import { byId, el } from "./dom.js";

export class Spectrum {
  #bars = /** @type {Map<string, HTMLElement>} */ (new Map());
  #words = byId("vector-words");

  constructor() {
    for (const axis of AXES) {
      const bar = el("i", { title: describe(axis) });
      bar.dataset.region = regionOf(axis);
      this.#bars.set(axis, bar);
    }
    byId("vector").append(...this.#bars.values());
    this.show({});
  }

  /** @param {Record<string, number>} units non-zero axes */
  show(units) {
    for (const [axis, bar] of this.#bars) bar.style.setProperty("--level", String(units[axis] ?? 0));
    const set = AXES.filter((axis) => units[axis] > 0).map((axis) => `${axis} ${units[axis].toFixed(2)}`);
    this.#words.textContent = set.length ? set.join(", ") : "Neutral: all 41 axes at zero";
  }
}
