/**
 * `agent-runner migrate`
 *
 * @module
 */

import { shownDatabase } from "../base/database_address.ts";
import { EXIT } from "../base/errors.ts";
import type { Command } from "./command.ts";

/** Makes or upgrades the tables, for runners whose role may not. */
export const migrate: Command = {
  name: "migrate",
  summary: "Make or upgrade the tables in PostgreSQL, as an administrator",
  flags: [
    { name: "dry-run", summary: "Print the SQL and change nothing" },
  ],
  usesNetwork: true,
  examples: ["migrate --db postgres://admin@db.example.com/agents"],
  run: async ({ config, clock, flags, terminal }) => {
    const isDry = Boolean(flags["dry-run"]);
    const { migrate } = await import("../store/open.ts");
    const steps = await migrate(config, { isDry, clock });
    const shown = shownDatabase(config.database);
    terminal.write(
      steps.length === 0
        ? `${isDry ? "-- " : ""}The tables in ${shown} are complete\n`
        : isDry
        ? steps.map((step) => `${step.trim()};\n`).join("")
        : `Made the tables in ${shown}\n`,
    );
    return EXIT.ok;
  },
};
