import { constants } from 'node:os';
import type { VaultInternals } from '../vault/internals.ts';

const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

type OpenVault = Pick<VaultInternals, 'windDown' | 'spending'>;

/** The vaults that this program has open. */
const vaults = new Set<OpenVault>();

/** The response to a signal. A command that ends in its own way replaces the usual one for a while. */
let handle: (signal: NodeJS.Signals) => void = endGently;
let ending = false;

/** Registers a vault whose sent refreshes this program finishes before a signal ends it. */
export function finishBeforeEnd(vault: OpenVault): void {
  vaults.add(vault);
}

/** Catches the signals that ask this program to end. Called once, at the start. */
export function catchSignals(): void {
  for (const signal of endings) process.on(signal, (received) => handle(received));
  // Without a listener, Node.js opens its debugger to every user of the machine. Log rotation sends this signal.
  if (process.platform !== 'win32') process.on('SIGUSR1', () => {});
}

/** True once a signal is ending this program: then the signal's handler exits, and reports. */
export function isEnding(): boolean {
  return ending;
}

/** Handles the signals in the caller's own way until the returned function is called. */
export function ownSignals(own: (signal: NodeJS.Signals) => void): () => void {
  const former = handle;
  handle = own;
  return () => {
    if (handle === own) handle = former;
  };
}

/** Resolves with the first signal that asks this program to end. The process runs on until the caller has finished. */
export function untilSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const release = ownSignals((signal) => {
      release();
      resolve(signal);
    });
  });
}

/**
 * Ends a command. A refresh that was sent is finished first: its answer may be the only copy of the new token. Everything
 * else is safe to cut off, as a crash would. A second signal ends the command at once.
 */
export function endGently(signal: NodeJS.Signals): void {
  if (ending) exitBy(signal);
  ending = true;
  void finishSent(signal).finally(() => exitBy(signal));
}

async function finishSent(signal: NodeJS.Signals): Promise<void> {
  const open = [...vaults];
  for (const vault of open) vault.windDown();
  if (open.every((vault) => vault.spending.isIdle)) return;
  process.stderr.write(
    `\ngrantry: ${signal}: a request was sent to the provider. Waiting for its answer, up to 90 s.\n` +
      '         A second signal ends at once, and may lose the grant.\n',
  );
  await Promise.all(open.map((vault) => vault.spending.idle()));
  process.stderr.write('grantry: the outcome is stored; nothing else was begun.\n');
}

function exitBy(signal: NodeJS.Signals): never {
  process.exit(128 + constants.signals[signal]);
}
