/** Line drawings, so that an emotion is found by its face before its word is read. */

const EYES = "M9.2 13.4v.1M18.8 13.4v.1";

/** Brows, eyes and mouth on a 28-unit square. @type {Readonly<Record<string, readonly string[]>>} */
export const FACES = Object.freeze({
  happiness: ["M6.5 9.6q2.6-1.5 5-.4M16.5 9.2q2.5-1.1 5 .4", EYES, "M7.5 17.5q6.5 7 13 0"],
  surprise: ["M6.5 7.4q2.5-2.4 5-.8M16.5 6.6q2.5-1.6 5 .8", EYES, "M14 17.2a2.6 3.1 0 1 0 .01 0"],
  sadness: ["M6.4 10.6l5-2.6M16.6 8l5 2.6", EYES, "M8.8 21.4q5.2-5 10.4 0"],
  anger: ["M6.6 8l5 3M16.4 11l5-3", EYES, "M9.5 20h9"],
  fear: ["M6.4 8.8l5-2.4M16.6 6.4l5 2.4", EYES, "M8.4 20.8l2.4-1.8 3.2 1.4 3.2-1.4 2.4 1.8"],
  disgust: ["M6.6 9.4l5 1.8M16.4 11.2l5-1.8", EYES, "M8.8 20.6q2-3 4.6-1.2t5.8-1"],
  contempt: ["M6.6 9.6h5M16.4 9.6h5", EYES, "M9 19.6h6.4q2.6 0 3.6-2.6"],
});
