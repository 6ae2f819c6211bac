import { describe, expect, test } from 'vitest';
import { systemWorld } from '../base/system-world.ts';
import { type LogTarget, stderrLogger, without } from './log.ts';
import { jsonText } from './terminal/output.ts';

function logged(settings: { json: boolean }, target: LogTarget): string[] {
  const lines: string[] = [];
  const world = { ...systemWorld(), now: () => 0 };
  const logger = stderrLogger(
    world,
    { logLevel: 'warn', ...settings },
    { ...target, write: (line) => lines.push(line) },
  );
  logger.info('not shown');
  logger.warn('a lease could not be renewed', { grant: '\u001b[31mx', code: 'storage_unavailable', tenant: undefined });
  return lines;
}

describe('warnings', () => {
  test('are a sentence on a terminal, without anything that steers it', () => {
    expect(logged({ json: false }, { terminal: true, service: true })).toEqual([
      '\r\u001b[2Kgrantry: warning: a lease could not be renewed (grant \ufffd[31mx, code storage_unavailable)\n',
    ]);
  });

  test('of a command are a sentence in a pipe too', () => {
    expect(logged({ json: false }, { terminal: false })).toEqual([
      'grantry: warning: a lease could not be renewed (grant \ufffd[31mx, code storage_unavailable)\n',
    ]);
  });

  test.each([
    ['of a server in a pipe', { json: false }, { terminal: false, service: true }],
    ['of a command with --json', { json: true }, { terminal: true }],
  ])('are JSON %s', (_, settings, target) => {
    expect(logged(settings, target).map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        time: '1970-01-01T00:00:00.000Z',
        level: 'warn',
        message: 'a lease could not be renewed',
        grant: '\u001b[31mx',
        code: 'storage_unavailable',
      },
    ]);
  });
});

test('a text that looks like a secret is removed from a line and counted', () => {
  const lines: string[] = [];
  let hits = 0;
  const target = { terminal: false, write: (line: string) => lines.push(line), onScrubbed: () => (hits += 1) };
  const logger = stderrLogger(systemWorld(), { logLevel: 'info', json: true }, target);
  logger.info('all is well', { code: 'fine' });
  logger.info('an answer', { detail: '{"access_token":"s3cr3t"}' });
  expect(lines.join('')).toContain('[scrubbed]');
  expect(lines.join('')).not.toContain('s3cr3t');
  expect(hits).toBe(1);
});

test('JSON never steers a terminal, and reads back as it was', () => {
  const text = jsonText({ name: 'a\u009bm\u202e"\u0007' });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
  expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
  expect(JSON.parse(text)).toEqual({ name: 'a\u009bm\u202e"\u0007' });
});

test('a warning that a command says in its own words is left out, and no other', () => {
  const lines: string[] = [];
  const settings = { logLevel: 'warn', json: false } as const;
  const logger = stderrLogger(systemWorld(), settings, { terminal: false, write: (line) => lines.push(line) });
  const rest = without(logger, ['told']);
  rest.warn('told');
  rest.warn('another', { tenant: 'acme' });
  rest.error('told');
  expect(lines).toEqual(['grantry: warning: another (tenant acme)\n', 'grantry: error: told\n']);
});
