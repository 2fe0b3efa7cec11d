/**
 * What a plugin may do: its permissions as the configuration has them, as Deno
 * takes them for a worker, and those that agent-runner lacks itself.
 *
 * @module
 */

import { dirname, parse, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../base/errors.ts";
import type { ModuleConfig } from "./config.ts";

/** All of a kind, or those listed. */
type Grant = boolean | string[];
/** What a plugin may do. */
export type Permissions = ModuleConfig["permissions"];

/** A right that a worker has until it has loaded its files. */
export type LoadGrant =
  | { readonly name: "read"; readonly path: string }
  | { readonly name: "import"; readonly host: string };

/** Makes paths absolute, and names the port that code is loaded from. */
export function resolvePermissions(
  permissions: Permissions,
  baseFolder: string,
): Permissions {
  const path = (it: string) => resolve(baseFolder, it);
  return {
    ...permissions,
    read: mapGrant(permissions.read, path),
    write: mapGrant(permissions.write, path),
    ffi: mapGrant(permissions.ffi, path),
    import: mapGrant(permissions.import, withPort),
  };
}

function mapGrant(grant: Grant, change: (it: string) => string): Grant {
  return typeof grant === "boolean" ? grant : grant.map(change);
}

function withPort(host: string): string {
  return /:\d+$/.test(host) ? host : `${host}:443`;
}

/**
 * What a worker needs beyond its permissions to load these files and all that
 * they import. It gives that back before the plugin's first line runs.
 */
export async function loadGrants(
  permissions: Permissions,
  files: readonly URL[],
): Promise<LoadGrant[]> {
  const grants = new Map<string, LoadGrant>();
  for (const url of files) {
    if (url.protocol === "file:") {
      const file = fileURLToPath(url);
      const { root } = parse(file);
      const path = await has({ name: "read", path: root })
        ? root
        : dirname(file);
      if (!coversPath(permissions.read, path)) {
        grants.set(path, { name: "read", path });
      }
    } else {
      const host = url.protocol === "http:" && !url.port
        ? `${url.host}:80`
        : withPort(url.host);
      const { import: hosts } = permissions;
      if (hosts !== true && !(hosts || []).includes(host)) {
        grants.set(host, { name: "import", host });
      }
    }
  }
  return [...grants.values()];
}

/** Says whether a permission for paths is one for this path. */
export function coversPath(grant: Grant, path: string): boolean {
  if (typeof grant === "boolean") return grant;
  return grant.some((it) =>
    path === it || path.startsWith(it.endsWith(sep) ? it : it + sep)
  );
}

/** The permissions and what loading needs beside them. */
export function withLoadGrants(
  permissions: Permissions,
  grants: readonly LoadGrant[],
): Permissions {
  const paths = grants.flatMap((it) => it.name === "read" ? it.path : []);
  const hosts = grants.flatMap((it) => it.name === "import" ? it.host : []);
  return {
    ...permissions,
    read: addTo(permissions.read, paths),
    import: addTo(permissions.import, hosts),
  };
}

function addTo(grant: Grant, more: readonly string[]): Grant {
  return grant === true || more.length === 0
    ? grant
    : [...(grant || []), ...more];
}

/** How Deno calls what a permission of each kind is for. */
const SUBJECTS = {
  net: "host",
  env: "variable",
  read: "path",
  write: "path",
  run: "command",
  import: "host",
  sys: "kind",
  ffi: "path",
} as const satisfies Record<keyof Permissions, string>;

/**
 * The flags that agent-runner would have to be started with to grant these,
 * as `--allow-net=example.com`. Empty where it may do it all.
 *
 * @throws {TypeError} where Deno does not understand one of them.
 */
export async function missingFlags(
  permissions: Permissions,
): Promise<string[]> {
  const flags: string[] = [];
  for (const name of Object.keys(SUBJECTS) as (keyof Permissions)[]) {
    const grant = permissions[name];
    if (grant === true) {
      if (!await has({ name })) flags.push(`--allow-${name}`);
    } else if (grant !== false) {
      const missing: string[] = [];
      for (const it of grant) {
        if (!await has({ name, [SUBJECTS[name]]: it })) missing.push(it);
      }
      if (missing.length > 0) flags.push(flagFor(name, missing));
    }
  }
  return flags;
}

/** The flags of `deno run` that grant these. */
export function permissionFlags(permissions: Permissions): string[] {
  return Object.entries(permissions).flatMap(([name, grant]) => {
    if (grant === true) return `--allow-${name}`;
    return grant && grant.length > 0 ? flagFor(name, grant) : [];
  });
}

function flagFor(name: string, values: readonly string[]): string {
  const list = values.map((it) => it.replaceAll(",", ",,")).join(",");
  return `--allow-${name}=${list}`;
}

/** Says whether agent-runner itself may do this. */
async function has(
  permission: { name: string; [subject: string]: string },
): Promise<boolean> {
  try {
    const { state, partial } = await Deno.permissions.query(
      permission as unknown as Deno.PermissionDescriptor,
    );
    return state === "granted" && !partial;
  } catch (error) {
    throw new TypeError(
      `its ${permission.name} permission has ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** The permissions in words: `net api.example.com, env KEY`. */
export function describePermissions(permissions: Permissions): string {
  const kinds = Object.entries(permissions).flatMap(([name, grant]) => {
    if (grant === true) return `any ${name}`;
    return grant && grant.length > 0 ? `${name} ${grant.join(" ")}` : [];
  });
  return kinds.length > 0 ? kinds.join(", ") : "no permissions";
}
