import { type Stats, statSync } from 'node:fs';

/** Users who can write a file or directory of the vault, and the command that ends it. */
export interface Writers {
  readonly who: string;
  readonly action: string;
}

/**
 * Tells whether other users of this machine can write a file or directory: by its mode, or because it is theirs. Null if
 * they cannot, if there is nothing, and on Windows. The administrator may write everything, so its files count as ours.
 */
export function othersWho(path: string, mode: '600' | '700'): Writers | null {
  if (process.platform === 'win32') return null;
  const state = statSync(path, { throwIfNoEntry: false });
  return state === undefined ? null : writersOf(path, state, mode);
}

function writersOf(path: string, { uid, mode: bits }: Stats, mode: '600' | '700'): Writers | null {
  const own = process.geteuid?.();
  if (own !== undefined && uid !== own && uid !== 0) {
    const action = `Run: chown ${own} '${path}' && chmod ${mode} '${path}'`;
    return { who: `it belongs to another user (${uid})`, action };
  }
  if ((bits & 0o022) === 0) return null;
  const who = (bits & 0o002) === 0 ? 'its group can write it' : 'every user of this machine can write it';
  const action = `Run: chmod ${mode} '${path}'`;
  return { who, action };
}
