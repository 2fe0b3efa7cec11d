import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { BRANCH, TaskRepository } from "../../support/task_repository.ts";
import { NO_ID, TestService } from "../service.ts";

Deno.test("GET /tasks/{id}/diff gives what a task changed, to who may only read too", async () => {
  using repository = new TaskRepository({ "a.txt": "1\n" });
  repository.write({ "a.txt": "2\n", "b": Uint8Array.of(0, 1) });
  const head = repository.commit("Work");
  await using test = await TestService.start({
    token: "the-whole",
    readOnlyToken: "only-reading",
  });
  const trace = { workspace: { ...repository.workspace() } };
  const [id] = await test.add([{ trace }]);
  const { status, body } = await test.get(`/api/v1/tasks/${id}/diff`, {
    Authorization: "Bearer only-reading",
  });
  assertEquals(status, 200, JSON.stringify(body));
  const { files: [a, b, ...others], ...rest } = body;
  assertEquals(rest, {
    base: repository.baseCommit,
    head,
    branch: BRANCH,
    uncommitted: false,
    truncated: false,
  });
  assertEquals(others, []);
  const { patch, ...named } = a;
  assert(patch.endsWith("\n@@ -1 +1 @@\n-1\n+2\n"), patch);
  assertEquals(named, {
    path: "a.txt",
    old_path: null,
    status: "modified",
    insertions: 1,
    deletions: 1,
    binary: false,
  });
  assertEquals([b.status, b.binary, b.insertions], ["added", true, 0]);
  assertEquals((await test.get(`/api/v1/tasks/${id}/diff`)).status, 401);
});

Deno.test("GET /tasks/{id}/diff says why there is none", async () => {
  using repository = new TaskRepository({ a: "1\n" });
  const away = repository.workspace({
    host: "far.example",
    path: "/far",
    repo: "/far/repo",
  });
  const broken = repository.workspace({ baseCommit: "no commit" });
  await using test = await TestService.start();
  const ids = await test.add([
    { instruction: "x" },
    { trace: { workspace: { ...away } } },
    { trace: { workspace: { ...broken } } },
  ]);
  const expected = [
    [404, "no_workspace", "it has no repository to work on"],
    [409, "not_here", "They were on far.example."],
    [409, "git_failed", "git diff failed: "],
    [404, "missing", "There is no task"],
  ] as const;
  for (const [index, [status, reason, text]] of expected.entries()) {
    const id = ids[index] ?? NO_ID;
    const answer = await test.get(`/api/v1/tasks/${id}/diff`);
    assertEquals([answer.status, answer.body.reason], [status, reason]);
    assertStringIncludes(answer.body.detail, text);
  }
});
