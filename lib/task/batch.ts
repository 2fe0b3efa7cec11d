/**
 * What the history says of a batch whose last task has ended.
 *
 * @module
 */

/** How many tasks are in each state that occurs, by its shown name. */
export type StateCounts = Readonly<Record<string, number>>;

/** `10 completed, 2 failed, 1 cancelled` */
export function countsText(counts: StateCounts): string {
  return Object.entries(counts)
    .map(([state, count]) => `${count} ${state}`).join(", ");
}

/** `nightly: 10 completed, 2 failed, 1 cancelled` */
export function batchEndedText(name: string, counts: StateCounts): string {
  return `${name}: ${countsText(counts)}`;
}

/** What {@linkcode batchEndedText} said; a name may have anything in it but commas. */
export function parseBatchEnded(
  text: string,
): { readonly name: string; readonly counts: StateCounts } | undefined {
  const [, name, rest] = /^(.+): (\d+ [^,]+(?:, \d+ [^,]+)*)$/s.exec(text) ??
    [];
  if (name === undefined || rest === undefined) return undefined;
  const counts = rest.split(", ").map((part): [string, number] => {
    const [count = "", ...state] = part.split(" ");
    return [state.join(" "), Number(count)];
  });
  return { name, counts: Object.fromEntries(counts) };
}
