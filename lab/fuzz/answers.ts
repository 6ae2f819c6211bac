import { Secret } from '../../src/base/secret.ts';
import { readTokenAnswer, salvageTokens } from '../../src/oauth/answer.ts';
import type { RawAnswer } from '../../src/oauth/types.ts';
import { providerDefinition } from '../../src/providers/definition.ts';
import { Dice } from '../dice.ts';
import { type BrokenAnswer, breakAnswer } from './breakages.ts';
import { type RealAnswer, realAnswer } from './real-answers.ts';

export interface AnswersReport {
  /** Answers in which the living refresh token stood whole, and the fate of all answers. */
  readonly whole: number;
  readonly fates: ReadonlyMap<string, number>;
  readonly findings: readonly string[];
}

/** The tokens that the vault would keep of an answer. */
interface Kept {
  readonly fate: 'saved' | 'candidates' | 'nothing' | 'refused';
  readonly tokens: readonly string[];
  readonly on: 'refresh' | 'exchange';
}

const definitions = (['strict', 'none'] as const).map((rotation) =>
  providerDefinition.parse({
    id: rotation,
    endpoints: { token: 'https://as.example/token' },
    refreshToken: { rotation },
    capture: { token: { note: 'note' } },
    api: { hosts: ['https://api.example', 'https://www.zohoapis.eu'] },
  }),
);

/**
 * Reads answers in the form of real providers that were broken at random; all derives from the seed.
 *
 * A living refresh token that stands whole must be kept, a foreign one must not be saved, and no text inside a text may
 * be taken for a token.
 */
export function fuzzAnswers({ count, seed }: { count: number; seed: number }): AnswersReport {
  const dice = new Dice(seed);
  const fates = new Map<string, number>();
  const findings: string[] = [];
  let whole = 0;
  for (let done = 0; done < count; done += 1) {
    const real = realAnswer(dice);
    const broken = breakAnswer(dice, real);
    const isWhole = standsWhole(broken, real);
    if (isWhole) whole += 1;
    const kept = keptOf(dice, real, broken);
    const fate = kept instanceof Error ? 'thrown' : kept.fate;
    fates.set(fate, (fates.get(fate) ?? 0) + 1);
    const finding = kept instanceof Error ? `it throws ${kept.message}` : judge(kept, { real, broken, isWhole });
    if (finding !== null && findings.length < 20) {
      findings.push(`answer ${done} of ${real.provider}: ${finding}: ${JSON.stringify(broken.text).slice(0, 2_000)}`);
    }
  }
  return { whole, fates, findings };
}

function keptOf(dice: Dice, real: RealAnswer, broken: BrokenAnswer): Kept | Error {
  const { text, contentType, incomplete } = broken;
  const body = text === '' ? null : new Secret(text);
  const raw: RawAnswer = { status: 200, contentType, retryAfter: null, body, incomplete, requestedAt: 0 };
  const definition = dice.pick(definitions) ?? definitions[0];
  if (definition === undefined) return new Error('no definition');
  const on = dice.chance(0.8) ? 'refresh' : 'exchange';
  const isSpent = (token: Secret) => on === 'refresh' && token.reveal() === real.spentToken;
  try {
    const outcome = readTokenAnswer(definition, raw, on, { isSpent });
    if (outcome.kind === 'refused') return { fate: 'refused', tokens: [], on };
    if (outcome.kind === 'tokens') {
      const { accessToken, refreshToken } = outcome.tokens;
      if (!stands(broken.text, accessToken.reveal())) return new Error('an access token that is not in the answer');
      return { fate: 'saved', tokens: refreshToken === null ? [] : [refreshToken.reveal()], on };
    }
    const tokens = salvageTokens(raw, isSpent)?.refreshTokens.map((each) => each.reveal()) ?? [];
    return { fate: tokens.length === 0 ? 'nothing' : 'candidates', tokens, on };
  } catch (error) {
    return error instanceof Error ? error : new Error('no error');
  }
}

function judge(kept: Kept, { real, broken, isWhole }: { real: RealAnswer; broken: BrokenAnswer; isWhole: boolean }) {
  const { fate, tokens, on } = kept;
  if (isWhole && !tokens.includes(real.refreshToken ?? '')) return `the living token is lost (${fate})`;
  if (tokens.some((each) => !stands(broken.text, each))) return 'a token that is not in the answer';
  if (tokens.some((each) => broken.spoken.includes(each))) return 'a text inside a text counts as a token';
  if (fate === 'saved' && tokens.some((each) => broken.foreign.includes(each))) return 'a foreign token is saved';
  if (fate === 'candidates' && on === 'refresh' && tokens.includes(real.spentToken))
    return 'the spent token is a candidate';
  return null;
}

/** True if the text holds the living refresh token as a whole member or parameter. */
function standsWhole({ text, incomplete }: BrokenAnswer, { refreshToken }: RealAnswer): boolean {
  if (refreshToken === null) return false;
  const token = refreshToken.replaceAll(/[^A-Za-z0-9]/g, '\\$&');
  const wrapped = text.startsWith('"{') && text.endsWith('}"') ? `|\\\\"refresh_token\\\\":\\\\"${token}\\\\"` : '';
  if (new RegExp(`(?<!\\\\)"refresh_token"\\s*:\\s*"${token}"${wrapped}`).test(text)) return true;
  const end = `(?:&|[\\s<>"'{}]${incomplete ? '' : '|$'})`;
  const form = new RegExp(`(?:^|[&\\s<>"'{}])refresh_token=${token}${end}`).exec(text);
  return form !== null && !isInsideObject(text.slice(0, form.index));
}

/** True if an object or a text was begun and not ended: a parameter in it is a part of some other text. */
function isInsideObject(before: string): boolean {
  const count = (character: string) => before.split(character).length - 1;
  return before.includes('{"') && (count('{') !== count('}') || count('"') % 2 === 1);
}

/** True if the text has the token, escaped or not. */
function stands(text: string, token: string): boolean {
  return text.replaceAll('\\', '').includes(token.replaceAll('\\', ''));
}
