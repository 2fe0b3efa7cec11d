/**
 * Decides where `@std` comes from: prints nothing for JSR, or the flags that
 * take it from npm. `deno task std` runs this twice at most, so that a task
 * starts without waiting for the network:
 *
 * 1. with `--cached-only`: whichever of the two is in the cache, JSR first;
 *    exit code 1 if neither is;
 * 2. with `--probe`: JSR if it answers within two seconds, npm otherwise.
 */
import deno from "../deno.json" with { type: "json" };
import npm from "./npm/import_map.json" with { type: "json" };

/**
 * The flags for a Deno that can't reach JSR; relative to the project. What the
 * lock file does not know is refused. For JSR that can't be: `deno.lock` was made
 * where JSR could not be reached, and has none of its checksums.
 */
export const npmFlags = [
  "--import-map=tools/npm/import_map.json",
  "--lock=tools/npm/deno.lock",
  "--frozen",
];

const probeMs = 2_000;

async function isCached(specifier: string): Promise<boolean> {
  try {
    await import(specifier);
    return true;
  } catch {
    return false;
  }
}

async function answers(registry: string): Promise<boolean> {
  const tooLate = new Promise<boolean>((resolve) =>
    setTimeout(() => resolve(false), probeMs)
  );
  // An import and not a fetch: it needs no network permission.
  const answer = import(`${registry.replace(/\/$/, "")}/@std/cli/meta.json`, {
    with: { type: "json" },
  });
  return await Promise.race([answer.then(() => true, () => false), tooLate]);
}

async function useJsr(): Promise<boolean | undefined> {
  if (Deno.args.includes("--probe")) {
    return await answers(Deno.env.get("JSR_URL") || "https://jsr.io");
  }
  if (await isCached(`${deno.imports["@std/log"]}/levels`)) return true;
  if (await isCached(npm.imports["@std/text/closest-string"])) return false;
  return undefined;
}

if (import.meta.main) {
  const jsr = await useJsr();
  if (jsr === false) console.log(npmFlags.join(" "));
  Deno.exit(jsr === undefined ? 1 : 0);
}
