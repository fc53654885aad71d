// Each client with the least that its documentation asks for. `window.clients.*` is what the tests call; all answer with
// milliseconds from the call to what the user waits for.

import { WebRTCPlayer } from "@eyevinn/webrtc-player";
import { PipecatClient, RTVIEvent } from "@pipecat-ai/client-js";
import { SmallWebRTCTransport, WavMediaManager } from "@pipecat-ai/small-webrtc-transport";
import { WHEPClient } from "whip-whep/whep.js";
import { WHIPClient } from "whip-whep/whip.js";

const video = document.querySelector("video");
const open = {};
const events = [];

async function firstFrame(begun) {
  await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  return performance.now() - begun;
}

async function whep(path, token) {
  const begun = performance.now();
  const connection = new RTCPeerConnection();
  connection.addTransceiver("audio", { direction: "recvonly" });
  connection.addTransceiver("video", { direction: "recvonly" });
  const stream = new MediaStream();
  connection.ontrack = ({ track }) => stream.addTrack(track);
  video.srcObject = stream;
  open.whep = new WHEPClient();
  await open.whep.view(connection, new URL(path, location.href), token);
  return firstFrame(begun);
}

async function whip(path, token) {
  const begun = performance.now();
  const connection = new RTCPeerConnection();
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  connection.addTransceiver(microphone.getAudioTracks()[0], { direction: "sendonly" });
  const connected = new Promise((resolve) => {
    connection.addEventListener("connectionstatechange", () => connection.connectionState === "connected" && resolve());
  });
  open.whip = new WHIPClient();
  await open.whip.publish(connection, new URL(path, location.href), token);
  await connected;
  return performance.now() - begun;
}

async function eyevinn(path) {
  const begun = performance.now();
  open.eyevinn = new WebRTCPlayer({ video, type: "whep", iceServers: [] });
  await open.eyevinn.load(new URL(path, location.href));
  return firstFrame(begun);
}

async function pipecat(requestData) {
  const begun = performance.now();
  const transport = new SmallWebRTCTransport({ mediaManager: new WavMediaManager(), iceServers: [] });
  const client = (open.pipecat = new PipecatClient({ transport, enableMic: true, enableCam: false }));
  for (const name of [
    "BotReady", "BotStartedSpeaking", "BotStoppedSpeaking", "UserStartedSpeaking", "UserStoppedSpeaking",
    "ServerMessage", "Error", "Disconnected", "BotDisconnected",
  ]) {
    client.on(RTVIEvent[name], (data) => events.push([performance.now() - begun, name, data ?? null]));
  }
  client.on(RTVIEvent.TrackStarted, (track, participant) => {
    if (!participant?.local && track.kind === "video") video.srcObject = new MediaStream([track]);
  });
  await client.connect({ webrtcRequestParams: { endpoint: "/api/offer", requestData } });
  const ready = performance.now() - begun;
  await firstFrame(begun);
  return ready;
}

/** [number of the fake engine's frame, loudness 0 to 1, emotion 0 to 1], as the picture shows them. */
function shown() {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  const grey = (x, y) => context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data[0];
  const bits = Array.from({ length: 16 }, (_, i) => Number(grey((i + 0.5) / 16, 0.125) > 126) * 2 ** i);
  return [bits.reduce((a, b) => a + b), (grey(0.5, 0.375) - 16) / 220, (grey(0.5, 0.625) - 16) / 220];
}

const stop = {
  whep: () => open.whep.stop(),
  whip: () => open.whip.stop(),
  eyevinn: () => open.eyevinn.unload(),
  pipecat: () => open.pipecat.disconnect(),
};

window.clients = { whep, whip, eyevinn, pipecat, shown, stop, events, open };
