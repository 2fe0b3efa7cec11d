/**
 * Whether two globs can mean the same file: by the globs alone, of files that are not
 * there yet too.
 *
 * @module
 */

/** Holds for what every program that knows globs reads in the same way. */
const GLOB = /^(?![/!])(?!.*\[([.:=]).*\1\])[^\\{}\p{Cc}]+$/u;

/** What a glob may be, for messages. */
export const GLOB_FORM =
  "a glob that begins in the repository, as src/api/** does, without .., \\ " +
  "and braces (give two globs), with each [ closed, and no / or ! before it";

/** Whether a text is a glob of files below a folder. */
export function isGlob(text: string): boolean {
  return GLOB.test(text) &&
    text.split("/").every((name) =>
      name !== ".." && !name.replaceAll(SET, "").includes("[")
    );
}

/** What stands first in a set is part of it, even where it is a bracket. */
const SET = /\[([!^][^][^\]]*|[^!^][^\]]*)\]/gsu;

/** Stands for any number of what a row is made of, none included. */
const ANY = null;

/** What stands for rows of things. */
type Pattern<T extends object> = readonly (T | typeof ANY)[];

type Range = readonly [first: number, last: number];

/** One character: of one of these ranges. */
type Character = readonly Range[];

/** The name of a file or folder. */
interface Segment {
  readonly text: string;
  /** Undefined where that is the name. */
  readonly pattern: Pattern<Character> | undefined;
}

/** A glob that was read; undefined where nobody knows what it means. */
export type Glob = Pattern<Segment> | undefined;

/**
 * Reads a glob: `*`, `**`, `?` and `[…]`. What ends with a name or a slash means all
 * that is below, too.
 */
export function parseGlob(text: string): Glob {
  if (!isGlob(text)) return undefined;
  const names = text.split("/").filter((it) => it !== "" && it !== ".");
  const last = names.at(-1) ?? "";
  if (text.endsWith("/") || !/[*?[]/.test(last)) names.push("**");
  return names.map((name) => name === "**" ? ANY : segmentOf(name));
}

/** Whether a file can be meant by both. */
export function canMeet(one: Glob, other: Glob): boolean {
  return !one || !other || canBeSame(one, other, isSegmentOfBoth);
}

function isSegmentOfBoth(one: Segment, other: Segment): boolean {
  if (!one.pattern && !other.pattern) return one.text === other.text;
  return canBeSame(patternOf(one), patternOf(other), isCharacterOfBoth);
}

function patternOf({ text, pattern }: Segment): Pattern<Character> {
  return pattern ?? [...text].map((it) => [rangeOf(it)]);
}

const SLASH = codeOf("/");

function isCharacterOfBoth(one: Character, other: Character): boolean {
  return one.some(([first, last]) =>
    other.some(([otherFirst, otherLast]) => {
      const from = Math.max(first, otherFirst);
      const to = Math.min(last, otherLast);
      return from < to || from === to && from !== SLASH;
    })
  );
}

/** Whether there is a row that both stand for. */
function canBeSame<T extends object>(
  one: Pattern<T>,
  other: Pattern<T>,
  isOneOfBoth: (one: T, other: T) => boolean,
): boolean {
  // Most differ before there is a star, and to see that takes half the time.
  let start = 0;
  for (;; start++) {
    const [left, right] = [one[start], other[start]];
    if (!left || !right) break;
    if (!isOneOfBoth(left, right)) return false;
  }
  /** From where on it is known that there is none: else stars take for ever. */
  const none = new Set<number>();
  const from = (i: number, j: number): boolean => {
    const place = i * (other.length + 1) + j;
    if (none.has(place)) return false;
    const is = follows(i, j);
    if (!is) none.add(place);
    return is;
  };
  const follows = (i: number, j: number): boolean => {
    const [left, right] = [one[i], other[j]];
    if (left === undefined && right === undefined) return true;
    if (left === ANY) {
      return from(i + 1, j) || right !== undefined && from(i, j + 1);
    }
    if (right === ANY) {
      return from(i, j + 1) || left !== undefined && from(i + 1, j);
    }
    return left !== undefined && right !== undefined &&
      isOneOfBoth(left, right) && from(i + 1, j + 1);
  };
  return from(start, start);
}

const LAST = 0x10FFFF;
const EVERY: Character = [[0, LAST]];

const SET_OR_CHARACTER = new RegExp(`^${SET.source}|^.`, "su");

function segmentOf(text: string): Segment {
  if (!/[*?[]/.test(text)) return { text, pattern: undefined };
  const pattern: (Character | typeof ANY)[] = [];
  let rest = text;
  while (rest !== "") {
    const [all = "", set] = SET_OR_CHARACTER.exec(rest) ?? [];
    rest = rest.slice(all.length);
    pattern.push(
      set !== undefined
        ? setOf(set)
        : all === "*"
        ? ANY
        : all === "?"
        ? EVERY
        : [rangeOf(all)],
    );
  }
  return { text, pattern };
}

/** Of `a-z_`, or of `!a-z_`: what stands between the brackets. */
function setOf(text: string): Character {
  const isOther = /^[!^]/.test(text);
  const ranges = [...(isOther ? text.slice(1) : text).matchAll(/(.)-(.)|./gsu)]
    .map(([one, first = one, last = first]): Range => [
      codeOf(first),
      codeOf(last),
    ])
    .filter(([first, last]) => first <= last);
  return isOther ? othersOf(ranges) : ranges;
}

function othersOf(ranges: readonly Range[]): Character {
  const others: Range[] = [];
  let next = 0;
  for (const [first, last] of ranges.toSorted(([a], [b]) => a - b)) {
    if (first > next) others.push([next, first - 1]);
    next = Math.max(next, last + 1);
  }
  return next > LAST ? others : [...others, [next, LAST]];
}

function rangeOf(character: string): Range {
  return [codeOf(character), codeOf(character)];
}

function codeOf(character: string): number {
  return character.codePointAt(0) ?? 0;
}
