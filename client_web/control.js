/**
 * The control channel: JSON both ways over a WebSocket that comes back by itself while its session lives.
 *
 * Events: `open`, `shut` (will return), `ended` (detail: reason; will not), and `message:TYPE` (detail: the message).
 */

/** Close codes after which no other try can succeed: the standard ones of a server that stops, and our own. */
const FINAL = Object.freeze({ 1001: "shutdown", 1012: "shutdown", 4401: "unauthorized", 4403: "origin_refused", 4404: "no_session", 4409: "taken" });
const LONGEST_WAIT_MS = 5_000;

export class Control extends EventTarget {
  #url;
  #protocols;
  #socket = /** @type {WebSocket | null} */ (null);
  #timer = 0;
  #attempt = 0;
  #over = false;

  /** @param {string} url @param {string} token travels as a subprotocol, which stays out of access logs */
  constructor(url, token) {
    super();
    this.#url = url;
    this.#protocols = ["les-avatar", `token.${token}`];
    this.#dial();
  }

  get open() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** @param {Record<string, unknown>} message @returns {boolean} whether it was sent */
  send(message) {
    if (this.open) this.#socket.send(JSON.stringify(message));
    return this.open;
  }

  close() {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #dial() {
    this.#socket = new WebSocket(this.#url, this.#protocols);
    this.#socket.addEventListener("open", () => {
      this.#attempt = 0;
      this.dispatchEvent(new Event("open"));
    });
    this.#socket.addEventListener("message", ({ data }) => this.#hear(JSON.parse(data)));
    this.#socket.addEventListener("close", ({ code }) => this.#shut(code));
  }

  #hear(message) {
    if (message.type === "closed") this.#end(message.reason);
    else this.dispatchEvent(new CustomEvent(`message:${message.type}`, { detail: message }));
  }

  /** @param {number} code */
  #shut(code) {
    if (this.#over) return;
    if (FINAL[code]) return this.#end(FINAL[code]);
    this.dispatchEvent(new Event("shut"));
    this.#timer = setTimeout(() => this.#dial(), Math.min(LONGEST_WAIT_MS, 250 * 2 ** this.#attempt++));
  }

  /** @param {string} reason */
  #end(reason) {
    if (this.#over) return;
    this.close();
    this.dispatchEvent(new CustomEvent("ended", { detail: reason }));
  }
}
