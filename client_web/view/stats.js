/** One line of measurements, quiet when there is nothing to measure. */

import { byId } from "./dom.js";

const DASH = "–";
const FULL_RATE = 25;
/** @param {number | null | undefined} value @param {number} digits @returns {string} */
const number = (value, digits = 0) => (Number.isFinite(value) ? value.toFixed(digits) : DASH);

export class Stats {
  #cells = Object.fromEntries(["fps", "latency", "offset", "bitrate", "rtt", "codec"].map((id) => [id, byId(`stat-${id}`)]));
  #latency = byId("latency");
  #strain = byId("stat-strain");
  /** What the server shows a second while part of it stands still and is not sent; else null. */
  #still = /** @type {number | null} */ (null);

  /** @param {import("../call.js").CallStats} received as this browser measures it */
  received(received) {
    this.#cells.fps.textContent = number(this.#still ?? received.fps);
    this.#cells.bitrate.textContent = number(received.kbps && received.kbps / 1000, 2);
    this.#cells.rtt.textContent = number(received.rttMs);
  }

  /** @param {Record<string, number | string | null>} stats as the server sends them */
  told(stats) {
    this.#still = stats.still_fps > 0 ? stats.fps : null;
    this.#latency.hidden = stats.latency_ms === null; // there is one only of a voice that the portrait says after
    this.#cells.latency.textContent = number(stats.latency_ms);
    this.#cells.offset.textContent = number(stats.av_offset_ms);
    this.#cells.codec.textContent = { H264: "H.264" }[stats.codec] ?? stats.codec ?? DASH;
  }

  /** @param {{fps: number}} drawn what a server draws that can't keep up: fewer frames before smaller ones */
  degraded(drawn) {
    this.#strain.textContent = drawn.fps < FULL_RATE ? "(the server is busy)" : "";
  }

  clear() {
    this.#strain.textContent = "";
    this.#latency.hidden = true;
    this.#still = null;
    for (const cell of Object.values(this.#cells)) cell.textContent = DASH;
  }
}
