/**
 * Where commands find the tasks: in a file, or behind a service's address.
 *
 * @module
 */

import type { Config } from "./config.ts";
import { UsageError } from "../base/errors.ts";
import { readToken } from "./service.ts";

/** The service that commands work through. */
export interface ClientSettings {
  /** Ends with a slash: the API's paths are seen from there. */
  readonly url: URL;
  /** Empty: none is sent. */
  readonly token: string;
}

/**
 * The service to work through; undefined where commands work on the file.
 *
 * @throws {UsageError} where the settings are wrong.
 */
export async function clientSettings(
  config: Pick<Config, "server" | "token" | "tokenFile" | "sources">,
): Promise<ClientSettings | undefined> {
  if (!usesService(config)) return undefined;
  return { url: serviceUrl(config), token: await readToken(config) };
}

/** Where the tasks are, for people: the file's path or the service's address. */
export function placeOf(
  config: Pick<Config, "server" | "dbPath" | "sources">,
): string {
  return usesService(config) ? config.server : config.dbPath;
}

/**
 * A file that is named on the command line wins over an address that is not. A
 * configuration file may name both: the one for the runner, the other for all
 * who use it.
 */
function usesService(
  { server, sources }: Pick<Config, "server" | "sources">,
): boolean {
  if (server === "") return false;
  if (sources.get("dbPath") !== "--db-path") return true;
  if (sources.get("server") !== "--server") return false;
  throw new UsageError(
    "Cannot use --db-path and --server at the same time. Give one of the two.",
  );
}

function serviceUrl(
  { server, sources }: Pick<Config, "server" | "sources">,
): URL {
  // What is wrong may be a password: nothing of it is repeated.
  const wrong = (reason: string) =>
    new UsageError(
      `Cannot use the service's address: ${
        sources.get("server")
      } ${reason}. Give one like http://127.0.0.1:8080.`,
    );
  if (!/^https?:\/\/[^/]/i.test(server)) {
    throw wrong("is no URL that begins with http:// or https://");
  }
  const url = URL.parse(server);
  if (!url) throw wrong("is no URL");
  if (url.username !== "" || url.password !== "") {
    throw wrong(
      "has a user or a password in it, which the service does not know. It " +
        "knows the token in HANDSFREE_AGENT_TOKEN or --token-file",
    );
  }
  if (url.search !== "" || url.hash !== "") {
    throw wrong("has more than a host and a path in it");
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}
