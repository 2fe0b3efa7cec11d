/**
 * A real receiver of webhooks, on a port of this computer.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Webhook } from "standardwebhooks";
import { LIMIT_MS } from "../support/until.ts";

/** A secret as Standard Webhooks has it. */
export const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/** A message that came in, and whose signature is right. */
export interface Received {
  readonly id: string;
  readonly type: string;
  readonly taskId: string;
  readonly body: string;
}

/** As the package's `verify`, which takes no message of another time. */
function assertSigned(headers: Record<string, string>, body: string): void {
  const at = new Date(Number(headers["webhook-timestamp"]) * 1_000);
  const right = new Webhook(SECRET).sign(headers["webhook-id"] ?? "", at, body);
  assertEquals(headers["webhook-signature"], right);
}

/** The status to answer, or none at all; `count` is 1 for the first message. */
export type Answer = (count: number) => Response | number | "hang";

/** Keeps what it gets. */
export class Receiver implements AsyncDisposable {
  readonly received: Received[] = [];
  /** Of the last message. */
  headers: Record<string, string> = {};
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #closed = new AbortController();
  #waiting: (() => void)[] = [];

  constructor(answer: Answer = () => 200, port = 0) {
    const options = { port, hostname: "127.0.0.1", onListen: () => {} };
    this.#server = Deno.serve(options, async (request) => {
      const body = await request.text();
      const headers = Object.fromEntries(request.headers);
      this.headers = headers;
      assertSigned(headers, body);
      const { type, data } = JSON.parse(body);
      const message = {
        id: headers["webhook-id"] ?? "",
        type,
        taskId: data.task?.id,
        body,
      };
      this.received.push(message);
      for (const wake of this.#waiting.splice(0)) wake();
      const given = answer(this.received.length);
      if (given === "hang") return await this.#hang();
      return typeof given === "number"
        ? new Response(null, { status: given })
        : given;
    });
  }

  get port(): number {
    return this.#server.addr.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook?token=s3cret`;
  }

  get types(): string[] {
    return this.received.map(({ type }) => type);
  }

  /** Never answers, until the receiver is closed. */
  #hang(): Promise<Response> {
    return new Promise((resolve) =>
      this.#closed.signal.addEventListener(
        "abort",
        () => resolve(new Response("late", { status: 503 })),
      )
    );
  }

  /** Waits until so many messages came in. */
  async has(count: number): Promise<void> {
    const late = AbortSignal.timeout(LIMIT_MS);
    while (this.received.length < count) {
      await new Promise<void>((resolve, reject) => {
        late.onabort = () =>
          reject(new Error(`Only ${this.received.length} of ${count} came`));
        this.#waiting.push(resolve);
      });
    }
    late.onabort = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#server.shutdown();
  }
}
