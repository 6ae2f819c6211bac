import { createRequire } from 'node:module';
import { join } from 'node:path';
import { z } from 'zod';
import { GrantryError } from '../../base/errors.ts';
import { overlaps } from '../../leaks/find.ts';
import { creator } from '../../leaks/secretlint-rule.ts';

/** A secret in a piece of text: the rule that found it, and its place. */
export interface Hit {
  readonly rule: string;
  readonly start: number;
  readonly end: number;
}

/** Finds secrets in a text. The path decides which rules of secretlint look at it. */
export type Linter = (text: string, path: string) => Promise<readonly Hit[]>;

const presetName = '@secretlint/secretlint-rule-preset-recommend';
const ownRule = creator.meta.id;

const coreModule = z.object({ lintSource: z.custom<LintSource>((value) => typeof value === 'function') });
const presetModule = z.object({ creator: z.looseObject({ meta: z.looseObject({ id: z.string() }) }) });
const answer = z.object({
  messages: z.array(
    z.object({
      ruleId: z.string(),
      messageId: z.string(),
      range: z.tuple([z.number(), z.number()]),
    }),
  ),
});

type LintSource = (input: {
  source: { content: string; filePath: string; ext: string; contentType: 'text' };
  options: { noPhysicFilePath: true; config: { rules: { id: string; rule: object }[] } };
}) => Promise<unknown>;

/**
 * Loads secretlint and its recommended rules from the project of a directory.
 *
 * @throws {GrantryError} `not_found` where one of them is not installed
 */
export function loadLinter(directory: string): Linter {
  const fromProject = createRequire(join(directory, 'package.json'));
  const preset = presetModule.parse(load(fromProject, presetName)).creator;
  const { lintSource } = coreModule.parse(loadCore(fromProject));
  const rules = [
    { id: ownRule, rule: creator },
    { id: presetName, rule: preset },
  ];
  return async (content, filePath) => {
    const source = { content, filePath, ext: extensionOf(filePath), contentType: 'text' as const };
    // Without a physical path, no rule reads a file by itself.
    const result = await lintSource({ source, options: { noPhysicFilePath: true, config: { rules } } });
    return withoutDoubles(answer.parse(result).messages.map(hitOf));
  };
}

function hitOf({ ruleId, messageId, range: [start, end] }: z.infer<typeof answer>['messages'][number]): Hit {
  // The message itself may quote the secret.
  const rule = ruleId === ownRule ? `grantry/${messageId}` : `${ruleId.replace(/^@secretlint\//, '')}/${messageId}`;
  return { rule, start, end };
}

/** One secret is one finding: of two rules, Grantry's counts. */
function withoutDoubles(hits: readonly Hit[]): readonly Hit[] {
  const own = hits.filter(({ rule }) => rule.startsWith('grantry/'));
  const others = hits.filter((hit) => !own.includes(hit) && !own.some((each) => overlaps(each, hit)));
  return [...own, ...others].toSorted((one, other) => one.start - other.start);
}

/** Some installers put a package of a package where only that package finds it. */
function loadCore(fromProject: NodeJS.Require): unknown {
  const fromSecretlint = createRequire(resolve(fromProject, 'secretlint'));
  const fromNode = createRequire(resolve(fromSecretlint, '@secretlint/node'));
  return load(fromNode, '@secretlint/core');
}

function load(from: NodeJS.Require, name: string): unknown {
  return from(resolve(from, name));
}

function resolve(from: NodeJS.Require, name: string): string {
  try {
    return from.resolve(name);
  } catch (cause) {
    throw new GrantryError('not_found', 'The packages secretlint and its recommended rules are not installed here.', {
      action: `Install them in this project: npm install --save-dev secretlint ${presetName}.`,
      cause,
    });
  }
}

function extensionOf(path: string): string {
  return /\.[^./\\]+$/.exec(path)?.[0] ?? '';
}
