/**
 * The row of portraits, and the way to add one.
 * Events: `chosen` (detail: Portrait), `photo` (detail: File), `removed` (detail: Portrait).
 */

import { byId, drawing, el } from "./dom.js";

const PLUS = Object.freeze(["M14 7v14M7 14h14"]);

export class Portraits extends EventTarget {
  #row = byId("portraits");
  #note = byId("portrait-note");
  #file = /** @type {HTMLInputElement} */ (el("input", { type: "file", accept: "image/jpeg,image/png,image/webp", hidden: true }));
  #progress = /** @type {HTMLProgressElement} */ (byId("upload-progress"));

  constructor() {
    super();
    this.#file.addEventListener("change", () => this.#offer(this.#file.files));
    this.#row.after(this.#file);
    const area = byId("portrait-section");
    area.addEventListener("dragover", (event) => event.preventDefault());
    area.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#offer(event.dataTransfer.files);
    });
  }

  /** @param {import("../api.js").Portrait[]} portraits @param {string | null} chosen id */
  show(portraits, chosen) {
    const held = this.#row.contains(document.activeElement); // by the keyboard, which would lose its place
    this.#row.replaceChildren(...portraits.map((portrait) => this.#card(portrait, portrait.id === chosen)), this.#adder());
    const card = /** @type {HTMLElement} */ (this.#row.querySelector("[aria-pressed=true]") ?? this.#row.querySelector(".card"));
    if (held) card.focus({ preventScroll: true });
    this.#row.scrollLeft = card.parentElement.offsetLeft - (this.#row.clientWidth - card.offsetWidth) / 2;
  }

  /** @param {number} share of the photo's bytes sent */
  uploading(share) {
    this.#progress.hidden = false;
    if (share < 1) this.#progress.value = share;
    else this.#progress.removeAttribute("value"); // all sent: how long the preparation takes is unknown
    this.#say(share < 1 ? "Sending the photo …" : "Finding the face and preparing the portrait …");
  }

  /** @param {import("../api.js").Portrait} portrait fresh from the server */
  added(portrait) {
    const { remarks, warnings } = portrait.report;
    this.#progress.hidden = true;
    const verdict = warnings.length ? "is ready, with reservations:" : "is ready.";
    const inOrder = [...remarks].sort((a, b) => Number(b.warning) - Number(a.warning));
    this.#say(`${portrait.name} ${verdict}`, inOrder.map(({ subject, words, warning }) => this.#remark(subject, words, warning)));
  }

  /** @param {string} words */
  refused(words) {
    this.#progress.hidden = true;
    this.#say(words, [], "refused");
  }

  #remark(subject, words, warning) {
    return el("li", { className: warning ? "warning" : "" }, `${subject[0].toUpperCase()}${subject.slice(1)}: ${words}`);
  }

  /** @param {string} words @param {HTMLLIElement[]} [points] @param {string} [state] */
  #say(words, points = [], state = "") {
    const list = points.length ? [el("ul", {}, ...points)] : [];
    this.#note.replaceChildren(el("p", {}, words), ...list);
    this.#note.dataset.state = state;
  }

  /** @param {FileList | null} files */
  #offer(files) {
    if (files?.length) this.dispatchEvent(new CustomEvent("photo", { detail: files[0] }));
    this.#file.value = "";
  }

  #card(portrait, chosen) {
    const picture = el("img", { src: portrait.thumbnail, alt: "", width: 72, height: 72, loading: "lazy" });
    const card = el("button", { type: "button", className: "card", "aria-pressed": chosen }, picture, el("span", {}, portrait.name));
    card.addEventListener("click", () => this.#emit("chosen", portrait));
    return el("li", {}, card, ...(portrait.default ? [] : [this.#remover(portrait)]));
  }

  #remover(portrait) {
    const remove = el("button", { type: "button", className: "remove", "aria-label": `Delete ${portrait.name}`, title: "Delete" }, "×");
    remove.addEventListener("click", () => this.#emit("removed", portrait));
    return remove;
  }

  #adder() {
    const add = el("button", { type: "button", className: "card add" }, drawing("glyph", "0 0 28 28", PLUS), el("span", {}, "Add photo"));
    add.addEventListener("click", () => this.#file.click());
    return el("li", {}, add);
  }

  /** What was said of an earlier photo is over. @param {string} type @param {import("../api.js").Portrait} portrait */
  #emit(type, portrait) {
    this.#note.replaceChildren();
    this.dispatchEvent(new CustomEvent(type, { detail: portrait }));
  }
}
