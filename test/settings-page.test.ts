import { expect, test } from 'vitest';
import { type Setting, settings } from '../src/vault/settings.ts';

/** `npx vitest run test/settings-page.test.ts -u` writes the page anew. */
test('docs/settings.md lists every setting as the program reads it', async () => {
  await expect(page()).toMatchFileSnapshot('../docs/settings.md');
});

function page(): string {
  const all: readonly Setting[] = Object.values(settings);
  return `# Settings

Every setting has an environment variable, and most have a flag. A flag of the command line, or an option of \`openVault\`, wins over the variable. An empty variable is not set.

| variable | flag | default | meaning |
| --- | --- | --- | --- |
${all
  .filter(({ server }) => server !== true)
  .map(row)
  .join('\n')}

\`HOME\` is the directory that \`GRANTRY_HOME\` names.

## Settings of \`grantry serve\`

| variable | flag | default | meaning |
| --- | --- | --- | --- |
${all
  .filter(({ server }) => server === true)
  .map(row)
  .join('\n')}
`;
}

function row({ variable, flag, usual, help }: Setting): string {
  const cells = [`\`${variable}\``, flag === undefined ? '' : `\`${flag.split(' ')[0]}\``, usual, help];
  return `| ${cells.join(' | ')} |`;
}
