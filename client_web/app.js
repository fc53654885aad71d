/** The page put together: who listens to whom. No element is touched here, no protocol spoken. */

import { Api } from "./api.js";
import { Awake } from "./awake.js";
import { Expression } from "./expression.js";
import { vector } from "./les.js";
import { Microphone } from "./microphone.js";
import { Session } from "./session.js";
import { Background } from "./view/background.js";
import { Conversation } from "./view/conversation.js";
import { Panel } from "./view/panel.js";
import { Portraits } from "./view/portraits.js";
import { Spectrum } from "./view/spectrum.js";
import { Stage } from "./view/stage.js";
import { Stats } from "./view/stats.js";
import { Theme } from "./view/theme.js";
import * as words from "./words.js";

const PORTRAIT_KEY = "les-avatar.portrait";
const VOICE_KEY = "les-avatar.voice";
const OWN = Object.freeze({ source: "microphone" });
const RETRY_LIST_S = 3;
const LEAVE_PLACE_AFTER_MS = 60_000; // a hidden page that nobody talks through gives its place back

class App {
  #api = new Api();
  #session = new Session(this.#api);
  #microphone = new Microphone();
  #awake = new Awake();
  #expression = new Expression();
  #stage = new Stage();
  #portraits = new Portraits();
  #background = new Background();
  #conversation = new Conversation();
  #spectrum = new Spectrum();
  #stats = new Stats();

  #able = "RTCPeerConnection" in window;
  #known = /** @type {import("./api.js").Portrait[]} */ ([]);
  #chosen = /** @type {import("./api.js").Portrait | null} */ (null);
  #phase = "closed";
  #talking = false;
  #asking = false;
  #joined = false;
  #activity = /** @type {string | null} */ (null);
  #audible = true;
  #leaving = 0;
  #trouble = /** @type {"connection" | "microphone" | "picture" | "other" | null} */ (null);

  constructor() {
    new Theme();
    new Panel(this.#expression);
    this.#hearSession();
    this.#hearStage();
    this.#hearPortraits();
    this.#hearPage();
    this.#background.addEventListener("chosen", ({ detail }) => this.#session.standBefore(detail));
    this.#conversation.addEventListener("chosen", ({ detail }) => this.#chooseVoice(detail));
    this.#expression.addEventListener("applied", () => this.#spectrum.show(vector(this.#expression.applied)));
    this.#microphone.addEventListener("ended", () => this.#unplugged());
    this.#microphone.addEventListener("devices", ({ detail }) => this.#stage.microphones(detail, this.#microphone.deviceId));
    this.#stage.muteButton(false);
    this.#stage.soundButton(true);
    this.#show();
  }

  async start() {
    this.#microphone.list();
    if (!this.#able) this.#refuse();
    await this.#list();
    this.#conversation.offer(await this.#api.assistants(), JSON.parse(localStorage.getItem(VOICE_KEY)));
    if (this.#invitation && this.#able) return this.#join(this.#invitation);
    const kept = localStorage.getItem(PORTRAIT_KEY);
    this.#choose(this.#known.find(({ id }) => id === kept) ?? this.#known[0]);
  }

  /** `/#session=ID&token=TOKEN` takes part in a session that a program has opened. */
  get #invitation() {
    const { session: id, token } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    return id && token ? { id, token, control: `/v1/sessions/${encodeURIComponent(id)}/control`, ice_servers: [] } : null;
  }

  /** @param {import("./api.js").SessionGrant} grant */
  #join(grant) {
    this.#joined = true;
    this.#hear(false); // browsers play no sound before the user has touched the page
    this.#conversation.join();
    this.#session.join(grant);
  }

  /** Who asked for less motion sees the still picture until the call. */
  get #previews() {
    return this.#able && !matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  async #list() {
    for (;;) {
      try {
        this.#known = await this.#api.portraits();
        this.#settle("connection");
        return this.#portraits.show(this.#known, this.#chosen?.id ?? null);
      } catch (error) {
        this.#complain("connection", words.ofServer(error), words.tryingAgain(error.retryAfter ?? RETRY_LIST_S));
        await new Promise((resolve) => setTimeout(resolve, (error.retryAfter ?? RETRY_LIST_S) * 1000));
      }
    }
  }

