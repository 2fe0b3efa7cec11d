import { assert, assertEquals, assertMatch } from "@std/assert";
import type { NewTask } from "../../../lib/task/task.ts";
import { limited } from "../../../lib/task/transitions.ts";
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

const TASKS: readonly Partial<NewTask>[] = [
  { instruction: "Write the release notes", provider: "codex" },
  { instruction: "Fix the session test", provider: "claude" },
  { instruction: "Find dead links", provider: "claude" },
];
const HOUR_MS = 3_600_000;

async function meetLimit({ store: { admin } }: TestService): Promise<void> {
  const options = { kind: "limit", reason: HOSTILE, waitMs: HOUR_MS } as const;
  await admin.pause({ provider: "claude" }, options);
}

browserTest("says which provider is paused, and resumes it", {
  tasks: TASKS,
  prepare: meetLimit,
}, async ({ page, service }) => {
  await shows(page, "#pauses .pause-text", HOSTILE);
  assertMatch(
    await textOf(page, "#pauses .pause-text"),
    /^claude: limit until .*\d\d:\d\d, 2 tasks wait — </,
  );
  assertEquals(await page.$$("#pauses img, #pauses script"), []);
  await titles(page, 3);
  await page.select("#provider", "claude");
  await titles(page, 2);
  await page.locator("#rows .row-link").click();
  await shows(page, "#panel-wait", "Waits: claude is paused until");
  await page.focus("#pauses button");
  await page.keyboard.press("Enter");
  await shows(page, "#toasts", "claude goes on");
  await page.waitForSelector("#pauses[hidden]");
  await page.waitForSelector("#panel-wait[hidden]");
  assertEquals(
    await page.evaluate(() => document.activeElement?.id),
    "tasks-title",
  );
  assertEquals(await service.store.admin.pauses(), []);
});

browserTest("pauses a provider for a time, and resumes it in the same place", {
  tasks: TASKS,
}, async ({ page, service }) => {
  await titles(page, 3);
  assertEquals(await page.$eval("#pauses", (it: Field) => it.hidden), true);
  await page.keyboard.press("r");
  await shows(page, "#no-pauses", "Nothing is paused");
  await page.waitForSelector("#pause-provider option");
  assertEquals(
    await page.$$eval(
      "#pause-provider option",
      (all: Field[]) => all.map(({ value }) => value).sort(),
    ),
    ["claude", "codex"],
  );
  await page.select("#pause-provider", "codex");
  await page.select("#pause-time", "28800");
  await page.type("#pause-reason", "Look first");
  await page.keyboard.press("Enter");
  await shows(
    page,
    "#provider-pauses .pause-text",
    "1 task waits — Look first",
  );
  const [pause, ...others] = await service.store.admin.pauses();
  assert(pause);
  assertEquals([pause.provider, pause.kind, others], ["codex", "person", []]);
  assertEquals(+pause.until! - +pause.since, 8 * HOUR_MS);
  assertEquals(
    await page.$eval("#pause-reason", (it: Field) => it.value),
    "",
  );
  await page.select("#pause-provider", "claude");
  await page.locator("#pause-submit").click();
  await shows(page, "#provider-pauses", "claude: paused until it is resumed");
  assertEquals(await violations(page), []);
  await page.locator("#provider-pauses [data-resumes=codex]").click();
  await page.waitForFunction(() =>
    document.querySelectorAll("#provider-pauses .pause").length === 1
  );
  assertEquals(
    await page.evaluate(() => document.activeElement?.id),
    "runners-title",
  );
  await page.keyboard.press("Escape");
  await shows(page, "#pauses", "claude: paused until it is resumed");
});

browserTest("says at once that a run has met its provider's limit", {
  tasks: TASKS.slice(0, 1),
}, async ({ page, service }) => {
  await titles(page, 1);
  await shows(page, "#status", "Live");
  const [run] = await service.claim();
  const limit = { reason: "weekly limit", waitMs: HOUR_MS };
  await service.store.queue.record([limited(run!, limit)]);
  await shows(page, "#pauses .pause-text", "1 task waits — weekly limit");
  await shows(page, "#announcer", "codex paused");
  await page.locator("#rows .row-link").click();
  await shows(page, "#panel-wait", "Waits: codex is paused until");
});

browserTest("leaves the tasks in sight though many providers are paused", {
  tasks: TASKS,
  width: 390,
  prepare: async ({ store: { admin } }) => {
    const reason = "x".repeat(1_000);
    for (const name of ["a", "b", "c", "d", "e"]) {
      await admin.pause({ provider: name }, {
        kind: "budget",
        reason,
        waitMs: null,
      });
    }
  },
}, async ({ page }) => {
  await shows(page, "#pauses", "3 more are paused");
  const [width, height] = await page.evaluate(() => [
    document.body.scrollWidth,
    document.querySelector("#pauses").offsetHeight,
  ]);
  assert(width <= 390 && height < 300, `${width} × ${height}`);
  assertEquals(await violations(page), []);
  await page.locator("#pauses .pause:last-child button").click();
  await shows(page, "#provider-pauses .pause-text", "e: budget until");
});

browserTest("shows pauses to who may only read, and offers to change none", {
  tasks: TASKS,
  token: "the-token",
  readOnlyToken: "the-other-token",
  prepare: meetLimit,
}, async ({ page }) => {
  await page.waitForSelector("#login[open]");
  await page.type("#token", "the-other-token");
  await page.keyboard.press("Enter");
  await shows(page, "#pauses .pause-text", "claude: limit until");
  await page.keyboard.press("r");
  await shows(page, "#provider-pauses .pause-text", "claude: limit until");
  const changing = "#pauses button, #provider-pauses button, #pause-form *";
  const offered = await page.$$eval(
    changing,
    (all: Field[]) => all.filter((it) => it.checkVisibility()).length,
  );
  assertEquals(offered, 0);
});
