import type { AddHelpTextContext, Command, Option } from 'commander';
import { type Setting, settings } from '../vault/settings.ts';
import { globalHeading } from './terminal/global-heading.ts';

// `grantry token` loads this file, so it takes only types from the command-line library.

const { home, database, rootKey, installation, spool, tenant, url, publicUrl, logLevel } = settings;
const globalSettings: readonly Setting[] = [
  home,
  database,
  rootKey,
  installation,
  spool,
  tenant,
  url,
  publicUrl,
  logLevel,
];

/** Adds the flags that every command takes, except those that the command has for itself; see `OwnOptionsFirst`. */
export function addGlobals(command: Command): void {
  const taken = new Set(command.options.map((option) => option.long));
  const globals = [
    command.createOption('--json', 'print results and errors as JSON'),
    command.createOption('-v, --verbose', 'print more on stderr'),
    ...globalSettings.map((setting) => settingOption(command, setting)),
  ];
  for (const option of globals) {
    if (taken.has(option.long)) continue;
    command.addOption(option.helpGroup(globalHeading).hideHelp());
  }
}

/** Adds the flags of settings, with their variables and defaults in the help. */
export function addSettings(command: Command, wanted: readonly Setting[]): void {
  for (const setting of wanted) command.addOption(settingOption(command, setting));
}

function settingOption(command: Command, { flag, variable, usual, help }: Setting): Option {
  return command.createOption(flag ?? '', `${help} (${variable}${usual === '' ? '' : `; default: ${usual}`})`);
}

/** For options that may be given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** Text below the options of a command: paragraphs are wrapped, indented lines stay as they are. */
export function epilogue(text: string): (context: AddHelpTextContext) => string {
  return ({ command }) => {
    const width = command.configureOutput().getOutHelpWidth?.() ?? 80;
    const help = command.createHelp();
    const lines = text.split('\n').map((line) => (line.startsWith(' ') ? line : help.boxWrap(line, width)));
    return `\n${lines.join('\n')}`;
  };
}

/** Settings without a flag, for an epilogue: each variable, and its help below it. */
export function variableLines(listed: readonly Setting[]): string {
  return listed
    .filter(({ flag }) => flag === undefined)
    .map(({ variable, help, usual }) => `  ${variable}${usual === '' ? '' : ` (default: ${usual})`}\n${indented(help)}`)
    .join('\n');
}

/** Breaks a text into indented lines of at most 80 columns. */
function indented(text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last.length + 1 + word.length <= 74) lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
    else lines.push(word);
  }
  return lines.map((line) => `      ${line}`).join('\n');
}
