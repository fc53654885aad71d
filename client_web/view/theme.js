/** Light or dark: the system's wish until the user says otherwise, then the user's. */

import { byId } from "./dom.js";

const KEY = "les-avatar.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

export class Theme {
  #button = byId("theme");

  constructor() {
    const kept = localStorage.getItem(KEY);
    if (kept) document.documentElement.dataset.theme = kept;
    this.#button.addEventListener("click", () => this.#choose(this.#isDark ? "light" : "dark"));
    dark.addEventListener("change", () => this.#show());
    this.#show();
  }

  get #isDark() {
    return (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  }

  /** @param {"light" | "dark"} theme */
  #choose(theme) {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(KEY, theme);
    this.#show();
  }

  #show() {
    this.#button.setAttribute("aria-label", this.#isDark ? "Switch to light colours" : "Switch to dark colours");
    this.#button.setAttribute("aria-pressed", String(this.#isDark));
  }
}
