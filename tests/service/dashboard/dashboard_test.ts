import { assert, assertEquals, assertMatch } from "@std/assert";
import { systemClock } from "../../../lib/base/clock.ts";
import { createLog } from "../../../lib/base/log.ts";
import { startService } from "../../../lib/service/service.ts";
import type { Lease, NewTask } from "../../../lib/task/task.ts";
import {
  type OutputKind,
  timedLine,
  untimedLine,
} from "../../../lib/task/run_log.ts";
import {
  askInput,
  complete,
  fail,
  retryLater,
} from "../../../lib/task/transitions.ts";
import { Folder } from "../../cli/cli.ts";
import { SERVED, TestService } from "../service.ts";
import {
  browserTest,
  type Field,
  HOSTILE,
  shows,
  textOf,
  titles,
  violations,
} from "./visit.ts";

// What only browsers have; the types of them all would be other tests' too.
declare const document: Field;
declare function scrollTo(x: number, y: number): void;
declare function getComputedStyle(element: unknown): { colorScheme: string };

const THREE: readonly Partial<NewTask>[] = [
  { instruction: "Write the release notes", targetRef: "octo/app#12" },
  { instruction: "Fix the session test", provider: "claude" },
  { instruction: "Find dead links", provider: "claude" },
];

browserTest(
  "shows states and tasks, asks no other host, and says nothing in the console",
  { tasks: THREE },
  async ({ page }) => {
    assertEquals((await titles(page, 3)).sort(), [
      "Find dead links",
      "Fix the session test",
      "Write the release notes",
    ]);
    await shows(page, "#tile-created .tile-number", "3");
    await shows(page, "#status", "Live");
    await page.waitForSelector("#plot-rate canvas");
    assertEquals(await textOf(page, "#found"), "3 tasks");
  },
);

browserTest("searches and filters, and keeps that in its address", {
  tasks: THREE,
}, async ({ page }) => {
  await titles(page, 3);
  await page.keyboard.press("/");
  await page.keyboard.type("APP#12");
  assertEquals(await titles(page, 1), ["Write the release notes"]);
  assertMatch(page.url(), /\?q=APP%2312$/);
  await page.locator("#clear-filters").click();
  await titles(page, 3);
  await page.select("#provider", "claude");
  await titles(page, 2);
  await page.locator("#tile-failed").click();
  await shows(page, "#none h3", "No task matches");
  await page.reload();
  await shows(page, "#none h3", "No task matches");
  await page.locator("#clear-none").click();
  await titles(page, 3);
});

browserTest("finds the tasks of a batch, and those with a tag", {
  tasks: [
    { instruction: "One", batch: "every night", tags: ["docs", "small"] },
    { instruction: "Two", batch: "every night" },
    { instruction: "Three", tags: ["docs"] },
  ],
}, async ({ page }) => {
  await titles(page, 3);
  await page.type("#search", "tag:docs tag:small");
  assertEquals(await titles(page, 1), ["One"]);
  await page.locator("#rows .row-link").click();
  await page.waitForSelector("#facts a");
  await Promise.all([
    page.waitForNavigation(),
    page.locator('#facts a[href*="batch"]').click(),
  ]);
  assertEquals((await titles(page, 2)).sort(), ["One", "Two"]);
  assertEquals(
    await page.$eval("#search", (it) => (it as Field).value),
    'batch:"every night"',
  );
});

browserTest(
  "says how to begin where there is no task, and creates one",
  {},
  async ({ page, service, faults }) => {
    await shows(page, "#first-task h3", "No tasks yet");
    await shows(page, "#first-command", `${service.url}/api/v1/tasks`);
    await page.locator("#new-first-task").click();
    await page.locator("#create-submit").click();
    await shows(page, ".mistake", "Say what is to be done");
    await page.type("#instruction", "The first task");
    await page.type("#target", "wrong");
    await page.locator("#create-submit").click();
    await page.waitForSelector("#target-mistake");
    // The browser itself says in the console that the answer was 422.
    assertMatch(faults.splice(0).join(), /422/);
    await page.$eval("#target", (it) => (it as Field).value = "");
    await page.type("#target", "octo/app#7");
    await page.locator("#create-submit").click();
    await shows(page, "#panel-title", "The first task");
    assertEquals(await titles(page, 1), ["The first task"]);
    const { tasks } = await service.ok("/api/v1/tasks");
    assertEquals(tasks[0].target_ref, "octo/app#7");
  },
);

