import { usageError } from './terminal/errors.ts';

/** A whole number given as an argument. @throws {GrantryError} `invalid_request` */
export function wholeNumber(name: string, value: string, range: { min: number; max: number }): number {
  const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= range.min && number <= range.max) return number;
  throw usageError(`${name} takes a whole number from ${range.min} to ${range.max}.`);
}