  /** @param {import("./api.js").Portrait | undefined} portrait */
  #choose(portrait) {
    if (!portrait) return this.#complain("other", "The server has no portrait yet. Add a photo to begin.");
    if (this.#joined) return; // the portrait is its opener's choice
    this.#chosen = portrait;
    localStorage.setItem(PORTRAIT_KEY, portrait.id);
    this.#portraits.show(this.#known, portrait.id);
    this.#stage.portrait(portrait);
    this.#conversation.portrait(portrait.name);
    if (this.#talking || this.#previews) this.#open();
  }

  /** @param {import("./view/conversation.js").Voice} voice */
  #chooseVoice(voice) {
    localStorage.setItem(VOICE_KEY, JSON.stringify(voice));
    if (this.#talking) this.#open();
    this.#show();
  }

  /** A session with the chosen portrait: outside of calls it only lives. */
  #open() {
    if (!this.#chosen) return; // the portraits are still awaited: choosing one opens
    this.#activity = null;
    if (this.#talking) this.#conversation.clear();
    this.#session.open(this.#chosen.id, this.#talking ? this.#conversation.voice : OWN);
  }

  /** Whether an assistant speaks in this call. */
  get #assisted() {
    return this.#joined || (this.#talking && this.#conversation.voice.source === "assistant");
  }

  #hearSession() {
    const on = (type, listener) => this.#session.addEventListener(type, ({ detail }) => listener(detail));
    on("status", (status) => this.#follow(status));
    on("stream", (stream) => this.#play(stream));
    on("background", (error) => this.#background.refused(words.ofServer(error)));
    on("control", (control) => this.#expression.attach(control));
    on("received", (stats) => this.#stats.received(stats));
    on("stats", (stats) => this.#stats.told(stats));
    on("degraded", (drawn) => this.#stats.degraded(drawn));
    on("state", (state) => this.#heed(state));
    on("speech", ({ active }) => this.#stage.speaking(active && this.#talking && !this.#assisted));
    on("activity", ({ activity }) => this.#attend(activity));
    on("caption", (caption) => this.#conversation.caption(caption));
    on("error", ({ id, message }) => id === undefined && this.#assisted && this.#complain("other", message));
  }

  #hearStage() {
    this.#stage.addEventListener("call", () => this.#call());
    this.#stage.addEventListener("hangup", () => this.#hangUp());
    this.#stage.addEventListener("interrupt", () => this.#session.interrupt());
    this.#stage.addEventListener("retry", () => this.#session.retry());
    this.#stage.addEventListener("paused", () => this.#playOn());
    this.#stage.addEventListener("mute", () => this.#mute());
    this.#stage.addEventListener("sound", () => this.#hear(!this.#audible));
    this.#stage.addEventListener("device", ({ detail }) => this.#useDevice(detail));
  }

  #hearPortraits() {
    this.#portraits.addEventListener("chosen", ({ detail }) => detail.id !== this.#chosen?.id && this.#choose(detail));
    this.#portraits.addEventListener("photo", ({ detail }) => this.#upload(detail));
    this.#portraits.addEventListener("removed", ({ detail }) => this.#remove(detail));
  }

  #hearPage() {
    addEventListener("click", () => this.#playOn(), true); // after a touch browsers play what they held back
    addEventListener("online", () => this.#session.retry());
    addEventListener("pagehide", () => this.#session.close());
    addEventListener("pageshow", ({ persisted }) => persisted && this.#return());
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.#leaving);
      if (!document.hidden) this.#return();
      else if (!this.#talking) this.#leaving = setTimeout(() => this.#session.close(), LEAVE_PLACE_AFTER_MS);
    });
  }

  #return() {
    this.#playOn();
    if (this.#session.wanted) this.#session.retry(); // a hidden page's countdown hardly moves
    else if (this.#chosen && this.#previews) this.#open();
  }

  async #call() {
    this.#asking = true;
    this.#settle("microphone");
    this.#show();
    try {
      await this.#talk();
    } catch (error) {
      this.#complain("microphone", words.ofMicrophone(error));
    } finally {
      this.#asking = false;
      this.#show();
    }
  }

  async #talk() {
    const track = await this.#microphone.start();
    if (!this.#asking) return this.#microphone.stop(); // hung up meanwhile
    this.#talking = true;
    this.#stage.listen(this.#audible);
    await this.#session.speak(track);
    if (!this.#joined && (this.#assisted || !this.#session.wanted)) this.#open();
    this.#session.retry();
  }

  #hangUp() {
    const assisted = this.#assisted;
    this.#asking = false;
    this.#talking = false;
    this.#session.speak(null);
    this.#microphone.stop();
    this.#settle("microphone");
    this.#stage.listen(false);
    this.#stage.speaking(false);
    if (this.#joined) this.#hear(this.#audible);
    else if (!this.#previews) this.#session.close();
    else if (assisted) this.#open();
    this.#show();
  }

  /** The microphone is gone, as headsets go: the call goes on with the system's, where it has another one. */
  async #unplugged() {
    this.#microphone.deviceId = "";
    try {
      await this.#speakAnew();
    } catch (error) {
      this.#hangUp();
      this.#complain("microphone", words.ofMicrophone(error));
    }
  }

  /** With the microphone that is chosen now. */
  async #speakAnew() {
    const track = await this.#microphone.start();
    if (this.#talking) await this.#session.speak(track);
    else this.#microphone.stop(); // hung up meanwhile
  }

  #mute() {
    this.#microphone.muted = !this.#microphone.muted;
    this.#stage.muteButton(this.#microphone.muted);
  }

  /** @param {boolean} audible whether the user wants to hear the portrait */
  #hear(audible) {
    this.#audible = audible;
    this.#stage.soundButton(audible);
    this.#stage.listen(audible && (this.#talking || this.#joined));
  }

  /** @param {string} id */
  async #useDevice(id) {
    this.#microphone.deviceId = id;
    if (!this.#talking) return;
    try {
      await this.#speakAnew();
    } catch (error) {
      this.#complain("microphone", words.ofMicrophone(error));
    }
  }

  /** @param {MediaStream} stream */
  #play(stream) {
    this.#stage.listen(this.#audible && (this.#talking || this.#joined));
    this.#watch(this.#stage.onAir(stream));
  }

  #playOn() {
    this.#watch(this.#stage.resume());
  }

  /** @param {Promise<void>} playing */
  async #watch(playing) {
    try {
      await playing;
      this.#settle("picture");
    } catch (error) {
      if (error.name === "NotAllowedError") this.#complain("picture", words.HELD_BACK);
      else if (error.name !== "AbortError") throw error; // AbortError: the second track restarted it
    }
  }

  /** @param {import("./session.js").Status} status */
  #follow(status) {
    this.#phase = status.phase;
    if (status.phase === "live") this.#settle("connection");
    else this.#stats.clear();
    if (status.phase === "waiting" || status.phase === "closed") this.#stage.offAir();
    if (status.phase === "closed") this.#spectrum.show({});
    if (status.phase === "waiting") this.#explain(status);
    this.#show();
  }

  /** @param {import("./session.js").Status} status */
  #explain({ error, seconds }) {
    if (error.code === "no_portrait") return this.#vanished();
    const lost = "The connection was lost.";
    const said = error.reason ? words.ofEnd(error.reason) : error.code === "lost" ? lost : words.ofServer(error);
    this.#complain("connection", said, words.tryingAgain(seconds), true);
  }

  /** The chosen portrait was deleted elsewhere: show another one. */
  async #vanished() {
    this.#session.close();
    await this.#list();
    this.#choose(this.#known[0]);
    this.#complain("other", words.ofServer({ code: "no_portrait" }));
  }

  /** @param {{units: Record<string, number>, microphone: string}} state */
  #heed({ portrait, units, microphone }) {
    this.#spectrum.show(units);
    const shown = this.#known.find(({ id }) => id === portrait);
    if (this.#joined && shown && shown !== this.#chosen) this.#meet(shown);
    if (microphone === "live") this.#settle("microphone");
    else if (this.#talking && microphone === "stalled") this.#complain("microphone", "Nothing arrives from your microphone any more.");
  }

  /** @param {"idle" | "listening" | "thinking" | "speaking"} activity of the assistant */
  #attend(activity) {
    this.#activity = activity;
    this.#stage.speaking(activity === "speaking" && this.#assisted);
    this.#show();
  }

  /** @param {import("./api.js").Portrait} portrait of the session that was joined */
  #meet(portrait) {
    this.#chosen = portrait;
    this.#portraits.show(this.#known, portrait.id);
    this.#conversation.portrait(portrait.name);
    this.#stage.name(portrait);
  }

  /** @param {File} photo */
  async #upload(photo) {
    this.#portraits.uploading(0);
    try {
      const portrait = await this.#api.upload(photo, (share) => this.#portraits.uploading(share));
      this.#portraits.added(portrait);
      await this.#list();
      this.#choose(portrait);
    } catch (error) {
      this.#portraits.refused(words.ofServer(error));
    }
  }

  /** @param {import("./api.js").Portrait} portrait */
  async #remove(portrait) {
    if (!confirm(words.deletes(portrait.name))) return;
    try {
      await this.#api.deletePortrait(portrait.id);
    } catch (error) {
      if (error.code !== "no_portrait") return this.#portraits.refused(words.ofServer(error));
    }
    await this.#list();
    if (portrait.id === this.#chosen?.id) this.#choose(this.#known[0]);
  }

  /** The portraits can be looked at all the same. */
  #refuse() {
    this.#stage.close();
    this.#complain("other", words.ofServer({ code: "no_webrtc" }));
  }

  /** @param {"connection" | "microphone" | "picture" | "other"} trouble @param {string} said @param {string} [countdown] @param {boolean} [retry] */
  #complain(trouble, said, countdown, retry) {
    this.#trouble = trouble;
    this.#stage.complain(said, countdown, retry);
  }

  /** Takes back what was said about this trouble, and about no other. */
  #settle(trouble) {
    if (this.#trouble !== trouble) return;
    this.#trouble = null;
    this.#stage.clear();
  }

  #show() {
    const watching = { live: "live", opening: "connecting", waiting: "connecting", closed: "still" }[this.#phase];
    const talking = this.#phase !== "live" ? "connecting" : this.#assisted ? (this.#activity ?? "listening") : "talking";
    this.#stage.scene(this.#asking ? "asking" : this.#talking ? talking : watching, this.#talking);
    this.#stage.interruptible(this.#assisted, this.#activity === "speaking");
    this.#awake.keep(this.#talking);
  }
}

new App().start();
