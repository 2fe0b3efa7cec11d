import { assert, assertEquals } from "@std/assert";
import type { Usage } from "../../../lib/task/usage.ts";
import { complete, fail, withUsage } from "../../../lib/task/transitions.ts";
import type { TestService } from "../service.ts";
import {
  browserTest,
  type Field,
  HOSTILE,
  shows,
  textOf,
  titles,
  violations,
} from "./visit.ts";

declare const document: Field;

const USED: Usage = {
  input: 2_480,
  cached: 9_920,
  output: 900,
  costUsd: 0.12,
  model: HOSTILE,
};

/** Runs of so many providers, each with this usage, and one warning. */
function run(providers: number, usage: Usage = USED) {
  return async (service: TestService): Promise<void> => {
    const names = Array.from({ length: providers }, (_, index) => `p${index}`);
    await service.add(names.map((provider) => ({ provider })));
    await service.run((claimed) =>
      withUsage(complete(claimed, { warning: HOSTILE }), {
        provider: claimed.task.provider,
        ...usage,
      })
    );
  };
}

browserTest("shows what a task used, in all and in each attempt", {
  prepare: run(1),
}, async ({ page }) => {
  await titles(page, 1);
  await page.locator("#rows .row-link").click();
  await shows(page, "#panel-usage", "$0.12");
  assertEquals(
    await textOf(page, "#panel-usage"),
    "$0.12 · 12,400 tokens in (80% cached) · 900 out",
  );
  assertEquals(
    await textOf(page, ".event-usage"),
    `$0.12 · 13,300 tokens · ${HOSTILE}`,
  );
  await shows(page, "#warning-text", HOSTILE);
  assertEquals(await page.$$("aside img, aside script"), []);
  assertEquals(await violations(page), []);
});

browserTest("shows no row that then moves away from under a pointer", {
  prepare: run(1),
}, async ({ page }) => {
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    const isLate = request.url().includes("/stats?");
    setTimeout(() => request.continue(), isLate ? 500 : 0);
  });
  await page.reload();
  const top = () =>
    page.$eval("#rows .row", (it: Field) => it.getBoundingClientRect().top);
  await titles(page, 1);
  const shownAt = await top();
  await shows(page, "#usage-title", "Agents");
  assertEquals(await top(), shownAt);
});

browserTest(
  "shows no usage where none is known, or what it is makes no sense",
  {
    tasks: [{ trace: { usage: { input: "many", costUsd: -1 }, warning: 3 } }],
    prepare: (service) => service.run((claimed) => fail(claimed, "no")),
  },
  async ({ page }) => {
    await titles(page, 1);
    await shows(page, "#tile-failed .tile-number", "1");
    await page.locator("#rows .row-link").click();
    await shows(page, "#error-text", "no");
    const areHidden = await page.$$eval(
      "#usage, #panel-usage, #warning",
      (all: Field[]) => all.map(({ hidden }) => hidden),
    );
    assertEquals(areHidden, [true, true, true]);
    assertEquals(await page.$$(".event-usage"), []);
  },
);

for (const [scheme, width] of [["light", 1280], ["dark", 390]] as const) {
  browserTest(`sums up what agents used, ${scheme}, ${width} wide`, {
    scheme,
    width,
    prepare: async (service) => {
      await run(6)(service);
      await run(1, { input: 1_000_000, costUsd: 9.5 })(service);
    },
  }, async ({ page }) => {
    await shows(page, "#usage-title", "Agents, last 24 h");
    const rows = await page.$$eval(
      "#usage-rows tr",
      (all: Field[]) =>
        all.map((row) => [...row.children].map((it) => it.textContent)),
    );
    assertEquals(rows.length, 6);
    assertEquals(rows[0], ["p0", "1", "1M", "0%", "0", "$9.50"]);
    assertEquals(rows[1]![0]!.endsWith(HOSTILE), true);
    assertEquals(
      rows[4],
      ["3 others", "3", "37,200", "80%", "2,700", "$0.36"],
    );
    assertEquals(rows[5], ["All", "7", "1.1M", "6%", "5,400", "$10.22"]);
    assertEquals(await page.$$("#usage img, #usage script"), []);
    const wide = await page.evaluate(() => document.body.scrollWidth);
    assert(wide <= width, `${wide} wide`);
    assertEquals(await violations(page), []);
    await page.$eval("input[value='1h']", (it: Field) => it.click());
    await shows(page, "#usage-title", "Agents, last 1 h");
  });
}
