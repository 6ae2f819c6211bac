import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Checks the model of the refresh protocol with Spin, exhaustively within its bounds: the properties hold, and without
 * any one guard a property fails. Skips, and says so, where Spin or a C compiler is not installed.
 */
const guards = {
  FENCE: 1,
  PARK: 1,
  SPOOL: 1,
  SUSPECT: 1,
  SUSPECT_LOST: 1,
  KEEP_LEASE: 1,
  CUT_LEASE: 1,
  SAVE_FIRST: 1,
  OLDER_LAST: 1,
  LOOK_AGAIN: 1,
  QUARANTINE: 1,
  TOMBSTONE: 1,
};
const faults = {
  CRASH: 0,
  LOSS: 0,
  PAUSE: 0,
  FALSE_NO: 0,
  RESTORE: 0,
  DISCONNECT: 0,
  FAIL: 0,
  LATE: 0,
  CLOCK_BACK: 0,
};

interface Configuration {
  name: string;
  settings: Record<string, number>;
  properties: string[];
  expected: 'holds' | 'fails';
}

const none = { CLASS: 0, LEASE: 0, FAMILY: 0 };
const overlap = { CLASS: 1, LEASE: 0, FAMILY: 1 };
const retire = { CLASS: 2, LEASE: 0, FAMILY: 1 };
const strict = { CLASS: 3, LEASE: 1, FAMILY: 1 };
const survives = ['P1', 'P2', 'P3', 'P4', 'P8'];

function holds(name: string, settings: Record<string, number>, properties: string[]): Configuration {
  return { name, settings, properties, expected: 'holds' };
}

function missed(name: string, settings: Record<string, number>, property: string): Configuration {
  return { name: `without ${name}`, settings, properties: [property], expected: 'fails' };
}

const pairs = [{ CRASH: 1, LOSS: 1 }, { CRASH: 1, PAUSE: 1 }, { LOSS: 1, PAUSE: 1 }, { CRASH: 2 }, { PAUSE: 2 }];

const configurations: Configuration[] = [
  holds(
    'none: crash, loss, pause and a false refusal at once',
    { ...none, CRASH: 1, LOSS: 1, PAUSE: 1, FALSE_NO: 1 },
    survives,
  ),
  ...pairs.map((pair) => holds(`timed_overlap: ${described(pair)}`, { ...overlap, ...pair }, survives)),
  ...pairs.map((pair) => holds(`retire_on_use: ${described(pair)}`, { ...retire, ...pair }, survives)),
  holds('strict: crash and loss', { ...strict, CRASH: 1, LOSS: 1 }, ['P1', 'P2', 'P3', 'P7', 'P8']),
  holds('strict, 3 workers: crash', { ...strict, CRASH: 1, N: 3 }, ['P1', 'P2', 'P3', 'P7', 'P8']),
  holds('timed_overlap: a false refusal', { ...overlap, FAMILY: 0, FALSE_NO: 1 }, ['P1']),
  holds('strict: a false refusal', { ...strict, FALSE_NO: 1 }, ['P1']),
  holds('strict: a failure and a false refusal', { ...strict, FAIL: 1, FALSE_NO: 1 }, ['P1', 'P2', 'P3', 'P7']),
  holds('strict: a failure, a loss and a crash', { ...strict, FAIL: 1, LOSS: 1, CRASH: 1 }, [
    'P1',
    'P2',
    'P3',
    'P7',
    'P8',
  ]),
  holds('strict: a request that is looked at late', { ...strict, LATE: 1, FAIL: 1 }, ['P1', 'P2', 'P3', 'P7', 'P8']),
  holds('strict: a clock that is set back', { ...strict, CLOCK_BACK: 1, CRASH: 1 }, ['P1', 'P2', 'P3', 'P7', 'P8']),
  holds('disconnect, crash and pause', { ...overlap, DISCONNECT: 1, CRASH: 1, PAUSE: 1 }, ['P5']),
  holds('restore', { ...strict, RESTORE: 1 }, ['P6']),
  missed('the fence', { ...overlap, PAUSE: 1, FENCE: 0 }, 'P3'),
  missed('candidates', { ...overlap, PAUSE: 1, PARK: 0 }, 'P8'),
  missed('the spool', { ...strict, CRASH: 1, SPOOL: 0 }, 'P8'),
  missed('the suspect state', { ...strict, FALSE_NO: 1, SUSPECT: 0 }, 'P1'),
  missed('the suspect state after a loss', { ...strict, FAIL: 1, FALSE_NO: 1, SUSPECT_LOST: 0 }, 'P1'),
  missed('the lease after a request without an answer', { ...strict, LATE: 1, KEEP_LEASE: 0 }, 'P2'),
  missed('the full lease after a clock was set back', { ...strict, CLOCK_BACK: 1, CUT_LEASE: 0 }, 'P2'),
  missed('save before use', { ...retire, CRASH: 1, SAVE_FIRST: 0 }, 'P4'),
  missed('the order of candidates', { ...overlap, PAUSE: 1, OLDER_LAST: 0 }, 'P2'),
  missed('the last look at the lease', { ...overlap, PAUSE: 1, LOOK_AGAIN: 0 }, 'P2'),
  missed('the length of the strict lease', { ...strict, LEASE: 0, PAUSE: 1 }, 'P2'),
  missed('the tombstone', { ...overlap, DISCONNECT: 1, TOMBSTONE: 0 }, 'P5'),
  missed('the quarantine', { ...strict, RESTORE: 1, QUARANTINE: 0 }, 'P6'),
];

