import {
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
  resolvePermissions,
  withLoadGrants,
} from "../../../lib/processors/module/permissions.ts";
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

Deno.test("a plugin can't move the runner to another folder", async () => {
  await using bench = await PluginBench.create(
    pluginThat("Deno.chdir('/');"),
    { config: { permissions: { read: true } } },
  );
  assertMatch(await bench.failureOf(), /can't change the working folder/);
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
  const permissions = { sys: ["hostname"], run: ["no-such-program"] };
  const { stdout } = await runChild(pluginThat(""), { permissions });
  assertStringIncludes(JSON.parse(stdout).error, "hostname");
  assertMatch(
    JSON.parse(stdout).error,
    /plugin\.ts: it may not do more than agent-runner itself, which lacks .*--allow-sys=hostname\. Start agent-runner with that, add it to the permissions in/,
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

Deno.test("a loop that Deno can't end is said in the log, and the program can exit", async () => {
  const { stdout, stderr } = await runChild(
    pluginThat('context.output("on"); while (true) new Array(1e3).fill(1);'),
    { stopAt: "on" },
  );
  assertMatch(stdout, /its event loop is blocked/);
  assertMatch(stderr, /ERROR - module plugin\.ts can't be ended: it goes on/);
});
