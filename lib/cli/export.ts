/**
 * `agent-runner export`
 *
 * @module
 */

import { EXIT, messageOf, UsageError, UserError } from "../base/errors.ts";
import { formatBytes, formatCount } from "../base/figures.ts";
import { printable } from "../base/log.ts";
import { EXPORT_FORMATS, type ExportFormat } from "../store/contract.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
  FILTER_FLAGS,
  JSON_FLAG,
  SPREADSHEET_FLAG,
} from "./command.ts";
import { filterFlags, textFlag } from "./flags.ts";
import { printableOn, renderJson } from "./render.ts";

/** Writes tasks, or their history, to a file or to standard output. */
export const exportTasks: Command = {
  name: "export",
  args: "[FILE | -]",
  maxArgs: 1,
  summary: "Write tasks or their history as Parquet, CSV or JSON Lines",
  flags: [
    {
      name: "format",
      placeholder: "FORMAT",
      summary: "parquet, csv or jsonl (default: by the file's name)",
      choices: EXPORT_FORMATS,
    },
    {
      name: "events",
      summary: "The history instead of the tasks: --since it happened",
    },
    ...FILTER_FLAGS,
    SPREADSHEET_FLAG,
    { name: "force", summary: "Replace the file if there is one" },
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  onlyReads: true,
  examples: [
    "export tasks.parquet",
    "export history.csv --events --since 7d",
    "export --state failed --format csv",
  ],
  run: async (context) => {
    const { args, flags, config } = context;
    const [path = "-"] = args;
    const format = formatOf(textFlag(flags, "format"), path);
    if (flags["for-spreadsheet"] && format !== "csv") {
      throw new UsageError(
        `Cannot export ${format} for a spreadsheet: only CSV is read by one. ` +
          "Give --format csv.",
      );
    }
    if (path !== "-") {
      await assertFree(path, {
        isForced: Boolean(flags.force),
        database: config.database,
      });
      await exportToFile(context, { path, format });
    } else if (format === "parquet" || flags.json) {
      throw new UsageError(
        `Cannot export ${
          format === "parquet" ? "Parquet" : "with --json"
        } to standard output. Give a file: agent-runner export tasks.${format}`,
      );
    } else await print(context, format);
    return EXIT.ok;
  },
};

/** What was asked for, as bytes. The store is free again. */
async function read(
  { flags, clock, openAdmin }: CommandContext,
  format: ExportFormat,
) {
  const filter = filterFlags(flags, clock.now());
  await using store = await openAdmin();
  return await store.admin.export({
    ...filter,
    format,
    events: Boolean(flags.events),
    forSpreadsheet: Boolean(flags["for-spreadsheet"]),
  });
}

async function print(
  context: CommandContext,
  format: ExportFormat,
): Promise<void> {
  const { terminal } = context;
  const { body } = await read(context, format);
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    terminal.write(printableOn(terminal.screen, text));
  }
}

async function exportToFile(
  context: CommandContext,
  { path, format }: { readonly path: string; readonly format: ExportFormat },
): Promise<void> {
  const { flags, terminal } = context;
  // Loaded late: it takes longer than all the rest.
  const { dirname } = await import("node:path");
  using part = new Part(path, { folder: dirname(path) });
  const { rows, bytes, body } = await read(context, format);
  await part.fill(body);
  terminal.write(
    flags.json
      ? renderJson({ path, format, rows, bytes })
      : `Exported ${formatCount(rows)} ${
        flags.events ? "events" : "tasks"
      } to ${printable(path)} (${formatBytes(bytes)})\n`,
  );
}

/** A file that is gone after its use, unless it was filled and got its name. */
class Part implements Disposable {
  readonly #target: string;
  readonly #path: string;
  readonly #file: Deno.FsFile;

  /** In the folder of its final place, so that a rename is enough. */
  constructor(target: string, { folder }: { readonly folder: string }) {
    this.#target = target;
    try {
      this.#path = Deno.makeTempFileSync({
        dir: folder,
        prefix: ".agent-runner-export-",
      });
      this.#file = Deno.openSync(this.#path, { write: true });
    } catch (error) {
      throw cannotWrite(target, error);
    }
  }

  async fill(body: ReadableStream<Uint8Array>): Promise<void> {
    try {
      await body.pipeTo(this.#file.writable);
      Deno.renameSync(this.#path, this.#target);
    } catch (error) {
      throw error instanceof UserError
        ? error
        : cannotWrite(this.#target, error);
    }
  }

  [Symbol.dispose](): void {
    try {
      Deno.removeSync(this.#path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

function cannotWrite(path: string, error: unknown): UsageError {
  const reason = error instanceof Deno.errors.NotFound
    ? "its folder does not exist"
    : error instanceof Deno.errors.PermissionDenied
    ? "no permission to write there"
    : messageOf(error);
  return new UsageError(
    `Cannot export to ${path}: ${reason}. Give another file.`,
    { cause: error },
  );
}

const ENDINGS: Readonly<Record<string, ExportFormat>> = {
  parquet: "parquet",
  csv: "csv",
  jsonl: "jsonl",
  ndjson: "jsonl",
};

function formatOf(given: string | undefined, path: string): ExportFormat {
  const names = EXPORT_FORMATS.join(", ");
  if (given !== undefined) {
    const format = EXPORT_FORMATS.find((it) => it === given.toLowerCase());
    if (format) return format;
    throw new UsageError(`--format is "${given}": expected one of ${names}.`);
  }
  if (path === "-") return "jsonl";
  const format = ENDINGS[/\.(\w+)$/.exec(path)?.[1]?.toLowerCase() ?? ""];
  if (format) return format;
  throw new UsageError(
    `Cannot tell the format of ${path} by its name. ` +
      `Give --format: ${names}.`,
  );
}

/** Nothing is overwritten by accident, and the database never. */
async function assertFree(
  path: string,
  { isForced, database }: { isForced: boolean; database: string },
): Promise<void> {
  const { resolve } = await import("node:path");
  /** Where a path leads to; the same for two ways to one file. */
  const placeOf = (path: string) => {
    const info = statOf(path);
    return info?.ino ? `${info.dev} ${info.ino}` : resolve(path);
  };
  const place = placeOf(path);
  if ([database, `${database}.wal`].some((own) => placeOf(own) === place)) {
    throw new UsageError(
      `Cannot export to ${path}: the tasks themselves are there. ` +
        "Give another file.",
    );
  }
  const info = statOf(path);
  if (info?.isDirectory) {
    throw new UsageError(
      `Cannot export to ${path}: it is a folder. Give a file.`,
    );
  }
  if (info && !isForced) {
    throw new UsageError(
      `Cannot export to ${path}: there is a file already. ` +
        "Give another one, or --force to replace it.",
    );
  }
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined; // Not there, or out of reach: writing says which.
  }
}
