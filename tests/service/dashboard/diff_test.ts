import { assert, assertEquals } from "@std/assert";
import type { Page } from "npm:puppeteer-core@25.16.0";
import type { NewTask } from "../../../lib/task/task.ts";
import { askInput, fail } from "../../../lib/task/transitions.ts";
import { TaskRepository } from "../../support/task_repository.ts";
import type { TestService } from "../service.ts";
import {
  browserTest,
  type Field,
  HOSTILE,
  shows,
  textOf,
  violations,
  type Visit,
  type VisitOptions,
} from "./visit.ts";

declare const document: Field;
declare const location: Field;
declare const performance: Field;

const ID = "00000000-0000-4000-8000-000000000001";

const lines = (count: number, of = "line") =>
  Array.from({ length: count }, (_, index) => `${of} ${index + 1}\n`).join("");

/** A name that would do something if it became markup. */
const HOSTILE_NAME = HOSTILE.replaceAll("/", ":");

/** A bit of all that there is. */
function small(): TaskRepository {
  const repository = new TaskRepository({
    "src/a.ts": lines(30),
    "src/old.ts": "same\nother\n",
    "binary": Uint8Array.of(0, 1, 2),
  });
  repository.git(["mv", "src/old.ts", "src/new.ts"]);
  repository.write({
    "src/a.ts": lines(30).replace("line 12\n", `changed\n${HOSTILE}\n`),
    [HOSTILE_NAME]: `${HOSTILE}\n`,
    "binary": Uint8Array.of(0, 1, 3),
    "end": "no newline\u202e",
  });
  return repository;
}

/** 22,000 lines: many files, and a large one. */
function large(): TaskRepository {
  const files = Array.from(
    { length: 50 },
    (_, index) => [`src/file${index}.ts`, lines(100, "old")] as const,
  );
  const repository = new TaskRepository(Object.fromEntries(files));
  repository.write(Object.fromEntries(
    files.map(([name]) => [name, lines(100, "new")]),
  ));
  repository.write({ "one.txt": lines(12_000) });
  return repository;
}

/** A test that has a task open whose repository is so. */
function reviewTest(
  name: string,
  { make = small, prepare, ...options }: VisitOptions & {
    readonly make?: () => TaskRepository;
  },
  act: (visit: Visit) => Promise<void>,
): void {
  let repository: TaskRepository;
  browserTest(name, {
    ...options,
    path: `/#/tasks/${ID}`,
    prepare: async (service) => {
      repository = make();
      const workspace = {
        ...repository.workspace({ files: 5, insertions: 4 }),
      };
      const task: Partial<NewTask> = {
        id: ID,
        instruction: "Fix it",
        trace: { workspace: { ...workspace, deletions: 1 } },
      };
      await service.add([task]);
      await prepare?.(service);
    },
  }, async (visit) => {
    using _ = repository;
    await shows(visit.page, "#changes-branch", "agent/fix from main");
    await visit.page.locator("#changes-open").click();
    await visit.page.waitForSelector("#diff .diff-code.is-added");
    await act(visit);
  });
}

/** What is shown of the lines of a file, a row each. */
async function rows(page: Page, path: string): Promise<string[]> {
  return await page.$$eval(
    ".diff-file",
    (files, path) =>
      files.filter((it: Field) => it.dataset.path === path).flatMap(
        (it: Field) =>
          [...it.querySelectorAll("tr")].map((row: Field) =>
            [...row.cells].map((cell) => cell.textContent).join("|")
          ),
      ),
    path,
  );
}

/** Comments on a line, with the keyboard. */
async function comment(page: Page, line: number, text: string): Promise<void> {
  await page.locator(`.diff-line[data-line="${line}"]`).click();
  await page.keyboard.type(text);
  await page.keyboard.down("Control");
  await page.keyboard.press("Enter");
  await page.keyboard.up("Control");
  await shows(page, ".diff-comment p", text);
}

for (const [scheme, width] of [["light", 1400], ["dark", 500]] as const) {
  const isSplit = width > 1000;
  reviewTest(`shows what a task changed, ${scheme}, ${width} wide`, {
    scheme,
    width,
  }, async ({ page }) => {
    assertEquals(await textOf(page, "#changes-sum"), "5 files +4 −1");
    assertEquals(await textOf(page, "#diff-sum"), "5 files +4 −1");
    assertEquals(
      await page.$$eval(".diff-path", (all) => all.map((it) => it.textContent)),
      [HOSTILE_NAME, "binary", "end", "src/a.ts", "src/old.ts → src/new.ts"],
    );
    assertEquals(
      await rows(page, "src/a.ts"),
      isSplit
        ? [
          "@@ -9,7 +9,8 @@ line 8",
          "9|line 9|9|line 9",
          "10|line 10|10|line 10",
          "11|line 11|11|line 11",
          "12|line 12|12|changed",
          `||13|${HOSTILE}`,
          "13|line 13|14|line 13",
          "14|line 14|15|line 14",
          "15|line 15|16|line 15",
        ]
        : [
          "@@ -9,7 +9,8 @@ line 8",
          "9|9|line 9",
          "10|10|line 10",
          "11|11|line 11",
          "12||line 12",
          "|12|changed",
          `|13|${HOSTILE}`,
          "13|14|line 13",
          "14|15|line 14",
          "15|16|line 15",
        ],
    );
    const [, end = ""] = await rows(page, "end");
    assert(end.endsWith("1|no newline⟨U+202e⟩no newline at the end"), end);
    assertEquals(await rows(page, "binary"), ["Binary file"]);
    assertEquals(await rows(page, "src/new.ts"), ["No line was changed"]);
    assertEquals(await page.$$("#diff img, #diff script"), []);
    assertEquals(await page.title(), "agent-runner");
    await comment(page, 13, HOSTILE);
    assertEquals(await page.$$("#diff img"), []);
    const wide = await page.evaluate(() => document.body.scrollWidth);
    assert(wide <= width, `${wide} wide`);
    assertEquals(await violations(page), []);
  });
}