browserTest("cancels a task once that was confirmed", {
  tasks: THREE.slice(0, 1),
}, async ({ page, service }) => {
  await titles(page, 1);
  await page.locator("#rows .row-link").click();
  await shows(page, "#panel-title", "Write the release notes");
  await page.locator("#panel-cancel").click();
  await page.locator("#confirm button[value=no]").click();
  await page.locator("#panel-cancel").click();
  await page.locator("#confirm-yes").click();
  await shows(page, "#panel-state", "Cancelled");
  await shows(page, "#rows .state-name", "Cancelled");
  const { tasks } = await service.ok("/api/v1/tasks");
  assertEquals(tasks[0].state, "failed");
});

/** What a runner does with the first task. */
async function ask(service: TestService): Promise<void> {
  const claimed = await service.claim(1);
  await service.store.queue.record(
    claimed.map((it) => askInput(it, "Which branch?")),
  );
}

/** A task asks to have its changes approved. */
async function askApproval(
  service: TestService,
  head = "abc",
): Promise<void> {
  const claimed = await service.claim(1);
  const approval = { of: "merge", head } as const;
  await service.store.queue.record(
    claimed.map((it) => askInput(it, "Which branch?", { approval })),
  );
}

browserTest("approves what a task asks for, with one click or key", {
  tasks: THREE.slice(0, 1),
  prepare: (service) => askApproval(service),
}, async ({ page, service }) => {
  await titles(page, 1);
  await page.locator("#rows .row-link").click();
  await shows(page, "#question-kind", "Needs your approval");
  await page.waitForFunction(() => document.activeElement?.id === "answer");
  assertEquals(await violations(page), []);
  await page.keyboard.press("Tab");
  assertEquals(
    await page.evaluate(() => document.activeElement?.textContent),
    "Approve its changes",
  );
  await page.keyboard.press("Enter");
  await shows(page, "#timeline", "Approved");
  const { tasks: [{ id, state }] } = await service.ok("/api/v1/tasks");
  assertEquals(state, "running");
  const { trace } = await service.ok(`/api/v1/tasks/${id}`);
  assertEquals([trace.approved.of, trace.answers], ["merge", undefined]);
});

browserTest("approves no changes that came after those that are shown", {
  tasks: THREE.slice(0, 1),
  prepare: (service) => askApproval(service),
}, async ({ page, service }) => {
  await titles(page, 1);
  const { id } = (await service.ok("/api/v1/tasks")).tasks[0];
  await page.locator("#rows .row-link").click();
  await shows(page, "#question-kind", "Needs your approval");
  await page.setRequestInterception(true);
  page.on("request", async (request) => {
    if (request.url().endsWith("/tasks/approve")) {
      await service.store.admin.answer([id], "Once more");
      await askApproval(service, "def");
    }
    await request.continue();
  });
  await page.locator("#panel-approve").click();
  await shows(page, "#alerts", "There are other changes by now");
  const { state, trace } = await service.ok(`/api/v1/tasks/${id}`);
  assertEquals([state, trace.approved], ["needs_input", undefined]);
});

browserTest("shows a question and sends the answer", {
  tasks: THREE.slice(0, 1),
  prepare: ask,
  path: "/?state=needs_input",
}, async ({ page, service }) => {
  await titles(page, 1);
  await shows(page, "#rows .note", "Which branch?");
  await page.locator("#rows .row-link").click();
  await page.waitForFunction(() => document.activeElement?.id === "answer");
  await page.keyboard.type("main <b>");
  await page.keyboard.down("Control");
  await page.keyboard.press("Enter");
  await page.keyboard.up("Control");
  await shows(page, "#timeline", "main <b>");
  await shows(page, "#none", "No task matches");
  const { tasks } = await service.ok("/api/v1/tasks");
  assertEquals(tasks[0].state, "running");
});

