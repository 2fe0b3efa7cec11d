/**
 * Keeps secrets out of what a program prints.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { JsonValue } from "../task/task.ts";

const MASK = "***";
/** A shorter value would mask what is no secret, and would be guessed anyway. */
export const MIN_SECRET_CHARACTERS = 4;
/**
 * A secret of so many is found where lines or colours break it too; a shorter one
 * would be found in what is none.
 */
const MIN_BROKEN_CHARACTERS = 16;

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Replaces secrets by `***`. */
export class Secrets {
  readonly #forms: readonly string[];
  /** Those that are found though something breaks them. */
  readonly #longForms: readonly string[];

  /** Takes values of at least {@linkcode MIN_SECRET_CHARACTERS}. */
  constructor(values: readonly string[]) {
    this.#forms = [...new Set(values.flatMap(formsOf))];
    this.#longForms = this.#forms.filter((form) =>
      form.length >= MIN_BROKEN_CHARACTERS && !form.includes("\n")
    );
  }

  /** Masks a whole text. */
  mask(text: string): string {
    return masked(text, this.#spans(text));
  }

  /** Masks every text of a JSON value; a number that has a secret becomes one. */
  maskJson(value: JsonValue): JsonValue {
    if (this.#forms.length === 0) return value;
    if (typeof value !== "object" || value === null) {
      const text = String(value);
      const masked = this.mask(text);
      return masked === text ? value : masked;
    }
    if (Array.isArray(value)) return value.map((it) => this.maskJson(it));
    return Object.fromEntries(
      Object.entries(value).map((
        [key, it],
      ) => [this.mask(key), this.maskJson(it)]),
    );
  }

  /**
   * Masks a text that comes in pieces. What may be the beginning of a secret
   * waits for the next piece.
   */
  stream(): SecretStream {
    if (this.#forms.length === 0) {
      return {
        push: (text) => text,
        end: () => "",
      };
    }
    let waiting = "";
    return {
      push: (text) => {
        waiting += text;
        const spans = this.#spans(waiting);
        let end = this.#beginningAtEndOf(waiting);
        // A secret that is there already may be part of a longer one.
        for (const span of spans) {
          if (span.start < end && span.end > end) end = span.start;
        }
        const ready = waiting.slice(0, end);
        waiting = waiting.slice(end);
        return masked(ready, spans.filter((span) => span.end <= end));
      },
      end: () => {
        const rest = this.mask(waiting);
        waiting = "";
        return rest;
      },
    };
  }

  /** Where secrets are, those that overlap as one. */
  #spans(text: string): Span[] {
    const unbroken = new Unbroken(text);
    const found = [
      ...spansOf(this.#forms, text),
      ...unbroken.isSame ? [] : spansOf(this.#longForms, unbroken.text)
        .map(({ start, end }) => ({
          start: unbroken.placeOf(start),
          end: unbroken.placeOf(end - 1) + 1,
        })),
    ].sort((a, b) => a.start - b.start);
    const spans: Span[] = [];
    for (const { start, end } of found) {
      const last = spans.at(-1);
      if (last && start < last.end) {
        spans[spans.length - 1] = {
          start: last.start,
          end: Math.max(end, last.end),
        };
      } else spans.push({ start, end });
    }
    return spans;
  }

  /** Where the longest beginning of a secret that the text ends with starts. */
  #beginningAtEndOf(text: string): number {
    const unbroken = new Unbroken(text);
    const first = beginningAtEnd(this.#forms, text);
    if (unbroken.isSame) return first;
    const broken = beginningAtEnd(this.#longForms, unbroken.text);
    return broken < unbroken.text.length
      ? Math.min(first, unbroken.placeOf(broken))
      : first;
  }
}

function spansOf(forms: readonly string[], text: string): Span[] {
  return forms.flatMap((form) => {
    const spans: Span[] = [];
    let start = text.indexOf(form);
    while (start >= 0) {
      spans.push({ start, end: start + form.length });
      start = text.indexOf(form, start + 1);
    }
    return spans;
  });
}

function beginningAtEnd(forms: readonly string[], text: string): number {
  let first = text.length;
  for (const form of forms) {
    const [begin = ""] = form;
    let at = text.indexOf(begin, text.length - form.length + 1);
    while (at >= 0 && at < first && !form.startsWith(text.slice(at))) {
      at = text.indexOf(begin, at + 1);
    }
    if (at >= 0) first = Math.min(first, at);
  }
  return first;
}

/**
 * The ends of lines, as base64 and openssl set them, and what colours a terminal;
 * at the end of a piece, their beginnings.
 */
// deno-lint-ignore no-control-regex -- looking for them is the point
const BREAKS = /\r?\n|\r$|\x1b\[[0-9;]*[A-Za-z]|\x1b(?:\[[0-9;]*)?$/g;

/** A text without what may break a secret, which knows where its characters stood. */
class Unbroken {
  readonly text: string;
  readonly isSame: boolean;
  /** Where each part begins, here and in the text with its breaks. */
  readonly #parts: { readonly here: number; readonly there: number }[] = [];

  constructor(whole: string) {
    let text = "";
    let there = 0;
    for (const { index, 0: { length } } of whole.matchAll(BREAKS)) {
      this.#parts.push({ here: text.length, there });
      text += whole.slice(there, index);
      there = index + length;
    }
    this.#parts.push({ here: text.length, there });
    this.isSame = there === 0;
    this.text = text + whole.slice(there);
  }

  placeOf(index: number): number {
    const { here, there } =
      this.#parts.findLast((part) => part.here <= index) ??
        { here: 0, there: 0 };
    return there + index - here;
  }
}

/** A text in pieces. */
export interface SecretStream {
  /** Takes a piece, and returns what can be shown. */
  push(text: string): string;
  /** Returns what waited. */
  end(): string;
}

/** How a secret can look: as it is, line by line where it has several, or encoded. */
function formsOf(value: string): string[] {
  const isFound = (text: string) => text.length >= MIN_SECRET_CHARACTERS;
  const lines = value.split(/\r?\n/).map((line) => line.trim())
    .filter(isFound);
  const wholes = [value, value.trim()].filter(isFound);
  return [
    ...[value, ...lines].flatMap(jsonFormsOf),
    ...wholes.flatMap(percentFormsOf),
    ...wholes.flatMap(base64FormsOf),
  ].flatMap((form) => [form, form.replaceAll("/", "\\/")]);
}

/** Also in JSON within JSON, with and without characters beyond ASCII; for a shell. */
function jsonFormsOf(text: string): string[] {
  const inJson = (it: string) => JSON.stringify(it).slice(1, -1);
  const forms = [inJson(text), inJson(text).replace(BEYOND_ASCII, escapeOf)];
  const forShell = text.replaceAll("'", `'\\''`);
  return [text, forShell, ...forms, ...forms.map(inJson)];
}

/** Encoders differ in what they leave, and in the case of their digits. */
function percentFormsOf(text: string): string[] {
  const wellFormed = text.toWellFormed();
  const encoded = encodeURIComponent(wellFormed);
  const bytes = [...new TextEncoder().encode(wellFormed)];
  return [
    bytes.map((byte) => percentOf(byte)).join(""),
    encodeURI(wellFormed),
    encoded,
    encoded.replace(/[!'()*~]/g, (char) => percentOf(char.charCodeAt(0))),
  ].flatMap((form) => [form, form.replaceAll("%2F", "/")])
    .flatMap((form) => [form, form.replaceAll("%20", "+")])
    .flatMap((form) => [
      form,
      form.replace(/%../g, (code) => code.toLowerCase()),
    ]);
}

function percentOf(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}

/** Alone, or in a longer text: `user:secret`. */
function base64FormsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  // Where it begins decides which of three forms it has there.
  return [0, 1, 2].flatMap((before) => {
    const encoded = Buffer.from(":".repeat(before) + text).toString("base64");
    const bare = encoded.replace(/=+$/, "");
    // What follows it may share its last character; before it stands a colon, or
    // what is not known.
    const known = bare.slice(0, Math.floor((before + bytes.length) * 4 / 3));
    const starts = [before, Math.ceil(before * 4 / 3)];
    return [encoded, bare, known].flatMap((it) =>
      starts.map((start) => it.slice(start))
    );
  }).flatMap((form) => [
    form,
    form.replaceAll("+", "-").replaceAll("/", "_"),
  ]);
}

const BEYOND_ASCII = /[^\0-\x7f]/g;

function escapeOf(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function masked(text: string, spans: readonly Span[]): string {
  let result = "";
  let at = 0;
  for (const { start, end } of spans) {
    result += text.slice(at, start) + MASK;
    at = end;
  }
  return result + text.slice(at);
}
