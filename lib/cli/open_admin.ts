/**
 * Opens the tasks that commands work on: in a file, or behind a service.
 *
 * @module
 */

import { clientSettings } from "../config/client.ts";
import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import { DatabaseBusyError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { StoreSettings } from "../store/open.ts";
import type { TaskDesk } from "../store/task_admin.ts";

/** What {@linkcode openDesk} goes by. */
export type DeskSettings = Config & Pick<StoreSettings, "mustExist">;

/**
 * Opens what the configuration names.
 *
 * @throws {DatabaseError} where it can't be used.
 * @throws {UsageError} where the settings are wrong.
 */
export async function openDesk(
  config: DeskSettings,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<TaskDesk> {
  const settings = await clientSettings(config);
  // Each takes longer to load than all the rest.
  if (settings) {
    const { openServiceDesk } = await import("../service/client/admin.ts");
    return await openServiceDesk({ ...settings, clock });
  }
  const { openStore } = await import("../store/open.ts");
  try {
    return await openStore({ ...config, exclusive: false }, log);
  } catch (error) {
    if (!(error instanceof DatabaseBusyError)) throw error;
    throw new DatabaseBusyError(
      `${error.message} Where it is a runner that keeps the file and has ` +
        "--listen, go through its address: --server http://127.0.0.1:8080.",
      { cause: error, holder: error.holder },
    );
  }
}
