import {
  assertEquals,
  assertObjectMatch,
  assertStringIncludes,
} from "@std/assert";
import { join } from "node:path";
import { systemClock } from "../../../lib/base/clock.ts";
import { createLog } from "../../../lib/base/log.ts";
import { patchConfig } from "../../../lib/processors/patch/config.ts";
import { createPatchProcessor } from "../../../lib/processors/patch/patch.ts";
import type { Outcome } from "../../../lib/task/task.ts";
import { sampleTask } from "../../support/sample_task.ts";
import { TestRepository } from "../../workspaces/repository.ts";

const BRANCH = "agent/mend-it-550e8400";

/** What comes of a task with these patches, and of the same task again. */
async function apply(
  repo: TestRepository,
  patches: string,
  workspace: object = {},
): Promise<Outcome> {
  await using processor = asDisposable(createPatchProcessor(
    patchConfig.parse({
      workspace: {
        git: "app",
        folder: "work",
        branch: BRANCH,
        ...workspace,
      },
    }),
    {
      baseFolder: repo.base,
      clock: systemClock,
      log: createLog({ write: () => {} }),
      variable: (name) =>
        name === "HOME" ? join(repo.base, "home") : Deno.env.get(name),
    },
  ));
  return await processor.process(
    sampleTask({ instruction: `Mend it\n\n${patches}` }),
    {
      signal: new AbortController().signal,
      idempotencyKey: "1",
      trace: {},
      answers: [],
      results: [],
      progress: () => {},
      note: () => {},
      output: () => {},
    },
  );
}

function asDisposable(processor: ReturnType<typeof createPatchProcessor>) {
  return Object.assign(processor, {
    [Symbol.asyncDispose]: processor[Symbol.asyncDispose]!.bind(processor),
  });
}

function block(patch: string): string {
  return `\`\`\`diff\n${patch}\`\`\`\n`;
}

const README = `--- a/README.md
+++ b/README.md
@@ -1 +1 @@
-# App
+# The app
`;
const NEW = `--- /dev/null
+++ b/src/größe.txt
@@ -0,0 +1 @@
+12
`;

async function filesOf(repo: TestRepository): Promise<string[]> {
  const names = await repo.git(
    "-c",
    "core.quotePath=false",
    "ls-tree",
    "-r",
    "--name-only",
    BRANCH,
  );
  return names.split("\n");
}

Deno.test("patch applies all blocks of an instruction, and commits them on the task's branch", async () => {
  await using repo = await TestRepository.make();
  const before = await repo.snapshot();
  const patches = `${block(README)}And:\n${block(NEW)}`;
  assertEquals(await apply(repo, patches), { kind: "completed" });
  assertEquals(await filesOf(repo), ["README.md", "src/größe.txt"]);
  assertEquals(await repo.git("show", `${BRANCH}:README.md`), "# The app");
  assertEquals(
    await repo.git("log", "--format=%s", `main..${BRANCH}`),
    "Mend it",
  );
  assertEquals(await repo.snapshot(), before);

  // As after a run that was killed before it could say that it had done it.
  assertEquals(await apply(repo, patches), { kind: "completed" });
  assertEquals(await repo.git("rev-list", "--count", `main..${BRANCH}`), "1");
});

Deno.test("patch begins anew where a run was killed when it had not committed", async () => {
  await using repo = await TestRepository.make();
  assertObjectMatch(await apply(repo, block(README), { verify: ["false"] }), {
    kind: "failed",
    retryable: true,
  });
  assertEquals(await apply(repo, block(README)), { kind: "completed" });
  assertEquals(await repo.git("show", `${BRANCH}:README.md`), "# The app");
});

Deno.test("patch applies what is binary", async () => {
  await using repo = await TestRepository.make();
  await Deno.writeFile(join(repo.path, "x.bin"), new Uint8Array([0, 1, 255]));
  await repo.git("add", "x.bin");
  const patch = await repo.git("diff", "--cached", "--binary");
  await repo.git("rm", "-q", "--cached", "x.bin");
  assertStringIncludes(patch, "GIT binary patch");
  assertEquals(await apply(repo, block(`${patch}\n\n`)), { kind: "completed" });
  assertEquals(await filesOf(repo), ["README.md", "x.bin"]);
});

/** Changes the second of the lines that each of these files has. */
async function changeSecond(
  repo: TestRepository,
  files: Readonly<Record<string, string>>,
): Promise<string> {
  for (const [path, text] of Object.entries(files)) {
    await repo.write(path, text);
  }
  await repo.commit("Add files");
  for (const [path, text] of Object.entries(files)) {
    await repo.write(path, text.replace("b", "B"));
  }
  const patch = await repo.git("diff");
  await repo.git("reset", "--hard", "--quiet");
  return `${patch}\n`;
}

