import type { Command } from 'commander';
import { builtInProviderIds } from '../../base/provider-ids.ts';
import { completionScript, shells } from '../completion-script.ts';
import { epilogue } from '../options.ts';
import { usageError } from '../terminal/errors.ts';

export function define(command: Command): void {
  command
    .description(
      'Prints a script with which a shell completes commands, options and built-in providers. Load it when the shell starts.',
    )
    .argument('<shell>', shells.join(', '))
    .addHelpText(
      'after',
      epilogue(`Examples:
  bash: echo 'source <(grantry completion bash)' >> ~/.bashrc
  zsh:  echo 'source <(grantry completion zsh)' >> ~/.zshrc, after compinit
  fish: grantry completion fish > ~/.config/fish/completions/grantry.fish`),
    )
    .action((given: string) => {
      const shell = shells.find((known) => known === given);
      const program = command.parent;
      if (shell === undefined || program === null) throw usageError(`The shell must be one of ${shells.join(', ')}.`);
      process.stdout.write(completionScript(shell, program, builtInProviderIds));
    });
}
