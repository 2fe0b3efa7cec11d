import { assertEquals, assertRejects } from "@std/assert";
import { workspaceConfig } from "../../lib/workspaces/config.ts";
import { git, GitError } from "../../lib/workspaces/git.ts";

Deno.test("git() runs no program that is given as an address", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await git(["init", "--quiet"], { cwd: folder });
    await git(["config", "protocol.ext.allow", "always"], { cwd: folder });
    await assertRejects(
      () => git(["ls-remote", "ext::sh -c 'touch ran'"], { cwd: folder }),
      GitError,
      "transport 'ext' not allowed",
    );
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), [
      ".git",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a message of git does not say who one is at an address", () => {
  const stderr = "fatal: could not read Password for 'https://t0k3n@x.org'";
  assertEquals(
    new GitError(["clone"], { code: 128, stdout: "", stderr }).message,
    "git clone failed: fatal: could not read Password for 'https://x.org'",
  );
});

Deno.test("a configuration has no password in the address of a repository", () => {
  for (
    const [git, isTaken] of [
      ["https://ada:pw@example.com/app.git", false],
      [`https://${"t0k3n".repeat(8)}@example.com/app.git`, false],
      ["https://:pw@example.com/app.git", false],
      ["https://ada@example.com/app.git", true],
      ["ssh://git@example.com:22/app.git", true],
      ["git@example.com:octo/app.git", true],
      ["../a:b@c", true],
    ] as const
  ) {
    assertEquals(workspaceConfig.safeParse({ git }).success, isTaken, git);
  }
});
