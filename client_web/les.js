/**
 * The Linear Emotion Space as the page shows it: 41 axes in their order, the emotions, and where on a face a unit acts.
 * The server's `GET /v1/les` is the authority; a test compares it with these tables.
 */

/** @typedef {"brows"|"eyes"|"nose"|"cheeks"|"corners"|"lips"|"jaw"} Region */
/** @typedef {{name: string, label: string, region: Region, sides: boolean}} Unit */

/** Units of the action subspace: number, plain name, region. */
const ACTION = /** @type {[number, string, Region][]} */ ([
  [1, "Inner brow raiser", "brows"],
  [2, "Outer brow raiser", "brows"],
  [4, "Brow lowerer", "brows"],
  [5, "Upper lid raiser", "eyes"],
  [6, "Cheek raiser", "cheeks"],
  [7, "Lid tightener", "eyes"],
  [9, "Nose wrinkler", "nose"],
  [10, "Upper lip raiser", "corners"],
  [11, "Nasolabial deepener", "cheeks"],
  [12, "Lip corner puller", "corners"],
  [13, "Sharp lip puller", "corners"],
  [14, "Dimpler", "cheeks"],
  [15, "Lip corner depressor", "corners"],
  [16, "Lower lip depressor", "lips"],
  [17, "Chin raiser", "jaw"],
  [18, "Lip pucker", "lips"],
  [19, "Tongue show", "jaw"],
  [20, "Lip stretcher", "lips"],
  [22, "Lip funneler", "lips"],
  [23, "Lip tightener", "lips"],
  [24, "Lip pressor", "lips"],
  [25, "Lips part", "lips"],
  [26, "Jaw drop", "jaw"],
  [27, "Mouth stretch", "jaw"],
  [32, "Lip bite", "lips"],
  [38, "Nostril dilator", "nose"],
  [39, "Nostril compressor", "nose"],
]);

/** Units of the isolation subspace: one side alone. */
const ISOLATION = [1, 2, 4, 6, 10, 12, 14];

/** The 41 names, in the order of the vector. @type {readonly string[]} */
export const AXES = Object.freeze([
  ...ACTION.map(([number]) => `AU${number}`),
  ...ISOLATION.flatMap((number) => [`AUL${number}`, `AUR${number}`]),
]);

/** @type {readonly Unit[]} */
export const UNITS = Object.freeze(
  ACTION.map(([number, label, region]) => ({
    name: `AU${number}`,
    label,
    region,
    sides: ISOLATION.includes(number),
  })),
);

/** Regions from the forehead down, with the words that head them. @type {readonly [Region, string][]} */
export const REGIONS = Object.freeze([
  ["brows", "Brows"],
  ["eyes", "Eyes"],
  ["nose", "Nose"],
  ["cheeks", "Cheeks"],
  ["corners", "Upper lip and corners"],
  ["lips", "Lips"],
  ["jaw", "Jaw, chin and tongue"],
]);

/** Directions of the emotions: each unit's activation at level 1. @type {Readonly<Record<string, Record<string, number>>>} */
export const EMOTIONS = Object.freeze({
  happiness: { AU6: 1, AU10: 0.4, AU12: 1, AU25: 1, AU26: 0.4 },
  surprise: { AU1: 1, AU2: 1, AU5: 0.4, AU25: 0.8, AU26: 1, AU27: 0.2 },
  sadness: { AU1: 1, AU4: 0.8, AU7: 0.2, AU11: 0.6, AU15: 1, AU17: 0.8 },
  anger: { AU4: 1, AU5: 0.8, AU7: 0.8, AU10: 0.4, AU16: 0.2, AU23: 0.4, AU25: 0.6, AU38: 0.6 },
  fear: { AU1: 1, AU2: 0.6, AU4: 0.6, AU5: 1, AU7: 0.2, AU20: 1, AU25: 0.8, AU26: 0.6 },
  disgust: { AU6: 0.6, AU7: 0.6, AU9: 1, AU10: 0.8, AU15: 0.6, AU17: 0.6, AU25: 0.2 },
  contempt: { AU7: 0.4, AUR10: 0.2, AUR12: 0.4, AUR14: 1 },
});

/** The region an axis acts on. @param {string} axis @returns {Region} */
export function regionOf(axis) {
  const name = axis.replace(/^AU[LR]/, "AU");
  return UNITS.find((unit) => unit.name === name).region;
}

/** "AUL12" -> "AUL12 Lip corner puller, left". @param {string} axis @returns {string} */
export function describe(axis) {
  const unit = UNITS.find(({ name }) => name === axis.replace(/^AU[LR]/, "AU"));
  const side = { L: ", left", R: ", right" }[axis[2]] ?? "";
  return `${axis} ${unit.label}${side}`;
}

/**
 * The point of the space that emotions and units add up to; sums clip at 1.
 * @param {import("./expression.js").Levels} levels @returns {Record<string, number>}
 */
export function vector({ emotion, units }) {
  const sum = { ...units };
  for (const [name, level] of Object.entries(emotion)) {
    for (const [axis, peak] of Object.entries(EMOTIONS[name])) sum[axis] = (sum[axis] ?? 0) + level * peak;
  }
  return Object.fromEntries(Object.entries(sum).map(([axis, value]) => [axis, Math.min(1, value)]));
}
