import { connect } from 'node:net';
import { inject } from 'vitest';
import { z } from 'zod';

const answerSchema = z.object({ found: z.string().optional(), error: z.string().optional() });

/** Asks for what the whole run shares: the PostgreSQL's URL or the bundled command line. The first to ask waits for it. */
export async function shared(what: 'postgres' | 'command line'): Promise<string> {
  const { found, error } = answerSchema.parse(JSON.parse(await ask(what)));
  if (found === undefined) throw new Error(`the test run has no ${what}: ${error ?? 'no reason given'}`);
  return found;
}

function ask(what: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(inject('broker'));
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write(what));
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });
}
