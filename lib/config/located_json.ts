/**
 * JSON with comments and trailing commas that knows where everything stands.
 *
 * @module
 */

import {
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from "jsonc-parser";

/** Keys and indexes from the root to a value. */
export type JsonPath = readonly PropertyKey[];

/** A key that an object may not have. */
export interface WrongKey {
  readonly path: JsonPath;
  /** Where it stands: `4:17`. */
  readonly place: string;
  /** Where the same key stands before it. */
  readonly twin?: string;
}

/** The text is no JSON. */
export class JsonSyntaxError extends Error {
  override readonly name = "JsonSyntaxError";
  /** Line and column: `4:17`. */
  readonly place: string;

  constructor(message: string, place: string) {
    super(message);
    this.place = place;
  }
}

/** A JSON text that was read. Places are `line:column`, from 1. */
export class LocatedJson {
  readonly #text: string;
  readonly #root: Node;
  readonly value: unknown;

  /** @throws {JsonSyntaxError} */
  constructor(text: string) {
    this.#text = text;
    this.#root = rootOf(text);
    this.value = getNodeValue(this.#root);
  }

  /** Whether there is anything at the path. */
  has(path: JsonPath): boolean {
    return findNode(this.#root, path) !== undefined;
  }

  /** Where a value stands; where it is missing, what it is missing in. */
  placeOf(path: JsonPath): string {
    const node = findNode(this.#root, path);
    if (!node && path.length > 0) return this.placeOf(path.slice(0, -1));
    return placeAt(this.#text, node?.offset ?? 0);
  }

  /** Where the name of a value stands. */
  placeOfKey(path: JsonPath): string {
    const property = findNode(this.#root, path)?.parent;
    return property?.type === "property"
      ? placeAt(this.#text, property.offset)
      : this.placeOf(path);
  }

  /** Keys that an object has twice, and `__proto__`, which is never one. */
  wrongKeys(): readonly WrongKey[] {
    return [...wrongKeysIn(this.#root, [])].map(({ path, node, twin }) => ({
      path,
      place: placeAt(this.#text, node.offset),
      twin: twin && placeAt(this.#text, twin.offset),
    }));
  }
}

const EXPECTED: Readonly<Record<string, string>> = {
  PropertyNameExpected: "expected a name in double quotes",
  ValueExpected: "expected a value",
  ColonExpected: "expected a colon",
  CommaExpected: "expected a comma",
  CloseBraceExpected: "expected }",
  CloseBracketExpected: "expected ]",
  EndOfFileExpected: "expected nothing more",
  UnexpectedEndOfComment: "a comment does not end",
  UnexpectedEndOfString: "a text does not end in its line",
  UnexpectedEndOfNumber: "a number does not end",
  InvalidUnicode: "expected four hexadecimal digits after \\u",
  InvalidEscapeCharacter: "a backslash stands before a wrong character",
  InvalidCharacter: "a text has a control character",
};

const MAX_SHOWN_LENGTH = 60;

/** What a message shows of a text from the file. */
export function shortened(text: string): string {
  return text.length > MAX_SHOWN_LENGTH
    ? `${text.slice(0, MAX_SHOWN_LENGTH)}…`
    : text;
}

/** Far deeper than any sense, far less than what recursion can bear. */
const MAX_DEPTH = 100;

function rootOf(text: string): Node {
  const errors: ParseError[] = [];
  const root = treeOf(text, errors);
  // What follows the first error most often follows from it.
  const [error] = errors;
  if (root && !error) return root;
  const offset = error?.offset ?? 0;
  const found = text.slice(offset, offset + (error?.length ?? 0));
  const code = error ? printParseErrorCode(error.error) : "ValueExpected";
  const message = text.trim() === ""
    ? "it is empty"
    : offset === text.length
    ? `it ends too soon: ${EXPECTED[code] ?? "expected more"}`
    : EXPECTED[code] ??
      `${shortened(found)} is neither a value nor a text in quotes`;
  throw new JsonSyntaxError(message, placeAt(text, offset));
}

function treeOf(text: string, errors: ParseError[]): Node | undefined {
  const tooDeep = new JsonSyntaxError("it is nested too deeply", "1:1");
  try {
    const root = parseTree(text, errors, { allowTrailingComma: true });
    if (root && isDeeper(root, MAX_DEPTH)) throw tooDeep;
    return root;
  } catch (error) {
    // The parser's own recursion has a limit too.
    throw error instanceof RangeError ? tooDeep : error;
  }
}

function isDeeper({ children = [] }: Node, depth: number): boolean {
  return depth === 0 || children.some((child) => isDeeper(child, depth - 1));
}

/** Of keys that are there twice, the last: that is whose value counts. */
function findNode(root: Node, path: JsonPath): Node | undefined {
  let node: Node | undefined = root;
  for (const key of path) {
    if (node?.type === "array") node = node.children?.[Number(key)];
    else {
      const property: Node | undefined = node?.children?.findLast((it) =>
        it.children?.[0]?.value === key
      );
      node = property?.children?.[1];
    }
  }
  return node;
}

function* wrongKeysIn(
  node: Node,
  path: JsonPath,
): Generator<{ path: JsonPath; node: Node; twin?: Node }> {
  const seen = new Map<string, Node>();
  for (const [index, child] of (node.children ?? []).entries()) {
    if (node.type === "array") {
      yield* wrongKeysIn(child, [...path, index]);
      continue;
    }
    const [name, value] = child.children ?? [];
    if (!name || !value) continue;
    const key: string = name.value;
    const here = [...path, key];
    const twin = seen.get(key);
    if (twin || key === "__proto__") yield { path: here, node: name, twin };
    else seen.set(key, name);
    yield* wrongKeysIn(value, here);
  }
}

function placeAt(text: string, offset: number): string {
  const lines = text.slice(0, offset).split("\n");
  return `${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`;
}
