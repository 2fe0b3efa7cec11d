import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { commandOf, keptVariables } from "../support/project.ts";
import { AT_ONCE, Folder } from "./cli.ts";

const isUnix = Deno.build.os !== "windows";

/** The modes of what is in a folder, for its owner, its group and others. */
function modesIn(path: string): Record<string, string> {
  return Object.fromEntries(
    [...Deno.readDirSync(path)].map(({ name }) => {
      const { mode } = Deno.statSync(`${path}/${name}`);
      return [name, ((mode ?? 0) & 0o777).toString(8)];
    }),
  );
}

Deno.test({
  name:
    "what the program makes is for its owner only, and what it starts is not bound by that",
  ignore: !isUnix,
  fn: async () => {
    using folder = new Folder();
    const [id] = await folder.create([{ instruction: "x" }]);
    folder.write(
      "agent-runner.json",
      JSON.stringify({
        providers: {
          "*": {
            processor: "command",
            shell: "umask > umask",
            workspace: "work",
            keepWorkspace: "always",
          },
        },
      }),
    );
    await folder.ok(["export", "tasks.csv"]);
    await using runner = folder.start(["run", "--loop", "--exclusive"], {
      env: AT_ONCE,
    });
    await runner.line(/completed/);
    const { "tasks.jsonl": _, "agent-runner.json": __, ...modes } = modesIn(
      folder.path,
    );
    runner.signal("SIGTERM");
    await runner.ended();
    assertEquals(modes, {
      "handsfree.duckdb": "600",
      "handsfree.duckdb.wal": "600",
      "tasks.csv": "600",
      work: "700",
    });
    assertEquals(modesIn(`${folder.path}/work`), { [id ?? ""]: "700" });
    const { stdout } = await new Deno.Command("sh", { args: ["-c", "umask"] })
      .output();
    assertEquals(
      folder.read(`work/${id}/umask`),
      new TextDecoder().decode(stdout),
    );
  },
});

Deno.test({
  name: "serve warns of a token file that all users may use",
  ignore: !isUnix,
  fn: async () => {
    using folder = new Folder();
    const seenWith = async (mode: number) => {
      folder.write("token", "0123456789abcdef");
      Deno.chmodSync(`${folder.path}/token`, mode);
      await using process = folder.start([
        ...["serve", "--listen", "127.0.0.1:0", "--token-file", "token"],
      ]);
      await process.line(/Listening/);
      process.signal("SIGTERM");
      await process.ended();
      return process.seen;
    };
    assertStringIncludes(await seenWith(0o604), "chmod 600 token");
    assert(!(await seenWith(0o600)).includes("chmod"));
  },
});

/** Root may read everything, unless it has given up its rights. */
const WITHOUT_RIGHTS = `[ "$(id -u)" != 0 ] ||
  set -- setpriv --bounding-set=-all --inh-caps=-all "$@"
  exec "$@"`;

Deno.test({
  name: "a program can't read the runner's environment",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using folder = new Folder();
    const shell = 'cat "/proc/$$/environ" >/dev/null || exit 1\n' +
      'cat "/proc/$PPID/environ" || echo refused';
    folder.write(
      "agent-runner.json",
      JSON.stringify({ providers: { "*": { processor: "command", shell } } }),
    );
    const [id = ""] = await folder.create([{ instruction: "x" }]);
    const { success, stderr } = await new Deno.Command("sh", {
      args: ["-c", WITHOUT_RIGHTS, "sh", ...commandOf(["run", "--once"])],
      cwd: folder.path,
      clearEnv: true,
      env: { ...keptVariables(), ...AT_ONCE },
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    assertEquals(await folder.ok(["result", id]), "refused\n");
  },
});
