import { type Command, Help, type Option } from 'commander';
import { globalHeading } from './global-heading.ts';

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
