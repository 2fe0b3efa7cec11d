/**
 * Prints measurements as one table.
 *
 * @module
 */

import {
  type Measurement,
  meetsTarget,
  resultOf,
  type Target,
} from "./measurement.ts";

/** A scenario with what it measured. */
export interface Section {
  readonly name: string;
  readonly title: string;
  readonly measurements: readonly Measurement[];
}

const HEADINGS = ["", "", "median", "min–max", "n", "wanted", ""];
const TO_THE_RIGHT = new Set([2, 3, 4, 5]);

/** Three significant digits, and no exponent. */
function formatNumber(value: number): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)));
  const rounded = Number(value.toPrecision(3));
  return rounded.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

function formatTarget({ atLeast, atMost }: Target): string {
  return [
    atLeast === undefined ? "" : `≥ ${atLeast.toLocaleString("en-US")}`,
    atMost === undefined ? "" : `≤ ${atMost.toLocaleString("en-US")}`,
  ].join(" ").trim();
}

function rowOf(measurement: Measurement): string[] {
  const { name, unit, samples, quantile, target, missing } = measurement;
  if (samples.length === 0) return ["", name, missing ?? "no samples"];
  const kind = quantile === undefined ? "" : ` p${quantile * 100}`;
  const isMet = meetsTarget(measurement);
  return [
    "",
    `${name}, ${unit}${kind}`,
    formatNumber(resultOf(measurement)),
    `${formatNumber(Math.min(...samples))}–${
      formatNumber(Math.max(...samples))
    }`,
    String(samples.length),
    target ? formatTarget(target) : "",
    isMet === undefined ? "" : isMet ? "met" : "MISSED",
  ];
}

/** All measurements as one table. */
export function renderTable(sections: readonly Section[]): string {
  const rows = [
    HEADINGS,
    ...sections.flatMap(({ name, title, measurements }) => [
      [`${name}: ${title}`],
      ...measurements.map(rowOf),
    ]),
  ];
  // A title and a reason for nothing reach over the columns beside them.
  const measured = rows.filter((row) => row.length === HEADINGS.length);
  const widths = HEADINGS.map((_, column) =>
    column === 0 ? 1 : Math.max(...measured.map((row) => row[column]!.length))
  );
  return rows.map((row) =>
    row.map((cell, column) =>
      TO_THE_RIGHT.has(column) && row.length === HEADINGS.length
        ? cell.padStart(widths[column]!)
        : cell.padEnd(widths[column]!)
    ).join("  ").trimEnd()
  ).join("\n");
}
