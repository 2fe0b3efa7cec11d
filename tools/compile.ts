/**
 * Builds the executable: `compile.ts [flags for deno…] [--target …] [--output …]`.
 * `deno compile` alone embeds DuckDB's library twice on Linux: it does not look
 * at a package's libc, so the musl twin comes along, 70 MB for nothing.
 */
import config from "../deno.json" with { type: "json" };
import {
  checkExecutable,
  foreignBindings,
  targets,
  workerPrograms,
} from "./check_executable.ts";
import { v8Flags } from "./run_task.ts";

async function deno(...args: string[]): Promise<void> {
  const { code } = await new Deno.Command(Deno.execPath(), { args }).spawn()
    .status;
  if (code !== 0) Deno.exit(code);
}

async function npmCache(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json"],
  }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout));
  return await Deno.realPath(npmCache);
}

/** The folders below the cache that hold `name`: one for each npm registry. */
async function registriesWith(
  name: string,
  folder: string,
  depth = 3,
): Promise<string[]> {
  const found: string[] = [];
  if (await exists(`${folder}/${name}`)) found.push(folder);
  if (depth === 0) return found;
  for await (const entry of Deno.readDir(folder)) {
    if (entry.isDirectory && !entry.name.startsWith("@")) {
      const below = `${folder}/${entry.name}`;
      found.push(...await registriesWith(name, below, depth - 1));
    }
  }
  return found;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

function takeOption(args: string[], name: string): string | undefined {
  const at = args.findIndex((it) => it === name || it.startsWith(`${name}=`));
  if (at < 0) return undefined;
  if (args[at]!.includes("=")) {
    return args.splice(at, 1)[0]!.slice(name.length + 1);
  }
  return args.splice(at, 2)[1];
}

const flags = [...Deno.args];
const target = takeOption(flags, "--target") ?? Deno.build.target;
const suffix = target.includes("windows") ? ".exe" : "";
const output = takeOption(flags, "--output") ?? `dist/agent-runner${suffix}`;
if (!targets.includes(target)) {
  console.error(
    `error: Cannot compile for ${target}: DuckDB has no library for it. ` +
      `Use one of ${targets.join(", ")}.`,
  );
  Deno.exit(1);
}

const [, bare, version] = config.imports.duckdb.match(/^npm:(.+)@(.+)$/)!;
await deno("cache", "-q", ...flags, "main.ts");
const registries = await registriesWith(bare!, await npmCache());
const excluded = registries.flatMap((registry) => [
  ...foreignBindings(target).map((name) => `${registry}/${name}/${version}`),
  // 30,000 sums in one expression, on which Deno 2.9's parser overflows.
  `${registry}/bintrees/1.0.2/test`,
]).map((path) => `--exclude=${path}`);

await deno(
  "compile",
  "-q",
  ...flags,
  "-P",
  "--no-prompt",
  v8Flags,
  "--self-extracting",
  "--exclude-unused-npm",
  ...excluded,
  ...workerPrograms.map((path) => `--include=${path}`),
  `--target=${target}`,
  `--output=${output}`,
  "main.ts",
);
Deno.exit(await checkExecutable(output, target) ? 0 : 1);
