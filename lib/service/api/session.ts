/**
 * The token that callers must know, and the cookie that a browser gets for it:
 * an end time with a signature made with the token. So nothing is kept here, a
 * restart ends no session, and another token ends all.
 *
 * @module
 */

import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** The name of the cookie. */
export const SESSION_COOKIE = "agent_runner_session";

/** For how long a browser is let in without the token. */
export const SESSION_MS = 12 * 3_600_000;

/** Who is let in. */
export class Access {
  readonly #token: string;

  /** @param token empty where everybody is let in. */
  constructor(token: string) {
    this.#token = token;
  }

  /** Whether a token is needed at all. */
  get needsToken(): boolean {
    return this.#token !== "";
  }

  /** Says whether this is the token; how long that takes tells nothing of it. */
  isToken(text: string): boolean {
    return isSame(text, this.#token);
  }

  /** Says whether a request with these headers is let in. */
  allows(headers: Headers, now: Date): boolean {
    if (!this.needsToken) return true;
    const [, token] = /^Bearer +(\S+) *$/i.exec(
      headers.get("Authorization") ?? "",
    ) ?? [];
    if (token !== undefined) return this.isToken(token);
    return cookiesOf(headers).some((it) => this.#isSession(it, now));
  }

  /** What a browser's cookie is to hold. */
  session(now: Date): string {
    const end = String(now.getTime() + SESSION_MS);
    return `${end}.${this.#sign(end)}`;
  }

  #isSession(value: string, now: Date): boolean {
    const [end = "", signature = ""] = value.split(".");
    return isSame(signature, this.#sign(end)) && Number(end) > now.getTime();
  }

  #sign(end: string): string {
    return createHmac("sha256", this.#token).update(`session ${end}`)
      .digest("hex");
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
