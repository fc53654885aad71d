/**
 * The microphone: which one, whether it is muted, and the track it gives.
 * Events: `devices` (detail: MediaDeviceInfo[]), `ended` (it was unplugged).
 */

const WISH = Object.freeze({ echoCancellation: true, noiseSuppression: true, autoGainControl: true });

export class Microphone extends EventTarget {
  #track = /** @type {MediaStreamTrack | null} */ (null);
  #muted = false;

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
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { ...WISH, ...device } });
    this.stop();
    this.#track = stream.getAudioTracks()[0];
    this.#track.enabled = !this.#muted;
    this.#track.addEventListener("ended", () => this.dispatchEvent(new Event("ended")));
    this.list();
    return this.#track;
  }

  stop() {
    this.#track?.stop();
    this.#track = null;
  }

  /** Names are known only after permission was given. */
  async list() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const inputs = devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default");
    this.dispatchEvent(new CustomEvent("devices", { detail: inputs }));
  }
}
