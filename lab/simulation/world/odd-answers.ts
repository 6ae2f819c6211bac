import type { Dice } from '../host/dice.ts';

type Change = (text: string, dice: Dice) => string;

/** Each keeps the tokens whole. Several are no JSON at all; real servers have sent all of them. */
const changes: readonly Change[] = [
  (text) => text.replace('{', '{"expires_in":1,"expires_in":1,'),
  (text) => text.replace('{', '{"data":{"id":1,"id":2},'),
  (text) => text.replace('{', `{"refresh_token":${member(text, 'refresh_token')},`),
  (text) => `<br />\n<b>Warning</b>: Undefined index: lang in <b>token.php</b> on line <b>12</b><br />\n${text}`,
  (text) => `${text}\n<!-- served by node 7 -->`,
  (text) => `)]}',\n${text}`,
  (text) => text.replace(/\}\s*$/, ',}'),
  (text) => text.replace('{', '{"note":"one\nline",'),
  (text, dice) => {
    const depth = dice.whole(17, 40);
    return text.replace('{', `{"tree":${'['.repeat(depth)}${']'.repeat(depth)},`);
  },
  (text) => text.replace(/\}\s*$/, ''),
  (text) => `[${text}]`,
  (text) => text.replace('{', '{"ratio":NaN,'),
  (text) => `${text}${text}`,
  (text) => text.replace('{', "{'lang':'en',"),
  (text) => `\uFEFF${text}`,
];

/** A complete answer that no strict reader accepts. */
export function oddAnswer(text: string, dice: Dice): string {
  return dice.pick(changes)(text, dice);
}

/** A good answer with text beside the tokens that a database cannot keep. */
export function unstorableAnswer(text: string, dice: Dice): string {
  const value = dice.pick(['\\ud800', 'a\\u0000b', '\\udfff\\u0000']);
  return text.replace('{', `{"note":"${value}",`);
}

function member(text: string, name: string): string {
  return new RegExp(`"${name}"\\s*:\\s*("[^"]*")`).exec(text)?.[1] ?? 'null';
}
