import { lstatSync, type Stats } from 'node:fs';

const windows = process.platform === 'win32';

/** The fault of a file with a secret, as the end of a sentence about it, and its cure. */
export interface SecretFileFault {
  readonly what: string;
  readonly action: string;
}

/**
 * Returns why a file with a secret must not be used, or undefined. It must belong to this user or to root, and only its
 * owner may write and read it. One more reader is allowed: a group of this user, if the file is root's. So orchestrators
 * mount secrets.
 *
 * @param opened the state of the file as it was opened, after all links
 */
export function secretFileFault(path: string, opened: Stats): SecretFileFault | undefined {
  if (windows) return undefined;
  const user = process.geteuid?.() ?? opened.uid;
  // A link decides which file is read, so its owner counts too.
  if (![opened.uid, lstatSync(path).uid].every((owner) => owner === user || owner === 0)) {
    return {
      what: 'belongs to another user',
      action: `If you made it yourself, run: chown ${user} ${quoted(path)}. Otherwise remove it.`,
    };
  }
  if ((opened.mode & 0o077) === 0) return undefined;
  const isMount = opened.uid === 0 && (user !== 0 || opened.gid !== 0);
  const isOurGroup = [process.getegid?.(), ...(process.getgroups?.() ?? [])].includes(opened.gid);
  if (isMount && isOurGroup && (opened.mode & 0o037) === 0) return undefined;
  const cure = isMount
    ? 'Set its mode to 0440 and its group to one of this user; in Kubernetes: fsGroup and defaultMode 256 (0400 in octal)'
    : `Run: chmod 600 ${quoted(path)}`;
  return { what: 'is accessible to other users', action: cure };
}

/** Quotes a path for a POSIX shell. */
function quoted(path: string): string {
  return /^[\w./@%+-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
