/**
 * `agent-runner export`
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import { EXIT, messageOf, UsageError } from "../../base/errors.ts";
import { formatBytes, formatCount } from "../../base/figures.ts";
import { EXPORT_FORMATS, type ExportFormat } from "../../store/history.ts";
import { renderJson } from "../render.ts";
import { printable } from "../../base/log.ts";
import { type CommandContext, textFlag } from "../context.ts";
import { pastFlag, statesFlag } from "../filter.ts";

/** Writes tasks, or their history, to a file or to standard output. */
export async function exportTasks(context: CommandContext): Promise<number> {
  const { args, flags, config } = context;
  const [path = "-"] = args;
  const isOutput = path === "-";
  const format = formatOf(textFlag(flags, "format"), path);
  if (!isOutput) {
    assertFree(path, { isForced: Boolean(flags.force), dbPath: config.dbPath });
  } else if (format === "parquet" || flags.json) {
    throw new UsageError(
      `Cannot export ${
        format === "parquet" ? "Parquet" : "with --json"
      } to standard output. Give a file: agent-runner export tasks.${format}`,
    );
  }
  using part = new Part(isOutput ? undefined : path);
  const rows = await writePart(context, part.path, format);
  if (isOutput) await printFile(context, part.path);
  else {
    const bytes = Deno.statSync(part.path).size;
    part.rename(path);
    context.terminal.write(
      flags.json
        ? renderJson({ path, format, rows, bytes })
        : `Exported ${formatCount(rows)} ${
          flags.events ? "events" : "tasks"
        } to ${printable(path)} (${formatBytes(bytes)})\n`,
    );
  }
  return EXIT.ok;
}

/** Asks DuckDB to write, and lets go of the database. */
async function writePart(
  { flags, clock, openDesk }: CommandContext,
  path: string,
  format: ExportFormat,
): Promise<number> {
  const filter = {
    states: statesFlag(flags),
    provider: textFlag(flags, "provider"),
    since: pastFlag(flags, "since", clock.now()),
  };
  await using store = await openDesk();
  const events = Boolean(flags.events);
  return await store.history.export({ ...filter, path, format, events });
}

/** A file that is gone after its use, unless it got its final name. */
class Part implements Disposable {
  readonly path: string;

  /** Beside its final place, so that a rename is enough; else anywhere. */
  constructor(target: string | undefined) {
    try {
      this.path = Deno.makeTempFileSync(
        target === undefined
          ? { prefix: "agent-runner-export-" }
          : { dir: dirname(target), prefix: ".agent-runner-export-" },
      );
      // Readable as any file that one makes; it was made for its owner only.
      if (target !== undefined) Deno.removeSync(this.path);
    } catch (error) {
      throw cannotWrite(target ?? "a temporary file", error);
    }
  }

  rename(path: string): void {
    try {
      Deno.renameSync(this.path, path);
    } catch (error) {
      throw cannotWrite(path, error);
    }
  }

  [Symbol.dispose](): void {
    try {
      Deno.removeSync(this.path);
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
function assertFree(
  path: string,
  { isForced, dbPath }: { isForced: boolean; dbPath: string },
): void {
  const place = placeOf(path);
  if ([dbPath, `${dbPath}.wal`].some((own) => placeOf(own) === place)) {
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

/** Where a path leads to; the same for two ways to one file. */
function placeOf(path: string): string {
  const info = statOf(path);
  return info?.ino ? `${info.dev} ${info.ino}` : resolve(path);
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined; // Not there, or out of reach: writing says which.
  }
}

/**
 * Prints a file. The database is not held meanwhile: who reads the output may
 * be a person.
 */
async function printFile(
  { terminal }: CommandContext,
  path: string,
): Promise<void> {
  const isTerminal = terminal.screen.width !== undefined;
  using file = await Deno.open(path);
  // Its name at once, where a system allows that: nobody may come to do it later.
  if (Deno.build.os !== "windows") Deno.removeSync(path);
  for await (const text of file.readable.pipeThrough(new TextDecoderStream())) {
    terminal.write(
      isTerminal ? text.split("\n").map(printable).join("\n") : text,
    );
  }
}
