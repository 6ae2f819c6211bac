/**
 * A real Chromium for tests: the one from npm, for machines without a browser and its libraries. Otherwise the one that
 * `GRANTRY_TEST_CHROMIUM` names, or the system's.
 */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Browser, chromium } from 'playwright-core';

interface Candidate {
  readonly executablePath: string;
  readonly env: Record<string, string>;
}

/** Omits the package's serverless flags: some switch off the rules that are tested here. */
const args = ['--no-sandbox', '--no-zygote', '--disable-dev-shm-usage', '--disable-gpu'];

/** Starts a browser. One per test file is enough; each test opens its own contexts. */
export async function launchBrowser(): Promise<Browser> {
  const failures: string[] = [];
  for (const candidate of await candidates()) {
    try {
      return await chromium.launch({ ...candidate, args, headless: true, timeout: 60_000 });
    } catch (error) {
      failures.push(`${candidate.executablePath}: ${error instanceof Error ? error.message.split('\n')[0] : 'failed'}`);
    }
  }
  throw new Error(`No Chromium starts here; name one in GRANTRY_TEST_CHROMIUM. ${failures.join('; ')}`);
}

async function candidates(): Promise<Candidate[]> {
  const named = process.env['GRANTRY_TEST_CHROMIUM'];
  const own = named === undefined || named === '' ? await unpacked() : [];
  const names = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  const installed = [...(named === undefined || named === '' ? [] : [named]), ...names].filter((file) =>
    existsSync(file),
  );
  return [...own, ...installed.map((executablePath) => ({ executablePath, env: plainEnv() }))];
}

/** Returns the package's browser, with and without the libraries that come with it. */
async function unpacked(): Promise<Candidate[]> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return [];
  const folder = await unpack();
  const executablePath = path.join(folder, 'chromium');
  const env = plainEnv();
  const libraries = {
    LD_LIBRARY_PATH: path.join(folder, 'al2023', 'lib'),
    FONTCONFIG_PATH: path.join(folder, 'fonts'),
  };
  return [
    { executablePath, env },
    { executablePath, env: { ...env, ...libraries } },
  ];
}

/**
 * Unpacks the package once per version. Test files run at the same time, so each unpacks separately, and the first
 * result stays.
 */
async function unpack(): Promise<string> {
  const manifest: { version: string } = JSON.parse(
    readFileSync('node_modules/@sparticuz/chromium/package.json', 'utf8'),
  );
  const folder = path.join(tmpdir(), `grantry-test-chromium-${manifest.version}`);
  if (existsSync(path.join(folder, 'chromium'))) return folder;
  const { default: packed } = await import('@sparticuz/chromium');
  const apart = mkdtempSync(`${folder}-`);
  // The package unpacks into the temporary directory, and its libraries only where it detects a certain cloud.
  const before = { TMPDIR: process.env['TMPDIR'], AWS_EXECUTION_ENV: process.env['AWS_EXECUTION_ENV'] };
  Object.assign(process.env, { TMPDIR: apart, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x' });
  try {
    await packed.executablePath();
  } finally {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    }
  }
  try {
    renameSync(apart, folder);
  } catch {
    rmSync(apart, { recursive: true, force: true });
  }
  return folder;
}

function plainEnv(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
