import { execFileSync } from 'node:child_process';
import { expect, test, vi } from 'vitest';
import { runProgram } from './program.ts';

async function scriptFor(shell: string): Promise<string> {
  let text = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    await runProgram(['completion', shell]);
  } finally {
    write.mockRestore();
  }
  return text;
}

/** Completes the last word in a real bash. */
function complete(script: string, words: readonly string[]): string[] {
  const run = `COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _grantry; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const output = execFileSync('bash', ['-c', `${script}\n${run}`, 'bash', 'grantry', ...words], { encoding: 'utf8' });
  return output.split('\n').filter((line) => line !== '');
}

test('bash completes commands, commands below them, options and providers', async () => {
  const script = await scriptFor('bash');
  expect(complete(script, ['d'])).toEqual(['disconnect', 'doctor']);
  expect(complete(script, ['app', ''])).toEqual(['add', 'list', 'show', 'remove']);
  expect(complete(script, ['app', 'add', 'x', '--client'])).toEqual(['--client-id', '--client-secret-file']);
  expect(complete(script, ['token', 'acme', 'zoho_c'])).toContain('zoho_crm');
  expect(complete(script, ['provider', 'show', 'xe'])).toEqual(['xero']);
  expect(complete(script, ['token', 'acme', 'zoho_crm', '--j'])).toEqual(['--json']);
  expect(complete(script, ['serve', '--pub'])).toEqual(['--public-url']);
  expect(complete(script, ['exec', 'acme', '--', 'x'])).toEqual([]);
});

test('zsh and fish get the same words', async () => {
  const zsh = await scriptFor('zsh');
  expect(zsh).toMatch(/^#compdef grantry\n/);
  expect(zsh).toContain('*:app:add) words="--provider --client-id');
  const fish = await scriptFor('fish');
  expect(fish).toContain("complete -c grantry -n '__fish_use_subcommand' -f -a doctor");
  expect(fish).toContain("__fish_seen_subcommand_from key; and __fish_seen_subcommand_from create' -l role -r");
});

test('another shell is refused', async () => {
  await expect(scriptFor('tcsh')).rejects.toMatchObject({ code: 'invalid_request' });
});
