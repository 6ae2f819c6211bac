import { Dice } from '../dice.ts';
import { hashOf, type Result, type Results } from './results.ts';
import { applied, type Mutant } from './source/generate.ts';
import { testFiles } from './subjects.ts';
import { Tree } from './tree.ts';

export interface VerifyOptions {
  readonly root: string;
  readonly mutants: readonly Mutant[];
  readonly results: Results;
  readonly textOf: (file: string) => string;
  readonly postgresUrl: string;
  readonly count: number;
  readonly seed: number;
  readonly say: (line: string) => void;
}

/** So many test files must let a mutant live that the run called a survivor. */
const filesPerSurvivor = 3;

/**
 * Repeats verdicts of the tests without switches: the change is written into the text of a plain tree, and Vitest runs
 * there as ever. The test that noticed the mutant must fail; test files by chance must pass with a survivor.
 *
 * @returns how many verdicts were not confirmed
 */
export async function verify(options: VerifyOptions): Promise<number> {
  const { mutants, results, textOf, count, seed, say } = options;
  const dice = new Dice(seed);
  const judged = mutants.flatMap((mutant) => {
    const result = results.get(mutant, hashOf(textOf(mutant.file)));
    return result !== undefined && (result.by === 'tests' || result.asked.includes('tests'))
      ? [{ mutant, result }]
      : [];
  });
  say(`${Math.min(count, judged.length)} of ${judged.length} verdicts, seed ${seed}`);
  const tree = new Tree(options.root);
  let wrong = 0;
  try {
    for (let left = Math.min(count, judged.length); left > 0; left -= 1) {
      const [chosen] = judged.splice(dice.below(judged.length), 1);
      if (chosen === undefined) break;
      const { mutant, result } = chosen;
      tree.write(mutant.file, applied(textOf(mutant.file), mutant));
      const said = await verdictIn(tree, result, dice, options);
      tree.write(mutant.file, textOf(mutant.file));
      if (!said.confirmed) wrong += 1;
      const what = `${mutant.file}:${mutant.line} ${mutant.key.slice(0, 80)} | ${result.by ?? 'lives'}`;
      say(`${said.confirmed ? 'confirmed' : 'NOT CONFIRMED'}: ${what} | ${said.by}`);
    }
  } finally {
    tree.remove();
  }
  say(`${wrong} verdicts were not confirmed.`);
  return wrong;
}

async function verdictIn(
  tree: Tree,
  { by, how }: Result,
  dice: Dice,
  { root, postgresUrl }: VerifyOptions,
): Promise<{ confirmed: boolean; by: string }> {
  const run = async (args: readonly string[]): Promise<boolean> => {
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--maxWorkers', '1', '--reporter', 'dot', '--bail', '1'];
    const child = tree.start([...vitest, ...args], { GRANTRY_TEST_POSTGRES_URL: postgresUrl, NO_COLOR: '1' });
    return /^\s*Tests\s.*failed/m.test(await child.output);
  };
  if (by === 'tests') {
    const [file = '', ...names] = (how.split(' | ')[0] ?? '').replace(/ \(\d+\)$/, '').split(' > ');
    const name = names.join(' > ').replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    return { confirmed: await run([file, '-t', name]), by: file };
  }
  const files = testFiles(root, false);
  const chosen = Array.from({ length: filesPerSurvivor }, () => files[dice.below(files.length)] ?? '');
  return { confirmed: !(await run(chosen)), by: chosen.join(', ') };
}
