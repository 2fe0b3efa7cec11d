/**
 * A way to a server that can go silent, as a firewall that has forgotten a
 * connection: nothing arrives any more, and neither end is told.
 *
 * @module
 */

const LOCAL = "127.0.0.1";

/** Passes on what is sent to a port, until it is to stop. */
export class HalfOpenProxy implements AsyncDisposable {
  /** Connections made from now on are passed on; those that there are, not. */
  hangs = false;
  /** A connection hangs from the first thing on that it sends with this text in it. */
  hangsAt: string | undefined;
  /** One of them did. */
  hasHung = false;
  /** The first connection that sends this is cut off, which the server isn't told. */
  cutsAt: string | undefined;
  readonly #port: number;
  readonly #listener = Deno.listen({ hostname: LOCAL, port: 0 });
  readonly #open: Deno.Conn[] = [];
  readonly #accepting: Promise<void>;

  constructor(port: number) {
    this.#port = port;
    this.#accepting = this.#accept();
  }

  /** The port to connect to. */
  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  async #accept(): Promise<void> {
    for await (const near of this.#listener) {
      const far = await Deno.connect({ hostname: LOCAL, port: this.#port });
      this.#open.push(near, far);
      const isFresh = this.hangs;
      let isSilent = false;
      const pass = async (from: Deno.Conn, to: Deno.Conn) => {
        const buffer = new Uint8Array(65_536);
        try {
          for (;;) {
            const count = await from.read(buffer);
            if (count === null) {
              if (!isSilent) await to.closeWrite();
              break;
            }
            const bytes = buffer.subarray(0, count);
            if (has(bytes, this.cutsAt)) {
              this.cutsAt = undefined;
              near.close();
              break;
            }
            isSilent ||= this.hangs && !isFresh || has(bytes, this.hangsAt);
            this.hasHung ||= isSilent;
            if (!isSilent) await to.write(bytes);
          }
        } catch {
          // One of the two has ended.
        }
      };
      pass(near, far);
      pass(far, near);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const connection of this.#open) {
      try {
        connection.close();
      } catch {
        // It has ended.
      }
    }
  }
}

function has(bytes: Uint8Array, text: string | undefined): boolean {
  return text !== undefined && new TextDecoder().decode(bytes).includes(text);
}