browserTest("goes to the question though its task is read anew meanwhile", {
  tasks: THREE.slice(0, 1),
  prepare: (service) => askApproval(service),
}, async ({ page, service }) => {
  await titles(page, 1);
  await shows(page, "#status", "Live");
  const { id } = (await service.ok("/api/v1/tasks")).tasks[0];
  // What is read before the stream begins anew is not answered.
  let isAnew = false;
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    if (request.url().includes("/api/v1/events?")) isAnew = true;
    const isTask = request.url().endsWith(`/api/v1/tasks/${id}`);
    if (!isTask || isAnew) {
      request.continue();
      return;
    }
    page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  });
  await page.locator("#rows .row-link").click();
  await page.waitForFunction(() => document.activeElement?.id === "answer");
});

browserTest("shows at once what another process creates", {
  tasks: THREE.slice(0, 1),
}, async ({ page, service }) => {
  await titles(page, 1);
  await shows(page, "#status", "Live");
  using folder = new Folder();
  await folder.ok(["create", "From the terminal"], {
    env: { HANDSFREE_DB_PATH: service.path },
  });
  assertEquals((await titles(page, 2)).includes("From the terminal"), true);
  await shows(page, "#tile-all .tile-number", "2");
});

browserTest("comes back by itself when the service does, and misses nothing", {
  tasks: THREE.slice(0, 1),
}, async ({ page, service, faults }) => {
  await titles(page, 1);
  await shows(page, "#status", "Live");
  const drain = { drainMs: 1_000, abort: new AbortController().signal };
  await service.service.stop(drain);
  await shows(page, "#status", "Reconnecting");
  await service.add([{ instruction: "Meanwhile" }]);
  const again = await startService({
    store: service.store,
    log: createLog({ level: "ERROR", write: (text) => faults.push(text) }),
    clock: systemClock,
    version: "1.2.3",
    settings: {
      address: {
        hostname: "127.0.0.1",
        port: Number(new URL(service.url).port),
      },
      allowedHosts: [],
      token: "",
    },
    served: SERVED,
  });
  await shows(page, "#status", "Live");
  assertEquals((await titles(page, 2)).includes("Meanwhile"), true);
  const others = faults.splice(0).filter((it) => !/ERR_/.test(it));
  assertEquals(others, []);
  await page.close();
  await again.stop(drain);
});

browserTest("leaves hostile texts what they are", {
  tasks: [{ instruction: HOSTILE, provider: HOSTILE, trace: { [HOSTILE]: 1 } }],
  prepare: async (service) => {
    const claimed = await service.claim(1, HOSTILE);
    await service.store.queue.record(claimed.map((it) => fail(it, HOSTILE)));
  },
}, async ({ page }) => {
  assertEquals(await titles(page, 1), [HOSTILE]);
  await page.locator("#rows .row-link").click();
  await shows(page, "#panel-title", HOSTILE);
  await shows(page, "#error-text", HOSTILE);
  await shows(page, "#facts", HOSTILE);
  await shows(page, "#timeline", HOSTILE);
  const made = "img[src=x], main script, aside script";
  assertEquals(await page.$$(made), []);
  assertEquals(await page.title(), "agent-runner");
});

/** A runner says that it is there. */
async function attend({ store }: TestService, name: string) {
  await store.queue.present({
    name,
    host: "machine-a",
    pid: 4711,
    version: "1.2.3",
    concurrency: 4,
    upMs: 0,
  });
}

