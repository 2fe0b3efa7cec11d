/**
 * `deno task screenshot`: the README's pictures of the dashboard, with made-up
 * tasks. Needs Chromium.
 */
import { systemClock } from "../lib/base/clock.ts";
import { openDuckDbStore } from "../lib/store/duckdb/store.ts";
import { createLog } from "../lib/base/log.ts";
import { startService } from "../lib/service/service.ts";
import { Chromium, chromiumPath } from "./browser.ts";
import { makeUp } from "./screenshot/made_up.ts";

const FOLDER = new URL("screenshot/", import.meta.url).pathname;

const executable = chromiumPath();
if (!executable) {
  console.error("error: There is no Chromium. Run: apt-get install chromium");
  Deno.exit(1);
}
const folder = await Deno.makeTempDir({ prefix: "agent-runner-screenshot-" });
const path = `${folder}/tasks.duckdb`;
try {
  await (await openDuckDbStore(path))[Symbol.asyncDispose]();
  await makeUp(path, new Date());
  await using store = await openDuckDbStore(path);
  const service = await startService({
    store,
    log: createLog({ level: "WARNING", write: (text) => console.error(text) }),
    clock: systemClock,
    version: "0",
    settings: {
      address: { hostname: "127.0.0.1", port: 0 },
      allowedHosts: [],
      token: "",
    },
    served: { defaultProvider: "claude", warningFor: () => undefined },
  });
  await using chromium = await Chromium.start(executable);
  for (const colorScheme of ["light", "dark"] as const) {
    const page = await chromium.browser.newPage();
    await page.setViewport({ width: 1280, height: 800 });
    await page.emulateMediaFeatures([
      { name: "prefers-color-scheme", value: colorScheme },
    ]);
    await page.goto(service.url);
    await page.waitForSelector("#rows .row");
    await page.waitForSelector("#plot-wait canvas");
    const file = `${FOLDER}dashboard-${colorScheme}.png` as const;
    await page.screenshot({ path: file });
    console.log(file);
  }
  await service.stop({ drainMs: 2_000, abort: new AbortController().signal });
} finally {
  await Deno.remove(folder, { recursive: true });
}
