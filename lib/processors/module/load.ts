/**
 * Loads a plugin, in the plugin's own thread.
 *
 * @module
 */

import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { messageOf } from "../../base/errors.ts";
import type { Plugin } from "./plugin.ts";
import type { PluginOrder } from "./messages.ts";
import { describe, inModuleTerms } from "./outcome.ts";
import { coversPath, type Permissions } from "./permissions.ts";

const EXPECTED = "expected an object with a function named process, " +
  "or a function that returns one";

/**
 * Imports a plugin's file and makes the plugin.
 *
 * @throws {Error} that says why it can't be used.
 */
export async function loadPlugin(
  url: string,
  { options, permissions, grants }: Omit<PluginOrder, "plugin" | "memoryMb">,
): Promise<Plugin> {
  loadOnlyCode(permissions);
  // All that a module imports is loaded before its first import is run, and
  // that gives the rights back which only loading needs.
  const giveBack = `for (const it of ${JSON.stringify(grants)}) {
    Deno.permissions.revokeSync(it);
  }`;
  const entry = `import ${JSON.stringify(moduleUrl(giveBack))};
    export * as plugin from ${JSON.stringify(url)};`;
  let exported: object;
  try {
    exported = (await import(moduleUrl(entry))).plugin;
  } catch (error) {
    throw new Error(whereOf(error), { cause: error });
  }
  if (!("default" in exported)) {
    throw new Error(`it has no default export: ${EXPECTED}`);
  }
  const plugin = typeof exported.default === "function"
    ? await makePlugin(exported.default, options)
    : exported.default;
  if (isPlugin(plugin)) return plugin;
  const what = typeof exported.default === "function"
    ? "the function that it exports returned"
    : "its default export is";
  throw new Error(`${what} ${describe(plugin)}: ${EXPECTED}`);
}

/** Files that an import runs. */
const CODE = /\.(?:[cm]?[jt]s|[jt]sx|wasm|node)$/i;
/** Data of npm packages, in Deno's cache or a folder. */
const PACKAGE_DATA =
  /(?:\/node_modules\/|\/npm\/[^/]+\/(?:@[^/]+\/)?[^/]+\/\d[^/]*\/).*\.json$/;

/** What a hook returns so that Deno loads the module as if there were none. */
const AS_EVER = {
  format: "builtin",
  source: null,
  shortCircuit: true,
} as const;

/**
 * Code may be imported from anywhere: it is run. What else an import would give,
 * as text, bytes, JSON or a quote of what is no code, takes the permission to read.
 * What is required is loaded when the rights for loading are gone.
 */
function loadOnlyCode({ read }: Permissions): void {
  registerHooks({
    load(url, { conditions, importAttributes }) {
      const { protocol, pathname } = new URL(url);
      const isRun = !importAttributes.type && CODE.test(pathname) ||
        PACKAGE_DATA.test(pathname) || conditions.includes("require");
      if (protocol !== "file:" || isRun) return AS_EVER;
      const path = fileURLToPath(url);
      if (coversPath(read, path)) return AS_EVER;
      throw new Deno.errors.NotCapable(
        `Requires read access to ${JSON.stringify(path)}, ` +
          "run again with the --allow-read flag",
      );
    },
  });
}

/** The URL of a module with this text. */
function moduleUrl(text: string): string {
  return `data:text/javascript,${encodeURIComponent(text)}`;
}

// deno-lint-ignore ban-types -- anything that can be called
async function makePlugin(factory: Function, options: unknown) {
  try {
    return await factory(options);
  } catch (error) {
    throw new Error(`the function that it exports threw ${whereOf(error)}`, {
      cause: error,
    });
  }
}

function isPlugin(value: unknown): value is Plugin {
  return typeof value === "object" && value !== null &&
    "process" in value && typeof value.process === "function";
}

const PLACE = /^\s+at (?:.*\()?((?:file|https?|npm):.+?:\d+:\d+)\)?$/;

/** An error's message in a line, with the place in the plugin, if any. */
export function whereOf(error: unknown): string {
  const message = inModuleTerms(stripVTControlCharacters(messageOf(error)));
  const [head = ""] = message.split("\n");
  const stack = error instanceof Error ? error.stack ?? "" : "";
  const place = stripVTControlCharacters(`${message}\n${stack}`).split("\n")
    .map((line) => PLACE.exec(line)?.[1])
    .find((it) => it && !it.startsWith(import.meta.url));
  return place && !head.includes(place) ? `${head} (${place})` : head;
}
