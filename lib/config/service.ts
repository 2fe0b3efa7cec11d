/**
 * What the HTTP service is started with, and how commands reach it.
 *
 * @module
 */

import type { Config } from "./config.ts";
import { shownDatabase } from "../base/database_address.ts";
import { messageOf, UsageError } from "../base/errors.ts";
import { isOpenToOthers } from "../base/private.ts";
import {
  formatAddress,
  hostnameOf,
  isLoopback,
  type ListenAddress,
  parseHosts,
  parseListenAddress,
  parseSocketPath,
} from "./listen_address.ts";
import { expectedOf, SETTINGS } from "./settings.ts";

/** How the service listens, and to whom. */
export interface ServiceSettings {
  readonly address: ListenAddress;
  /** Names that it may be called by, beside its own address. */
  readonly allowedHosts: readonly string[];
  /** What callers must know; empty: nothing. */
  readonly token: string;
  /** What callers must know who only read. Empty: as all others. @default {""} */
  readonly readOnlyToken?: string;
}

/** A token must be at least so long to be hard to guess. */
const MIN_TOKEN_LENGTH = 16;
const READ_ONLY = SETTINGS.readOnlyToken.env;
/** What a header can carry. */
const TOKEN = /^[\x21-\x7e]+$/;

/**
 * Reads the settings of the service.
 *
 * @throws {UsageError} where they are wrong, or would let strangers in.
 */
export async function serviceSettings(
  config: Pick<
    Config,
    "listen" | "allowedHosts" | "token" | "tokenFile" | "readOnlyToken"
  >,
): Promise<ServiceSettings> {
  const address = parseListenAddress(config.listen);
  if (!address) {
    throw new UsageError(
      `Cannot listen on "${config.listen}": it is no address. ` +
        `Give ${expectedOf(SETTINGS.listen)}.`,
    );
  }
  const token = await readToken(config);
  if (token === "" && !isLoopback(hostnameOf(address))) {
    throw new UsageError(
      `Cannot listen on ${formatAddress(address)} without a token: ` +
        "other machines could create tasks. Set HANDSFREE_AGENT_TOKEN or give " +
        "--token-file, or listen on 127.0.0.1.",
    );
  }
  const readOnlyToken = config.readOnlyToken === ""
    ? ""
    : checked(config.readOnlyToken, READ_ONLY);
  if (readOnlyToken !== "" && (token === "" || token === readOnlyToken)) {
    throw new UsageError(
      `Cannot use the token in ${READ_ONLY}: ${
        token === ""
          ? "without another one, everybody could change tasks"
          : "it is the one that lets change tasks"
      }. Set HANDSFREE_AGENT_TOKEN to another one.`,
    );
  }
  const allowedHosts = parseHosts(config.allowedHosts);
  if (allowedHosts) return { address, allowedHosts, token, readOnlyToken };
  throw new UsageError(
    `Cannot allow the hosts "${config.allowedHosts}": expected names without ` +
      "scheme and port. Give one like runner.example.com.",
  );
}

/** The service that commands work through. */
export interface ClientSettings {
  /** Ends with a slash: the API's paths are seen from there. */
  readonly url: URL;
  /** The Unix socket through which it is reached, if it is. */
  readonly socketPath?: string;
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
  const token = await readToken(config);
  const socketPath = parseSocketPath(config.server);
  return socketPath === undefined
    ? { url: serviceUrl(config), token }
    : { url: new URL("http://localhost/"), socketPath, token };
}

/** Where the tasks are, for people: the file's path, or an address. */
export function placeOf(
  config: Pick<Config, "server" | "database" | "sources">,
): string {
  return usesService(config) ? config.server : shownDatabase(config.database);
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
  const source = sources.get("database");
  if (!source?.startsWith("--")) return true;
  if (sources.get("server") !== "--server") return false;
  throw new UsageError(
    `Cannot use ${source} and --server at the same time. Give one of the two.`,
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
      } ${reason}. Give one like http://127.0.0.1:8080 or unix:/run/x.sock.`,
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

/** What is wrong with a token file that works; undefined for nothing. */
export function tokenFileProblem(
  { tokenFile }: Pick<Config, "tokenFile">,
): string | undefined {
  if (tokenFile === "" || !isOpenToOthers(tokenFile)) return undefined;
  return `All users of this machine may use the token file ${tokenFile}. ` +
    `Run: chmod 600 ${tokenFile}`;
}

/**
 * The token that callers and the service must share; empty where none is set.
 *
 * @throws {UsageError} where it is set twice, can't be read or is too short.
 */
export async function readToken(
  { token, tokenFile }: Pick<Config, "token" | "tokenFile">,
): Promise<string> {
  if (token !== "" && tokenFile !== "") {
    throw new UsageError(
      "Cannot use HANDSFREE_AGENT_TOKEN and a token file. Give one of the two.",
    );
  }
  if (tokenFile === "") {
    return token === "" ? "" : checked(token, "HANDSFREE_AGENT_TOKEN");
  }
  try {
    const text = await Deno.readTextFile(tokenFile);
    return checked(text.trim(), tokenFile);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const reason = error instanceof Deno.errors.NotFound
      ? "there is no such file"
      : messageOf(error);
    throw new UsageError(
      `Cannot read the token from ${tokenFile}: ${reason}. ` +
        "Give another --token-file.",
      { cause: error },
    );
  }
}

function checked(token: string, source: string): string {
  if (token.length >= MIN_TOKEN_LENGTH && TOKEN.test(token)) return token;
  throw new UsageError(
    `Cannot use the token in ${source}: expected ${MIN_TOKEN_LENGTH} or more ` +
      "letters, digits and signs without blanks. Make one: openssl rand -hex 32",
  );
}
