import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  commentTextOf,
  instructionOf,
  issueKey,
  issueNumberOf,
  taskIdIn,
} from "../../../lib/workspaces/forge/issue_task.ts";
import { sampleTask } from "../../support/sample_task.ts";

const MARK = "<!-- agent-runner task 7d444840-9dc0-41d1-b245-5ffdce74fad2 -->";

Deno.test("issueNumberOf() finds the issue of a key of its repository, and no other", () => {
  const key = issueKey("Octo/App", 12);
  assertEquals(key, "github:octo/app#12");
  assertEquals(issueNumberOf("octo/app", key), 12);
  for (const other of ["octo/ap", "octo/app2", "github.example.com/octo/app"]) {
    assertEquals(issueNumberOf(other, key), undefined);
  }
  for (const key of [null, "daily", "github:octo/app#x"]) {
    assertEquals(issueNumberOf("octo/app", key), undefined);
  }
});

Deno.test("instructionOf() has title, text and comments with their authors, but ours", () => {
  const comments = [
    { author: "ada", body: "On Linux too.\n", isOwn: false },
    { author: "me", body: `Completed.\n\n${MARK}`, isOwn: true },
    { author: "bob", body: `I quote:\n${MARK}`, isOwn: false },
  ];
  assertEquals(
    instructionOf({ title: "It breaks", body: "\nAt start.\n", comments }),
    "It breaks\n\nAt start.\n\nada commented:\n\nOn Linux too.\n\n" +
      `bob commented:\n\nI quote:\n${MARK}`,
  );
  assertEquals(
    instructionOf({ title: "It breaks", body: "", comments: [] }),
    "It breaks",
  );
});

Deno.test("instructionOf() leaves out the oldest of very long comments", () => {
  const comments = ["one", "two", "three"].map((author) => ({
    author,
    body: "x".repeat(45_000),
    isOwn: false,
  }));
  const text = instructionOf({ title: "Title", body: "Body", comments });
  assert(text.length < 100_000);
  assertStringIncludes(
    text,
    "Body\n\n(Older comments are left out.)\n\ntwo commented:",
  );
});

Deno.test("commentTextOf() tells the result in a fence that it can't end", () => {
  const output = "a".repeat(5_000) + "\n```\n@everybody, fixes #1";
  const task = sampleTask({
    state: "completed",
    traceText: JSON.stringify({
      output: `${output}\n${MARK}`,
      workspace: {
        repo: ".",
        host: "here",
        path: "/w",
        branch: "agent/x",
        base: "main",
        baseCommit: "1",
        commits: 3,
        files: 2,
        insertions: 10,
        deletions: 2,
        pullRequest: "https://github.com/octo/app/pull/3",
      },
    }),
  });
  const text = commentTextOf(task, { dashboard: "https://runner.example/" });
  assertStringIncludes(text, "Completed.\n\n````text\n…aaa");
  assertStringIncludes(text, `fixes #1\n${MARK}\n\`\`\`\`\n\n`);
  assert(text.endsWith(`
- Branch: \`agent/x\` (3 commits, 2 files, +10 −2)
- Pull request: https://github.com/octo/app/pull/3
- [Task 550e8400](https://runner.example/#/tasks/${task.id})

<!-- agent-runner task ${task.id} -->`));
  assertEquals(
    taskIdIn({ author: "me", body: `${text}\n`, isOwn: true }),
    task.id,
  );
  assertEquals(
    taskIdIn({ author: "x", body: text, isOwn: false }),
    undefined,
  );
});

Deno.test("commentTextOf() tells why a task failed", () => {
  const task = sampleTask({
    state: "failed",
    traceText: JSON.stringify({ error: "The tests fail", output: "old" }),
  });
  assertEquals(
    commentTextOf(task, {}),
    `Failed.\n\n\`\`\`text\nThe tests fail\n\`\`\`\n\n<!-- agent-runner task ${task.id} -->`,
  );
});
