import { type Answer, json } from './answer.ts';
import type { Core } from './core.ts';
import type { Incoming } from './incoming.ts';

export function zohoProducts(_core: Core, _incoming: Incoming): Answer {
  return json(404, {}, { kind: 'api', outcome: 'invalid' });
}
