import type { GrantryErrorCode } from '../../base/errors.ts';
import { toGrantryError } from '../terminal/errors.ts';

/** The result of one check of `grantry doctor`. */
export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** Instruction for the operator. Empty if all is well. */
  readonly action: string;
  /** Sets the exit code of a failure. */
  readonly code?: GrantryErrorCode;
}

export function ok(check: string, detail: string): Finding {
  return { check, status: 'ok', detail, action: '' };
}

export function warn(check: string, detail: string, action: string): Finding {
  return { check, status: 'warn', detail, action };
}

export function fail(check: string, detail: string, action: string, code: GrantryErrorCode = 'internal'): Finding {
  return { check, status: 'fail', detail, action, code };
}

/** Runs a check, and converts an error to a finding. */
export async function finding(check: string, look: () => Promise<Finding>): Promise<Finding> {
  try {
    return await look();
  } catch (thrown) {
    return failed(check, thrown);
  }
}

export function failed(check: string, thrown: unknown): Finding {
  const { message, action, code } = toGrantryError(thrown);
  return fail(check, message, action, code);
}
