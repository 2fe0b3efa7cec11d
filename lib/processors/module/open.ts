/**
 * Starts a plugin's process.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { HOST_WORD, type PluginOrder } from "./messages.ts";
import {
  type LoadGrant,
  loadGrants,
  permissionFlags,
  type Permissions,
  withLoadGrants,
} from "./permissions.ts";

const HOST = new URL("./host.ts", import.meta.url);

/** What Deno needs to find its cache, what it unpacked, the network and programs. */
const DENO_VARIABLES = [
  ...[
    "PATH",
    "HOME",
    "DENO_DIR",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "TMPDIR",
    "TZ",
  ],
  ...["JSR_URL", "NPM_CONFIG_REGISTRY", "DENO_CERT", "DENO_TLS_CA_STORE"],
  ...["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"],
  ...["http_proxy", "https_proxy", "all_proxy", "no_proxy"],
  // Windows.
  ...["SystemRoot", "USERPROFILE", "LOCALAPPDATA", "APPDATA", "TEMP", "TMP"],
];

/** What a plugin needs to load its files, beyond its permissions. */
export function pluginGrants(
  permissions: Permissions,
  plugin: URL,
): Promise<LoadGrant[]> {
  return loadGrants(permissions, [plugin, HOST]);
}

/**
 * Starts a plugin's process, which waits for its order.
 *
 * @throws what `Deno.Command` throws.
 */
export function openProcess(order: PluginOrder): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: Deno.build.standalone ? [HOST_WORD] : denoArgs(order),
    clearEnv: true,
    env: variablesFor(order.permissions),
    // A session of its own: Ctrl-C on the terminal is not for it.
    detached: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

function denoArgs({ permissions, grants, memoryMb }: PluginOrder): string[] {
  return [
    ...["run", "-q", "--no-prompt", "--no-config", "--no-lock"],
    "--unstable-worker-options",
    `--v8-flags=--max-old-space-size=${memoryMb}`,
    ...permissionFlags(withLoadGrants(permissions, grants)),
    HOST.protocol === "file:" ? fileURLToPath(HOST) : HOST.href,
  ];
}

function variablesFor({ env }: Permissions): Record<string, string> {
  const fits = (name: string) =>
    DENO_VARIABLES.includes(name) || env === true ||
    (env || []).some((it) =>
      it.endsWith("*") ? name.startsWith(it.slice(0, -1)) : name === it
    );
  return {
    ...Object.fromEntries(
      Object.entries(Deno.env.toObject()).filter(([name]) => fits(name)),
    ),
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
  };
}
