/** Not among deno.json's imports: `deno task` downloads those at its first run. */
export { CronExpressionParser } from "npm:cron-parser@5.10.6";