const LF = "a\nb\nc\n";
const CRLF = "a\r\nb\r\nc\r\n";

const LINE_ENDS: [
  title: string,
  files: Readonly<Record<string, string>>,
  sent: (instruction: string) => string,
][] = [
  ["of CRLF, as git has it", { x: CRLF, y: LF }, (it) => it],
  [
    "of CRLF, as LF",
    { x: CRLF, y: LF, z: "a\r\nb" },
    (it) => it.replaceAll("\r", ""),
  ],
  [
    "of both, as CRLF",
    { x: LF, y: CRLF },
    (it) => it.replaceAll(/\r?\n/g, "\r\n"),
  ],
  [
    "of LF, whose hunks have CRLF",
    { x: LF },
    (it) => it.replaceAll(/^[-+ ][abc]$/gim, "$&\r"),
  ],
];

for (const [title, files, sent] of LINE_ENDS) {
  Deno.test(`patch applies one to files ${title}`, async () => {
    await using repo = await TestRepository.make();
    const patch = await changeSecond(repo, files);
    assertEquals(await apply(repo, sent(block(patch))), { kind: "completed" });
    const wanted = Object.entries(files).map(([, it]) => it.replace("b", "B"));
    const work = join(repo.base, "work", sampleTask().id);
    const found = Object.keys(files).map((path) =>
      Deno.readTextFileSync(join(work, path))
    );
    assertEquals(found, wanted);
  });
}

Deno.test("patch applies two, one after the other, to a file of CRLF", async () => {
  await using repo = await TestRepository.make();
  const first = await changeSecond(repo, { x: CRLF });
  const second = first.replaceAll(/B(?=\r)/g, "BB")
    .replaceAll(/b(?=\r)/g, "B");
  const sent = (block(first) + block(second)).replaceAll("\r", "");
  assertEquals(await apply(repo, sent), { kind: "completed" });
  assertEquals(await repo.git("show", `${BRANCH}:x`), "a\r\nBB\r\nc");
});

/** A file in a folder of that name. */
function newFile(path: string): string {
  return `--- /dev/null\n+++ b/${path}\n@@ -0,0 +1 @@\n+evil\n`;
}

const LINK = `diff --git a/link b/link
new file mode 120000
--- /dev/null
+++ b/link
@@ -0,0 +1 @@
+..
\\ No newline at end of file
`;

const REFUSED: [title: string, patches: string, error: string][] = [
  [
    "one where a hunk fails",
    block(NEW + README.replace("# App", "# Apps")),
    "patch does not apply",
  ],
  [
    "one of which another block fails",
    block(NEW) + block(README.replace("# App", "# Apps")),
    "patch does not apply",
  ],
  ["what leaves the repository", block(newFile("../x")), "invalid path"],
  ["a folder above in the middle", block(newFile("a/../../x")), "invalid path"],
  [
    "what is absolute",
    block(newFile("").replace("b/", "/etc/x")),
    "not in the repository",
  ],
  ["what is in .git", block(newFile(".git/hooks/x")), "invalid path"],
  ["what is in .git for others", block(newFile("a/.GIT/x")), "invalid path"],
  [
    "what is behind a symbolic link",
    block(LINK + newFile("link/x")),
    "beyond a symbolic link",
  ],
  [
    "what is cut off",
    block("--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-# App\n"),
    "corrupt patch",
  ],
  [
    "what does not apply with other line ends either",
    block(`${README.replace("# App", "# Apps\r")}`),
    "patch does not apply",
  ],
  ["what is no patch", block("Mend it, please\n"), "No valid patches"],
  ["an instruction without one", "Mend it", "no fenced block"],
];

for (const [title, patches, error] of REFUSED) {
  Deno.test(`patch refuses, whole and for good, ${title}`, async () => {
    await using repo = await TestRepository.make();
    const outcome = await apply(repo, patches);
    assertObjectMatch(outcome, { kind: "failed", retryable: false });
    if (outcome.kind === "failed") {
      assertStringIncludes(String(outcome.error), error);
    }
    const branches = await repo.git("branch", "--list", BRANCH);
    if (branches === "") return; // It was not even begun.
    assertEquals(await filesOf(repo), ["README.md"]);
    const work = join(repo.base, "work", sampleTask().id);
    assertEquals(await repo.gitIn(work, "status", "--porcelain"), "");
    const found = [...Deno.readDirSync(join(repo.base, "work"))];
    assertEquals(found.filter(({ name }) => name === "x"), []);
  });
}

Deno.test("patch takes no workspace that leaves its changes uncommitted", () => {
  for (const uncommitted of ["leave", "fail"]) {
    const { success } = patchConfig.safeParse({
      workspace: { git: ".", uncommitted },
    });
    assertEquals(success, false);
  }
  assertEquals(patchConfig.safeParse({}).success, false);
});
