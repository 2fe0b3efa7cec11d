/**
 * Chromium for the tests and the screenshots. Used by nothing that is shipped.
 *
 * @module
 */

import { type Browser, connect } from "npm:puppeteer-core@25.16.0";

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser"];

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--hide-scrollbars",
  "--remote-debugging-port=0",
];

/** Where the computer has Chromium; undefined where it has none. */
export function chromiumPath(): string | undefined {
  return PATHS.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** A Chromium of its own, with nothing of the user's; gone when disposed of. */
export class Chromium implements AsyncDisposable {
  private constructor(
    readonly browser: Browser,
    readonly process: Deno.ChildProcess,
    readonly folder: string,
  ) {}

  static async start(executable: string): Promise<Chromium> {
    const folder = await Deno.makeTempDir({ prefix: "agent-runner-browser-" });
    const process = new Deno.Command(executable, {
      args: [...FLAGS, `--user-data-dir=${folder}`, "about:blank"],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const browserWSEndpoint = await addressOf(process.stderr);
    const browser = await connect({ browserWSEndpoint, defaultViewport: null });
    return new Chromium(browser, process, folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close();
    await this.process.status;
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Chromium says on its standard error where it listens; the rest is noise. */
async function addressOf(
  stderr: ReadableStream<Uint8Array<ArrayBuffer>>,
): Promise<string> {
  const found = Promise.withResolvers<string>();
  let text = "";
  stderr.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({
      write(part) {
        text += part;
        const [, address] = /DevTools listening on (ws:\S+)/.exec(text) ?? [];
        if (address) found.resolve(address);
      },
      close: () => found.reject(new Error(`Chromium does not start: ${text}`)),
    }),
  );
  return await found.promise;
}