/** Lines of a run, as its runner writes them. */
async function print(
  { store }: TestService,
  lease: Lease,
  { firstLine = 0, lines }: {
    readonly firstLine?: number;
    readonly lines: readonly (readonly [OutputKind, string])[];
  },
): Promise<void> {
  const text = lines.map(([kind, text]) =>
    timedLine(untimedLine(kind, text), 0)
  )
    .join("\n");
  const lineCount = lines.length;
  const piece = { lease, firstLine, lineCount, agoMs: 0, text };
  await store.queue.writeLogs({ pieces: [piece], cuts: [] });
}

browserTest("shows the log of a run as it grows, and of each attempt", {
  tasks: THREE.slice(0, 1),
}, async ({ page, service }) => {
  const [run] = await service.claim();
  assert(run);
  await titles(page, 1);
  await page.locator("#rows .row-link").click();
  await page.waitForSelector("#panel:not(.is-loading)");
  assertEquals(await page.$eval("#log-box", (it: Field) => it.hidden), true);
  await print(service, run.lease, {
    lines: [["text", HOSTILE], ["tool", "Edit src/main.ts"], ["stderr", "no"]],
  });
  await shows(page, "#log .is-tool", "Edit src/main.ts");
  await shows(page, "#log .is-text", HOSTILE);
  assertEquals(await page.$$("#log img, #log script"), []);
  await print(service, run.lease, {
    firstLine: 12,
    lines: [["notice", "later"]],
  });
  await shows(page, "#log .log-note", "… 9 lines left out …");
  await shows(page, "#log .is-notice", "later");
  await service.store.queue.record([
    retryLater(run, { error: "no", delayMs: 0 }),
  ]);
  const [again] = await service.claim();
  assert(again);
  await print(service, again.lease, { lines: [["text", "second"]] });
  await shows(page, "#log .log-note", "Attempt 2");
  await shows(page, "#log .is-text", "second");
  await page.select("#log-attempt", "1");
  await page.waitForFunction(() =>
    !document.querySelector("#log").textContent.includes("second")
  );
  await shows(page, "#log .is-notice", "later");
  await service.store.queue.record([complete(again)]);
  await page.select("#log-attempt", "2");
  await shows(page, "#log .is-text", "second");
});

browserTest(
  "follows the end of a log unless one reads what is older, and shows so many lines",
  {
    tasks: THREE.slice(0, 1),
  },
  async ({ page, service }) => {
    const [run] = await service.claim();
    assert(run);
    let firstLine = 0;
    const say = async (count: number) => {
      const lines = Array.from(
        { length: count },
        (_, index) => ["stdout", `line ${firstLine + index}`] as const,
      );
      await print(service, run.lease, { firstLine, lines });
      firstLine += count;
    };
    const restOf = () =>
      page.$eval(
        "#log",
        (it: Field) => it.scrollHeight - it.scrollTop - it.clientHeight,
      );
    await titles(page, 1);
    await page.locator("#rows .row-link").click();
    await say(200);
    await shows(page, "#log p", "line 199");
    assertEquals(Math.round(await restOf()), 0);
    await page.$eval("#log", (it: Field) => it.scrollTop = 100);
    await say(1);
    await shows(page, "#log p", "line 200");
    assertEquals(await page.$eval("#log", (it: Field) => it.scrollTop), 100);
    await page.$eval("#log", (it: Field) => it.scrollTop = it.scrollHeight);
    for (let n = 0; n < 4; n++) await say(1_000);
    await shows(page, "#log p", "line 4200");
    await shows(page, "#log .log-left-out", "1,201 earlier lines");
    assertEquals((await page.$$("#log p")).length, 3_001);
    assertEquals(Math.round(await restOf()), 0);
  },
);

