import { globSync, readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

/** Words of docs/language.md that hide the actor of a sentence. */
const banned = /\b(?:whoever|whomever|nobody|somebody|whatever|wherever|he|his|him)\b/i;

const pages = [...globSync('*.md'), ...globSync('docs/**/*.md')].filter((page) => page !== 'docs/language.md');

test.each(pages)('%s names the actor of its sentences', (page) => {
  expect(linesThatHideTheActor(prose(readFileSync(page, 'utf8')))).toEqual([]);
});

test('a sentence that hides its actor is found', () => {
  expect(linesThatHideTheActor('Whoever asks gets it.\nThe caller gets it.')).toEqual(['Whoever asks gets it.']);
});

function linesThatHideTheActor(text: string): string[] {
  return text.split('\n').filter((line) => banned.test(line));
}

/** A page without code, titles of tests, the table that the mutations write, and the actions of errors, which are the code's. */
function prose(text: string): string {
  return text
    .replaceAll(/^```[\s\S]*?^```/gm, '')
    .replaceAll(/<!-- guards: begin -->[\s\S]*?<!-- guards: end -->/g, '')
    .replaceAll(/`[^`\n]*`/g, '')
    .replaceAll(/ › [^|\n]*/g, '')
    .replaceAll(/^(\|\s*\| \d{3} \|.*\|)[^|\n]*\|$/gm, '$1');
}
