/**
 * Stands in for `@std/cli/unicode-width` where there is only npm: the npm
 * package lacks its width table.
 */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
const zero = /[\p{Mn}\p{Me}\p{Cf}\p{Cc}]/u;

export function unicodeWidth(str: string): number {
  let width = 0;
  for (const char of str) {
    if (zero.test(char)) continue;
    width += wide.test(char) ? 2 : 1;
  }
  return width;
}
