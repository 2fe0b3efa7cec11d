/**
 * What a scenario measured, and the statistics of it.
 *
 * @module
 */

/** The limit that issue 3 sets. */
export interface Target {
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** One line of the table. */
export interface Measurement {
  readonly name: string;
  /** What the numbers count; "×" for a ratio of two runs of one round. */
  readonly unit: string;
  readonly samples: readonly number[];
  /** Which quantile of the samples is the result. @default {0.5} */
  readonly quantile?: number;
  readonly target?: Target;
  /** Why there are no samples. */
  readonly missing?: string;
}

/** The quantile of samples, between two of them where it falls there. */
export function quantileOf(
  samples: readonly number[],
  quantile: number,
): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * quantile;
  const below = sorted[Math.floor(position)] ?? NaN;
  const above = sorted[Math.ceil(position)] ?? NaN;
  return below + (above - below) * (position - Math.floor(position));
}

/** The median of samples. */
export function medianOf(samples: readonly number[]): number {
  return quantileOf(samples, 0.5);
}

/** The result of a measurement. */
export function resultOf({ samples, quantile = 0.5 }: Measurement): number {
  return quantileOf(samples, quantile);
}

/** Whether a measurement keeps within its target; undefined without one. */
export function meetsTarget(measurement: Measurement): boolean | undefined {
  const { target, samples } = measurement;
  if (!target || samples.length === 0) return undefined;
  const { atLeast = -Infinity, atMost = Infinity } = target;
  const result = resultOf(measurement);
  return result >= atLeast && result <= atMost;
}
