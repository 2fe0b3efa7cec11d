/**
 * Stands in for GitHub's `gh`: knows the calls that are made of it, and refuses all
 * others.
 *
 * @module
 */

import { denoArgs } from "./project.ts";

/** An issue, as `gh` prints it. */
export interface GhIssue {
  readonly number: number;
  readonly title: string;
  readonly body: string;
  readonly author?: { readonly login: string } | null;
  readonly labels?: readonly string[];
  readonly comments?: readonly GhComment[];
}

/** What somebody said of it. */
export interface GhComment {
  readonly author: { readonly login: string };
  readonly body: string;
  readonly viewerDidAuthor: boolean;
  /** Of those that it was asked to post. */
  readonly url?: string;
}

/** What it keeps. */
interface GhState {
  readonly issues: GhIssue[];
  readonly calls: string[][];
  /** What it says where it fails; it does as long as this is there. */
  readonly fails?: string;
  /** Another program comments the same, just before it is asked to. */
  readonly isRaced?: boolean;
}

const EMPTY: GhState = { issues: [], calls: [] };

/** Knows of issues only; all else is done by `others`, where there is one. */
const SCRIPT = `#!/bin/sh
case "$1" in
  issue|api) ISSUES "$@" ;;
  *) OTHERS "$@" ;;
esac
code=$?
if [ "$(cat KILLS 2> /dev/null)" = "$1 $2" ]; then
  rm KILLS
  kill -9 $PPID
fi
exit $code
`;

/** The program, and what it keeps, in a folder. */
export class Gh {
  /** To be put in front of PATH. */
  readonly bin: string;
  readonly #file: string;
  readonly #kills: string;

  /** @param others Another stand-in, for what is not of issues. Default: none */
  constructor(folder: string, others = "false") {
    this.#kills = `${folder}/gh-kills`;
    this.bin = `${folder}/gh-bin`;
    this.#file = `${folder}/gh.json`;
    Deno.mkdirSync(this.bin);
    const words = [
      Deno.execPath(),
      ...denoArgs("tests/support/gh.ts"),
      this.#file,
    ].map((word) => `'${word}'`).join(" ");
    const script = SCRIPT.replace("ISSUES", words).replace("OTHERS", others)
      .replaceAll("KILLS", this.#kills);
    Deno.writeTextFileSync(`${this.bin}/gh`, script, { mode: 0o755 });
    this.change(EMPTY);
  }

  /** After it has done this once, as `issue comment`, it kills who called it. */
  killAfter(command: string): void {
    Deno.writeTextFileSync(this.#kills, `${command}\n`);
  }

  get state(): GhState {
    return JSON.parse(Deno.readTextFileSync(this.#file));
  }

  change(changes: Partial<GhState>): void {
    const state = changes === EMPTY ? EMPTY : { ...this.state, ...changes };
    Deno.writeTextFileSync(this.#file, JSON.stringify(state));
  }
}

/** The values of flags; every one must be one of these. */
function flagsOf(
  words: readonly string[],
  known: readonly string[],
): Record<string, string[]> {
  const flags: Record<string, string[]> = {};
  for (let index = 0; index < words.length; index += 2) {
    const [flag = "", value] = words.slice(index, index + 2);
    if (!known.includes(flag) || value === undefined) {
      refuse(`unknown flag: ${flag}`);
    }
    (flags[flag] ??= []).push(value);
  }
  return flags;
}

function refuse(message: string): never {
  console.error(message);
  Deno.exit(1);
}

const FIELDS = "number,title,body,url,author,comments";
/** As many comments of an issue are in a list of issues. */
const LISTED_COMMENTS = 100;

async function main(
  [file = "", ...args]: readonly string[],
): Promise<void> {
  const state: GhState = JSON.parse(Deno.readTextFileSync(file));
  const save = (changes: Partial<GhState>) =>
    Deno.writeTextFileSync(file, JSON.stringify({ ...state, ...changes }));
  const saveComments = (issue: GhIssue, comments: readonly GhComment[]) =>
    save({
      issues: state.issues.map((it) => it === issue ? { ...it, comments } : it),
    });
  state.calls.push([...args]);
  save({});
  if (state.fails !== undefined) refuse(state.fails);
  const what = args.slice(0, 2).join(" ");
  switch (what) {
    case "issue list": {
      const flags = flagsOf(args.slice(2), [
        "--repo",
        "--label",
        "--state",
        "--limit",
        "--json",
      ]);
      const [[repo], [fields], [limit]] = [
        flags["--repo"]!,
        flags["--json"]!,
        flags["--limit"]!,
      ];
      if (fields !== FIELDS) refuse(`Unknown JSON field: ${fields}`);
      const issues = state.issues.filter(({ labels = [] }) =>
        (flags["--label"] ?? []).every((it) => labels.includes(it))
      ).toReversed().slice(0, Number(limit));
      console.log(JSON.stringify(issues.map(
        ({ number, title, body, author = { login: "ada" }, comments = [] }) => (
          {
            number,
            title,
            body,
            author,
            comments: comments.slice(0, LISTED_COMMENTS),
            url: `https://github.com/${repo}/issues/${number}`,
          }
        ),
      )));
      break;
    }
    case "issue view": {
      const { "--json": [fields] = [] } = flagsOf(args.slice(3), [
        "--repo",
        "--json",
      ]);
      if (fields !== "comments") refuse(`Unknown JSON field: ${fields}`);
      const comments = issueOf(args[2], state).comments ?? [];
      console.log(JSON.stringify({ comments }));
      break;
    }
    case "issue comment": {
      const { "--body-file": [from] = [] } = flagsOf(args.slice(3), [
        "--repo",
        "--body-file",
      ]);
      if (from !== "-") refuse("no body");
      const body = await new Response(Deno.stdin.readable).text();
      const issue = issueOf(args[2], state);
      const comments = [...issue.comments ?? []];
      const address = `https://github.com/octo/app/issues/${issue.number}`;
      for (let times = state.isRaced ? 2 : 1; times > 0; times--) {
        comments.push({
          author: { login: "me" },
          body,
          viewerDidAuthor: true,
          url: `${address}#issuecomment-${comments.length + 1}`,
        });
      }
      saveComments(issue, comments);
      console.log(comments.at(-1)!.url);
      break;
    }
    case "api --method": {
      const [, id] = /^DELETE repos\/octo\/app\/issues\/comments\/(\d+)$/
        .exec(args.slice(2).join(" ")) ?? refuse(`unknown call ${args}`);
      const isMeant = ({ url }: GhComment) =>
        url?.endsWith(`#issuecomment-${id}`);
      const issue = state.issues.find((it) => it.comments?.some(isMeant)) ??
        refuse("HTTP 404: Not Found");
      saveComments(issue, issue.comments!.filter((it) => !isMeant(it)));
      break;
    }
    default:
      refuse(`unknown command ${args.join(" ")}`);
  }
}

function issueOf(number: string | undefined, { issues }: GhState): GhIssue {
  return issues.find((it) => it.number === Number(number)) ??
    refuse(`no issue ${number}`);
}

if (import.meta.main) await main(Deno.args);