const asks = (service: TestService) =>
  service.run((claimed) =>
    askInput(claimed, "Merge it?", { approval: { of: "merge" } })
  );

reviewTest(
  "sends all comments on lines as one answer, which approves nothing",
  {
    prepare: asks,
  },
  async ({ page, service }) => {
    assertEquals(
      await page.$eval("#diff-send", (it: Field) => it.hidden),
      true,
    );
    await comment(page, 13, "Not this.");
    await comment(page, 12, "Keep it.");
    // Back from a line with the keyboard, and nothing is said.
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    await page.keyboard.type("x");
    await page.keyboard.press("Escape");
    assertEquals(await page.$$(".diff-comment textarea"), []);
    await page.reload();
    await page.waitForSelector("#changes-open");
    await shows(page, "#changes-branch", "agent/fix");
    await page.locator("#changes-open").click();
    await shows(page, ".diff-comment p", "Not this.");
    await shows(page, "#diff-comments", "2 comments");
    await page.locator("#diff-send").click();
    await shows(page, "#toasts", "Comments sent; the task goes on");
    const task = await service.ok(`/api/v1/tasks/${ID}`);
    assertEquals(task.state, "running");
    assertEquals(task.trace.approved, undefined);
    assertEquals(
      task.trace.answers[0].answer,
      "These are comments on your changes, line by line. Please see to each of " +
        "them.\n\nsrc/a.ts:12 (before your changes): Keep it.\n> line 12\n\n" +
        `src/a.ts:13: Not this.\n> ${HOSTILE}`,
    );
    assertEquals(await page.$eval("#diff", (it: Field) => it.open), false);
  },
);

reviewTest("approves changes where a task asks for that", {
  prepare: asks,
}, async ({ page, service }) => {
  await comment(page, 13, "Well");
  await page.locator("#diff-approve").click();
  await shows(page, "#confirm-title", "Approve without the comments?");
  await page.locator("#confirm-yes").click();
  await shows(page, "#toasts", "Approved; the task goes on");
  const { trace } = await service.ok(`/api/v1/tasks/${ID}`);
  assertEquals(trace.approved.of, "merge");
});

reviewTest("approves nothing that is not what is shown", {
  prepare: (service) =>
    service.run((claimed) =>
      askInput(claimed, "Merge it?", {
        approval: { of: "merge", head: "0".repeat(40) },
      })
    ),
}, async ({ page, service }) => {
  await page.locator("#diff-approve").click();
  await shows(page, "#toasts", "There are other changes by now");
  const { state, trace } = await service.ok(`/api/v1/tasks/${ID}`);
  assertEquals([state, trace.approved], ["needs_input", undefined]);
});

reviewTest("goes on with the comments where a task has ended", {
  prepare: (service) => service.run((claimed) => fail(claimed, "no")),
}, async ({ page, service }) => {
  await comment(page, 13, "Well");
  await page.locator("#diff-send").click();
  await shows(page, "#toasts", "A new task goes on with the comments");
  await page.waitForFunction((id) => !location.hash.endsWith(id), {}, ID);
  const id = page.url().split("/").at(-1);
  const { trace } = await service.ok(`/api/v1/tasks/${id}`);
  assertEquals(trace.notes.map(({ text }: Field) => text), [
    "These are comments on your changes, line by line. Please see to each of " +
    `them.\n\nsrc/a.ts:13: Well\n> ${HOSTILE}`,
  ]);
  assertEquals(trace.workspace.branch, "agent/fix");
});

reviewTest("draws of many lines those that are looked at", {
  make: large,
  width: 1400,
}, async ({ page }) => {
  const drawn = () => page.$$eval(".diff-lines tr", (all) => all.length);
  assertEquals(await textOf(page, "#diff-sum"), "51 files +17,000 −5,000");
  const first = await drawn();
  assert(first > 20 && first < 1_500, `${first} rows`);
  // What is large opens when asked, and is drawn as far as it is seen.
  const toggle = ".diff-file[data-path='one.txt'] summary";
  await page.locator(toggle).click();
  await shows(page, ".diff-code", "line 20");
  const second = await drawn();
  assert(second < 1_500, `${second} rows`);
  await page.$eval("#diff-patches", (it: Field) => {
    it.scrollTop = it.scrollHeight;
  });
  await shows(page, ".diff-code", "new 100");
  assert(await drawn() < 3_000);
  await page.locator(".diff-link[title='src/file12.ts']").click();
  await page.waitForFunction(() =>
    document.activeElement.parentElement.dataset.path === "src/file12.ts"
  );
  const loaded = await page.evaluate(() =>
    performance.getEntriesByType("resource").map(({ name }: Field) => name)
  );
  assert(loaded.some((it: string) => it.endsWith("/dashboard/patch.js")));
});

browserTest("loads nothing to show changes where a task has none", {
  tasks: [{ id: ID, instruction: "Alone" }],
  path: `/#/tasks/${ID}`,
}, async ({ page }) => {
  await shows(page, "#panel-title", "Alone");
  assertEquals(
    await page.$eval("#changes-box", (it: Field) => it.hidden),
    true,
  );
  const loaded = await page.evaluate(() =>
    performance.getEntriesByType("resource").map(({ name }: Field) => name)
  );
  assert(!loaded.some((it: string) => /patch\.js|diff\.js/.test(it)));
});
