import type { World } from '../../base/world.ts';
import { clean } from './output.ts';

const spinner = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const quietMs = 1_000;
const turnMs = 100;

/**
 * Awaits work. After one second it prints on stderr what is running: a spinner on a terminal, one line elsewhere. `text`
 * may change meanwhile, such as a count.
 */
export async function withProgress<Result>(
  world: World,
  text: string | (() => string),
  work: () => Promise<Result>,
): Promise<Result> {
  const done = new AbortController();
  const shown = show(world, typeof text === 'string' ? () => text : text, done.signal);
  try {
    return await work();
  } finally {
    done.abort();
    await shown;
  }
}

async function show(world: World, text: () => string, done: AbortSignal): Promise<void> {
  if (!(await slept(world, quietMs, done))) return;
  if (!process.stderr.isTTY) {
    process.stderr.write(`${clean(text())} …\n`);
    return;
  }
  for (let turn = 0; !done.aborted; turn += 1) {
    process.stderr.write(`\r\u001b[2K${spinner[turn % spinner.length] ?? ''} ${clean(text())}`);
    await slept(world, turnMs, done);
  }
  process.stderr.write('\r\u001b[2K');
}

async function slept(world: World, ms: number, done: AbortSignal): Promise<boolean> {
  return world.sleep(ms, done).then(
    () => true,
    () => false,
  );
}
