/**
 * `agent-runner completions`, and `agent-runner complete`, which the scripts that
 * it prints ask for each word.
 *
 * @module
 */

import { EXIT, UsageError } from "../base/errors.ts";
import { type Command, type Flag, flagsOf } from "./command.ts";

/** The shells that there is a script for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** One of {@linkcode SHELLS}. */
export type Shell = (typeof SHELLS)[number];

/** Prints the script for a shell. */
export const completions: Command = {
  name: "completions",
  args: SHELLS.join(" | "),
  maxArgs: 1,
  summary: "Print a script that completes words in the shell",
  examples: ["completions bash", "completions zsh"],
  ignoresConfigFile: true,
  run: ({ args: [name], terminal }) => {
    const shell = SHELLS.find((it) => it === name);
    if (!shell) {
      throw new UsageError(
        (name === undefined
          ? "Cannot complete for no shell."
          : `Cannot complete for "${name}".`) +
          ` Name one of ${SHELLS.join(", ")}: agent-runner completions bash`,
      );
    }
    terminal.write(SCRIPTS[shell]);
    return Promise.resolve(EXIT.ok);
  },
};

/**
 * Prints what the last of the words may become: a line each, with what it means
 * after a tab. One line {@linkcode FILES} stands for the names of files.
 */
export const complete: Command = {
  name: "complete",
  args: "-- WORDS…",
  maxArgs: Infinity,
  summary: "Print what the last word may become",
  examples: ["complete -- list --sta"],
  ignoresConfigFile: true,
  isHidden: true,
  run: ({ args, commands, terminal }) => {
    const lines = candidatesFor(args, commands).map(([word, meaning = ""]) =>
      `${word}\t${meaning}`.trimEnd() + "\n"
    );
    terminal.write(lines.join(""));
    return Promise.resolve(EXIT.ok);
  },
};

/** Stands for files: every shell completes those in its own way. */
const FILES = ":files";

/** A word, and what it means. */
export type Candidate = readonly [word: string, meaning?: string];

/**
 * What the last of the words may become.
 *
 * @param words after the program's name; the last may be empty
 */
export function candidatesFor(
  words: readonly string[],
  commands: readonly Command[],
): readonly Candidate[] {
  const shown = commands.filter(({ isHidden }) => !isHidden);
  const flags = new Map(
    shown.flatMap(flagsOf).map((flag) => [`--${flag.name}`, flag]),
  );
  // bash takes --flag=value for three words.
  const last = words.at(-1) === "=" ? "" : words.at(-1) ?? "";
  let awaited: Flag | undefined;
  const rest: string[] = [];
  for (const word of words.slice(0, -1)) {
    if (word === "=") continue;
    const flag = flags.get(word);
    if (awaited) awaited = undefined;
    else if (flag?.placeholder) awaited = flag;
    else if (!word.startsWith("-")) rest.push(word);
  }
  if (awaited) return startingWith(last, valuesOf(awaited, last));
  const [name = "", value] = last.split(/=(.*)/s);
  const given = value === undefined ? undefined : flags.get(name);
  if (given?.placeholder && value !== undefined) {
    const values = startingWith(value, valuesOf(given, value));
    return values.map(([it]) => it === FILES ? [it] : [`${name}=${it}`]);
  }
  const [first, second] = rest;
  // The first command is the one without a name too.
  const meant = first === undefined
    ? shown.slice(0, 1)
    : shown.filter((it) =>
      it.name === first || it.name === `${first} ${second}` ||
      second === undefined && it.name.startsWith(`${first} `)
    );
  if (last.startsWith("-")) {
    const own = meant.flatMap(flagsOf).map((it): Candidate => [
      `--${it.name}`,
      it.summary,
    ]);
    return startingWith(last, own);
  }
  return startingWith(
    last,
    first === undefined ? firstWords(shown) : argsOf(meant, rest.length),
  );
}

/** Each once. */
function startingWith(
  start: string,
  candidates: readonly Candidate[],
): readonly Candidate[] {
  const fitting = candidates.filter(([word]) =>
    word === FILES || word.startsWith(start)
  );
  return [...new Map(fitting.map((it) => [it[0], it])).values()];
}

/** The commands' names; of two words, the first. */
function firstWords(commands: readonly Command[]): Candidate[] {
  const byWord = Map.groupBy(commands, ({ name }) => name.split(" ")[0] ?? "");
  return [...byWord].map(([word, own]) => [
    word,
    own.map(({ summary }) => summary).join("; "),
  ]);
}

function valuesOf(
  { placeholder, choices = [], isList }: Flag,
  given: string,
): Candidate[] {
  if (placeholder === "PATH") return [[FILES]];
  const before = isList ? given.slice(0, given.lastIndexOf(",") + 1) : "";
  return choices.map((it) => [before + it]);
}

/** Second words; what `bash | zsh | fish` lists; and files for `[FILE | -]`. */
function argsOf(commands: readonly Command[], length: number): Candidate[] {
  return commands.flatMap(({ name, args = "", summary }): Candidate[] => {
    const second = name.split(" ")[1];
    if (second !== undefined) return length === 1 ? [[second, summary]] : [];
    if (args.includes("FILE")) return [[FILES]];
    const words = args.split(" | ");
    return words.every((word) => /^[a-z]+$/.test(word))
      ? words.map((word) => [word])
      : [];
  });
}

/** What each shell runs at a tab. */
export const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# bash completion for agent-runner. For this shell only:
#   source <(agent-runner completions bash)

_agent_runner() {
  local cur=\${COMP_WORDS[COMP_CWORD]} word IFS
  [[ $cur == = ]] && cur=
  COMPREPLY=()
  while IFS=$'\\t' read -r word _; do
    if [[ $word == ${FILES} ]]; then
      compopt -o filenames 2> /dev/null
      IFS=$'\\n' COMPREPLY=($(compgen -f -- "$cur"))
    else
      COMPREPLY+=("$word")
    fi
  done < <("\${COMP_WORDS[0]}" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" \\
    2> /dev/null)
}
complete -F _agent_runner agent-runner
`,
  zsh: `#compdef agent-runner
# zsh completion for agent-runner. For this shell only:
#   source <(agent-runner completions zsh)

_agent_runner() {
  local line
  local -a candidates meanings
  for line in "\${(@f)$("\${(Q)words[1]}" complete -- \\
    "\${(@Q)words[2,CURRENT]}" 2> /dev/null)}"; do
    if [[ $line == ${FILES} ]]; then
      compset -P '--*='
      _files
      return
    fi
    [[ -n $line ]] || continue
    candidates+=("\${line%%$'\\t'*}")
    meanings+=("\${line/$'\\t'/  }")
  done
  compadd -l -d meanings -a candidates
}

if [[ $funcstack[1] == _agent_runner ]]; then
  _agent_runner "$@"
else
  compdef _agent_runner agent-runner
fi
`,
  fish: `# fish completion for agent-runner. For this shell only:
#   agent-runner completions fish | source

function __agent_runner_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] complete -- $words[2..-1] "$current" 2> /dev/null)
    if test "$lines[1]" = ${FILES}
        set -l flag (string match -r -- '^--[^=]*=' "$current")
        for path in (__fish_complete_path (string replace -- "$flag" "" "$current"))
            echo "$flag$path"
        end
    else
        printf '%s\\n' $lines
    end
end
complete -c agent-runner -f -a '(__agent_runner_complete)'
`,
};
