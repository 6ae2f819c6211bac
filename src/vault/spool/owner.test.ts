import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { systemWorld } from '../../base/system-world.ts';
import { isKnownDead, type Owner, registerOwner, retireOwner } from './owner.ts';

const children: ReturnType<typeof spawn>[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

it('reports an owner of its own process as dead once the owner is retired, not before', () => {
  const owner = registerOwner(systemWorld());
  expect(isKnownDead(owner.id)).toBe(false);
  retireOwner(owner);
  expect(isKnownDead(owner.id)).toBe(true);
});

it('does not report owners without a place, of other hosts or of other namespaces as dead', () => {
  const here = registerOwner(systemWorld());
  retireOwner(here);
  expect(isKnownDead('somewhere:4194999:abcdef')).toBe(false);
  expect(isKnownDead('')).toBe(false);
  expect(isKnownDead(`${here.host}:4194999:abcdef:0123456789abcdef:1`)).toBe(false);
});

describe.skipIf(process.platform !== 'linux')('where the system tells the start time of a process', () => {
  it('does not report an owner that another copy of this module made as dead', () => {
    const owner = registerOwner(systemWorld());
    expect(isKnownDead(owner.id.replace(/^([^:]*:\d+:)[0-9a-f]+/, '$1other'))).toBe(false);
  });

  it('reports a process of this host as dead after a kill, not while it is stopped', async () => {
    const child = spawn('sleep', ['600']);
    children.push(child);
    await once(child, 'spawn');
    const id = ownerOf(child.pid ?? 0);
    expect(isKnownDead(id)).toBe(false);
    child.kill('SIGSTOP');
    expect(isKnownDead(id)).toBe(false);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isKnownDead(id)).toBe(true);
  });

  it('does not take a later process with the same pid for the owner', async () => {
    const child = spawn('sleep', ['600']);
    children.push(child);
    await once(child, 'spawn');
    const [host, pid, nonce, place, start] = ownerOf(child.pid ?? 0).split(':');
    expect(isKnownDead([host, pid, nonce, place, Number(start) - 1].join(':'))).toBe(true);
  });
});

/** The id that the process itself would have registered. */
function ownerOf(pid: number): Owner['id'] {
  const here = registerOwner(systemWorld());
  retireOwner(here);
  const [host, , , place] = here.id.split(':');
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return [host, pid, 'abcdef', place, start].join(':');
}
