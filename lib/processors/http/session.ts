/**
 * Sends the requests of one run, and follows redirects by hand: each address is
 * checked, and what is secret stays with the origin that it is for.
 *
 * @module
 */

import { hopeless } from "./error.ts";
import { type HttpAnswer, type RequestLimits, sendRequest } from "./request.ts";

/** Options for {@linkcode HttpSession}. */
export interface SessionOptions {
  readonly limits: RequestLimits;
  readonly maxRedirects: number;
  /** Where the headers of the configuration may go: to this URL's origin. */
  readonly home: URL;
  /** Sent to any origin. */
  readonly openHeaders: Readonly<Record<string, string>>;
  /** Sent to the origin of `home` only. */
  readonly secretHeaders: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Takes a line for each answer. */
  readonly onAnswer: (line: string) => void;
}

/** A request as its sender sees it. */
export interface Message {
  readonly url: URL;
  readonly method: string;
  readonly body?: {
    readonly bytes: Uint8Array;
    /** Sent with the body to any origin. */
    readonly openHeaders: Readonly<Record<string, string>>;
    /** Sent with the body to the origin of `home` only. */
    readonly secretHeaders: Readonly<Record<string, string>>;
  };
}

/** Sends requests until the run ends. */
export class HttpSession {
  readonly #options: SessionOptions;
  /** Not any more once another origin has said where to go. */
  #isAtHome = true;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /**
   * Sends a message, to where redirects lead.
   *
   * @throws {RunError} where there is no answer, or the signal's reason.
   */
  async send(message: Message): Promise<HttpAnswer> {
    const { maxRedirects } = this.#options;
    let next = message;
    for (let redirects = 0;; redirects++) {
      const answer = await this.#sendOnce(next);
      const { status } = answer;
      if (status < 300 || status >= 400) return answer;
      if (redirects === maxRedirects) {
        throw hopeless(
          `${nameOf(message.url)} redirects more than ${maxRedirects} times, ` +
            `last to ${answer.header("location") ?? "nowhere"}.`,
        );
      }
      next = redirected(next, answer);
    }
  }

  async #sendOnce({ url, method, body }: Message): Promise<HttpAnswer> {
    const { limits, home, openHeaders, secretHeaders, signal, onAnswer } =
      this.#options;
    this.#isAtHome &&= url.origin === home.origin;
    const answer = await sendRequest({
      url,
      method,
      headers: {
        ...openHeaders,
        ...body?.openHeaders,
        ...this.#isAtHome && { ...secretHeaders, ...body?.secretHeaders },
      },
      body: body?.bytes,
    }, { ...limits, signal });
    onAnswer(`${method} ${nameOf(url)}: ${answer.status}`);
    return answer;
  }
}

function redirected(message: Message, answer: HttpAnswer): Message {
  const { status } = answer;
  const location = answer.header("location");
  const from = `${nameOf(answer.url)} answered ${status}`;
  if (location === undefined) {
    throw hopeless(`${from}, and does not say where to go.`);
  }
  const url = nextUrl(location, answer);
  switch (status) {
    case 307:
    case 308:
      return { ...message, url };
    case 303:
      return { url, method: "GET" };
    case 301:
    case 302:
      // Everybody makes this a GET, which would leave the task behind, and then
      // take the page that it gets for the result.
      if (message.body) {
        throw hopeless(
          `${from}, which would lose the task on the way to ${nameOf(url)}. ` +
            'If that is the right place, make it the "url" in the configuration.',
        );
      }
      return { url, method: "GET" };
    default:
      throw hopeless(`${from}, which agent-runner can't follow.`);
  }
}

/**
 * A URL that a server names, seen from its own.
 *
 * @throws {RunError} where it is none that may follow.
 */
export function nextUrl(text: string, { url: base }: HttpAnswer): URL {
  const url = URL.parse(text, base);
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  if (!url || !isHttp) {
    throw hopeless(`${nameOf(base)} names ${text}, which is no http URL.`);
  }
  if (base.protocol === "https:" && url.protocol === "http:") {
    throw hopeless(
      `${nameOf(base)} names ${nameOf(url)}, where nothing is encrypted any ` +
        "more.",
    );
  }
  return url;
}

/** A URL for people: without its query, which may hold a secret. */
export function nameOf({ origin, pathname }: URL): string {
  return origin + pathname;
}
