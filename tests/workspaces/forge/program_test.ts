import { assert, assertEquals, assertRejects } from "@std/assert";
import { ForgeError, runForge } from "../../../lib/workspaces/forge/program.ts";

/** A `gh` that does what the script says, and is the only program on PATH but these. */
async function withGh(
  script: string | undefined,
  run: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = Deno.env.get("PATH")!;
  if (script !== undefined) {
    await Deno.writeTextFile(`${folder}/gh`, `#!/bin/sh\n${script}\n`, {
      mode: 0o755,
    });
  }
  Deno.env.set("PATH", script === undefined ? folder : `${folder}:${path}`);
  try {
    await run(folder);
  } finally {
    Deno.env.set("PATH", path);
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("runForge() gives arguments and stdin as they are, and lets nothing be asked", async () => {
  const script =
    'printf "%s|" "$@" "$GH_PROMPT_DISABLED" "$NO_COLOR" "$(cat)"; pwd';
  await withGh(script, async (folder) => {
    const cwd = await Deno.realPath(folder);
    assertEquals(
      await runForge("gh", ["issue", "a b", "$x"], {
        cwd,
        input: "Zeile 1\n–2",
      }),
      `issue|a b|$x|1|1|Zeile 1\n–2|${cwd}\n`,
    );
    assertEquals(await runForge("gh", [], { cwd }), `1|1||${cwd}\n`);
  });
});

Deno.test("runForge() says that a program is not there, or nobody is logged in", async () => {
  await withGh(undefined, async () => {
    const error = await assertRejects(
      () => runForge("gh", ["issue", "list"]),
      ForgeError,
      "Cannot run gh: it is not on PATH. Install it, and log in: gh auth login.",
    );
    assert(error.needsPerson);
  });
  for (const end of ["exit 4", "echo 'run glab auth login' >&2; exit 1"]) {
    await withGh(end, async () => {
      const error = await assertRejects(
        () => runForge("gh", ["issue", "list"]),
        ForgeError,
        "Cannot use gh: nobody is logged in.",
      );
      assert(error.needsPerson);
    });
  }
});

Deno.test("runForge() says what the program said", async () => {
  await withGh("echo 'HTTP 502' >&2; exit 1", async () => {
    const error = await assertRejects(
      () => runForge("gh", ["issue", "list", "--repo", "octo/app"]),
      ForgeError,
      "gh issue list failed: HTTP 502",
    );
    assert(!error.needsPerson);
  });
  // It reads nothing of what it is given, which is no reason to fail.
  await withGh("exit 0", async () => {
    assertEquals(
      await runForge("gh", [], { input: "x".repeat(1_000_000) }),
      "",
    );
  });
});

Deno.test("runForge() ends with its signal", async () => {
  await withGh("exec sleep 60", async () => {
    const stop = new AbortController();
    const running = runForge("gh", [], { signal: stop.signal });
    stop.abort(new Error("stopped"));
    await assertRejects(() => running, Error, "stopped");
  });
});

Deno.test("runForge() stops what hangs", async () => {
  await withGh("exec sleep 60", async () => {
    const error = await assertRejects(
      () => runForge("gh", ["issue", "list"], { timeMs: 50 }),
      ForgeError,
      "gh issue list did not end within 1 s",
    );
    assert(!error.needsPerson);
  });
});
