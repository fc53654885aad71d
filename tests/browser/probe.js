// Runs in the page before its own scripts: notes what the browser received, on one clock (performance.now, milliseconds).
// Nothing of the page is changed; `window.probe` is what the harness reads.

(() => {
  const frames = []; // [shown, received, RTP timestamp, count of presented frames]
  const shots = []; // [shown, RTP timestamp, JPEG as Blob]
  const control = []; // [time, "in" | "out", message]
  const sound = { rate: 0, count: 0, blocks: [], clock: [], reader: null };
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

  let peer = null;
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...wish) {
      super(...wish);
      peer = this;
    }
  };

  /** Milliseconds from the moment a sample is pulled for playing until it is heard; what the browser itself aims lips at. */
  async function playoutDelay() {
    for (const report of (await peer.getStats()).values()) {
      if (report.type === "media-playout") return (1000 * report.totalPlayoutDelay) / report.totalSamplesCount;
    }
    return 0;
  }

  /** How loud it is that arrives, 0 to 1. */
  async function loudness() {
    const reports = [...(await peer.getStats()).values()];
    return reports.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio")?.audioLevel ?? 0;
  }

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

  // The track itself, as the player pulls it: an AudioContext would add a delay of its own, another one each time.
  async function listen() {
    const [track] = document.querySelector("video").srcObject.getAudioTracks();
    sound.blocks.length = sound.clock.length = sound.count = 0;
    sound.reader = new MediaStreamTrackProcessor({ track: track.clone() }).readable.getReader();
    for (let { value, done } = await sound.reader.read(); !done; { value, done } = await sound.reader.read()) {
      const block = new Float32Array(value.numberOfFrames);
      value.copyTo(block, { planeIndex: 0, format: "f32-planar" });
      sound.rate = value.sampleRate;
      sound.blocks.push(block);
      sound.count += block.length;
      sound.clock.push([performance.now(), sound.count]);
      value.close();
    }
  }

  const toBase64 = (bytes) => {
    let text = "";
    for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
    return btoa(text);
  };

  window.probe = {
    frames,
    control,
    loudness,
    listen: () => void listen(),
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
      await sound.reader?.cancel();
      const samples = new Int16Array(sound.count);
      let at = 0;
      for (const block of sound.blocks) for (const x of block) samples[at++] = x * 32767;
      return { rate: sound.rate, delay: await playoutDelay(), clock: sound.clock, samples: toBase64(new Uint8Array(samples.buffer)) };
    },
  };
  document.addEventListener("DOMContentLoaded", () => watch(document.querySelector("video")));
})();
