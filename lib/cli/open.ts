/**
 * Opens what commands work on: a file, or the tasks behind a service.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { DatabaseBusyError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { clientSettings } from "../config/service.ts";
import type { Config } from "../config/config.ts";
import { servedBy } from "../config/served.ts";
import type { Store } from "../store/contract.ts";
import type { Command, CommandContext, OpenAdmin } from "./command.ts";

/** What opening goes by. */
interface OpenParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
}

/** How long to wait for a store. */
interface OpenOptions {
  /** @default {--db-wait} */
  readonly openWaitMs?: number;
  /** Ends the wait. */
  readonly signal?: AbortSignal;
}

/** How a command opens what it works on. */
export function openersOf(
  command: Command,
  { config, clock, log }: OpenParts,
): Pick<CommandContext, "openStore" | "openStoreWhenFree" | "openAdmin"> {
  // All others are done in a moment, and may ask a person meanwhile.
  const exclusive = config.exclusive &&
    (command.settings?.includes("exclusive") ?? false);
  const settings = {
    ...config,
    exclusive,
    mustExist: !command.makesDatabase,
    ifPartial: command.onlyReads ? "warn" as const : "refuse" as const,
  };
  // Each way in takes longer to load than all the rest.
  const openStore = async (own?: OpenOptions) => {
    const { openStore } = await import("../store/open.ts");
    return await openStore({ ...settings, ...own }, log);
  };
  return {
    openStore: (signal) => openStore({ signal }),
    openStoreWhenFree: (stop) => openWhenFree(openStore, { clock, log, stop }),
    openAdmin: () => openAdmin(openStore, { config, clock, log }),
  };
}

async function openAdmin(
  openStore: () => Promise<Store>,
  { config, clock, log }: OpenParts,
): Promise<OpenAdmin> {
  const settings = await clientSettings(config);
  if (settings) {
    const { openServiceAdmin } = await import("../service/client/admin.ts");
    const { admin, ...service } = await openServiceAdmin({
      ...settings,
      clock,
      onWarning: (message) => log.warning(message, { event: "not_served" }),
    });
    const end = () => Promise.resolve(admin[Symbol.dispose]());
    return { admin, ...service, [Symbol.asyncDispose]: end };
  }
  try {
    return { ...await openStore(), ...servedBy(config) };
  } catch (error) {
    const isHeld = error instanceof DatabaseBusyError && error.holder !== "";
    if (!isHeld) throw error;
    throw new DatabaseBusyError(
      `${error.message} Where it is a runner that keeps the file and has ` +
        "--listen, go through its address: --server http://127.0.0.1:8080.",
      {
        cause: error,
        holder: error.holder,
        keepsAllOut: error.keepsAllOut,
      },
    );
  }
}

/** It is said after this time that another program has the file. */
const SAY_MS = 500;
/** Who waits is told again after this time. */
const REMIND_MS = 30_000;

/**
 * Opens a store as soon as no other program holds it, and says for whom it waits.
 * Undefined where `stop` aborts before.
 *
 * @throws {DatabaseError} where it can't be used for another reason.
 */
export async function openWhenFree(
  open: (own: OpenOptions) => Promise<Store>,
  { clock, log, stop }: {
    readonly clock: Clock;
    readonly log: Log;
    readonly stop: AbortSignal;
  },
): Promise<Store | undefined> {
  const startedAt = clock.monotonic();
  let saidAt = -Infinity;
  while (!stop.aborted) {
    try {
      return await open({ openWaitMs: SAY_MS, signal: stop });
    } catch (error) {
      if (!(error instanceof DatabaseBusyError)) throw error;
      if (stop.aborted) break;
      const now = clock.monotonic();
      if (now - saidAt < REMIND_MS) continue;
      saidAt = now;
      const seconds = Math.round((now - startedAt) / 1_000);
      log.warning(
        `Waiting for the database, for ${seconds} s so far: ${
          error.holder === "" ? error.message : `${error.holder} holds it. ` +
            "It may be busy, stopped or frozen; this goes on when it lets go, " +
            "or ends."
        }`,
        { event: "waiting_for_database", holder: error.holder, seconds },
      );
    }
  }
  return undefined;
}