browserTest("lists the runners, and drains one once that was confirmed", {
  tasks: THREE,
  prepare: async (service) => {
    await attend(service, HOSTILE);
    await service.claim(2, HOSTILE);
  },
}, async ({ page, service }) => {
  await titles(page, 3);
  await page.keyboard.press("r");
  await shows(page, "#runner-rows code", HOSTILE);
  await shows(page, "#runner-rows .runner-place", "machine-a, process 4711");
  await shows(page, "#runner-rows td", "Running");
  await shows(page, "#runner-rows td:nth-child(3)", "2");
  assertEquals(await violations(page), []);
  const isDraining = async () =>
    (await service.store.admin.runners()).map(({ isDraining }) => isDraining);
  await page.locator("#runner-rows button").click();
  await shows(page, "#confirm-text", "2 tasks");
  await page.locator("#confirm button[value=no]").click();
  assertEquals(await isDraining(), [false]);
  await page.locator("#runner-rows button").click();
  await page.locator("#confirm-yes").click();
  await shows(page, "#runner-rows td", "Draining");
  assertEquals(await isDraining(), [true]);
  assertEquals(await page.$$("#runner-rows button"), []);
  await service.store.queue.leave(HOSTILE);
  await shows(page, "#no-runners", "agent-runner run --loop");
  await page.keyboard.press("Escape");
  await page.waitForSelector("#runners:not([open])");
});

browserTest("is used with the keyboard alone", {
  tasks: THREE,
}, async ({ page }) => {
  const [first, second] = await titles(page, 3);
  const active = () => page.evaluate(() => document.activeElement?.textContent);
  await page.keyboard.press("j");
  assertEquals(await active(), first);
  await page.keyboard.press("j");
  assertEquals(await active(), second);
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() =>
    document.activeElement?.id === "panel-title"
  );
  assertEquals(await active(), first);
  await page.keyboard.press("j");
  await shows(page, "#panel-title", second!);
  await page.keyboard.press("Escape");
  await page.waitForSelector("#panel[hidden]");
  assertEquals(await active(), second);
  await page.keyboard.press("?");
  await shows(page, "#help", "Search");
  await page.keyboard.press("Escape");
  await page.keyboard.press("c");
  await page.keyboard.type("/j?");
  assertEquals(
    await page.$eval("#instruction", (it) => (it as Field).value),
    "/j?",
  );
});

browserTest("asks for the token, and remembers it in a cookie", {
  tasks: THREE,
  token: "the-token",
}, async ({ page, faults }) => {
  await page.waitForSelector("#login[open]");
  await page.type("#token", "wrong");
  await page.locator("#login-submit").click();
  await shows(page, "#login-mistake", "not the token");
  // The browser itself says in the console that the answer was 401.
  assertMatch(faults.splice(0).join(), /401/);
  assertEquals(await page.$$("#rows .row"), []);
  await page.$eval("#token", (it) => (it as Field).value = "");
  await page.type("#token", "the-token");
  await page.keyboard.press("Enter");
  await titles(page, 3);
  await shows(page, "#status", "Live");
  await page.reload();
  await titles(page, 3);
  await page.locator("#sign-out").click();
  await page.waitForSelector("#login[open]");
});

browserTest("offers nothing that would be refused to who may only read", {
  tasks: THREE.slice(0, 1),
  token: "the-token",
  readOnlyToken: "the-other-token",
  prepare: async (service) => {
    await ask(service);
    await attend(service, "runner-a");
  },
}, async ({ page }) => {
  await page.waitForSelector("#login[open]");
  await page.type("#token", "the-other-token");
  await page.keyboard.press("Enter");
  await titles(page, 1);
  await page.locator("#rows .row-link").click();
  await shows(page, "#question-text", "Which branch?");
  await page.waitForFunction(() =>
    document.activeElement?.id === "panel-title"
  );
  await page.keyboard.press("c");
  await page.keyboard.press("r");
  await shows(page, "#runner-rows code", "runner-a");
  const offered = await page.$$eval(
    "button, textarea, dialog[open]",
    (them) =>
      them.filter((it) => (it as Field).checkVisibility())
        .map((it) => it.id || it.textContent?.trim()),
  );
  const changing = [
    "new-task",
    "panel-cancel",
    "answer",
    "panel-approve",
    "Send answer",
    "create",
    "drain-runner-a",
  ];
  assertEquals(offered.filter((it) => changing.includes(it ?? "")), []);
  assertEquals(offered.includes("sign-out"), true);
});

