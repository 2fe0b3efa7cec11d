/**
 * Reads server-sent events, one after the other.
 *
 * @module
 */

import { within } from "../support/until.ts";

/** An event of a stream. */
export interface Message {
  readonly retry?: string;
  readonly event?: string;
  readonly id?: string;
  // deno-lint-ignore no-explicit-any -- what JSON gives; the test looks at it
  readonly data?: any;
  /** A line that is for nobody but proxies. */
  readonly comment?: string;
}

/** A client of a stream. */
export class StreamClient implements AsyncDisposable {
  readonly response: Response;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(response: Response) {
    this.response = response;
    this.#reader = response.body!.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  /** The next message; undefined where the stream has ended. */
  async next(): Promise<Message | undefined> {
    while (!this.#text.includes("\n\n")) {
      const { done, value } = await within("a message", this.#reader.read());
      if (done) return undefined;
      this.#text += value;
    }
    const end = this.#text.indexOf("\n\n");
    const lines = this.#text.slice(0, end).split("\n");
    this.#text = this.#text.slice(end + 2);
    return Object.fromEntries(lines.map((line) => {
      const [, name, value = ""] = /^(\w*): ?(.*)$/.exec(line) ?? [];
      if (name === "data") return [name, JSON.parse(value)];
      return [name || "comment", value];
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}
