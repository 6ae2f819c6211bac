import { GrantryError } from '../base/errors.ts';
import type { Store } from '../storage/store.ts';
import type { VaultContext } from './context.ts';

export async function takeOverSchema(_store: Store, _options: { mode: 'auto' | 'off' }): Promise<void> {
  throw new GrantryError('internal', 'not built');
}

export async function sealTakenOver(_context: VaultContext): Promise<void> {}
