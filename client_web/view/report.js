/** A portrait's quality report in words. */

const WORDS = Object.freeze({
  face_px: (value) => `Face ${Math.round(value)} px wide`,
  sharpness: (value) => `sharpness ${typeof value === "number" ? value.toFixed(2) : value}`,
  yaw_deg: (value) => `turned ${Math.abs(Math.round(value))}°`,
  pitch_deg: (value) => `tilted ${Math.abs(Math.round(value))}°`,
});

/** @param {Record<string, unknown>} report @returns {{facts: string, warnings: string[]}} */
export function inWords(report) {
  const facts = Object.entries(WORDS)
    .filter(([key]) => report[key] !== undefined && report[key] !== null)
    .map(([key, say]) => say(report[key]));
  return { facts: facts.join(", "), warnings: Array.isArray(report.warnings) ? report.warnings : [] };
}
