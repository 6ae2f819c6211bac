/** The fewest different characters of a key: 32 random hexadecimal ones have fewer once in a million keys. */
const differentMin = 8;

/**
 * True for a text of at least 32 characters that a person typed in place of random ones: filler, a repeated part, a
 * counter. It cannot measure randomness.
 */
export function isGuessable(text: string): boolean {
  return new Set(text).size < differentMin || repeats(text) || isSequence(text);
}

function repeats(text: string): boolean {
  const longest = Math.floor(text.length / 2);
  return Array.from({ length: longest }, (_, index) => index + 1).some((period) => text.startsWith(text.slice(period)));
}

/** True if most characters follow the one before, as in `abcdef` or `0123456789`. */
function isSequence(text: string): boolean {
  const steps = Array.from(text.slice(1), (character, index) => character.charCodeAt(0) - text.charCodeAt(index));
  return [1, -1].some((step) => steps.filter((each) => each === step).length > steps.length * 0.6);
}
