/** What went wrong, in words for the person at the page. One place, so that every failure has some. */

const BY_CODE = Object.freeze({
  full: "All places are taken.",
  starting: "The engine is still loading.",
  no_portrait: "This portrait is no longer on the server.",
  no_session: "The server ended this call.",
  origin_refused: "The server does not accept calls from this address.",
  unauthorized: "The server no longer knows this call.",
  unreachable: "The server can’t be reached.",
  media: "No media connection came about. A firewall may block UDP; the operator can configure a TURN server.",
  no_webrtc: "This browser has no WebRTC. Use a current Firefox, Chrome, Edge or Safari.",
});

const BY_MICROPHONE_ERROR = Object.freeze({
  NotAllowedError: "The microphone is blocked for this page. Allow it in the address bar’s site settings, then call again.",
  SecurityError: "The microphone is blocked for this page. Allow it in the address bar’s site settings, then call again.",
  NotFoundError: "No microphone was found. Connect one, then call again.",
  OverconstrainedError: "That microphone is gone. Choose another one, then call again.",
  NotReadableError: "The microphone is in use by another program. Close it there, then call again.",
  AbortError: "The microphone stopped before it started. Call again.",
  InsecureContext: "Browsers lend the microphone only to https:// pages and to localhost. Open the page that way, then call.",
});

export const HELD_BACK = "The browser holds the picture back. Touch or click the page to see it.";
const DISMISSED = "The question about the microphone was closed unanswered. Call again, and allow it.";

const BY_REASON = Object.freeze({
  no_offer: "The server waited too long for this browser.",
  not_connected: BY_CODE.media,
  gone: "The connection was gone for too long.",
  failed: "The engine failed on this call.",
  deleted: "The call was ended on the server.",
  shutdown: "The server is shutting down.",
  taken: "This call is now controlled from another window.",
});

/** @param {{code?: string, message?: string}} error @returns {string} */
export function ofServer(error) {
  return BY_CODE[error.code] ?? sentence(error.message || "the server refused without saying why");
}

/** @param {string} line as refusals are written @returns {string} */
function sentence(line) {
  return line[0].toUpperCase() + line.slice(1) + (/[.!?…]$/.test(line) ? "" : ".");
}

/** @param {{name: string, message: string}} error what getUserMedia threw @returns {string} */
export function ofMicrophone(error) {
  if (error.name === "NotAllowedError" && /dismissed/i.test(error.message)) return DISMISSED; // Chromium asks again
  return BY_MICROPHONE_ERROR[error.name] ?? `The microphone did not start (${error.name}).`;
}

/** @param {string} reason of a `closed` message @returns {string} */
export function ofEnd(reason) {
  return BY_REASON[reason] ?? `The server ended the call (${reason}).`;
}

/** @param {string} name of a portrait @returns {string} */
export function deletes(name) {
  return `Delete ${name} from this server? There is no way back.`;
}

/** @param {number} seconds @returns {string} */
export function tryingAgain(seconds) {
  return seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again.";
}
