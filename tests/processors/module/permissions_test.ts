import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { moduleConfig } from "../../../lib/processors/module/config.ts";
import {
  describePermissions,
  loadGrants,
  missingFlags,
  permissionFlags,
  resolvePermissions,
  withLoadGrants,
} from "../../../lib/processors/module/permissions.ts";
import { linesOf } from "../../../lib/processors/module/lines.ts";
import {
  HOST_WORD,
  readMessage,
} from "../../../lib/processors/module/messages.ts";
import { ended, isAlive } from "../command/run_command.ts";
import { denoArgs, ROOT } from "../../support/project.ts";
import { PluginBench, pluginThat } from "./module_fixture.ts";

type Permissions = ReturnType<typeof moduleConfig.parse>["permissions"];

function permissionsWith(given: Partial<Permissions> = {}): Permissions {
  return moduleConfig.parse({ module: "a.ts", permissions: given }).permissions;
}

Deno.test("describePermissions() names what is granted", () => {
  assertEquals(describePermissions(permissionsWith()), "no permissions");
  assertEquals(
    describePermissions(
      permissionsWith({ net: ["a.com", "b.com:80"], run: true, env: [] }),
    ),
    "net a.com b.com:80, any run",
  );
});

Deno.test("resolvePermissions() makes paths absolute and names ports", () => {
  const given = permissionsWith({
    read: ["data", "/etc"],
    write: true,
    import: ["jsr.io", "localhost:80"],
    net: ["a.com"],
  });
  assertEquals(resolvePermissions(given, "/base"), {
    ...given,
    read: ["/base/data", "/etc"],
    import: ["jsr.io:443", "localhost:80"],
  });
});

Deno.test("loadGrants() gives what loading needs and nothing that is there", async () => {
  const file = new URL("file:///base/a.ts");
  const root = { name: "read", path: "/" } as const;
  assertEquals(await loadGrants(permissionsWith(), [file, file]), [root]);
  for (const read of [true, ["/"]]) {
    assertEquals(await loadGrants(permissionsWith({ read }), [file]), []);
  }
  const permissions = permissionsWith({ read: ["/data"] });
  assertEquals(withLoadGrants(permissions, [root]), {
    ...permissions,
    read: ["/data", "/"],
  });
  const remote = new URL("https://jsr.io/a.ts");
  assertEquals(await loadGrants(permissions, [remote]), [
    { name: "import", host: "jsr.io:443" },
  ]);
});

Deno.test("missingFlags() names what this process may not do", async () => {
  assertEquals(await missingFlags(permissionsWith({ env: true })), []);
  assertEquals(
    await missingFlags(
      permissionsWith({ net: ["127.0.0.1:80", "a.com"], sys: true }),
    ),
    ["--allow-net=a.com", "--allow-sys"],
  );
  await assertRejects(
    () => missingFlags(permissionsWith({ net: ["https://a.com"] })),
    TypeError,
    "its net permission has invalid value 'https://a.com'",
  );
});

Deno.test("permissionFlags() gives a process what is granted, and no more", () => {
  assertEquals(permissionFlags(permissionsWith()), []);
  assertEquals(
    permissionFlags(
      permissionsWith({ net: true, env: [], read: ["/a,b", "/c"] }),
    ),
    ["--allow-net", "--allow-read=/a,,b,/c"],
  );
});

/** What a plugin tries, by the permission that it needs for that. */
const TRIES = {
  read: "return Deno.readTextFileSync(new URL(import.meta.url))",
  write: "return Deno.writeTextFileSync('/tmp/never', '')",
  env: "return process.env.HOME",
  net: "return await fetch('http://127.0.0.1:8099/').then((it) => it.status)",
  run: "return new Deno.Command('true').outputSync().code",
};

Deno.test("a plugin may do nothing outside by default", async () => {
  await using bench = await PluginBench.create(
    pluginThat(`const tries = {
      ${
      Object.entries(TRIES).map(([name, body]) =>
        `async ${name}() { ${body} },`
      ).join("\n")
    } };
    throw new Error(await tries[task.instruction]());`),
  );
  for (const name of Object.keys(TRIES)) {
    assertMatch(
      await bench.failureOf(name),
      new RegExp(`^Requires ${name} access.*Add it to "${name}" in the module`),
    );
  }
});