function described(pair: Record<string, number>): string {
  return Object.entries(pair)
    .map(([fault, count]) =>
      count === 1 ? fault.toLowerCase() : `${count} ${fault === 'CRASH' ? 'crashes' : `${fault.toLowerCase()}s`}`,
    )
    .join(' and ');
}

function isInstalled(program: string): boolean {
  return spawnSync(program, [program === 'spin' ? '-V' : '--version'], { stdio: 'ignore' }).status === 0;
}

/** Returns whether the properties hold, and the number of states visited. */
function check(directory: string, { settings, properties }: Configuration): { holds: boolean; states: number } {
  const all = { N: 2, R: 2, ...guards, ...faults, ...settings };
  const defines = [
    ...Object.entries(all).map(([name, value]) => `-D${name}=${value}`),
    ...properties.map((p) => `-D${p}`),
  ];
  const options = { cwd: directory, encoding: 'utf8' as const };
  execFileSync('spin', ['-a', ...defines, join(import.meta.dirname, 'refresh.pml')], options);
  execFileSync('cc', ['-O1', '-w', '-DSAFETY', '-o', 'pan', 'pan.c'], options);
  const output = execFileSync('./pan', ['-m500000', '-n'], options);
  const errors = /errors: (\d+)/.exec(output)?.[1];
  const states = /(\d+(?:e\+\d+)?) states, stored/.exec(output)?.[1];
  if (errors === undefined || output.includes('max search depth too small'))
    throw new Error(`pan did not finish:\n${output}`);
  return { holds: errors === '0', states: Number(states ?? 0) };
}

if (!isInstalled('spin') || !isInstalled('cc')) {
  console.log('model: skipped, since spin (Debian package spin) or a C compiler is not installed');
} else {
  const directory = mkdtempSync(join(tmpdir(), 'grantry-model-'));
  let passed = 0;
  try {
    for (const configuration of configurations) {
      const result = check(directory, configuration);
      const right = result.holds === (configuration.expected === 'holds');
      if (right) passed += 1;
      const seen = result.holds ? 'holds' : 'violated';
      console.log(
        `${right ? 'ok  ' : 'FAIL'} ${configuration.name}: ${configuration.properties.join(' ')} ${seen} (${result.states} states)`,
      );
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const failed = configurations.length - passed;
  console.log(`${passed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}
