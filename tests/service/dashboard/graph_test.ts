import { assert, assertEquals } from "@std/assert";
import type { Page } from "npm:puppeteer-core@25.16.0";
import type { NewTask } from "../../../lib/task/task.ts";
import { complete, fail } from "../../../lib/task/transitions.ts";
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
declare const performance: Field;

const idOf = (number: number) =>
  `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;

/** A task that waits for those with these numbers. */
function task(number: number, ...after: number[]): Partial<NewTask> {
  return {
    id: idOf(number),
    instruction: `Task ${number}`,
    ...after.length > 0 && { after: after.map(idOf) },
  };
}

/** One after the other, two side by side between them. */
const DIAMOND = [
  { ...task(1), key: "first" },
  task(2, 1),
  { ...task(3, 1), instruction: HOSTILE },
  task(4, 2, 3),
];

/** What each box is called, by where it leads. */
async function boxes(page: Page): Promise<Record<string, string>> {
  const found = await page.$$eval(
    "#graph a",
    (all: Field[]) =>
      all.map((it) => [
        it.getAttribute("href"),
        it.querySelector("title").textContent,
      ]),
  );
  return Object.fromEntries(found);
}

/** Where the box leads that the keyboard is at. */
function focused(page: Page): Promise<string> {
  return page.evaluate(() => document.activeElement.getAttribute("href"));
}

browserTest("draws the tasks around one, and what becomes of them", {
  tasks: DIAMOND,
  path: `/#/tasks/${idOf(2)}`,
}, async ({ page, service }) => {
  await shows(page, "#graph-count", "4 tasks");
  assertEquals(await boxes(page), {
    [`#/tasks/${idOf(1)}`]: "first\nTask 1\np: Created",
    [`#/tasks/${idOf(2)}`]: "Task 2\np: Blocked",
    [`#/tasks/${idOf(3)}`]: `${HOSTILE}\np: Blocked`,
    [`#/tasks/${idOf(4)}`]: "Task 4\np: Blocked",
  });
  assertEquals(await page.$$("#graph img, #graph script"), []);
  const lines = () =>
    page.$$eval(".graph-lines path", (all) => all.map((it) => it.className));
  assertEquals((await lines()).length, 4);
  assertEquals((await page.$$(".graph-lines .is-own")).length, 2);
  assertEquals((await page.$$(".graph-lines .is-waiting")).length, 4);
  assertEquals(
    await page.$eval(
      "#graph [aria-current]",
      (it: Field) => it.getAttribute("href"),
    ),
    `#/tasks/${idOf(2)}`,
  );
  await shows(page, "#facts", "until what it waits for has ended");
  assertEquals(await violations(page), []);

  await page.$eval(".graph-picture", (it: Field) => it.isTheSame = true);
  await service.run(complete);
  await shows(page, ".graph-state", "Completed");
  await page.locator(`#graph a[href="#/tasks/${idOf(4)}"]`).click();
  await shows(page, "#panel-title", "Task 4");
  await service.run((claimed) => fail(claimed, "no"));
  await shows(page, ".graph-state", "Failed");
  assertEquals((await page.$$(".graph-lines .is-waiting")).length, 0);
  assertEquals(
    await page.$eval(".graph-picture", (it: Field) => it.isTheSame),
    true,
  );
  assertEquals(
    await page.$eval(
      "#graph [aria-current]",
      (it: Field) => it.getAttribute("href"),
    ),
    `#/tasks/${idOf(4)}`,
  );

  // One more waits: that is another graph.
  await service.add([task(5, 4)]);
  await shows(page, "#graph-count", "5 tasks");
});

browserTest("loads nothing to draw where a task has no graph", {
  tasks: [{ instruction: "Alone" }],
}, async ({ page }) => {
  await titles(page, 1);
  await page.locator("#rows .row-link").click();
  await shows(page, "#panel-title", "Alone");
  await page.waitForNetworkIdle({ concurrency: 2 });
  assertEquals(await page.$eval("#graph-box", (it: Field) => it.hidden), true);
  const loaded = await page.evaluate(() =>
    performance.getEntriesByType("resource").map(({ name }: Field) => name)
  );
  assert(loaded.some((name: string) => name.includes("/graph?limit=")));
  assert(!loaded.some((name: string) => /dagre|graph_picture/.test(name)));
});

browserTest("goes through the graph with the keyboard", {
  tasks: DIAMOND,
  path: `/#/tasks/${idOf(1)}`,
}, async ({ page }) => {
  await page.waitForSelector(".graph-node[aria-current]");
  await page.$eval("#graph [aria-current]", (it: Field) => it.focus());
  await page.keyboard.press("ArrowRight");
  const first = await focused(page);
  const isUpper = await page.$eval(
    `#graph a[href="${first}"]`,
    (it: Field) =>
      it.getBoundingClientRect().top <
        document.querySelector(".graph-node[aria-current]")
          .getBoundingClientRect().top,
  );
  await page.keyboard.press(isUpper ? "ArrowDown" : "ArrowUp");
  const second = await focused(page);
  assertEquals(
    [first, second].sort(),
    [`#/tasks/${idOf(2)}`, `#/tasks/${idOf(3)}`],
  );
  await page.keyboard.press("ArrowRight");
  assertEquals(await focused(page), `#/tasks/${idOf(4)}`);
  await page.keyboard.press("ArrowRight");
  assertEquals(await focused(page), `#/tasks/${idOf(4)}`);
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  assertEquals(await focused(page), `#/tasks/${idOf(1)}`);
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await page.waitForFunction(
    (href) => document.location.hash === href,
    {},
    first,
  );
});

const FAN = [
  task(1),
  ...Array.from({ length: 250 }, (_, index) => task(index + 2, 1)),
];

for (const [scheme, width] of [["light", 1280], ["dark", 390]] as const) {
  browserTest(
    `draws a part of a large graph, more where asked, ${scheme}, ${width} wide`,
    {
      scheme,
      width,
      tasks: FAN,
      path: `/#/tasks/${idOf(1)}`,
    },
    async ({ page }) => {
      await shows(
        page,
        "#graph-more-text",
        "The 200 nearest tasks, … and more",
      );
      assertEquals((await page.$$("#graph a")).length, 200);
      const wide = await page.evaluate(() => document.body.scrollWidth);
      assert(wide <= width, `${wide} wide`);
      assertEquals(await violations(page), []);
      const size = () =>
        page.$eval(".graph-picture", (it: Field) => it.clientWidth);
      const before = await size();
      await page.locator("#graph-out").click();
      assert(await size() < before);
      await page.locator("#graph-in").click();
      await page.locator("#graph-in").click();
      assert(await size() > before);
      await page.locator("#graph-all").click();
      await shows(page, "#graph-count", "251 tasks");
      assertEquals((await page.$$("#graph a")).length, 251);
      assertEquals(await textOf(page, "#graph-title"), "Graph");
    },
  );
}