Deno.test("a plugin may do what it is granted, and no more", async () => {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("here"),
  );
  const host = `127.0.0.1:${server.addr.port}`;
  await using bench = await PluginBench.create(
    pluginThat(`
      const others = ["PATH", "HOME"].map((variable) =>
        Deno.permissions.querySync({ name: "env", variable }).state);
      const body = await fetch("http://${host}").then((it) => it.text());
      const file = await Deno.readTextFile("${ROOT}deno.json");
      await Deno.readTextFile("${ROOT}main.ts").catch((it) => others.push(it.name));
      return { kind: "completed", result: [body, file.length > 9, ...others] };`),
    {
      config: {
        permissions: {
          net: [host],
          env: ["HOME"],
          read: [`${ROOT}deno.json`],
        },
      },
    },
  );
  assertEquals(await bench.run().outcome, {
    kind: "completed",
    result: ["here", true, "prompt", "granted", "NotCapable"],
  });
  await server.shutdown();
});

/** What a plugin takes in by an import, and how. */
const IMPORTS: [what: string, file: string, how: string][] = [
  ["text", "/etc/passwd", 'with { type: "text" }'],
  ["bytes", "/proc/self/environ", 'with { type: "bytes" }'],
  ["text beside it", "./secret.txt", 'with { type: "text" }'],
  ["code as text", "./code.js", 'with { type: "text" }'],
  ["JSON", "./secret.json", 'with { type: "json" }'],
  ["no package", "/etc/passwd?/node_modules/a.json", 'with { type: "text" }'],
  ["no package", "/etc/passwd#/node_modules/a.js", ""],
  ["what is no code", "/etc/passwd", ""],
];
const FILES = {
  "secret.txt": "hidden words",
  "secret.json": '"hidden words"',
  "code.js": 'export default "hidden words";',
};

Deno.test("a plugin reads no file by an import that it may not read", async () => {
  await Promise.all(IMPORTS.map(async ([what, file, how]) => {
    await using bench = await PluginBench.create(
      `import it from "${file}" ${how}; throw new Error(it);`,
      { files: FILES },
    );
    const failure = await bench.failureOf();
    assertMatch(failure, /Requires read access to .* Add it to "read"/, what);
    assert(!failure.includes("hidden"), what);
  }));
});

Deno.test("a plugin reads no file by an import while it runs", async () => {
  await using bench = await PluginBench.create(
    pluginThat(`const tries = [
      ${
      IMPORTS.map(([, file, how]) =>
        `() => import("${file}", { ${how.replace("with", "with:")} }),`
      ).join("\n")
    }];
    const errors = [];
    for (const attempt of tries) await attempt().then(
      (it) => errors.push(it.default), (it) => errors.push(it.message));
    return { kind: "completed", result: errors };`),
    { files: FILES },
  );
  const outcome = await bench.run().outcome;
  assert(outcome.kind === "completed" && Array.isArray(outcome.result));
  assertEquals(outcome.result.length, IMPORTS.length);
  for (const error of outcome.result) {
    assertMatch(String(error), /^(NotCapable: )?Requires read access to /);
  }
});

Deno.test("a plugin imports what it may read, as text or as bytes", async () => {
  await using bench = await PluginBench.create(
    `import text from "./secret.txt" with { type: "text" };
     import bytes from "./secret.txt" with { type: "bytes" };
     import words from "./secret.json" with { type: "json" };
     import code from "./code.js";
     export default { process: () =>
       ({ kind: "completed", result: [text, bytes.length, words, code] }) };`,
    {
      files: FILES,
      config: { permissions: { read: ["secret.txt", "secret.json"] } },
    },
  );
  assertEquals(await bench.run().outcome, {
    kind: "completed",
    result: ["hidden words", 12, "hidden words", "hidden words"],
  });
});

Deno.test("a plugin's process has those variables that the plugin may read", async () => {
  const names = ["PLUGIN_TEST_SECRET", "PLUGIN_TEST_KEY", "PLUGIN_TEST_MORE"];
  for (const name of names) Deno.env.set(name, "value");
  await using bench = await PluginBench.create(
    pluginThat(`
      const { stdout } = await new Deno.Command("env").output();
      const lines = new TextDecoder().decode(stdout).split("\\n");
      return { kind: "completed",
        result: lines.filter((it) => it.startsWith("PLUGIN_TEST_")).sort() };`),
    {
      config: {
        permissions: {
          run: ["env"],
          env: ["PLUGIN_TEST_KEY", "PLUGIN_TEST_M*"],
        },
      },
    },
  );
  const { outcome } = bench.run();
  assertEquals(await outcome, {
    kind: "completed",
    result: ["PLUGIN_TEST_KEY=value", "PLUGIN_TEST_MORE=value"],
  });
  for (const name of names) Deno.env.delete(name);
});