browserTest("has 100,000 tasks on the screen, and scrolls", {
  prepare: (service) =>
    service.add(Array.from({ length: 100_000 }, (_, index) => ({
      instruction: `Task ${index}`,
    }))),
}, async ({ page }) => {
  await page.waitForSelector("#rows .row");
  await shows(page, "#found", "100,000 tasks");
  for (let pages = 1; pages <= 5; pages++) {
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    await page.waitForFunction(
      (rows) =>
        parseFloat(
          document.querySelector("#rows")
            .style.height,
        ) > rows * 52,
      {},
      pages * 100,
    );
  }
  const rows = await page.$$eval("#rows .row", (all) => all.length);
  assert(rows > 10 && rows < 60, `${rows} rows in the document`);
  await page.type("#search", "Task 77777");
  assertEquals(await titles(page, 1), ["Task 77777"]);
});

for (const scheme of ["light", "dark"] as const) {
  browserTest(`has no serious barrier when it is ${scheme}`, {
    tasks: THREE,
    prepare: ask,
    scheme,
  }, async ({ page }) => {
    await titles(page, 3);
    await shows(page, "#tile-all .tile-number", "3");
    assertEquals(await violations(page), []);
    await page.locator("#tile-needs_input").click();
    await titles(page, 1);
    await page.locator("#rows .row-link").click();
    await shows(page, "#question-text", "Which branch?");
    assertEquals(await violations(page), []);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.waitForSelector("#panel[hidden]");
    await page.keyboard.press("c");
    await page.locator(".options summary").click();
    assertEquals(await violations(page), []);
  });
}

browserTest("fits a phone, where an open task is all there is", {
  tasks: THREE,
  width: 360,
}, async ({ page }) => {
  await titles(page, 3);
  const width = await page.evaluate(() => document.body.scrollWidth);
  assert(width <= 360, `${width} wide`);
  assertEquals(await violations(page), []);
  await page.locator("#rows .row-link").click();
  await shows(page, "#panel-title", "");
  await page.waitForSelector("main[inert]");
  await page.locator("#panel-close").click();
  await page.waitForSelector("main:not([inert])");
});

browserTest("goes from light to dark and remembers it", {
  tasks: THREE,
}, async ({ page }) => {
  const scheme = () =>
    page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
  await page.locator("#theme").click();
  assertEquals(await scheme(), "dark");
  await page.reload();
  assertEquals(await scheme(), "dark");
});

Deno.test("the dashboard's page and files need no token, and have a strict policy", async () => {
  await using service = await TestService.start({ token: "the-token" });
  for (const [path, type] of FILES) {
    const response = await fetch(service.url + path);
    const text = await response.text();
    assertEquals(response.status, 200, path);
    assertEquals(response.headers.get("Content-Type"), type);
    const policy = response.headers.get("Content-Security-Policy") ?? "";
    assertMatch(policy, /default-src 'none'; script-src 'self'/);
    assert(!policy.includes("unsafe"), policy);
    assertEquals(/ (style|on\w+)="/.test(text) && path === "/", false);
    const again = await fetch(service.url + path, {
      headers: { "If-None-Match": response.headers.get("ETag") ?? "" },
    });
    await again.body?.cancel();
    assertEquals(again.status, 304);
  }
  for (const path of ["/dashboard/none.js", "/dashboard/", "/dashboard/a/b"]) {
    const { status } = await service.get(path);
    assertEquals(status, 404, path);
  }
});

const FILES = [
  ["/", "text/html; charset=utf-8"],
  ["/dashboard/main.js", "text/javascript; charset=utf-8"],
  ["/dashboard/uplot.js", "text/javascript; charset=utf-8"],
  ["/dashboard/base.css", "text/css; charset=utf-8"],
  ["/dashboard/icon.svg", "image/svg+xml"],
] as const;
