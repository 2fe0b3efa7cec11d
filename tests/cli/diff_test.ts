import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { TaskRepository } from "../support/task_repository.ts";
import { AT_ONCE, Folder } from "./cli.ts";
import { hasPseudoTerminals, PseudoTerminal } from "./pseudo_terminal.ts";

/** A task that changed two files, and made one that it did not commit. */
async function prepared(folder: Folder) {
  const repository = new TaskRepository({ "src/a.ts": "1\n", "b": "1\n" });
  repository.write({ "src/a.ts": "2\n", "b": "2\n" });
  repository.commit("Work");
  repository.write({ "src/new.ts": "new\n" });
  const workspace = repository.workspace();
  const [id = ""] = await folder.create([{}]);
  await folder.rows(`UPDATE agent_tasks SET last_update =
    '${JSON.stringify({ workspace })}'`);
  // Of the git that a person runs.
  const env = {
    ...AT_ONCE,
    GIT_CONFIG_GLOBAL: `${repository.folder}/.gitconfig`,
    GIT_CONFIG_NOSYSTEM: "1",
  };
  return { repository, env, id };
}

/** Sets what the user has in their own configuration. */
function set(repository: TaskRepository, name: string, value: string): void {
  const { folder } = repository;
  repository.git(
    ["config", "--file", `${folder}/.gitconfig`, name, value],
    folder,
  );
}

Deno.test("diff shows a task's changes by git, with the user's settings", async () => {
  using folder = new Folder();
  const { repository: made, env, id } = await prepared(folder);
  using repository = made;
  const diff = (...more: string[]) =>
    folder.ok(["diff", id.slice(0, 8), ...more], { env });
  assertEquals(
    await diff("--name-only"),
    "b\nsrc/a.ts\nsrc/new.ts\n",
  );
  assertMatch(await diff("--stat", "--", "src"), /2 files changed, 2 inser/);
  assertMatch(await diff("--", "b"), /^diff --git a\/b b\/b\n[^]*\n-1\n\+2\n$/);
  set(repository, "diff.mnemonicPrefix", "true");
  assertMatch(await diff("--", "b"), /^diff --git c\/b w\/b\n/);
  set(repository, "diff.external", "echo external");
  assertMatch(await diff("--", "b"), /^external b /);
});

Deno.test({
  name: "diff shows a task's changes in the user's pager",
  ignore: !hasPseudoTerminals,
  async fn() {
    using folder = new Folder();
    const { repository: made, env, id } = await prepared(folder);
    using repository = made;
    set(repository, "core.pager", "sed s/^/paged:/");
    await using process = new PseudoTerminal(["diff", id], {
      folder: folder.path,
      env,
    });
    await process.shows(/paged:.*diff --git a\/b b\/b/);
    assertEquals(await process.ended(), 0);
  },
});

Deno.test("diff shows through a service what that has", async () => {
  using folder = new Folder();
  const { repository: made, env, id } = await prepared(folder);
  using _ = made;
  folder.write(
    "agent-runner.json",
    JSON.stringify({
      providers: {
        "*": {
          processor: "command",
          command: ["true"],
          workspace: { git: "." },
        },
      },
    }),
  );
  const socket = `unix:${folder.path}/socket`;
  await using service = folder.start(["serve", "--listen", socket]);
  await service.line(/[Ll]istening/);
  const diff = (...more: string[]) =>
    folder.ok(["diff", id, "--server", socket, ...more], { env });
  assertEquals(
    await diff("--name-only", "--", "src/"),
    "src/a.ts\nsrc/new.ts\n",
  );
  assertEquals(
    await diff("--stat"),
    " b | +1 -1\n src/a.ts | +1 -1\n src/new.ts | +1 -0\n" +
      " 3 files changed, 3 insertions(+), 2 deletions(-)\n",
  );
  assertMatch(await diff("--", "b"), /^diff --git a\/b b\/b\n[^]*\n-1\n\+2\n$/);
  service.signal("SIGTERM");
  await service.ended();
});

Deno.test("diff says why there is nothing to show", async () => {
  using folder = new Folder();
  const [id = ""] = await folder.create([{ instruction: "x" }]);
  assertStringIncludes(
    await folder.fails(1, ["diff", id]),
    `Cannot show the changes of task ${id}: it has no repository to work on`,
  );
  assertStringIncludes(await folder.fails(2, ["diff"]), "without their task's");
});
