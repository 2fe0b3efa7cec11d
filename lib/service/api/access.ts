/**
 * Who is let in, and to do what: who knows a token, or has the cookie that a
 * browser gets for it.
 *
 * @module
 */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Context } from "hono";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { Problem } from "./responses.ts";

/** The name of the cookie. */
export const SESSION_COOKIE = "agent_runner_session";

/** For how long a browser is let in without the token. */
export const SESSION_MS = 12 * 3_600_000;

/** The oldest makes room. */
const MAX_SESSIONS = 1_000;

/** How long who has a wrong token waits to be told so. */
const REFUSAL_MS = 1_000;
/** Who must not keep the others from their requests. */
const MAX_WAITING = 32;
/** One who guesses must not fill the log. */
const LOG_MS = 10_000;

/** What is allowed. */
export type Right = "change" | "read";

/** What a request comes with, beside itself. */
export interface Caller {
  /** Its IP address; undefined where it has none. */
  readonly from: string | undefined;
}

/** Options for {@linkcode Access}. */
export interface AccessOptions {
  /** Empty where everybody may do everything. */
  readonly token: string;
  /** Lets only read. Empty: there is none. */
  readonly readOnlyToken?: string;
  readonly clock: Clock;
  readonly log: Log;
}

interface Session {
  readonly right: Right;
  readonly endsAt: number;
  /** Aborted when it is ended before its time. */
  readonly ended: AbortController;
}

/** Sessions are in memory only: a restart ends them. */
export class Access {
  readonly #options: AccessOptions;
  readonly #sessions = new Map<string, Session>();
  #waiting = 0;
  #unsaid = 0;
  #saidAt = -Infinity;

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  /** Whether a token is needed at all. */
  get needsToken(): boolean {
    return this.#options.token !== "";
  }

  /** What a request may do; undefined: nothing. */
  async rightOf(c: Context): Promise<Right | undefined> {
    if (!this.needsToken) return "change";
    const { headers } = c.req.raw;
    const [, token] = /^Bearer +(\S+) *$/i.exec(
      headers.get("Authorization") ?? "",
    ) ?? [];
    if (token !== undefined) return await this.rightBy(token, c);
    return this.#sessionOf(headers)?.right;
  }

  /** Aborts when the request's session is ended; undefined where it has none. */
  endOf(headers: Headers): AbortSignal | undefined {
    return this.#sessionOf(headers)?.ended.signal;
  }

  #sessionOf(headers: Headers): Session | undefined {
    const now = this.#options.clock.now().getTime();
    return cookiesOf(headers).map((it) => this.#sessions.get(it))
      .find((it) => it && it.endsAt > now);
  }

  /**
   * What a token allows; undefined: nothing. That takes a while to learn, and
   * is logged.
   */
  async rightBy(text: string, c: Context): Promise<Right | undefined> {
    const { token, readOnlyToken = "" } = this.#options;
    // Both, always: how long it takes tells nothing.
    const mayChange = isSame(text, token);
    const mayRead = isSame(text, readOnlyToken) && readOnlyToken !== "";
    if (mayChange || !this.needsToken) return "change";
    if (mayRead) return "read";
    await this.#refuse(c);
    return undefined;
  }

  /** Begins a session. Returns what the browser's cookie is to hold. */
  begin(right: Right): string {
    for (const oldest of this.#sessions.keys()) {
      if (this.#sessions.size < MAX_SESSIONS) break;
      this.#end(oldest);
    }
    const id = randomBytes(32).toString("base64url");
    const endsAt = this.#options.clock.now().getTime() + SESSION_MS;
    const ended = new AbortController();
    this.#sessions.set(id, { right, endsAt, ended });
    return id;
  }

  /** Ends the session of a request, and the streams that it has. */
  end(headers: Headers): void {
    for (const id of cookiesOf(headers)) this.#end(id);
  }

  #end(id: string): void {
    this.#sessions.get(id)?.ended.abort();
    this.#sessions.delete(id);
  }

  async #refuse(c: Context): Promise<void> {
    const { clock } = this.#options;
    this.#say(c);
    if (this.#waiting >= MAX_WAITING) {
      throw new Problem(429, "Too many wrong tokens. Try again soon.", {
        headers: { "Retry-After": "1" },
      });
    }
    this.#waiting++;
    await clock.sleep(REFUSAL_MS);
    this.#waiting--;
  }

  #say(c: Context): void {
    const { clock, log } = this.#options;
    this.#unsaid++;
    const now = clock.monotonic();
    if (now - this.#saidAt < LOG_MS) return;
    this.#saidAt = now;
    const count = this.#unsaid;
    this.#unsaid = 0;
    const { from = "a socket" } = c.env as Caller;
    const behind = c.req.header("X-Forwarded-For")?.slice(0, 200);
    const whence = behind === undefined ? from : `${from} for ${behind}`;
    const what = count === 1
      ? "a wrong token"
      : `${count} wrong tokens, the last`;
    log.warning(
      `Refused ${what} from ${whence}`,
      { event: "token_refused", from: whence, count },
    );
  }
}

/** There may be several: those of other ports and paths come along. */
function cookiesOf(headers: Headers): string[] {
  return (headers.get("Cookie") ?? "").split(/; */)
    .filter((it) => it.startsWith(`${SESSION_COOKIE}=`))
    .map((it) => it.slice(SESSION_COOKIE.length + 1));
}

function isSame(left: string, right: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}
