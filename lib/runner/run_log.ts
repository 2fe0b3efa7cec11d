/**
 * What of one run's output waits to be written, and which lines of it stay: those at
 * its beginning, and the newest.
 *
 * @module
 */

import type { LogCut, LogPiece } from "../store/contract.ts";
import { timedLine, untimedLine } from "../task/run_log.ts";
import type { OutputKind } from "../task/run_log.ts";
import type { Lease } from "../task/task.ts";

/** The most characters of one piece, where it has more than a line. */
const PIECE_CHARACTERS = 64 * 1024;
/** What is counted for the time and the end of a line. */
const TIME_CHARACTERS = 10;
/** A stored tail that is too long is cut to this share: not at every write. */
const CUT_TO = 0.75;

interface Line {
  /** Its number in its run. */
  readonly number: number;
  /** When it came, by the clock that never jumps. */
  readonly at: number;
  readonly untimed: string;
}

/** A piece that was written and may be deleted again. */
interface Stored {
  readonly firstLine: number;
  readonly endLine: number;
  readonly characters: number;
}

/** What is to be written of a run at once. */
export interface Batch {
  readonly pieces: readonly LogPiece[];
  readonly cuts: readonly LogCut[];
  readonly characters: number;
  /** Call it when that is written. */
  readonly written: () => void;
  /** Or when it is not, and waits again. */
  readonly failed: () => void;
}

/** The log of one run. Each half of its limit is for one end of it. */
export class RunLog {
  readonly lease: Lease;
  readonly #half: number;
  /** What is left of the half for its beginning. */
  #headRoom: number;
  #head: Line[] = [];
  /** The newest lines, and where the first of them that is left stands. */
  #tail: Line[] = [];
  #tailStart = 0;
  #tailCharacters = 0;
  #stored: Stored[] = [];
  #nextLine = 0;
  #characters = 0;

  /** @param limit how many characters are kept */
  constructor(lease: Lease, limit: number) {
    this.lease = lease;
    this.#half = this.#headRoom = Math.floor(limit / 2);
  }

  /** How many characters wait to be written. */
  get characters(): number {
    return this.#characters;
  }

  /**
   * Takes a line. Where there is no room for it, older ones fall out that are not
   * written yet, but for the beginning; and where that is all there is, the line.
   *
   * @param room how many more characters may wait
   */
  add(
    { kind, text, at, room }: {
      readonly kind: OutputKind;
      readonly text: string;
      readonly at: number;
      readonly room: number;
    },
  ): void {
    const untimed = untimedLine(kind, text);
    const line = { number: this.#nextLine++, at, untimed };
    const size = sizeOf(line);
    if (size <= this.#headRoom && size <= room) {
      this.#headRoom -= size;
      this.#head.push(line);
      this.#characters += size;
      return;
    }
    this.#headRoom = 0; // What comes later is no beginning.
    this.#tail.push(line);
    this.#tailCharacters += size;
    this.#characters += size;
    const most = Math.min(this.#half, this.#tailCharacters - size + room);
    while (this.#tailCharacters > most) this.#dropOldest();
  }

  #dropOldest(): void {
    const line = this.#tail[this.#tailStart++];
    const size = line ? sizeOf(line) : 0;
    this.#tailCharacters -= size;
    this.#characters -= size;
    // Not at every line: that would copy the others for each.
    if (this.#tailStart < 1_000 && this.#tailStart < this.#tail.length) return;
    this.#tail.splice(0, this.#tailStart);
    this.#tailStart = 0;
  }

  /**
   * Takes out what is to be written next: about so many characters of it. Until what
   * came of that is told, nothing else may be taken.
   */
  take(most: number, now: number): Batch {
    const head = fitting(this.#head, 0, most);
    const left = most - sumOf(head);
    const isAll = head.length === this.#head.length;
    const tail = isAll ? fitting(this.#tail, this.#tailStart, left) : [];
    const tailCharacters = sumOf(tail);
    const characters = sumOf(head) + tailCharacters;
    this.#head.splice(0, head.length);
    this.#tail.splice(0, this.#tailStart + tail.length);
    this.#tailStart = 0;
    this.#tailCharacters -= tailCharacters;
    this.#characters -= characters;
    const stored = piecesOf(tail).map((lines) => ({
      firstLine: lines[0]?.number ?? 0,
      endLine: (lines.at(-1)?.number ?? 0) + 1,
      characters: sumOf(lines),
    }));
    const kept = [...this.#stored];
    const gone = this.#tooMany(kept, tailCharacters);
    const first = gone[0];
    const last = gone.at(-1);
    return {
      pieces: [...piecesOf(head), ...piecesOf(tail)]
        .map((lines) => pieceOf(this.lease, lines, now)),
      cuts: first && last
        ? [{
          lease: this.lease,
          firstLine: first.firstLine,
          endLine: last.endLine,
        }]
        : [],
      characters,
      written: () => void (this.#stored = [...kept, ...stored]),
      failed: () => {
        this.#head.unshift(...head);
        this.#tail.splice(0, this.#tailStart, ...tail);
        this.#tailStart = 0;
        this.#tailCharacters += tailCharacters;
        this.#characters += characters;
        while (this.#tailCharacters > this.#half) this.#dropOldest();
      },
    };
  }

  /** Takes from the stored pieces those that make no room for so many characters. */
  #tooMany(kept: Stored[], characters: number): Stored[] {
    let total = characters +
      kept.reduce((sum, { characters }) => sum + characters, 0);
    if (total <= this.#half) return [];
    const gone: Stored[] = [];
    while (total > CUT_TO * this.#half) {
      const oldest = kept.shift();
      if (!oldest) break;
      total -= oldest.characters;
      gone.push(oldest);
    }
    return gone;
  }
}

function sizeOf({ untimed }: Line): number {
  return untimed.length + TIME_CHARACTERS;
}

function sumOf(lines: readonly Line[]): number {
  return lines.reduce((sum, line) => sum + sizeOf(line), 0);
}

/** The lines from one on that have so many characters; one at least. */
function fitting(
  lines: readonly Line[],
  start: number,
  characters: number,
): Line[] {
  let end = start;
  let sum = 0;
  for (; end < lines.length; end++) {
    sum += sizeOf(lines[end]!);
    if (sum > characters && end > start) break;
  }
  return lines.slice(start, end);
}

/** Lines that follow each other, not too many together. */
function piecesOf(lines: readonly Line[]): Line[][] {
  const pieces: Line[][] = [];
  let characters = 0;
  for (const line of lines) {
    const piece = pieces.at(-1);
    const follows = piece?.at(-1)?.number === line.number - 1;
    characters += sizeOf(line);
    if (piece && follows && characters <= PIECE_CHARACTERS) piece.push(line);
    else {
      pieces.push([line]);
      characters = sizeOf(line);
    }
  }
  return pieces;
}

function pieceOf(
  lease: Lease,
  lines: readonly Line[],
  now: number,
): LogPiece {
  const { number: firstLine = 0, at = now } = lines[0] ?? {};
  return {
    lease,
    firstLine,
    lineCount: lines.length,
    agoMs: now - at,
    text: lines.map((line) => timedLine(line.untimed, Math.round(line.at - at)))
      .join("\n"),
  };
}
