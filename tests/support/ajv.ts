/** Not among deno.json's imports: `deno task` downloads those at its first run. */
export { Ajv2020, type ValidateFunction } from "npm:ajv@8.20.0/dist/2020.js";
