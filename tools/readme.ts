/**
 * Writes README's tables of commands and settings from the code:
 * `deno run -A tools/readme.ts`. A test fails where they differ.
 */
import { type Setting, SETTINGS } from "../lib/settings.ts";
import { COMMANDS } from "../lib/command_table.ts";

function commandTable(): string {
  return table(
    ["command", "what it does"],
    COMMANDS.map(({ name, args, summary }) => [
      `\`${`${name} ${args}`.trim()}\``,
      summary,
    ]),
  );
}

function settingTable(): string {
  return table(
    ["flag", "environment", "default", "meaning"],
    Object.values<Setting>(SETTINGS).map((setting) => [
      setting.flag ? `\`--${setting.flag}\`` : "",
      setting.env ? `\`${setting.env}\`` : "",
      setting.default && `\`${setting.default}\``,
      setting.summary +
      (["seconds", "days"].includes(setting.kind) ? ` (${setting.kind})` : ""),
    ]),
  );
}

function table(header: string[], rows: string[][]): string {
  const cells = [header, ...rows].map((row) =>
    row.map((cell) => cell.replaceAll("|", "\\|"))
  );
  const widths = header.map((_, column) =>
    Math.max(...cells.map((row) => row[column]!.length))
  );
  const line = (row: string[]) =>
    `| ${
      row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")
    } |`;
  const [first, ...rest] = cells.map(line);
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [first, rule, ...rest].join("\n");
}

/** README's text with its tables made anew. */
export function withTables(readme: string): string {
  const tables = { commands: commandTable(), settings: settingTable() };
  return readme.replace(
    /(<!-- (commands|settings): made by .*? -->\n)[^]*?(<!-- end -->)/g,
    (_, start: string, name: "commands" | "settings", end: string) =>
      `${start}\n${tables[name]}\n\n${end}`,
  );
}

if (import.meta.main) {
  const path = new URL("../README.md", import.meta.url);
  await Deno.writeTextFile(path, withTables(await Deno.readTextFile(path)));
}
