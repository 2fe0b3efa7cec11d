/**
 * Scripts that make shells complete the words of agent-runner.
 *
 * @module
 */

import {
  type CommandWord,
  commandWords,
  type FlagWord,
  type Value,
} from "./completion_words.ts";

/** The shells that there is a script for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** One of {@linkcode SHELLS}. */
export type Shell = (typeof SHELLS)[number];

/** The script for a shell. */
export function completionScript(shell: Shell): string {
  const commands = commandWords();
  switch (shell) {
    case "bash":
      return bashScript(commands);
    case "zsh":
      return zshScript(commands);
    case "fish":
      return fishScript(commands);
  }
}

/** A text that a shell takes as it is. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function wordsOf(value: Value): readonly string[] {
  return value.kind === "words" ? value.words : [];
}

function bashScript(commands: readonly CommandWord[]): string {
  const valueFlags = new Set(
    commands.flatMap(({ flags }) =>
      flags.filter(({ value }) => value.kind !== "nothing")
        .map(({ word }) => word)
    ),
  );
  const cases = commands.map(({ word, flags, args }) => {
    const values = flags.filter(({ value }) =>
      value.kind === "words" || value.kind === "files"
    ).map(({ word, value }) =>
      `        ${word}) ${
        value.kind === "files"
          ? "files=1"
          : `words=${quoted(wordsOf(value).join(" "))}`
      } ;;`
    );
    return `    ${word})
      flags=${quoted(flags.map(({ word }) => word).join(" "))}
      args=${quoted(wordsOf(args).join(" "))}${
      args.kind === "files" ? " argfiles=1" : ""
    }
      case $flag in
${values.join("\n")}
      esac ;;`;
  });
  return `# bash completion for agent-runner. For this shell only:
#   source <(agent-runner completions bash)

_agent_runner() {
  local cur=\${COMP_WORDS[COMP_CWORD]} command= flag= i word
  local flags= args= argfiles= words= files= list=
  local with_value=${quoted(` ${[...valueFlags].join(" ")} `)}
  # bash takes --flag=value for three words.
  [[ $cur == = ]] && cur=
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ -n $flag ]]; then
      [[ $word == = ]] || flag=
    elif [[ $word == --* ]]; then
      [[ $with_value == *" $word "* ]] && flag=$word
    elif [[ -z $command ]]; then
      command=$word
    fi
  done
  case \${command:-${commands[0]?.word}} in
${cases.join("\n")}
  esac
  if [[ -z $flag ]]; then
    if [[ $cur == -* ]]; then words=$flags
    elif [[ -z $command ]]; then words=${
    quoted(commands.map(({ word }) => word).join(" "))
  }
    else words=$args files=$argfiles
    fi
  elif [[ -n $words && $cur == *,* ]]; then
    list=\${cur%,*}, cur=\${cur##*,}
  fi
  if [[ -n $files ]]; then
    compopt -o filenames 2> /dev/null
    local IFS=$'\\n'
    COMPREPLY=($(compgen -f -- "$cur"))
  else
    COMPREPLY=($(compgen -P "$list" -W "$words" -- "$cur"))
  fi
}
complete -F _agent_runner agent-runner
`;
}

/** Descriptions of `_arguments` end at `]`. */
function zshText(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, "\\$&");
}

function zshValue(value: Value): string {
  switch (value.kind) {
    case "files":
      return ":file:_files";
    case "words":
      return value.isList
        ? `:value:_sequence compadd - ${value.words.join(" ")}`
        : `:value:(${value.words.join(" ")})`;
    default:
      return ":value: ";
  }
}

function zshScript(commands: readonly CommandWord[]): string {
  const flagLine = ({ word, summary, value }: FlagWord) =>
    value.kind === "nothing"
      ? quoted(`${word}[${zshText(summary)}]`)
      : quoted(`${word}=[${zshText(summary)}]${zshValue(value)}`);
  const cases = commands.map(({ word, flags, args }) => {
    const rest = args.kind === "files"
      ? ["*:file:_files"]
      : args.kind === "words"
      ? [`1:word:(${args.words.join(" ")})`]
      : [];
    const lines = [...flags.map(flagLine), ...rest.map(quoted)];
    return `    ${word})
      _arguments \\
        ${lines.join(" \\\n        ")} ;;`;
  });
  const descriptions = commands.map(({ word, summary }) =>
    `    ${quoted(`${word}:${summary.replaceAll(":", "\\:")}`)}`
  );
  return `#compdef agent-runner
# zsh completion for agent-runner. For this shell only:
#   source <(agent-runner completions zsh)

_agent_runner() {
  local -a commands
  local state line
  typeset -A opt_args
  commands=(
${descriptions.join("\n")}
  )
  _arguments -C '1: :->command' '*:: :->rest' && return
  if [[ $state == command ]]; then
    if [[ $PREFIX == -* ]]; then
      words=(${commands[0]?.word} "\${words[@]:1}")
      state=rest
    else
      _describe command commands
      return
    fi
  fi
  case $words[1] in
${cases.join("\n")}
  esac
}

if [[ $funcstack[1] == _agent_runner ]]; then
  _agent_runner "$@"
else
  compdef _agent_runner agent-runner
fi
`;
}

function fishScript(commands: readonly CommandWord[]): string {
  const all = commands.map(({ word }) => word).join(" ");
  const fishText = (text: string) => `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
  const lines = commands.flatMap(({ word, summary, flags, args }, index) => {
    const isSeen = `__fish_seen_subcommand_from ${word}`;
    // The first command is the one without a name too.
    const isMeant = index === 0
      ? `${isSeen}; or not __fish_seen_subcommand_from $commands`
      : isSeen;
    const value = ({ value }: FlagWord) =>
      value.kind === "files"
        ? " -r -F"
        : value.kind === "words"
        ? ` -x -a ${
          fishText(
            value.isList
              ? `(__fish_append , ${value.words.join(" ")})`
              : value.words.join(" "),
          )
        }`
        : value.kind === "text"
        ? " -x"
        : "";
    return [
      `complete -c agent-runner -n "not __fish_seen_subcommand_from $commands" ` +
      `-a ${word} -d ${fishText(summary)}`,
      ...flags.map((flag) =>
        `complete -c agent-runner -n "${isMeant}" -l ${flag.word.slice(2)}` +
        `${value(flag)} -d ${fishText(flag.summary)}`
      ),
      ...args.kind === "words"
        ? [
          `complete -c agent-runner -n "${isSeen}; and not ` +
          `__fish_seen_subcommand_from ${args.words.join(" ")}" ` +
          `-a ${fishText(args.words.join(" "))}`,
        ]
        : args.kind === "files"
        ? [`complete -c agent-runner -n "${isSeen}" -F`]
        : [],
    ];
  });
  return `# fish completion for agent-runner. For this shell only:
#   agent-runner completions fish | source

set -l commands ${all}
complete -c agent-runner -f
${lines.join("\n")}
`;
}
