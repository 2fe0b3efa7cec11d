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

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Replaces secrets by `***`. */
export class Secrets {
  readonly #forms: readonly string[];

  /** Takes values of at least {@linkcode MIN_SECRET_CHARACTERS}. */
  constructor(values: readonly string[]) {
    this.#forms = [...new Set(values.flatMap(formsOf))];
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
    const found: Span[] = [];
    for (const form of this.#forms) {
      let start = text.indexOf(form);
      while (start >= 0) {
        found.push({ start, end: start + form.length });
        start = text.indexOf(form, start + 1);
      }
    }
    found.sort((a, b) => a.start - b.start);
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
    let first = text.length;
    for (const form of this.#forms) {
      const [begin = ""] = form;
      let at = text.indexOf(begin, text.length - form.length + 1);
      while (at >= 0 && at < first && !form.startsWith(text.slice(at))) {
        at = text.indexOf(begin, at + 1);
      }
      if (at >= 0) first = Math.min(first, at);
    }
    return first;
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

/** With and without characters beyond ASCII. */
function jsonFormsOf(text: string): string[] {
  const inJson = JSON.stringify(text).slice(1, -1);
  return [text, inJson, inJson.replace(BEYOND_ASCII, escapeOf)];
}

/** Encoders differ in what they leave, and in the case of their digits. */
function percentFormsOf(text: string): string[] {
  const wellFormed = text.toWellFormed();
  const encoded = encodeURIComponent(wellFormed);
  return [
    encodeURI(wellFormed),
    encoded,
    encoded.replace(/[!'()*~]/g, percentOf),
  ].flatMap((form) => [form, form.replaceAll("%2F", "/")])
    .flatMap((form) => [form, form.replaceAll("%20", "+")])
    .flatMap((form) => [
      form,
      form.replace(/%../g, (code) => code.toLowerCase()),
    ]);
}

function percentOf(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
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
    // As base64 and openssl break it.
    ...[64, 76].map((width) =>
      form.replace(new RegExp(`.{${width}}(?=.)`, "g"), "$&\n")
    ),
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
