import type { Command } from 'commander';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** The words that may stand at one place of a command line. */
interface Place {
  /**
   * A pattern of a shell for `NUMBER:COMMAND:SUBCOMMAND`. The number counts words, without options and their values; it is 0
   * for an option.
   */
  readonly pattern: string;
  readonly words: readonly Word[];
}

interface Word {
  readonly text: string;
  readonly help: string;
  /** True for an option that a value follows. */
  readonly hasValue?: boolean;
}

/** Returns a script that completes commands, options and built-in providers. It asks no vault. */
export function completionScript(shell: Shell, program: Command, providers: readonly string[]): string {
  const places = placesOf(program, providers);
  const groups = program.commands.filter((command) => command.commands.length > 0).map((command) => command.name());
  const valued = new Set(everyCommand(program).flatMap(({ options }) => options.filter(takesValue).flatMap(namesOf)));
  if (shell === 'fish') return fishScript(places, groups, [...valued]);
  const cases = places.map(
    ({ pattern, words }) => `    ${pattern}) candidates="${words.map(({ text }) => text).join(' ')}" ;;`,
  );
  // Both shells count words alike: this part is the same text. Bash takes the = of an option for a word of its own.
  const body = `
  for word in "$@"; do
    if [ "$word" = "=" ]; then skips=1; continue; fi
    if [ -n "$skips" ]; then skips=""; continue; fi
    case "$word" in
      --) return 1 ;;
      -*) case " ${[...valued].join(' ')} " in *" $word "*) skips=1 ;; esac ;;
      *)
        number=$((number + 1))
        if [ "$number" = 2 ]; then first="$word"; elif [ "$number" = 3 ]; then second="$word"; fi ;;
    esac
  done
  if [ -n "$skips" ]; then return 1; fi
  case "$first" in ${groups.join('|')}) ;; *) second="" ;; esac
  case "$current" in -*) number=0 ;; esac
  case "$number:$first:$second" in
${cases.join('\n')}
  esac`;
  return shell === 'bash' ? bashScript(body) : zshScript(body);
}

/** The first place that matches counts. */
function placesOf(program: Command, providers: readonly string[]): Place[] {
  const places: Place[] = [
    { pattern: '0::', words: optionsOf(program) },
    { pattern: '1::', words: program.commands.map(wordOf) },
  ];
  for (const command of program.commands) {
    const name = command.name();
    for (const below of command.commands) {
      places.push(...providerPlaces(below, `${name}:${below.name()}`, 3, providers));
      places.push({ pattern: `*:${name}:${below.name()}`, words: optionsOf(below) });
    }
    if (command.commands.length > 0) places.push({ pattern: `2:${name}:`, words: command.commands.map(wordOf) });
    else {
      places.push(...providerPlaces(command, `${name}:`, 2, providers));
      places.push({ pattern: `*:${name}:`, words: optionsOf(command) });
    }
  }
  return places;
}

function wordOf(command: Command): Word {
  return { text: command.name(), help: command.summary() };
}

function providerPlaces(command: Command, after: string, first: number, providers: readonly string[]): Place[] {
  const index = command.registeredArguments.findIndex((argument) => argument.name() === 'provider');
  const words = providers.map((text) => ({ text, help: 'provider' }));
  return index === -1 ? [] : [{ pattern: `${first + index}:${after}`, words }];
}

type Option = Command['options'][number];

function takesValue({ required, optional }: Option): boolean {
  return required || optional;
}

function namesOf({ short, long }: Option): string[] {
  return [short, long].filter((name) => typeof name === 'string');
}

function optionsOf(command: Command): Word[] {
  const own = command.options.flatMap((option) => {
    const { long, description: help } = option;
    return typeof long === 'string' ? [{ text: long, help, hasValue: takesValue(option) }] : [];
  });
  return [...own, { text: '--help', help: 'show the help of this command' }];
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

function bashScript(body: string): string {
  return `_grantry_words() {
  local current="$1" word first="" second="" skips="" candidates="" number=1
  shift${body}
  COMPREPLY=($(compgen -W "$candidates" -- "$current"))
}
_grantry() {
  COMPREPLY=()
  _grantry_words "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[@]:1:COMP_CWORD-1}"
}
complete -o default -F _grantry grantry
`;
}

/** It also works as a file `_grantry` in `fpath`, which zsh runs as the function. */
function zshScript(body: string): string {
  return `#compdef grantry
_grantry_words() {
  local current="$1" word first="" second="" skips="" candidates="" number=1
  shift${body}
  compadd -- \${=candidates}
}
_grantry() {
  _grantry_words "\${words[CURRENT]}" "\${(@)words[2,CURRENT-1]}" || _files
}
if [ "\${funcstack[1]}" = "_grantry" ]; then _grantry "$@"; else compdef _grantry grantry; fi
`;
}

function fishScript(places: readonly Place[], groups: readonly string[], valued: readonly string[]): string {
  const lines = places.flatMap(({ pattern, words }) => words.map((word) => fishLine(pattern, word)));
  return `function __grantry_at
  set -l number 1
  set -l first ''
  set -l second ''
  set -l skips ''
  for word in (commandline -opc)[2..-1]
    if test -n "$skips"
      set skips ''
    else if test "$word" = --
      return 1
    else if string match -q -- '-*' $word
      contains -- $word ${valued.join(' ')}; and set skips 1
    else
      set number (math $number + 1)
      test $number = 2; and set first $word
      test $number = 3; and set second $word
    end
  end
  test -z "$skips"; or return 1
  contains -- "$first" ${groups.join(' ')}; or set second ''
  string match -q -- '-*' (commandline -ct); and set number 0
  string match -q -- $argv[1] "$number:$first:$second"
end
${lines.join('\n')}
`;
}

/** Fish takes options of every place that matches: it completes them only after a dash. */
function fishLine(pattern: string, { text, help, hasValue = false }: Word): string {
  const what = text.startsWith('--') ? `-l ${text.slice(2)}${hasValue ? ' -r' : ''}` : `-f -a ${text}`;
  return `complete -c grantry -n '__grantry_at "${pattern}"' ${what} -d '${help.replaceAll(/['\\]/g, '')}'`;
}
