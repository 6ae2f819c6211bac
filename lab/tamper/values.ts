import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Dice } from '../dice.ts';
import type { Column, Row, Value } from './attacker.ts';

/** A text whose hash the attacker puts in the place of others: as link, browser, state or completion code. */
export const attackersText = 'A'.repeat(43);

/** A key of the attacker's own, in the right form. */
export const attackersKey = `gry_${attackersText}${crc32(attackersText).toString(16).padStart(8, '0')}`;

/** The attacker's own server. */
export const evilOrigin = 'https://evil.example';

export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

const evil = {
  id: 'none',
  endpoints: { token: 'https://evil.example/token', revocation: 'https://evil.example/revoke' },
  refreshToken: { rotation: 'none' },
  api: { hosts: ['https://evil.example'] },
};

const texts: readonly Value[] = [
  null,
  '',
  'mallory',
  'evil',
  'admin',
  'reader',
  'acme',
  'none',
  'retire_on_use',
  'default',
  'pending',
  'open',
  'exchanging',
  'completed',
  'active',
  'https://evil.example/',
  'https://evil.example/token',
  'gry1.AAAA',
  hashOf(attackersText),
  hashOf(attackersKey),
  attackersText,
  'x\u0000y',
  '\u202e../../etc\n',
  '11111111-1111-4111-8111-111111111111',
];

const jsons: readonly Value[] = [
  null,
  'null',
  '[]',
  '{}',
  '["mallory"]',
  '["acme","globex","initech","umbrella"]',
  '["*"]',
  '["https://evil.example/"]',
  '{"*":"gry1.AAAA"}',
  '{"dc":"evil","api_domain":"https://evil.example"}',
  JSON.stringify(evil),
  JSON.stringify({ ...evil, id: 'evil' }),
  '{"__proto__":{"x":1},"a":1,"a":2}',
  '[[[[[[[[[[1e400]]]]]]]]]]',
];

const numbers: readonly Value[] = [null, 0n, -1n, 1n, 2n, 4_102_444_800_000n, 2n ** 53n, 2n ** 62n, -(2n ** 62n)];

const times: readonly Value[] = [
  null,
  '1970-01-01T00:00:00.000Z',
  '2099-01-01T00:00:00.000Z',
  'infinity',
  '2026-02-30',
];

const jsonColumns =
  /^(definition|client_secrets|scopes|tenants|providers|return_to|granted|metadata|details|requests)$/;

/** The fixed hostile values of a column. */
export function hostileValues({ name, type }: Column): readonly Value[] {
  if (/int/i.test(type)) return numbers;
  if (/timestamp/i.test(type) || /^(token_expiry|created_at|updated_at)$/.test(name)) return times;
  if (/json/i.test(type) || jsonColumns.test(name)) return jsons;
  return texts;
}

/** A random value: hostile, of the same column in another row, of another column, or the value with a flaw. */
export function randomValue(dice: Dice, column: Column, row: Row, others: readonly Row[]): Value {
  const kind = dice.below(5);
  if (kind === 0) return dice.pick(hostileValues(column)) ?? null;
  if (kind === 1) return dice.pick(others)?.[column.name] ?? null;
  if (kind === 2) return dice.pick(Object.values(dice.pick(others) ?? row)) ?? null;
  const value = row[column.name] ?? null;
  if (typeof value === 'bigint') return value + BigInt(dice.pick([-1_000_000, -1, 1, 60_000, 3_600_000]));
  if (value === null) return dice.pick(hostileValues(column)) ?? null;
  if (kind === 3) return value.slice(0, dice.below(value.length + 1));
  const at = dice.below(value.length + 1);
  return value.slice(0, at) + String.fromCodePoint(32 + dice.below(95)) + value.slice(at + 1);
}
