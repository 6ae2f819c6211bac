import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { languageViolations } from './language.ts';
import { revealDoors } from './reveal-doors.ts';
import { importsOf, violations } from './rules.ts';

const files = trackedFiles();
const sources = files.filter((file) => file.endsWith('.ts'));

describe('the house', () => {
  test('is found', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(files).toContain('src/base/errors.ts');
  });

  test.each(files)('%s is tidy', (file) => {
    expect(violations(file, readFileSync(file, 'utf8'))).toEqual([]);
  });

  test.each(files)('%s is plain English', (file) => {
    expect(languageViolations(file, readFileSync(file, 'utf8'))).toEqual([]);
  });

  test('has no circle of imports', () => {
    const graph = new Map(
      sources.filter((file) => !file.startsWith('bench/peers/')).map((file) => [file, importedFiles(file)] as const),
    );
    expect(circlesIn(graph)).toEqual([]);
  });

  test('a circle of imports would be found', () => {
    const graph = new Map([
      ['a.ts', ['b.ts']],
      ['b.ts', ['c.ts']],
      ['c.ts', ['b.ts']],
    ]);
    expect(circlesIn(graph)).toEqual(['b.ts → c.ts → b.ts']);
  });

  test('every door for plaintext is still used', () => {
    const unused = Object.keys(revealDoors).filter(
      (file) => !existsSync(file) || !readFileSync(file, 'utf8').includes('.reveal('),
    );
    expect(unused).toEqual([]);
  });
});

describe('the packages', () => {
  const manifest: Manifest = JSON.parse(readFileSync('package.json', 'utf8'));
  const lock: Lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));

  test('are few, pinned, and the product’s own need no install script', () => {
    const names = Object.keys(manifest.dependencies);
    expect(names.length).toBeLessThanOrEqual(11);
    const versions = { ...manifest.dependencies, ...manifest.devDependencies };
    expect(Object.entries(versions).filter(([, version]) => !/^(?:npm:[\w@/-]+@)?\d/.test(version))).toEqual([]);
    const runtime = Object.entries(lock.packages).filter(([name, entry]) => name !== '' && entry.dev !== true);
    const scripted = runtime.filter(([, entry]) => entry.hasInstallScript === true && entry.devOptional !== true);
    expect(scripted.map(([name]) => name)).toEqual([]);
  });

  test.each(['package-lock.json', 'bench/package-lock.json'])('of %s are locked by a hash', (file) => {
    const { packages }: Lock = JSON.parse(readFileSync(file, 'utf8'));
    const entries = Object.entries(packages).filter(([name]) => name !== '');
    expect(entries.length).toBeGreaterThan(10);
    expect(
      entries.filter(([, entry]) => entry.integrity?.startsWith('sha512-') !== true).map(([name]) => name),
    ).toEqual([]);
    expect(entries.filter(([, { resolved }]) => resolved !== undefined).map(([name]) => name)).toEqual([]);
  });
});

interface Manifest {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

interface Lock {
  packages: Record<
    string,
    { integrity?: string; resolved?: string; dev?: boolean; devOptional?: boolean; hasInstallScript?: boolean }
  >;
}

/** Text files under version control, and those that would be: not what is ignored, generated or published as it is. */
function trackedFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { encoding: 'utf8' });
  return listed
    .split('\n')
    .filter((file) => /(?:^|\/)[^/]*\.(?:ts|js|json|md|sql|yml|txt|env)$|^\.ci\//.test(file))
    .filter((file) => !file.endsWith('package-lock.json'))
    .filter((file) => existsSync(file) && statSync(file).size < 1_000_000)
    .toSorted();
}

/** The files that a file imports; types and later `import()` count, since a reader follows them all the same. */
function importedFiles(file: string): string[] {
  return importsOf(file, readFileSync(file, 'utf8'))
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ specifier }) => path.posix.join(path.posix.dirname(file), specifier));
}

function circlesIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const circles = new Set<string>();
  const finished = new Set<string>();
  const walk = (file: string, trail: readonly string[]): void => {
    const start = trail.indexOf(file);
    if (start >= 0) circles.add([...trail.slice(start), file].join(' → '));
    if (start >= 0 || finished.has(file)) return;
    for (const next of graph.get(file) ?? []) walk(next, [...trail, file]);
    finished.add(file);
  };
  for (const file of graph.keys()) walk(file, []);
  return [...circles];
}
