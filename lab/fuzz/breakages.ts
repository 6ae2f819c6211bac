import type { Dice } from '../dice.ts';
import type { RealAnswer } from './real-answers.ts';

/** An answer on its way through broken servers and proxies. */
export interface BrokenAnswer {
  text: string;
  contentType: string | null;
  /** True if the transport reported the cut. */
  incomplete: boolean;
  /** Values of members of other objects, which must never be saved as the grant's. */
  readonly foreign: string[];
  /** Values that only texts speak of. They must not even become candidates. */
  readonly spoken: string[];
}

type Breakage = (answer: BrokenAnswer, dice: Dice, real: RealAnswer) => void;

const junk = [
  '<br />\n<b>Notice</b>: Undefined index: "x in /var/www/a.php on line 3<br />\n',
  '<!-- 0.03 s, it\'s "done -->',
  'Deprecated: mb_strrpos(): {}[] "\n',
  '/* debug */',
  ")]}',\n",
  '{"debug":true}',
  '\uFEFF',
  '\n\n  ',
  '"',
  '{',
  '}',
];

const members = [
  '"scope":"a"',
  '"expires_in":60',
  '"note":"a\nb\tc"',
  '"note":"\\u12 \\x \\ud800"',
  '"width":"5" and 3" wide"',
  '"ratio":NaN,"most":-Infinity',
  '"user":{"id":1,"id":2}',
  `"deep":${'['.repeat(40)}1${']'.repeat(40)}`,
  `"deep":${'{"a":'.repeat(40)}1${'}'.repeat(40)}`,
  '"empty":',
  '',
  '// remark "x\n"z":1',
  "'single':'quotes'",
  '"error":""',
];

/** Marks the place where the character that is put there was. */
const replacements = ['', '"', '{', '}', '[', ']', ',', ':', '\\', '\0', '\n'];

/** Puts a member at the start or the end of the object. */
function insert(answer: BrokenAnswer, dice: Dice, member: string): void {
  const start = answer.text.indexOf('{') + 1;
  const end = answer.text.lastIndexOf('}');
  if (start === 0 || end < start) return;
  answer.text = dice.chance(0.5)
    ? `${answer.text.slice(0, start)}${member},${answer.text.slice(start)}`
    : `${answer.text.slice(0, end)},${member}${answer.text.slice(end)}`;
}

function decoy(dice: Dice, kind: string[]): string {
  const value = `decoy-${dice.below(1_000_000)}`;
  kind.push(value);
  return value;
}

/** Each breaks an answer in one way that was seen, or that a broken server can make. */
const breakages: readonly Breakage[] = [
  (answer, dice) => {
    answer.text = `${dice.pick(junk)}${answer.text}`;
  },
  (answer, dice) => {
    answer.text += dice.pick(junk);
  },
  (answer, dice) => insert(answer, dice, dice.pick(members) ?? ''),
  (answer, dice) => insert(answer, dice, `"user":{"refresh_token":"${decoy(dice, answer.foreign)}","id":1}`),
  (answer, dice) => insert(answer, dice, `"note":"\\"refresh_token\\":\\"${decoy(dice, answer.spoken)}\\""`),
  (answer, dice) =>
    insert(answer, dice, `"log":${JSON.stringify(`{"refresh_token":"${decoy(dice, answer.spoken)}"}`)}`),
  (answer, dice, { spentToken }) => insert(answer, dice, `"refresh_token":"${spentToken}"`),
  (answer, dice, { spentToken }) => insert(answer, dice, `"request":{"refresh_token":"${spentToken}"}`),
  (answer, dice) => insert(answer, dice, `"refresh_token":"${decoy(dice, [])}"`),
  (answer) => {
    answer.text = answer.text.replace(/}\s*$/, '');
  },
  (answer) => {
    answer.text = answer.text.replace(/}\s*$/, ',}');
  },
  (answer) => {
    answer.text += answer.text;
  },
  (answer, dice) => {
    const at = dice.below(answer.text.length);
    const put = dice.chance(0.2) ? answer.text.charAt(at).repeat(2) : dice.pick(replacements);
    answer.text = `${answer.text.slice(0, at)}${put}${answer.text.slice(at + 1)}`;
  },
  (answer, dice) => {
    answer.contentType = dice.pick([null, 'text/html', 'text/plain', 'application/json']);
  },
];

/** These stand around everything else, so they come last. */
const wrappings: readonly Breakage[] = [
  (answer) => {
    answer.text = `[${answer.text}]`;
  },
  (answer) => {
    answer.text = `callback(${answer.text});`;
  },
  (answer) => {
    if (isJson(answer.text)) answer.text = `{"ok":true,"data":${answer.text}}`;
  },
  (answer) => {
    answer.text = JSON.stringify(answer.text);
  },
  (answer, dice) => {
    answer.text = answer.text.slice(0, dice.below(answer.text.length + 1));
    answer.incomplete = dice.chance(0.7);
  },
  (answer, dice) => {
    answer.text = answer.text.slice(dice.below(20));
  },
];

/** Breaks an answer in one to four random ways. */
export function breakAnswer(dice: Dice, real: RealAnswer): BrokenAnswer {
  const { text, contentType } = real;
  const answer: BrokenAnswer = { text, contentType, incomplete: false, foreign: [], spoken: [] };
  const isWrapped = dice.chance(0.4);
  for (let times = dice.below(4) + (isWrapped ? 0 : 1); times > 0; times -= 1)
    dice.pick(breakages)?.(answer, dice, real);
  if (isWrapped) dice.pick(wrappings)?.(answer, dice, real);
  return answer;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
