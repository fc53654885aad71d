/**
 * The microphone: which one, whether it is muted, and the track it gives.
 * Events: `devices` (detail: MediaDeviceInfo[]), `ended` (it was unplugged, or the system took it).
 */

const WISH = Object.freeze({ echoCancellation: true, noiseSuppression: true, autoGainControl: true });

export class Microphone extends EventTarget {
  #track = /** @type {MediaStreamTrack | null} */ (null);
  #muted = false;
  #starting = false;

  /** The device asked for; "" is the system's default. */
  deviceId = "";

  constructor() {
    super();
    navigator.mediaDevices?.addEventListener("devicechange", () => this.list());
  }

  get track() {
    return this.#track;
  }

  get muted() {
    return this.#muted;
  }

  set muted(muted) {
    this.#muted = muted;
    if (this.#track) this.#track.enabled = !muted;
  }

  /** Asks for permission where needed. Rejects as getUserMedia does. @returns {Promise<MediaStreamTrack>} */
  async start() {
    if (!navigator.mediaDevices) throw Object.assign(new Error("insecure context"), { name: "InsecureContext" });
    const device = this.deviceId ? { deviceId: { exact: this.deviceId } } : {};
    this.#starting = true;
    const asked = navigator.mediaDevices.getUserMedia({ audio: { ...WISH, ...device } });
    const stream = await asked.finally(() => (this.#starting = false));
    this.stop();
    this.#track = stream.getAudioTracks()[0];
    this.#track.enabled = !this.#muted;
    this.#track.addEventListener("ended", () => this.#end());
    this.list();
    return this.#track;
  }

  stop() {
    this.#track?.stop();
    this.#track = null;
  }

  /** Safari ends a track when another one is asked for. */
  #end() {
    if (!this.#starting) this.dispatchEvent(new Event("ended"));
  }

  /** Names are known only after permission was given. */
  async list() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const inputs = devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default");
    if (!inputs.some(({ deviceId }) => deviceId === this.deviceId)) this.deviceId = ""; // it is gone
    this.dispatchEvent(new CustomEvent("devices", { detail: inputs }));
  }
}
