import { type AddHelpTextContext, type Command, Help, Option } from 'commander';
import { type Setting, settings } from '../vault/settings.ts';

/** The heading of the flags that every command takes. */
export const globalHeading = 'Global options:';

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

/** Adds the flags that every command takes, except those that the command has for itself; see {@link OwnOptionsFirst}. */
export function addGlobals(command: Command): void {
  const taken = new Set(command.options.map((option) => option.long));
  const globals = [
    new Option('--json', 'print results and errors as JSON'),
    new Option('-v, --verbose', 'print more on stderr'),
    ...globalSettings.map(settingOption),
  ];
  for (const option of globals) {
    if (taken.has(option.long)) continue;
    command.addOption(option.helpGroup(globalHeading).hideHelp());
  }
}

/** Adds the flags of settings, with their variables and defaults in the help. */
export function addSettings(command: Command, wanted: readonly Setting[]): void {
  for (const setting of wanted) command.addOption(settingOption(setting));
}

function settingOption({ flag, variable, usual, help }: Setting): Option {
  return new Option(flag ?? '', `${help} (${variable}${usual === '' ? '' : `; default: ${usual}`})`);
}

/** For options that may be given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** Help with the options of the command first, and the global ones last: all of `grantry --help`, elsewhere their names. */
export class OwnOptionsFirst extends Help {
  override optionDescription(option: Option): string {
    return super.optionDescription(option).replace(/\(default: "(.*)"\)/, '(default: $1)');
  }

  override formatHelp(command: Command, helper: Help): string {
    const globals = command.options.filter((option) => option.helpGroupHeading === globalHeading);
    const text = super.formatHelp(command, helper).trimEnd();
    if (command.parent === null) return `${text}\n\n${globalHeading}\n${this.#items(globals)}\n`;
    const names = globals.map(({ long }) => long).join(' ');
    return `${text}\n\n${this.boxWrap(`Global options: ${names}. See grantry --help.`, helper.helpWidth ?? 80)}\n`;
  }

  #items(options: readonly Option[]): string {
    const width = Math.max(...options.map((option) => this.optionTerm(option).length));
    return options
      .map((option) => this.formatItem(this.optionTerm(option), width, this.optionDescription(option), this))
      .join('\n');
  }
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
