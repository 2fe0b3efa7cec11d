/**
 * What the configuration file says of a module.
 *
 * @module
 */

import { z } from "zod";
import { duration } from "../../base/config.ts";

/** All of a kind, or those listed. */
function grant(what: string) {
  return z.union([z.boolean(), z.array(z.string().min(1))]).default(false)
    .describe(`${what}; true for all (default false)`);
}

const permissions = z.strictObject({
  net: grant('Hosts to connect to, like "api.example.com" or "127.0.0.1:80"'),
  env: grant('Environment variables, like "API_KEY" or "MY_*"'),
  read: grant("Files and folders to read, seen from the file's folder"),
  write: grant("Files and folders to write, seen from the file's folder"),
  run: grant("Programs to run, which are held by none of these"),
  import: grant(
    'Hosts to load code from, like "jsr.io"; npm packages need none',
  ),
  sys: grant('Facts of the system, like "hostname"'),
  ffi: grant("Native libraries to load, which are held by none of these"),
});

/** The fields of a module's own. */
export const moduleConfig = z.strictObject({
  module: z.string().min(1).describe(
    "The plugin: a TypeScript or JavaScript file, seen from the file's folder",
  ),
  options: z.unknown().default({}).describe(
    "Any JSON, given to the function that the plugin exports (default {})",
  ),
  permissions: permissions.prefault({}).describe(
    "What the plugin may do outside of its process (default nothing)",
  ),
  memory: z.int().min(16).max(65_536).default(512).describe(
    "The most memory of the plugin's process, in MB beside what Deno takes (default 512)",
  ),
  startTimeout: duration({ min: 0.001, max: 3_600 }).default(30).describe(
    "How long the plugin may take to load (default 30)",
  ),
});

/** A module, as configured. Durations are in seconds. */
export type ModuleConfig = z.output<typeof moduleConfig>;
