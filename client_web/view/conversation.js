/**
 * Who speaks, the user or an assistant, and what both of them have said.
 * Events: `chosen` (detail: {source, assistant}).
 */

import { byId, el } from "./dom.js";

/** @typedef {{source: "microphone" | "assistant", assistant?: string}} Voice whose words the portrait says */
/** @typedef {{speaker: "user" | "assistant", id: string, text: string, final: boolean}} Caption */

const KEPT = 60; // captions; older ones go
const OWN = "The portrait says what you say.";
const GUEST = "A program has opened this session and speaks through it. Call to be heard by it.";

export class Conversation extends EventTarget {
  #own = /** @type {HTMLInputElement} */ (byId("own-voice"));
  #other = /** @type {HTMLInputElement} */ (byId("assistant-voice"));
  #which = /** @type {HTMLSelectElement} */ (byId("assistant"));
  #transcript = byId("transcript");
  #assistants = /** @type {import("../api.js").Assistant[]} */ ([]);
  #name = "";

  constructor() {
    super();
    for (const control of [this.#own, this.#other, this.#which]) control.addEventListener("change", () => this.#choose());
  }

  /** @returns {Voice} */
  get voice() {
    return this.#other.checked ? { source: "assistant", assistant: this.#which.value } : { source: "microphone" };
  }

  /** @param {import("../api.js").Assistant[]} assistants that the server has @param {Voice | null} kept */
  offer(assistants, kept) {
    this.#assistants = assistants;
    this.#which.replaceChildren(...assistants.map(({ name, title }) => el("option", { value: name }, title)));
    const known = assistants.some(({ name }) => name === kept?.assistant);
    if (known) this.#which.value = kept.assistant;
    this.#other.disabled = assistants.length === 0;
    this.#other.checked = kept?.source === "assistant" && known;
    this.#own.checked = !this.#other.checked;
    this.#show();
  }

  /** A program speaks, and nobody is asked. */
  join() {
    byId("voices").hidden = true;
    byId("conversation-hint").textContent = GUEST;
    this.#transcript.hidden = false;
  }

  /** @param {string} name of the portrait */
  portrait(name) {
    this.#name = name;
  }

  /** A new conversation. */
  clear() {
    this.#transcript.replaceChildren();
  }

  /** @param {Caption} caption takes the place of an earlier one with its id */
  caption({ speaker, id, text, final }) {
    const line = this.#line(speaker, id);
    if (!text) return line.remove(); // not one word of it was heard after all
    line.querySelector("span").textContent = text;
    line.classList.toggle("is-open", !final);
    this.#transcript.scrollTop = this.#transcript.scrollHeight;
  }

  #line(speaker, id) {
    const there = [...this.#transcript.children].find((line) => line.dataset.id === id);
    if (there) return there;
    const line = el("li", { className: speaker }, el("b", {}, speaker === "user" ? "You" : this.#name), el("span"));
    line.dataset.id = id;
    this.#transcript.append(line);
    if (this.#transcript.children.length > KEPT) this.#transcript.firstElementChild.remove();
    return line;
  }

  #choose() {
    this.#show();
    this.dispatchEvent(new CustomEvent("chosen", { detail: this.voice }));
  }

  #show() {
    const assisted = this.#other.checked;
    const chosen = this.#assistants.find(({ name }) => name === this.#which.value);
    byId("conversation-hint").textContent = assisted ? chosen.description : OWN;
    byId("assistant-field").hidden = !assisted || this.#assistants.length < 2;
    this.#transcript.hidden = !assisted;
  }
}
