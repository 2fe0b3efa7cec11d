/**
 * Lists what `deno compile` embedded in an executable and fails if that is not
 * the program and one DuckDB library. It reads the executable itself: the list
 * that `deno compile` prints leaves most files out.
 */
import { Buffer } from "node:buffer";

interface Entry {
  File?: { n: string; o: [offset: number, length: number] };
  Dir?: { n: string; e: Entry[] };
}

export interface EmbeddedFile {
  path: string;
  size: number;
}

interface Platform {
  bindings: string;
  library: string;
}

const platforms: Record<string, Platform> = {
  "x86_64-unknown-linux-gnu": {
    bindings: "linux-x64",
    library: "libduckdb.so",
  },
  "aarch64-unknown-linux-gnu": {
    bindings: "linux-arm64",
    library: "libduckdb.so",
  },
  "x86_64-apple-darwin": {
    bindings: "darwin-x64",
    library: "libduckdb.dylib",
  },
  "aarch64-apple-darwin": {
    bindings: "darwin-arm64",
    library: "libduckdb.dylib",
  },
  "x86_64-pc-windows-msvc": { bindings: "win32-x64", library: "duckdb.dll" },
  "aarch64-pc-windows-msvc": { bindings: "win32-arm64", library: "duckdb.dll" },
};

export const targets = Object.keys(platforms);

function platformOf(target: string): Platform {
  const platform = platforms[target];
  if (!platform) throw new TypeError(`Unknown target: ${target}`);
  return platform;
}

/** The program's files that only a worker loads, so that no import names them. */
export const workerPrograms = ["lib/processors/module/worker.ts"];

const bindingsPrefix = "@duckdb/node-bindings-";

/** The npm packages with DuckDB's library for any platform but the target's. */
export function foreignBindings(target: string): string[] {
  const wanted = platformOf(target).bindings;
  return Object.values(platforms)
    .flatMap(({ bindings }) => [bindings, `${bindings}-musl`])
    .filter((bindings) => bindings !== wanted)
    .map((bindings) => bindingsPrefix + bindings);
}

export async function embeddedFiles(
  executable: string,
): Promise<EmbeddedFile[]> {
  const bytes = Buffer.from((await Deno.readFile(executable)).buffer);
  const start = bytes.indexOf('[{"Dir":{"n":".deno_compile_node_modules"');
  if (start < 8) {
    throw new Error(
      `Cannot list what is in ${executable}: it has no table of embedded ` +
        "files. If Deno changed its format, mend tools/check_executable.ts.",
    );
  }
  const length = Number(bytes.readBigUInt64LE(start - 8));
  const table = bytes.toString("utf8", start, start + length);
  return flatten(JSON.parse(table), "");
}

function flatten(entries: Entry[], folder: string): EmbeddedFile[] {
  return entries.flatMap(({ File, Dir }) => {
    if (Dir) return flatten(Dir.e, `${folder}${Dir.n}/`);
    return File ? [{ path: folder + File.n, size: File.o[1] }] : [];
  });
}

/** What is wrong with the list; empty if nothing is. */
export function problems(files: EmbeddedFile[], target: string): string[] {
  const { bindings, library } = platformOf(target);
  const paths = files.map(({ path }) => path);
  const found: string[] = [];
  for (const name of [library, "duckdb.node"]) {
    const wanted = `/${bindingsPrefix}${bindings}/`;
    if (!paths.some((it) => it.includes(wanted) && it.endsWith(`/${name}`))) {
      found.push(`${name} for ${bindings} is missing`);
    }
  }
  for (const program of ["main.ts", ...workerPrograms]) {
    if (!paths.includes(program)) found.push(`${program} is missing`);
  }
  for (const name of foreignBindings(target)) {
    if (paths.some((it) => it.includes(`/${name}/`))) {
      found.push(`${name} belongs to another platform`);
    }
  }
  for (const path of paths) {
    // The stand-ins that npm mode needs are the only tools in the product.
    if (/^tests\/|^tools\/(?!npm\/)|^[^.].*_test\.ts$/.test(path)) {
      found.push(`${path} is not part of the program`);
    }
  }
  return found;
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/** Prints a line per npm package and per file of ours, then what is wrong. */
export async function checkExecutable(
  executable: string,
  target: string,
): Promise<boolean> {
  const files = await embeddedFiles(executable);
  const sizes = new Map<string, number>();
  for (const { path, size } of files) {
    const npm = path.match(
      /^\.deno_compile_node_modules\/[^/]+\/((?:@[^/]+\/)?[^/]+)/,
    );
    const name = npm ? `npm:${npm[1]}` : path;
    sizes.set(name, (sizes.get(name) ?? 0) + size);
  }
  for (const [name, size] of sizes) {
    console.log(`${megabytes(size).padStart(10)}  ${name}`);
  }
  const { size } = await Deno.stat(executable);
  console.log(`${megabytes(size).padStart(10)}  ${executable} in all`);
  const wrong = problems(files, target);
  for (const problem of wrong) console.error(`error: ${problem}`);
  return wrong.length === 0;
}

if (import.meta.main) {
  const [executable = "dist/agent-runner", target = Deno.build.target] =
    Deno.args;
  Deno.exit(await checkExecutable(executable, target) ? 0 : 1);
}
