/**
 * What `doctor` looks at: the place of the file, and who has it.
 *
 * @module
 */

import { accessSync, constants, statfsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Clock } from "../../base/clock.ts";
import {
  DatabaseBusyError,
  DatabaseError,
  messageOf,
} from "../../base/errors.ts";
import { formatBytes, formatSpan } from "../../base/figures.ts";
import { isOpenToOthers } from "../../base/private.ts";
import { partialCheck } from "../archive.ts";
import type { Check, Diagnosis, Diagnostics } from "../contract.ts";
import { hasMark } from "./archive.ts";
import { logSize, statOf } from "./file.ts";
import { checkTables, findTasks, readVersion } from "./inspect.ts";
import { type DuckDbReader, openDuckDbReader } from "./reader.ts";

/** Options for {@linkcode DuckDbDiagnostics}. */
export interface DiagnosticsOptions {
  readonly clock: Clock;
  /** How long to wait while another process holds the file. */
  readonly waitMs: number;
}

/** The {@linkcode Diagnostics} of a DuckDB file. Only DuckDB ever opens it. */
export class DuckDbDiagnostics implements Diagnostics {
  readonly #path: string;
  readonly #options: DiagnosticsOptions;

  constructor(path: string, options: DiagnosticsOptions) {
    this.#path = path;
    this.#options = options;
  }

  async diagnose(
    { leaseMs }: { readonly leaseMs: number },
  ): Promise<Diagnosis> {
    const { clock } = this.#options;
    const place = [
      checkFolder(this.#path),
      checkFile(this.#path, clock.now()),
      checkDisk(this.#path),
    ];
    const nothing = { checks: place, tasks: undefined, engine: undefined };
    if (!statOf(this.#path)) return nothing;
    try {
      const { reader, access } = await this.#open();
      await using _reader = reader;
      const { check, isReadable, ...has } = await checkTables(reader);
      return {
        checks: [
          ...place,
          access,
          check,
          ...await hasMark(reader) ? [partialCheck(this.#path)] : [],
        ],
        tasks: isReadable
          ? await findTasks(reader, { now: clock.now(), leaseMs, ...has })
          : undefined,
        engine: `DuckDB ${await readVersion(reader)}`,
      };
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      return { ...nothing, checks: [...place, this.#accessFailure(error)] };
    }
  }

  /** Opens it as soon as it is free, and says who held it. */
  async #open(): Promise<{ reader: DuckDbReader; access: Check }> {
    const { clock, waitMs } = this.#options;
    const startedAt = clock.monotonic();
    const name = "access";
    try {
      const reader = await openDuckDbReader(this.#path, { clock, waitMs: 0 });
      const message = "nobody holds the file";
      return { reader, access: { name, level: "ok", message } };
    } catch (error) {
      if (!(error instanceof DatabaseBusyError)) throw error;
      const reader = await openDuckDbReader(this.#path, { clock, waitMs });
      const waited = formatSpan(clock.monotonic() - startedAt);
      const message =
        `${error.holder} shares ${this.#path}: free after ${waited}`;
      return { reader, access: { name, level: "ok", message } };
    }
  }

  #accessFailure(error: DatabaseError): Check {
    const name = "access";
    if (!(error instanceof DatabaseBusyError)) {
      return { name, level: "fail", message: error.message };
    }
    return {
      name,
      level: "warn",
      message: `${error.holder} held the file for all of ${
        formatSpan(this.#options.waitMs)
      }; the tasks were not looked at`,
      advice: "A runner with --exclusive does that, or another program. " +
        "Other commands fail meanwhile: stop it, or run it without --exclusive.",
    };
  }
}

/** A check that gives its advice only where something is wrong. */
function checkOf(
  { advice, ...check }: Check & { readonly advice: string },
): Check {
  return check.level === "ok" ? check : { ...check, advice };
}

function checkFolder(path: string): Check {
  const folder = resolve(dirname(path));
  const problem = accessProblem(folder, constants.W_OK | constants.X_OK);
  return checkOf({
    name: "folder",
    level: problem ? "fail" : "ok",
    message: problem ? `${folder} can't be used: ${problem}` : folder,
    advice: "Make it, let its owner run agent-runner, or give another " +
      "--db. DuckDB writes beside its file too.",
  });
}

function accessProblem(path: string, mode: number): string | undefined {
  try {
    accessSync(path, mode);
    return undefined;
  } catch (error) {
    const { code } = error as { code?: string };
    return code === "ENOENT"
      ? "it does not exist"
      : code === "EACCES" || code === "EPERM" || code === "EROFS"
      ? "no permission to write there"
      : messageOf(error);
  }
}

function checkFile(path: string, now: Date): Check {
  const name = "file";
  const info = statOf(path);
  if (!info) {
    return {
      name,
      level: "warn",
      message: `there is no ${path} yet`,
      advice:
        "agent-runner create, run or serve makes it, or give another --db.",
    };
  }
  const problem = info.isFile
    ? accessProblem(path, constants.R_OK | constants.W_OK)
    : "it is no file";
  const logBytes = logSize(path);
  const isOpen = isOpenToOthers(path);
  const ageMs = info.mtime && Math.max(0, now.getTime() - info.mtime.getTime());
  return checkOf({
    name,
    level: problem ? "fail" : isOpen ? "warn" : "ok",
    message: problem
      ? `${path} can't be used: ${problem}`
      : `${path} has ${formatBytes(info.size)}` +
        (ageMs === null ? "" : `, written ${formatSpan(ageMs)} ago`) +
        (logBytes > 0 ? `, and ${formatBytes(logBytes)} in its .wal` : "") +
        (isOpen ? "; all users of this machine may use it" : ""),
    advice: problem
      ? "Run as the file's owner, or give another --db."
      : `Run: chmod 600 ${path}`,
  });
}

const LITTLE_BYTES = 1e9;
const TOO_LITTLE_BYTES = 1e8;

function checkDisk(path: string): Check {
  const name = "disk";
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    const free = bavail * bsize;
    const level = free < TOO_LITTLE_BYTES
      ? "fail"
      : free < LITTLE_BYTES
      ? "warn"
      : "ok";
    return checkOf({
      name,
      level,
      message: `${formatBytes(free)} free`,
      advice: "Free some space: agent-runner prune, or another --db.",
    });
  } catch (error) {
    const message = `can't be measured: ${messageOf(error)}`;
    return { name, level: "warn", message };
  }
}
