/**
 * The model server of a test: what it is to answer, and what it was asked.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

const SERVER = fileURLToPath(
  new URL("./fake_model_server.mjs", import.meta.url),
);

/** What the model answers: see the head of fake_model_server.mjs. */
export type Reply = Readonly<Record<string, unknown>>;

/** One that runs. Dispose of it to end it. */
export class ModelServer implements AsyncDisposable {
  readonly url: string;
  readonly #child: Deno.ChildProcess;
  readonly #log: string;
  /** So many requests belong to what it answered before. */
  #before = 0;

  private constructor(child: Deno.ChildProcess, url: string, log: string) {
    this.#child = child;
    this.url = url;
    this.#log = log;
  }

  /** @param log the file in which it keeps what it was asked */
  static async start(log: string): Promise<ModelServer> {
    await Deno.writeTextFile(log, "");
    const child = new Deno.Command("node", {
      args: [SERVER, "--log", log],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    let line = "";
    const reader = child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    while (!line.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error("The model server ended");
      line += value;
    }
    await reader.cancel();
    return new ModelServer(child, JSON.parse(line).url, log);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** From now on it answers these, the last one for ever. */
  async says(...replies: readonly Reply[]): Promise<void> {
    this.#before = (await this.#lines()).length;
    const body = JSON.stringify({ replies });
    const response = await fetch(`${this.url}/__scenario`, {
      method: "PUT",
      body,
    });
    await response.body?.cancel();
  }

  /** How many requests wait for an answer that does not come. */
  async hanging(): Promise<number> {
    const response = await fetch(`${this.url}/__state`);
    return (await response.json()).hanging;
  }

  /**
   * What its agent was told with each request since {@linkcode says}, as JSON;
   * without those for titles and the like.
   */
  async asked(): Promise<string[]> {
    const lines = (await this.#lines()).slice(this.#before);
    return lines.map((line) => JSON.parse(line))
      .filter(({ from }) => from !== undefined && from !== "side")
      .map(({ body }) => JSON.stringify(body));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  async #lines(): Promise<string[]> {
    const text = await Deno.readTextFile(this.#log);
    return text.split("\n").slice(0, -1);
  }
}
