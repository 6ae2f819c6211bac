import type { Command } from 'commander';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** The words that may stand at one place of a command line. */
interface Place {
  /** A pattern of a shell for the number of the word, the command and the word after it. */
  readonly pattern: string;
  readonly words: readonly string[];
}

/** Returns a script that completes commands, options and built-in providers. It asks no vault. */
export function completionScript(shell: Shell, program: Command, providers: readonly string[]): string {
  if (shell === 'fish') return fishScript(program, providers);
  const cases = placesOf(program, providers).map(
    ({ pattern, words }) => `    ${pattern}) words="${words.join(' ')}" ;;`,
  );
  return shell === 'bash' ? bashScript(cases) : zshScript(cases);
}

/** The first place that matches counts. */
function placesOf(program: Command, providers: readonly string[]): Place[] {
  const places: Place[] = [{ pattern: '1:*', words: program.commands.map((command) => command.name()) }];
  for (const command of program.commands) {
    const name = command.name();
    for (const below of command.commands) {
      places.push(...providerPlaces(below, `${name}:${below.name()}`, 3, providers));
      places.push({ pattern: `*:${name}:${below.name()}`, words: optionsOf(below) });
    }
    if (command.commands.length > 0) {
      places.push({ pattern: `2:${name}:*`, words: command.commands.map((below) => below.name()) });
    } else {
      places.push(...providerPlaces(command, `${name}:*`, 2, providers));
      places.push({ pattern: `*:${name}:*`, words: optionsOf(command) });
    }
  }
  return places;
}

function providerPlaces(command: Command, after: string, first: number, providers: readonly string[]): Place[] {
  const index = command.registeredArguments.findIndex((argument) => argument.name() === 'provider');
  return index === -1 ? [] : [{ pattern: `${first + index}:${after}`, words: providers }];
}

function optionsOf(command: Command): string[] {
  return [...command.options.map(({ long }) => long ?? ''), '--help'].filter((word) => word !== '');
}

function bashScript(cases: readonly string[]): string {
  return `_grantry() {
  local words
  case "$COMP_CWORD:\${COMP_WORDS[1]}:\${COMP_WORDS[2]}" in
${cases.join('\n')}
    *) words="" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _grantry grantry
`;
}

function zshScript(cases: readonly string[]): string {
  return `#compdef grantry
_grantry() {
  local line="$((CURRENT - 1)):\${words[2]}:\${words[3]}"
  local words
  case "$line" in
${cases.join('\n')}
    *) words="" ;;
  esac
  compadd -- \${=words} || _files
}
compdef _grantry grantry
`;
}

function fishScript(program: Command, providers: readonly string[]): string {
  const lines = ['complete -c grantry -f -n __fish_use_subcommand'];
  const add = (condition: string, what: string, help: string): void => {
    lines.push(`complete -c grantry -n '${condition}' ${what} -d '${help.replaceAll(/['\\]/g, '')}'`);
  };
  for (const command of program.commands) {
    const name = command.name();
    add('__fish_use_subcommand', `-f -a ${name}`, command.summary());
    const below = command.commands.map((each) => each.name()).join(' ');
    for (const each of command.commands) {
      const open = `__fish_seen_subcommand_from ${name}; and not __fish_seen_subcommand_from ${below}`;
      add(open, `-f -a ${each.name()}`, each.summary());
      addOptions(each, `__fish_seen_subcommand_from ${name}; and __fish_seen_subcommand_from ${each.name()}`, add);
    }
    if (below === '') addOptions(command, `__fish_seen_subcommand_from ${name}`, add);
    if (providerPlaces(command, name, 2, providers).length > 0)
      add(`__fish_seen_subcommand_from ${name}`, `-f -a '${providers.join(' ')}'`, 'provider');
  }
  return `${lines.join('\n')}\n`;
}

function addOptions(command: Command, condition: string, add: (on: string, what: string, help: string) => void): void {
  for (const { long, description, required } of command.options)
    if (long !== undefined && long !== null) add(condition, `-l ${long.slice(2)}${required ? ' -r' : ''}`, description);
}
