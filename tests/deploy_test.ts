import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { parseAll } from "@std/yaml/parse";
import { EXIT } from "../lib/base/errors.ts";
import { parseConfigFile } from "../lib/config/file.ts";
import { type Setting, SETTINGS } from "../lib/config/settings.ts";
import { parse } from "../main.ts";
import { npmFlags } from "../tools/std_source.ts";
import { Folder } from "./cli/cli.ts";
import { keptVariables, ROOT } from "./support/project.ts";

// deno-lint-ignore no-explicit-any -- what YAML gives; the test looks at it
type Yaml = any;

function deployed(name: string): Promise<string> {
  return Deno.readTextFile(`${ROOT}deploy/${name}`);
}

/** Fails where a variable of agent-runner's is none. */
function assertVariables(names: readonly string[]): void {
  const known = Object.values<Setting>(SETTINGS)
    .flatMap(({ env, earlier }) => [env, earlier?.env]);
  const unknown = names.filter((name) =>
    name.startsWith("HANDSFREE_") && !known.includes(name)
  );
  assertEquals(unknown, []);
}

for (const name of ["agent-runner.service", "agent-runner.user.service"]) {
  Deno.test(`deploy/${name} starts nothing without a configuration, and does not try again`, async () => {
    const lines = (await deployed(name)).split("\n")
      .filter((line) => /^[A-Z]\w+=/.test(line));
    const valuesOf = (key: string) =>
      lines.filter((line) => line.startsWith(`${key}=`))
        .map((line) => line.slice(key.length + 1));
    const [program, ...args] = valuesOf("ExecStart")[0]!.split(" ");
    assertEquals(program, "/usr/local/bin/agent-runner");
    assertVariables(valuesOf("Environment").map((it) => it.split("=")[0]!));
    using folder = new Folder();
    const env = Object.fromEntries(
      valuesOf("Environment").filter((it) => it.startsWith("HANDSFREE_"))
        .map((it) => it.split("=") as [string, string]),
    );
    const error = await folder.fails(EXIT.usage, args, { env });
    assertMatch(error, /Cannot .*agent-runner\.json/);
    assertEquals(valuesOf("RestartPreventExitStatus"), [String(EXIT.usage)]);
  });
}

Deno.test("deploy/kubernetes.yaml hangs together, and names a configuration that is right", async () => {
  const all = parseAll(await deployed("kubernetes.yaml")) as Yaml[];
  const byKind = Object.fromEntries(all.map((it) => [it.kind, it]));
  const { template } = byKind.Deployment.spec;
  const { containers: [container], volumes } = template.spec;
  const { labels } = template.metadata;
  assertEquals(byKind.Deployment.spec.selector.matchLabels, labels);
  assertEquals(byKind.Service.spec.selector, labels);
  assertEquals(byKind.NetworkPolicy.spec.podSelector.matchLabels, labels);
  const portNames = container.ports.map((it: Yaml) => it.name);
  for (
    const name of [
      byKind.Service.spec.ports[0].targetPort,
      byKind.NetworkPolicy.spec.ingress[0].ports[0].port,
      container.startupProbe.httpGet.port,
      container.readinessProbe.httpGet.port,
      container.livenessProbe.httpGet.port,
    ]
  ) {
    assert(portNames.includes(name), name);
  }
  const { settings } = parse(container.args);
  assertEquals(settings.listen, `0.0.0.0:${container.ports[0].containerPort}`);
  const mounted = container.volumeMounts.find((it: Yaml) =>
    settings.config === `${it.mountPath}/agent-runner.json`
  );
  const volume = volumes.find((it: Yaml) => it.name === mounted.name);
  const { metadata, data } = byKind.ConfigMap;
  assertEquals(volume.configMap.name, metadata.name);
  const file = parseConfigFile("agent-runner.json", data["agent-runner.json"]);
  assertEquals(file.mistakes, []);
  assert(file.providers);
  assertVariables(container.env.map((it: Yaml) => it.name));
});

Deno.test("npmFlags refuse a package that the lock file does not know", async () => {
  const lock = JSON.parse(
    await Deno.readTextFile(`${ROOT}tools/npm/deno.lock`),
  );
  delete lock.specifiers["npm:zod@4.6.7"];
  const path = await Deno.makeTempFile({ suffix: ".lock" });
  await Deno.writeTextFile(path, JSON.stringify(lock));
  const flags = npmFlags.map((it) => it.replace(/(?<=^--lock=).*/, path));
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-q",
      ...flags,
      "-P",
      "main.ts",
      "--version",
    ],
    cwd: ROOT,
    env: keptVariables(),
    clearEnv: true,
  }).output();
  assertMatch(new TextDecoder().decode(stderr), /lockfile is out of date/);
  assertNotEquals(code, 0);
  await Deno.remove(path);
});

Deno.test("the image is built by the lock file that knows every package", async () => {
  const text = await Deno.readTextFile(`${ROOT}Dockerfile`);
  assertStringIncludes(text, `tools/compile.ts \\\n  ${npmFlags.join(" ")}\n`);
});
