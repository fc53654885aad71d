"""One phone alphabet (lower-case ARPAbet) and the way into it from every synthesizer's own symbols."""

from dataclasses import dataclass

VOWELS: tuple[str, ...] = (
    "aa", "ae", "ah", "ao", "aw", "ax", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw",
)  # fmt: skip
CONSONANTS: tuple[str, ...] = (
    "b", "ch", "d", "dh", "f", "g", "hh", "jh", "k", "l", "m", "n", "ng", "p", "r", "s", "sh", "t", "th", "v", "w",
    "y", "z", "zh",
)  # fmt: skip
PAUSE = "pau"
PHONES: tuple[str, ...] = (PAUSE, *VOWELS, *CONSONANTS)
INDEX: dict[str, int] = {phone: i for i, phone in enumerate(PHONES)}
BILABIAL: frozenset[str] = frozenset("pbm")


@dataclass(frozen=True)
class Phone:
    """One spoken phone."""

    name: str
    """Of PHONES."""
    start_s: float
    end_s: float

    def scaled(self, factor: float, shift_s: float = 0.0) -> "Phone":
        """The same phone in sound stretched by `factor` and then delayed by `shift_s`."""
        return Phone(self.name, self.start_s * factor + shift_s, self.end_s * factor + shift_s)


FLITE: dict[str, str] = {phone: phone for phone in PHONES} | {"ssil": PAUSE, "dx": "d", "el": "l", "en": "n", "em": "m"}
"""Symbols of flite and, lower-cased and without stress digits, of the CMU dictionary."""

HIBARI: dict[str, str] = {
    "A": "ey", "I": "ay", "O": "ow", "Q": "ow", "W": "aw", "Y": "oy", "a": "aa", "ɑ": "aa", "ɒ": "aa", "æ": "ae",
    "ɐ": "ah", "ʌ": "ah", "ɔ": "ao", "ə": "ax", "ᵊ": "ax", "ɚ": "er", "ɜ": "er", "ɛ": "eh", "e": "eh", "ɪ": "ih",
    "ᵻ": "ih", "i": "iy", "o": "ow", "ʊ": "uh", "u": "uw", "b": "b", "ʧ": "ch", "d": "d", "ɾ": "d", "T": "d",
    "ð": "dh", "f": "f", "ɡ": "g", "h": "hh", "ʤ": "jh", "k": "k", "l": "l", "m": "m", "n": "n", "ŋ": "ng", "p": "p",
    "ɹ": "r", "r": "r", "s": "s", "ʃ": "sh", "t": "t", "ʔ": "t", "θ": "th", "v": "v", "w": "w", "j": "y", "z": "z",
    "ʒ": "zh", "x": "k",
}  # fmt: skip
"""One character each; stress, length and punctuation are absent here and treated as pauses or joined (see voices)."""

ESPEAK: dict[str, str] = {
    "a": "ae", "aa": "ae", "a#": "ax", "A": "aa", "A:": "aa", "A@": "aa", "0": "aa", "0#": "aa", "O": "ao", "O:": "ao",
    "O@": "ao", "o@": "ao", "O2": "ao", "V": "ah", "@": "ax", "@2": "ax", "@5": "ax", "@-": "ax", "3": "er", "3:":
    "er", "E": "eh", "e": "eh", "e@": "eh", "VR": "er", "IR": "er", "I": "ih", "I2": "ih", "I#": "ih", "i": "iy", "i:":
    "iy", "i@": "iy", "i@3": "iy", "eI": "ey", "aI": "ay", "aI@": "ay", "aI3": "ay", "aI2": "ay", "aU": "aw", "aU@":
    "aw", "OI": "oy", "oU": "ow", "oU#": "ow", "o": "ow", "U": "uh", "U@": "uh", "u": "uw", "u:": "uw", "@L": "l", "b":
    "b", "tS": "ch", "d": "d", "D": "dh", "f": "f", "g": "g", "h": "hh", "dZ": "jh", "k": "k", "l": "l", "L": "l", "m":
    "m", "n": "n", "n-": "n", "N": "ng", "p": "p", "r": "r", "r-": "r", "s": "s", "S": "sh", "t": "t", "t2": "d", "t#":
    "d", "t[": "t", "*": "d", "?": "t", "T": "th", "v": "v", "w": "w", "w#": "w", "j": "y", "z": "z", "Z": "zh", "x":
    "k", "_": PAUSE, "_:": PAUSE, "_!": PAUSE, "_|": PAUSE, ";": "y",
}  # fmt: skip
"""Mnemonics of espeak-ng's English voices."""

FOREIGN: dict[str, str] = ESPEAK | {
    "a": "aa", "a:": "aa", "A~": "aa", "&": "ax", "&~": "ax", "&U~": "aw", "3": "ax", "E:": "eh", "E2": "eh",
    "E#": "eh", "E-": "eh", "E~": "ae", "e:": "ey", "EI": "ey", "O~": "ao", "o:": "ow", "o~": "ow", "eU": "ow",
    "oI": "oy", "OY": "oy", "Wy": "oy", "uI": "uw", "u~": "uw", "u-": "uw", "u-:": "uw", "y": "uw", "y:": "uw",
    "Y:": "uw", "Y": "uh", "8": "uh", "W": "uh", "UR": "uh", "B": "v", "v#": "v", "VU": "v", "**": "d", "r": "d",
    "R": "d", "R2": "d", "C": "hh", "x": "hh", "Q": "g", "c": "k", "J": "g", "J^": "y", "ts": "s", "ts2": "s",
    "ss": "s", "s#": "s", "dz": "z", "z2": "z", "ts;": "ch", "dz;": "jh", "S;": "sh", "Z;": "zh", "s.": "sh",
    "sx": "sh", "t;": "t", "n^": "n", "l^": "l", "!": PAUSE,
}  # fmt: skip
"""Mnemonics of espeak-ng's other languages by what lips do: front rounded vowels are round, a trill is no English r."""

RUSSIAN: dict[str, str] = {
    "aa": "aa", "a": "ah", "ae": "ax", "ay": "ax", "oo": "ao", "ee": "eh", "e": "ih", "ii": "iy", "i": "ih", "yy": "ih",
    "y": "ih", "uu": "uw", "u": "uh", "ur": "uh", "c": "s", "ch": "ch", "sch": "sh", "sh": "sh", "zh": "zh", "h": "hh",
    "r": "d", "j": "y",
} | {hard: hard for hard in "pbtdkgfvszmnl"}  # fmt: skip
RUSSIAN |= {2 * hard: RUSSIAN[hard] for hard in "pbtdkgfvszmnlrh"}
"""Symbols of the festival voice msu_ru_nsh: a doubled consonant is soft, a doubled vowel stressed."""

OF_LANGUAGE: dict[str, dict[str, str]] = {
    "de": {"r": "g", "R": "g", "VU": "uh"},
    "fr-fr": {"r": "g", "R": "g"},
    "pl": {"y": "ih"},
    "pt": {"y": "ih", "R": "g"},
    "pt-br": {"y": "ih", "R": "hh"},
}
"""Where a language means something else by a mnemonic."""
