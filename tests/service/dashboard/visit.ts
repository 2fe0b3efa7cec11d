/**
 * The dashboard in a browser.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import axe from "npm:axe-core@4.14.1";
import type { Page } from "npm:puppeteer-core@25.16.0";
import type { NewTask } from "../../../lib/task/task.ts";
import { Chromium, chromiumPath } from "../../../tools/browser.ts";
import { LIMIT_MS } from "../../support/until.ts";
import { TestService } from "../service.ts";

// What only browsers have; the types of them all would be other tests' too.
// deno-lint-ignore no-explicit-any
export type Field = any;
declare const document: Field;

const chromium = chromiumPath();
if (!chromium) {
  console.warn(
    "The tests of the dashboard are skipped: there is no Chromium. " +
      "Run: apt-get install chromium",
  );
}

/** The browser of this file's tests; each has a profile of its own in it. */
let started: Chromium | undefined;

if (chromium) {
  Deno.test.beforeAll(async () => {
    started = await Chromium.start(chromium);
  });
  Deno.test.afterAll(() => started?.[Symbol.asyncDispose]());
}

/** What a page must not do is noted in `faults`. */
export interface Visit {
  readonly page: Page;
  readonly service: TestService;
  readonly faults: string[];
}

/** How the page is visited. */
export interface VisitOptions {
  readonly token?: string;
  readonly readOnlyToken?: string;
  readonly tasks?: readonly Partial<NewTask>[];
  readonly path?: string;
  readonly scheme?: "light" | "dark";
  readonly width?: number;
  /** Called before the page is opened. */
  readonly prepare?: (service: TestService) => Promise<unknown>;
}

/** Defines a test that has the page open in a browser of its own. */
export function browserTest(
  name: string,
  options: VisitOptions,
  act: (visit: Visit) => Promise<void>,
): void {
  Deno.test({
    name: `dashboard ${name}`,
    ignore: chromium === undefined,
    async fn() {
      await using service = await TestService.start(options);
      await service.add(options.tasks ?? []);
      await options.prepare?.(service);
      await using profile = await started!.browser.createBrowserContext();
      const page = await profile.newPage();
      page.setDefaultTimeout(LIMIT_MS);
      const faults: string[] = [];
      page.on("console", (message) => {
        if (["error", "warn"].includes(message.type())) {
          faults.push(message.text());
        }
      });
      page.on("pageerror", (error) => faults.push(String(error)));
      page.on("request", (request) => {
        const url = request.url();
        const isOwn = url.startsWith(`${service.url}/`);
        if (!isOwn && !url.startsWith("data:")) faults.push(url);
      });
      await page.setViewport({ width: options.width ?? 1280, height: 800 });
      await page.emulateMediaFeatures([
        { name: "prefers-color-scheme", value: options.scheme ?? "light" },
        { name: "prefers-reduced-motion", value: "reduce" },
      ]);
      await page.goto(service.url + (options.path ?? "/"));
      await act({ page, service, faults });
      assertEquals(faults, []);
    },
  });
}

/** Waits for as many rows and returns their first lines. */
export async function titles(page: Page, count: number): Promise<string[]> {
  await page.waitForFunction(
    (count) =>
      document.querySelector("#tasks")?.getAttribute("aria-busy") === "false" &&
      document.querySelectorAll("#rows .row").length === count,
    {},
    count,
  );
  return await page.$$eval(
    "#rows .row-link",
    (links) => links.map((it) => it.textContent ?? ""),
  );
}

/** The text of an element. */
export function textOf(page: Page, selector: string): Promise<string> {
  return page.$eval(selector, (it) => it.textContent ?? "");
}

/** Waits until an element has such a text. */
export async function shows(page: Page, selector: string, text: string) {
  await page.waitForFunction(
    (selector, text) =>
      [...document.querySelectorAll(selector)].some((it: Field) =>
        it.textContent?.includes(text) && it.checkVisibility()
      ),
    {},
    selector,
    text,
  );
}

/** A text that would do something if it became markup. */
export const HOSTILE =
  '<img src=x onerror="document.title=1"><script>x()</script>';

/** The serious barriers that the page has. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(async () => {
    // deno-lint-ignore no-explicit-any -- what the source above made
    const { axe } = globalThis as any;
    return await axe.run() as axe.AxeResults;
  });
  return violations.filter(({ impact }) =>
    impact === "serious" || impact === "critical"
  ).map(({ id, nodes }) => `${id}: ${nodes.map((it) => it.html).join("\n")}`);
}
