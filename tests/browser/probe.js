// Runs in the page before its own scripts: notes what the browser received, on one clock (performance.now, milliseconds).
// Nothing of the page is changed; `window.probe` is what the harness reads.

(() => {
  const frames = []; // [shown, received, RTP timestamp, count of presented frames]
  const shots = []; // [shown, RTP timestamp, JPEG as Blob]
  const control = []; // [time, "in" | "out", message]
  const sound = { rate: 0, blocks: [], clock: [] };
  let shootingUntil = 0;
  let canvas = null;

  class ProbedSocket extends WebSocket {
    constructor(...wish) {
      super(...wish);
      this.addEventListener("message", ({ data }) => control.push([performance.now(), "in", JSON.parse(data)]));
    }
    send(data) {
      control.push([performance.now(), "out", JSON.parse(data)]);
      super.send(data);
    }
  }
  window.WebSocket = ProbedSocket;

  function shoot(video, shown, rtp) {
    canvas ??= new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(video, 0, 0, canvas.width, canvas.height);
    const shot = [shown, rtp, null];
    shots.push(shot);
    canvas.convertToBlob({ type: "image/jpeg", quality: 0.93 }).then((blob) => (shot[2] = blob));
  }

  function watch(video) {
    const each = (now, frame) => {
      frames.push([frame.expectedDisplayTime, frame.receiveTime ?? null, frame.rtpTimestamp ?? null, frame.presentedFrames]);
      if (now < shootingUntil) shoot(video, frame.expectedDisplayTime, frame.rtpTimestamp ?? null);
      video.requestVideoFrameCallback(each);
    };
    video.requestVideoFrameCallback(each);
  }

  const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
    #kept = []; #first = 0;
    process([[channel]]) {
      if (!this.#kept.length) this.#first = currentFrame;
      this.#kept.push(channel ? channel.slice() : new Float32Array(128));
      if (this.#kept.length === 8) {
        const block = new Float32Array(1024);
        this.#kept.forEach((part, i) => block.set(part, i * 128));
        this.port.postMessage([this.#first, block]);
        this.#kept = [];
      }
      return true;
    }
  });`;

  async function listen() {
    const video = document.querySelector("video");
    const context = new AudioContext({ sampleRate: 48000, latencyHint: "interactive" });
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([TAP], { type: "text/javascript" })));
    const tap = new AudioWorkletNode(context, "tap", { channelCount: 1, channelCountMode: "explicit" });
    tap.port.onmessage = ({ data: [first, block] }) => {
      sound.blocks.push([first, block]);
      const { contextTime, performanceTime } = context.getOutputTimestamp();
      sound.clock.push([performance.now(), (first + block.length) / context.sampleRate, contextTime, performanceTime]);
    };
    sound.rate = context.sampleRate;
    sound.blocks.length = sound.clock.length = 0;
    sound.context = context;
    context.createMediaStreamSource(new MediaStream(video.srcObject.getAudioTracks())).connect(tap).connect(context.destination);
    await context.resume();
  }

  const toBase64 = (bytes) => {
    let text = "";
    for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
    return btoa(text);
  };

  window.probe = {
    frames,
    control,
    listen,
    shootFor: (seconds) => {
      shots.length = 0;
      shootingUntil = performance.now() + seconds * 1000;
    },
    takeShots: async () => {
      const taken = [];
      for (const [shown, rtp, blob] of shots.splice(0)) {
        if (blob) taken.push([shown, rtp, toBase64(new Uint8Array(await blob.arrayBuffer()))]);
      }
      return taken;
    },
    takeSound: async () => {
      const blocks = sound.blocks.splice(0);
      const samples = new Float32Array(blocks.length * 1024);
      blocks.forEach(([, block], i) => samples.set(block, i * 1024));
      const answer = { rate: sound.rate, first: blocks[0]?.[0] ?? 0, clock: sound.clock.splice(0) };
      await sound.context?.close();
      return { ...answer, samples: toBase64(new Uint8Array(new Int16Array(samples.map((x) => x * 32767)).buffer)) };
    },
  };
  document.addEventListener("DOMContentLoaded", () => watch(document.querySelector("video")));
})();
