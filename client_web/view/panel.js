/** The Linear Emotion Space under the hand: emotions, the 41 units by region, timing and the portrait's own motion. */

import { EMOTIONS, REGIONS, UNITS, describe, regionOf } from "../les.js";
import { byId, drawing, el } from "./dom.js";
import { FACES } from "./glyphs.js";
import { Slider } from "./slider.js";

const PRESET = 0.8; // what a click on an emotion's face sets it to
const MOTIONS = Object.freeze([
  ["head", "Head"],
  ["gaze", "Gaze"],
  ["blink", "Blinks"],
]);

const capital = (word) => word[0].toUpperCase() + word.slice(1);

export class Panel {
  #expression;
  #emotions = /** @type {Map<string, Slider>} */ (new Map());
  #units = /** @type {Map<string, Slider>} */ (new Map());
  #counts = /** @type {Map<string, HTMLElement>} */ (new Map());
  #acknowledgement = byId("acknowledgement");

  /** @param {import("../expression.js").Expression} expression */
  constructor(expression) {
    this.#expression = expression;
    byId("emotions").append(...Object.keys(EMOTIONS).map((name) => this.#emotion(name)));
    byId("units").append(...REGIONS.map(([region, words]) => this.#region(region, words)));
    byId("motion").append(...MOTIONS.map(([part, words]) => this.#motion(part, words)));
    byId("reset").addEventListener("click", () => expression.reset());
    this.#transition();
    expression.addEventListener("wanted", () => this.#show());
    expression.addEventListener("applied", ({ detail }) => this.#confirm(detail));
    expression.addEventListener("refused", ({ detail }) => this.#say(detail.message, "refused"));
  }

  #emotion(name) {
    const set = (level) => this.#expression.set("emotion", name, level);
    const face = el("button", { type: "button", className: "face", title: `Only ${name}`, "aria-label": `Only ${name}, 80 %` });
    face.append(drawing("glyph", "0 0 28 28", FACES[name]));
    face.addEventListener("click", () => this.#expression.replace({ emotion: { [name]: PRESET }, units: {} }));
    const slider = new Slider({ label: [capital(name)], name: capital(name), onInput: set, className: "emotion" });
    this.#emotions.set(name, slider);
    slider.element.prepend(face);
    return slider.element;
  }

  #region(region, words) {
    const count = el("span", { className: "count" });
    this.#counts.set(region, count);
    const body = el("div", { className: "region-body" });
    for (const unit of UNITS.filter((candidate) => candidate.region === region)) body.append(...this.#unit(unit));
    return el("details", { className: "region" }, el("summary", {}, el("span", {}, words), count), body);
  }

  /** The person's right stands on the left, as in the picture. @param {import("../les.js").Unit} unit */
  #unit(unit) {
    const label = [el("abbr", { title: unit.label }, unit.name), ` ${unit.label}`];
    const rows = [this.#axis(unit.name, label)];
    if (!unit.sides) return rows;
    const number = unit.name.slice(2);
    const sides = ["R", "L"].map((side) => this.#axis(`AU${side}${number}`, [side], "side"));
    return [...rows, el("div", { className: "sides", role: "group", "aria-label": `${unit.name}, one side` }, ...sides)];
  }

  #axis(name, label, className = "unit") {
    const onInput = (level) => this.#expression.set("units", name, level);
    const slider = new Slider({ label, name: describe(name), onInput, className });
    this.#units.set(name, slider);
    return slider.element;
  }

  #motion(part, words) {
    const slider = new Slider({
      label: [words],
      name: `${words}: how much of it`,
      onInput: (amount) => {
        this.#expression.move(part, amount);
        slider.confirm(amount);
      },
    });
    slider.show(1);
    slider.confirm(1);
    return slider.element;
  }

  #transition() {
    const choice = /** @type {HTMLSelectElement} */ (byId("transition"));
    choice.addEventListener("change", () => (this.#expression.transitionMs = Number(choice.value)));
    this.#expression.transitionMs = Number(choice.value);
  }

  #show() {
    const { emotion, units } = this.#expression.wanted;
    for (const [name, slider] of this.#emotions) slider.show(emotion[name] ?? 0);
    for (const [name, slider] of this.#units) slider.show(units[name] ?? 0);
    for (const [region, count] of this.#counts) {
      const set = Object.keys(units).filter((name) => regionOf(name) === region).length;
      count.textContent = set ? String(set) : "";
      count.setAttribute("aria-label", set ? `${set} set` : "");
    }
    this.#say(this.#expression.pending ? "On its way" : "", "pending");
  }

  #confirm({ latencyMs, frame, asked }) {
    const { emotion, units } = this.#expression.applied;
    for (const [name, slider] of this.#emotions) slider.confirm(emotion[name] ?? 0);
    for (const [name, slider] of this.#units) slider.confirm(units[name] ?? 0);
    if (this.#expression.pending) return;
    this.#say(asked ? `Shown after ${Math.round(latencyMs)} ms, frame ${frame}` : "", "applied");
  }

  /** @param {string} words @param {"pending" | "applied" | "refused"} state */
  #say(words, state) {
    this.#acknowledgement.textContent = words;
    this.#acknowledgement.dataset.state = state;
  }
}

