/**
 * How the tasks of one provider are run.
 *
 * @module
 */

/**
 * Settings of one provider. What is left out is the runner's own setting; what
 * a task sets for itself wins over both.
 */
export interface ProviderSettings {
  /** How long one run may take, in milliseconds; 0 for ever. */
  readonly timeoutMs?: number;
  /** Attempts before a failure is final. */
  readonly attempts?: number;
  /** Tasks that run at the same time. */
  readonly concurrency?: number;
  /** Delays between the attempts, in milliseconds. */
  readonly backoff?: { readonly baseMs: number; readonly maxMs: number };
}
