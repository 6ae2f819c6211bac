import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { expect, test } from 'vitest';

import { parseProviderDefinition } from '../src/providers/parse.ts';
import { importsOf } from './tidy/rules.ts';

/** The names that an example in a docstring may take as given. */
const globals = `
import type { GrantKey, Vault } from 'grantry';
declare global {
  const vault: Vault;
  const key: GrantKey;
  function askToConnectAgain(): void;
}
`;

interface Block {
  /** Page and line, for the message. */
  place: string;
  code: string;
}

test('every code block of the documents and every example in a public docstring compiles', () => {
  const blocks = allBlocks();
  expect(blocks.length).toBeGreaterThan(0);
  expect(compile(blocks)).toEqual([]);
});

test('no example ends at once what shall keep running', () => {
  // At the top of a module, `await using` closes when the module has run: before the first request.
  const ended = allBlocks().filter(
    ({ code }) => /^await using /m.test(code) && /\.listen\(|\bstart(?:Server|Workers)\(/.test(code),
  );
  expect(ended.map(({ place }) => place)).toEqual([]);
});

test('every definition in docs/providers.md is one, and every list of error rules', () => {
  const blocks = [...readFileSync('docs/providers.md', 'utf8').matchAll(/^```json\n([\s\S]*?)^```/gm)];
  expect(blocks.length).toBeGreaterThan(1);
  const smallest = {
    id: 'example',
    endpoints: { token: 'https://as.example/token' },
    api: { hosts: ['https://api.example'] },
  };
  for (const block of blocks) {
    const written: unknown = JSON.parse(block[1] ?? '');
    const definition = Array.isArray(written) ? { ...smallest, errors: written } : written;
    expect(() => parseProviderDefinition(definition), block[1]).not.toThrow();
  }
});

test('a block that does not compile is found, at its place', () => {
  const blocks = pageBlocks('a.md', "text\n\n```ts\nimport { openVaults } from 'grantry';\n```\n");
  expect(compile(blocks).join('\n')).toMatch(/^a\.md:3: .*openVaults/);
});

test('an example in a docstring is found, with the code around it left out', () => {
  const text =
    '/**\n * What.\n *\n * @example\n * const a = 1;\n *\n * b(a);\n * @throws never\n */\nexport const x = 1;\n';
  expect(docstringExamples('a.ts', text)).toEqual([{ place: 'a.ts:4', code: 'const a = 1;\n\nb(a);' }]);
});

function allBlocks(): Block[] {
  const pages = [...globSync('*.md'), ...globSync('docs/**/*.md')];
  return [
    ...pages.flatMap((file) => pageBlocks(file, readFileSync(file, 'utf8'))),
    ...publicFiles().flatMap((file) => docstringExamples(file, readFileSync(file, 'utf8'))),
  ];
}

function pageBlocks(file: string, text: string): Block[] {
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map((match) => ({
    place: `${file}:${lineOf(text, match.index)}`,
    code: match[1] ?? '',
  }));
}

/** An example may use what its own file exports and what {@link globals} declares. */
function docstringExamples(file: string, text: string): Block[] {
  const exported = [...text.matchAll(/^export (?:async )?(?:function|class|const|interface|type) (\w+)/gm)];
  return [...text.matchAll(/^ *\* @example\n((?: *\*(?!\/)(?! @).*\n)+)/gm)].map((match) => {
    const code = (match[1] ?? '')
      .replaceAll(/^ *\* ?/gm, '')
      .replaceAll(/^```ts\n|\n?```\n?$/g, '')
      .trimEnd();
    const own = exported.map((each) => each[1] ?? '').filter((name) => new RegExp(`\\b${name}\\b`).test(code));
    const imports =
      own.length > 0 && !code.includes('import ') ? `import { ${own.join(', ')} } from '../../${file}';\n` : '';
    return { place: `${file}:${lineOf(text, match.index)}`, code: imports + code };
  });
}

/** The files whose names the exports of the package offer. */
function publicFiles(): string[] {
  const doors = Object.values(exportedSources());
  const behind = doors.flatMap((door) =>
    importsOf(door, readFileSync(door, 'utf8'))
      .filter(({ specifier }) => specifier.startsWith('.'))
      .map(({ specifier }) => path.posix.join(path.posix.dirname(door), specifier)),
  );
  return [...new Set([...doors, ...behind])].filter((file) => file.endsWith('.ts'));
}

/** Errors of the blocks, each line with the block's place. */
function compile(blocks: Block[]): string[] {
  mkdirSync('.tmp', { recursive: true });
  const folder = mkdtempSync('.tmp/docs-');
  try {
    for (const [index, { code }] of blocks.entries()) {
      // An import or export makes it a module of its own, in which `await` may stand at the top.
      writeFileSync(path.join(folder, `block-${index}.ts`), `${code}\nexport {};\n`);
    }
    writeFileSync(path.join(folder, 'globals.d.ts'), globals);
    writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(settings()));
    const { stdout } = spawnSync('node_modules/.bin/tsc', ['-p', folder, '--pretty', 'false'], { encoding: 'utf8' });
    return stdout
      .split('\n')
      .filter((line) => line.includes('error TS'))
      .map((line) =>
        line.replace(/^.*block-(\d+)\.ts\(\d+,\d+\)/, (_, index: string) => blocks[Number(index)]?.place ?? ''),
      );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function settings(): object {
  const paths = Object.fromEntries(Object.entries(exportedSources()).map(([name, file]) => [name, [`../../${file}`]]));
  return {
    extends: '../../tsconfig.json',
    compilerOptions: { paths, noUnusedLocals: false, noUnusedParameters: false },
    include: ['*.ts'],
  };
}

/** `grantry/simulator` → `src/simulator/index.ts`, for every export of the package. */
function exportedSources(): Record<string, string> {
  const manifest: { exports: Record<string, { default?: string } | string> } = JSON.parse(
    readFileSync('package.json', 'utf8'),
  );
  const sources: Record<string, string> = {};
  for (const [name, target] of Object.entries(manifest.exports)) {
    if (typeof target === 'string' || target.default === undefined) continue;
    sources[name.replace('.', 'grantry')] = target.default.replace('./dist/', 'src/').replace(/\.js$/, '.ts');
  }
  return sources;
}

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}
