import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, expect, it, vi } from 'vitest';
import { type ZohoStage, zohoStage } from './support/zoho-stage.ts';

const page = readFileSync('docs/inside-zoho.md', 'utf8');
const provider = 'zoho_crm';
const run = promisify(execFile);

/** A cache segment with the limits of Catalyst's: 50 and 16,000 characters, whole hours up to 48. */
class FakeSegment {
  readonly values = new Map<string, { text: string; endsAtMs: number }>();
  async getValue(key: string): Promise<string | null> {
    const value = this.values.get(this.#checked(key));
    return value === undefined || value.endsAtMs <= Date.now() ? null : value.text;
  }
  async put(key: string, text: string, hours: number): Promise<void> {
    if (text.length > 16_000 || !Number.isInteger(hours) || hours < 1 || hours > 48) throw new Error('INVALID_INPUT');
    this.values.set(this.#checked(key), { text, endsAtMs: Date.now() + hours * 3_600_000 });
  }
  #checked(key: string): string {
    if (key.length === 0 || key.length > 50) throw new Error('INVALID_KEY');
    return key;
  }
}

interface Token {
  access_token: string;
  generation: number;
}
interface CatalystPage {
  readonly tokenFor: (segment: FakeSegment, tenant: string, provider: string, rejected?: Token) => Promise<Token>;
}

/** The module of the block that has a text in it. */
async function blockWith<Module>(
  language: string,
  text: string,
  work: (file: string) => Promise<Module>,
): Promise<Module> {
  const blocks = [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    (match) => match[1] ?? '',
  );
  const code = blocks.find((block) => block.includes(text));
  if (code === undefined) throw new Error(`no block has ${text}`);
  mkdirSync('.tmp', { recursive: true });
  const folder = mkdtempSync('.tmp/inside-zoho-');
  try {
    const file = path.resolve(folder, `block.${language === 'python' ? 'py' : 'ts'}`);
    writeFileSync(file, code);
    return await work(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function serving(role: 'reader' | 'caller', tenants: string[]) {
  const stage: ZohoStage = await zohoStage();
  await stage.connect(provider, 'us', 'eu');
  const { key } = await stage.vault.keys.create('function', { role, tenants, providers: [provider] });
  const server = await stage.serve();
  vi.stubEnv('GRANTRY_URL', server.url).stubEnv('GRANTRY_API_KEY', key.reveal());
  const end = async (): Promise<void> => {
    await server.stop();
    await stage[Symbol.asyncDispose]();
  };
  return { stage, server, key: key.reveal(), [Symbol.asyncDispose]: end };
}

afterEach(() => void vi.unstubAllEnvs());

it('gives a Catalyst function its token, from the segment while it is good', async () => {
  await using set = await serving('reader', ['us', 'x'.repeat(60)]);
  const { tokenFor } = await blockWith(
    'ts',
    'interface Segment',
    (file) => import(pathToFileURL(file).href) as Promise<CatalystPage>,
  );
  const segment = new FakeSegment();
  const first = await tokenFor(segment, 'us', provider);
  const asked = vi.spyOn(globalThis, 'fetch');
  expect((await tokenFor(segment, 'us', provider)).access_token).toBe(first.access_token);
  expect(asked).not.toHaveBeenCalled();
  set.stage.simulator.killAccessToken(first.access_token);
  const functions = Array.from({ length: 5 }, () => tokenFor(segment, 'us', provider, first));
  const fresh = await Promise.all(functions);
  expect(new Set(fresh.map((token) => token.generation))).toEqual(new Set([first.generation + 1]));
  expect((await tokenFor(segment, 'us', provider)).access_token).toBe(fresh[0]?.access_token);
  expect(JSON.stringify([...segment.values])).not.toMatch(/refresh|secret/);
  // A key that is too long for the segment is not cached.
  await expect(tokenFor(segment, 'x'.repeat(60), provider)).rejects.toThrow(/^grant_not_found: Connect it/);
  asked.mockRestore();
});

it('answers the call of a Deluge function, and says what its mail needs', async () => {
  await using set = await serving('caller', ['us', 'absent']);
  const headers = { Authorization: `Bearer ${set.key}` };
  const call = (tenant: string) =>
    fetch(`${set.server.url}/v1/proxy/${tenant}/${provider}/crm/v8/Leads?fields=Last_Name`, { headers });
  const good = await call('us');
  expect([good.status, Object.keys(Object(await good.json()))]).toEqual([200, ['data', 'info']]);
  const bad = await call('absent');
  expect([bad.status, bad.headers.get('grantry-generation')]).toEqual([404, null]);
  expect(await bad.json()).toMatchObject({
    code: 'grant_not_found',
    detail: expect.any(String),
    action: expect.any(String),
  });
  const token = await fetch(`${set.server.url}/v1/tenants/us/grants/${provider}/token`, { headers });
  expect(token.status).toBe(403);
});

it('lets the Python program get a token and report one', async () => {
  await using set = await serving('reader', ['us', 'absent']);
  const { stdout } = await blockWith('python', 'def grantry', (file) =>
    run('python3', [file], { env: { ...process.env } }),
  );
  expect(stdout.split('\n').slice(0, 2)).toEqual(['us True', expect.stringMatching(/^grant_not_found: Connect it/)]);
  expect(set.stage.simulator.history.events().filter((event) => event.kind === 'token')).toHaveLength(1);
});
