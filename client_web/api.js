/** The server's HTTP calls. Every refusal becomes an ApiError with the server's code and message. */

/** @typedef {{warnings: string[], remarks: {subject: string, words: string, warning: boolean}[]}} Report */
/** @typedef {{id: string, name: string, default: boolean, thumbnail: string, report: Report}} Portrait */
/** @typedef {{name: string, title: string, description: string}} Assistant */
/** @typedef {{id: string, token: string, control: string, ice_servers: RTCIceServer[]}} SessionGrant */

export class ApiError extends Error {
  /** @param {string} code @param {string} message @param {number} status @param {number | null} retryAfter seconds */
  constructor(code, message, status, retryAfter = null) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const UNREACHABLE = () => new ApiError("unreachable", "The server can’t be reached.", 0);

/** @param {number} status @param {string} body @param {string | null} retryAfter */
function refusal(status, body, retryAfter) {
  let told = {};
  try {
    told = JSON.parse(body);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error; // a proxy's page, say: the status speaks for itself
  }
  const seconds = Number.parseInt(retryAfter ?? "", 10);
  return new ApiError(told.code ?? "failed", told.message ?? `The server answered ${status}.`, status, seconds || null);
}

export class Api {
  #base;

  /** @param {string | URL} base where the server is */
  constructor(base = location.origin) {
    this.#base = base;
  }

  /** @param {string} path @returns {string} the control channel's address */
  socket(path) {
    return new URL(path, this.#base).href.replace(/^http/, "ws");
  }

  /** @returns {Promise<Portrait[]>} */
  async portraits() {
    return (await this.#call("GET", "/v1/portraits")).portraits;
  }

  /** @returns {Promise<Assistant[]>} the default first */
  async assistants() {
    return (await this.#call("GET", "/v1/assistants")).assistants;
  }

  /** @param {string} id */
  async deletePortrait(id) {
    await this.#call("DELETE", `/v1/portraits/${encodeURIComponent(id)}`);
  }

  /**
   * Sends a photo; resolves with its portrait once the server has prepared it.
   * @param {File} photo @param {(share: number) => void} onProgress share of the bytes sent, 0 to 1
   * @returns {Promise<Portrait>}
   */
  upload(photo, onProgress) {
    const form = new FormData();
    form.append("photo", photo);
    form.append("name", photo.name.replace(/\.[^.]*$/, "").slice(0, 80) || "Portrait");
    const request = new XMLHttpRequest(); // fetch tells nothing of an upload's progress
    return new Promise((resolve, reject) => {
      request.upload.addEventListener("progress", (event) => {
        if (event.lengthComputable) onProgress(event.loaded / event.total);
      });
      request.addEventListener("error", () => reject(UNREACHABLE()));
      request.addEventListener("load", () => {
        if (request.status === 201) resolve(JSON.parse(request.responseText));
        else reject(refusal(request.status, request.responseText, request.getResponseHeader("Retry-After")));
      });
      request.open("POST", new URL("/v1/portraits", this.#base));
      request.send(form);
    });
  }

  /** @param {{portrait: string, source: string, assistant?: string, seed?: number, size?: number}} wish @returns {Promise<SessionGrant>} */
  createSession(wish) {
    return this.#call("POST", "/v1/sessions", { body: wish });
  }

  /** @param {SessionGrant} session @param {RTCSessionDescriptionInit} offer @returns {Promise<RTCSessionDescriptionInit>} */
  offer(session, offer) {
    return this.#call("POST", `/v1/sessions/${session.id}/offer`, { token: session.token, body: offer });
  }

  /** @param {SessionGrant} session @param {RTCIceCandidateInit[]} candidates */
  async candidates(session, candidates) {
    await this.#call("PATCH", `/v1/sessions/${session.id}/offer`, { token: session.token, body: { candidates } });
  }

  /** @param {SessionGrant} session @param {string} background as the protocol names it */
  async setBackground(session, background) {
    await this.#call("PUT", `/v1/sessions/${session.id}/background`, { token: session.token, body: { background } });
  }

  /** Works while the page is being left, too. @param {SessionGrant} session */
  async end(session) {
    await this.#call("DELETE", `/v1/sessions/${session.id}`, { token: session.token, keepalive: true });
  }

  async #call(method, path, { token, body, keepalive = false } = {}) {
    const headers = {};
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body) headers["Content-Type"] = "application/json";
    const request = { method, headers, keepalive, body: body && JSON.stringify(body) };
    const response = await fetch(new URL(path, this.#base), request).catch(() => {
      throw UNREACHABLE();
    });
    const text = await response.text();
    if (!response.ok) throw refusal(response.status, text, response.headers.get("Retry-After"));
    return text ? JSON.parse(text) : null;
  }
}
