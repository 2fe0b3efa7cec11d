/**
 * How the tasks of one provider are run.
 *
 * @module
 */

/** What is set for one provider; what is not set is as for all tasks. */
export interface ProviderSettings {
  readonly timeoutMs?: number;
  readonly attempts?: number;
  readonly concurrency?: number;
  readonly backoff?: { readonly baseMs: number; readonly maxMs: number };
}
