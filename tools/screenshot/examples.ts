/**
 * What made-up tasks are about.
 *
 * @module
 */

/** A kind of task. */
export interface Example {
  readonly instruction: string;
  readonly provider: string;
  readonly target?: readonly [repo: string, issue: number];
  readonly steps: readonly string[];
  readonly question: string;
  readonly error: string;
  readonly result: string;
}

const DEFAULTS = {
  steps: ["Reading the repository", "Writing the change", "Running the tests"],
  error: "Tests failed: 3 of 412 (auth/session_test.ts)",
  question: "Two files match. Which one is meant?",
  result: "Opened a pull request with 4 changed files. All checks pass.",
};

/** The newest task first. */
export const EXAMPLES: readonly Example[] = [
  {
    instruction: "Summarise what changed since v2.3 for the release notes",
    provider: "claude",
    target: ["octo/app", 481] as const,
  },
  {
    instruction: "Find out why the nightly import takes twice as long",
    provider: "codex",
    target: ["octo/etl", 97] as const,
  },
  {
    instruction: "Translate the onboarding mails into Spanish",
    provider: "gemini",
  },
  {
    instruction: "Add a dark variant to the billing page",
    provider: "claude",
    target: ["octo/web", 1204] as const,
    question: "The brand palette has no dark yellow. Use the amber of the " +
      "warning banner, or wait for the designers?",
  },
  {
    instruction: "Replace moment.js in the reports module",
    provider: "codex",
    target: ["octo/web", 1198] as const,
  },
  {
    instruction: "Draft an answer to the security questionnaire",
    provider: "gemini",
  },
  {
    instruction: "Fix the flaky session test",
    provider: "claude",
    target: ["octo/app", 472] as const,
  },
  {
    instruction: "Review the pull request for the new rate limiter",
    provider: "codex",
    target: ["octo/api", 333] as const,
    steps: ["Reading the diff", "Checking edge cases", "Writing comments"],
    result: "Two comments: the window is off by one at midnight, and the " +
      "counter is not reset after a restart.",
  },
  {
    instruction: "Update dependencies with known vulnerabilities",
    provider: "claude",
    target: ["octo/app", 468] as const,
    error: "npm audit still finds 1 high: undici 5.28.3",
  },
  {
    instruction: "Write tests for the invoice rounding rules",
    provider: "codex",
    target: ["octo/billing", 58] as const,
  },
  {
    instruction: "Label and group the new support tickets",
    provider: "gemini",
    steps: ["Reading 64 tickets", "Grouping by cause", "Writing labels"],
    result: "64 tickets in 7 groups; the largest: password reset (21).",
  },
  {
    instruction: "Explain the spike of 502s at 04:10",
    provider: "claude",
    target: ["octo/infra", 88] as const,
    steps: ["Reading logs", "Comparing deploys", "Checking the load balancer"],
    error: "Cannot read the logs: the token expired",
  },
  {
    instruction: "Check the docs for dead links",
    provider: "gemini",
    target: ["octo/docs", 19] as const,
    steps: ["Crawling 812 pages", "Checking 5,390 links"],
    result: "11 dead links, all in the 2024 migration guide.",
  },
  {
    instruction: "Migrate the webhook table to the new schema",
    provider: "claude",
    target: ["octo/api", 341] as const,
    question: "The table holds 1.2 million rows, and the migration locks it " +
      "for about 40 seconds. Run it now, or tonight at 02:00?",
  },
  {
    instruction: "Port the deploy script to the new runners",
    provider: "codex",
    target: ["octo/infra", 91] as const,
  },
].map((example) => ({ ...DEFAULTS, ...example }));