Deno.test("a plugin can't move the runner to another folder", async () => {
  const folder = Deno.cwd();
  await using bench = await PluginBench.create(
    pluginThat(
      'Deno.chdir("/"); return { kind: "completed", result: Deno.cwd() };',
    ),
    { config: { permissions: { read: true } } },
  );
  const { outcome } = bench.run();
  assertEquals(await outcome, { kind: "completed", result: "/" });
  assertEquals(Deno.cwd(), folder);
});

/** Runs a plugin in a process with the permissions of `deno task run`. */
async function runChild(
  plugin: string,
  { stopAt, ...config }: { stopAt?: string; permissions?: object },
) {
  const baseFolder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${baseFolder}/plugin.ts`, plugin);
  const order = {
    baseFolder,
    config: { module: "plugin.ts", ...config },
    stopAt,
  };
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...denoArgs("tests/support/fixtures/module_child.ts"),
      JSON.stringify(order),
    ],
    cwd: ROOT,
  }).output();
  await Deno.remove(baseFolder, { recursive: true });
  const decoder = new TextDecoder();
  return { stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("a plugin may not do more than agent-runner", async () => {
  const permissions = { sys: ["osRelease"], run: ["no-such-program"] };
  const { stdout } = await runChild(pluginThat(""), { permissions });
  assertStringIncludes(JSON.parse(stdout).error, "osRelease");
  assertMatch(
    JSON.parse(stdout).error,
    /plugin\.ts: it may not do more than agent-runner itself, which lacks .*--allow-sys=osRelease\. Start agent-runner with that, add it to the permissions in/,
  );
});

Deno.test("what a plugin prints and throws stays out of the runner's output", async () => {
  const { stdout, stderr } = await runChild(
    pluginThat(`
      console.log("one");
      console.error("two");
      process.stdout.write("three\\n");
      Deno.stderr.writeSync(new TextEncoder().encode("four\\n"));
      setTimeout(() => Promise.reject(new Error("loose")));
      await new Promise(() => {});`),
    {},
  );
  assertMatch(stdout, /^\{"kind":"failed".*not caught: loose.*\}\n$/);
  for (const line of stderr.trimEnd().split("\n")) {
    assertMatch(
      line,
      /DEBUG - output: (one|two|three|four)$|is ready$|was ended: an err/,
    );
  }
});

Deno.test("a plugin's process ends with the runner, even from a loop", async () => {
  const baseFolder = await Deno.makeTempDir();
  await Deno.writeTextFile(
    `${baseFolder}/plugin.ts`,
    pluginThat('context.output("pid " + Deno.pid); while (true);'),
  );
  await using runner = new Deno.Command(Deno.execPath(), {
    args: [
      ...denoArgs("tests/support/fixtures/module_child.ts"),
      JSON.stringify({ baseFolder, config: { module: "plugin.ts" } }),
    ],
    cwd: ROOT,
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let log = "";
  for await (const text of runner.stderr.pipeThrough(new TextDecoderStream())) {
    log += text;
    if (/pid \d+\n/.test(log)) break;
  }
  const pid = Number(/pid (\d+)/.exec(log)?.[1]);
  assert(await isAlive(pid));
  runner.kill("SIGKILL");
  assert(await ended(pid));
  await Deno.remove(baseFolder, { recursive: true });
});

Deno.test("a loop that V8 does not interrupt is ended", async () => {
  const { stdout, stderr } = await runChild(
    pluginThat(
      `context.output("pid " + Deno.pid); context.output("on");
       while (true) new Array(1e3).fill(1);`,
    ),
    { stopAt: "on" },
  );
  assertMatch(stdout, /its event loop is blocked/);
  assert(await ended(Number(/output: pid (\d+)/.exec(stderr)?.[1])));
});

Deno.test("the program itself can be the host of a plugin, as the executable is", async () => {
  const order = {
    plugin: `data:text/javascript,${encodeURIComponent(pluginThat(""))}`,
    options: {},
    memoryMb: 64,
    permissions: permissionsWith(),
    grants: [{ name: "read", path: "/" }],
  };
  const host = new Deno.Command(Deno.execPath(), {
    args: [...denoArgs("main.ts"), HOST_WORD],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const input = host.stdin.getWriter();
  await input.write(new TextEncoder().encode(`${JSON.stringify(order)}\n`));
  const lines = linesOf(host.stdout);
  const { value = "" } = await lines.next();
  assertEquals(readMessage(value), { kind: "ready" });
  await input.close();
  assertEquals((await lines.next()).done, true);
  assertEquals((await host.status).code, 0);
});
